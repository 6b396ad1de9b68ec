"""Settings: a bad value costs one message and its default; an untrusted workspace decides nothing that runs."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inkling.engine.settings import EngineSettings
from inkling.errors import InklingError
from inkling.settings import (
    ServerSettings,
    Source,
    build,
    change_file,
    change_setting,
    embed_table,
    installed_plugins,
    json_schema,
    load,
    load_for,
    markdown_table,
    read_source,
    user_file,
    workspace_files,
)
from inkling.settings.files import line_numbers


@dataclass(frozen=True)
class Inner:
    depth: int = field(default=1, metadata={"min": 0, "max": 9, "doc": "How deep."})
    name: str = "x"
    """What it is called,
    if anything."""


@dataclass(frozen=True)
class Rule:
    model: str = field(default="starter:tone", metadata={"scope": "model"})
    labels: Mapping[str, Literal["error", "warning"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    flag: bool = True
    ratio: float = field(default=0.5, metadata={"min": 0, "max": 1})
    mode: Literal["fast", "exact"] = "fast"
    limit: int | None = 3
    words: tuple[str, ...] = ("a",)
    more: list[str] = field(default_factory=list, metadata={"merge": "append"})
    inner: Inner = field(default_factory=Inner)
    rule: tuple[Rule, ...] = field(default=(), metadata={"merge": "append"})
    binary: str = field(default="python", metadata={"scope": "machine"})
    path: Path = Path("here")


@pytest.mark.parametrize(
    ("mapping", "expected", "key", "says"),
    [
        ({}, Table(), None, ""),
        ({"flag": False, "ratio": 1, "limit": None}, Table(flag=False, ratio=1.0, limit=None), None, ""),
        ({"words": ["b", "c"], "inner": {"depth": 4}}, Table(words=("b", "c"), inner=Inner(4)), None, ""),
        ({"flagg": False}, Table(), "flagg", 'Did you mean "flag"?'),
        ({"inner": {"dept": 4, "name": "y"}}, Table(inner=Inner(1, "y")), "inner.dept", 'Did you mean "depth"?'),
        ({"flag": 1}, Table(), "flag", "must be true or false, not 1"),
        ({"limit": True}, Table(), "limit", "must be a whole number, not true"),
        ({"limit": "3"}, Table(), "limit", 'a whole number, not "3"'),
        ({"mode": "fats"}, Table(), "mode", 'must be one of "fast", "exact"'),
        ({"ratio": 1.5}, Table(), "ratio", "must be from 0 to 1, not 1.5"),
        ({"inner": {"depth": 10}}, Table(), "inner.depth", "from 0 to 9"),
        ({"inner": [1]}, Table(), "inner", "must be a table, not a list"),
        ({"words": "b"}, Table(), "words", "must be a list"),
        ({"words": ["b", 3]}, Table(words=("b",)), "words[1]", "must be a string, not 3"),
        ({"rule": [{"labels": {"x": "warn"}}]}, Table(rule=(Rule(),)), "rule[0].labels.x", '"error", "warning"'),
        ({"path": "~"}, Table(path=Path.home()), None, ""),
        ({"words": None}, Table(), None, ""),
    ],
)
def test_build(mapping: dict[str, Any], expected: Table, key: str | None, says: str) -> None:
    value, problems = build(Table, mapping, "settings.json")
    assert value == expected
    assert [problem.key for problem in problems] == ([key] if key else [])
    for problem in problems:
        assert says in problem.message
        assert str(problem).startswith("settings.json: ")


relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc ", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc ", max_size=5), inner, max_size=3),
    max_leaves=8,
)


@relaxed
@given(st.dictionaries(st.sampled_from([*Table.__dataclass_fields__, "other"]), JSON))
def test_build_never_raises_and_never_mistypes(mapping: dict[str, Any]) -> None:
    value, problems = build(Table, mapping)
    again, _ = build(Table, mapping)
    assert value == again
    assert isinstance(value.flag, bool)
    assert isinstance(value.ratio, float) and 0 <= value.ratio <= 1
    assert all(isinstance(word, str) for word in value.words)
    assert isinstance(value.inner, Inner)
    assert "other" not in mapping or any(problem.key == "other" for problem in problems)


def source(kind: Any, data: dict[str, Any], trusted: bool = False) -> Source:
    return Source(kind, data, kind, trusted)


def test_layers_win_in_order_and_merge_nested_tables() -> None:
    loaded = load(
        [
            source("client", {"t": {"ratio": 0.9}}),
            source("workspace", {"t": {"inner": {"name": "w"}, "ratio": 0.8, "words": ["w"], "more": ["w"]}}),
            source("user", {"t": {"inner": {"depth": 2}, "flag": False, "words": ["u"], "more": ["u"]}}),
        ]
    )
    value, problems = loaded.build("t", Table)
    assert not problems
    assert value == Table(flag=False, ratio=0.9, words=("w",), more=["u", "w"], inner=Inner(2, "w"))
    assert loaded.tables["t"]["inner"] == {"depth": 2, "name": "w"}
    assert loaded.provenance["t.ratio"] == "client"
    assert loaded.provenance["t.inner.depth"] == "user"


def test_a_bad_value_falls_back_to_the_layer_below() -> None:
    loaded = load([source("user", {"t": {"ratio": 0.2}}), source("workspace", {"t": {"ratio": "much"}})])
    value, problems = loaded.build("t", Table)
    assert value.ratio == 0.2
    assert [problem.where for problem in problems] == ["workspace"]


def test_a_table_that_is_none_is_one_problem() -> None:
    value, problems = load([source("user", {"t": 3})]).build("t", Table)
    assert value == Table()
    assert [problem.key for problem in problems] == ["t"]


def test_unknown_tables_are_told_once() -> None:
    loaded = load([source("user", {"server": {}, "complet": {}})])
    (problem,) = loaded.unknown_tables({"server": ServerSettings, "complete": Table})
    assert problem.key == "complet"
    assert 'Did you mean "complete"?' in problem.message


@pytest.mark.parametrize(
    ("kind", "trusted", "taken"),
    [("user", False, True), ("client", False, True), ("workspace", True, True), ("workspace", False, False)],
)
def test_what_may_run_is_not_for_an_untrusted_workspace(kind: str, trusted: bool, taken: bool) -> None:
    loaded = load([source(kind, {"t": {"binary": "/tmp/evil", "flag": False}}, trusted)])
    value, problems = loaded.build("t", Table)
    assert (value.binary == "/tmp/evil") is taken
    assert value.flag is False
    assert [problem.reason for problem in problems] == ([] if taken else ["restricted"])


@pytest.mark.parametrize("path", ["/dev/zero", "../up", "a/../../up", "~/x", "C:x", "C:\\x", "\\\\host\\x", "..\\up"])
def test_a_file_that_is_read_lies_below_an_untrusted_workspace(path: str) -> None:
    @dataclass(frozen=True)
    class Reads:
        known: str = field(default="", metadata={"scope": "path"})

    def taken(value: str, kind: str, trusted: bool) -> bool:
        settings, problems = load([source(kind, {"t": {"known": value}}, trusted)]).build("t", Reads)
        assert [problem.reason for problem in problems] == ([] if settings.known == value else ["restricted"])
        return bool(settings.known == value)

    assert not taken(path, "workspace", False)
    assert taken(path, "workspace", True) and taken(path, "user", False)
    assert taken("ci/known.json", "workspace", False) and taken("..known", "workspace", False)


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        ("starter:tone", True),
        ("installed/model", True),
        ("team/any", True),
        ("other/model", False),
        ("./weights", False),
        ("/tmp/weights", False),
        ("./allowed", False),  # by a pattern that means the user's own
        ("/models/any", True),
        ("/models/../tmp/weights", False),
    ],
)
def test_an_untrusted_workspace_names_only_models_of_the_users_catalog(model: str, taken: bool) -> None:
    allowed = ["team/*", "./allowed", "/models/*"]
    given = {"server": {"models": ["*"]}, "rule": [{"model": model}, {"model": "starter:debt"}]}
    loaded = load(
        [
            source("user", {"server": {"models": allowed}}),
            replace(source("workspace", given), folder=Path("/repository")),
        ],
        is_installed=lambda name: name == "installed/model",
    )
    value, problems = loaded.build("rule", Table)
    models = [rule.model for rule in value.rule]
    assert models == (
        [model, "starter:debt"] if taken else ["starter:debt"]
    )  # the whole rule goes, not its model alone
    assert [problem.key for problem in problems] == ([] if taken else ["rule[0].model"])
    assert loaded.build("server", ServerSettings)[0].models == tuple(allowed)


@pytest.mark.parametrize(
    ("model", "says", "says_not"),
    [
        ("./mine", "is a folder, which a workspace names only when you trust it", "pull"),
        ("/no/such", "is a folder", "pull"),
        ("starder:debt", 'is no model\'s name. Did you mean "starter:debt"?', "pull"),
        ("tone", 'catalog. Did you mean "starter:tone"? Fetch it with', "no model"),
        ("other/model", "catalog. Fetch it with `inkling models pull`", "Did you mean"),
    ],
)
def test_a_model_that_may_not_be_named_is_told_with_what_to_do(model: str, says: str, says_not: str) -> None:
    loaded = load([source("workspace", {"rule": [{"model": model}]})], is_installed=lambda name: False)
    ((problem,),) = loaded.build("rule", Table)[1:]
    assert problem.reason == "restricted"
    assert says in problem.message and says_not not in problem.message
    assert ("--trust" in problem.message) == (":" not in model)


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("./mine", "{folder}/mine"),
        ("../shared/mine", "{parent}/shared/mine"),
        ("/elsewhere/mine", "/elsewhere/mine"),
        ("~/mine", "~/mine"),
        ("~/../shared/mine", os.path.normpath(Path("~").expanduser() / "../shared/mine")),
        ("org/mine", "org/mine"),
        ("mine", "mine"),
        ("starter:tone", "starter:tone"),
    ],
)
def test_a_models_relative_folder_begins_where_its_setting_stands(tmp_path: Path, written: str, taken: str) -> None:
    folder = tmp_path / "a" / "workspace"
    folder.mkdir(parents=True)
    text = f"[[rule]]\nmodel = {json.dumps(written)}\n"
    from_file = read_source(write(folder / "inkling.toml", text), "workspace", trusted=True)
    from_editor = Source("client", {"rule": [{"model": written}]}, "editor settings", folder=folder)
    expected = taken.format(folder=folder, parent=folder.parent)
    for origin in (from_file, from_editor):
        value, problems = load([origin]).build("rule", Table)
        assert ([rule.model for rule in value.rule], problems) == ([expected], [])


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_array_tables_fill_the_field_of_their_name_and_know_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "inkling.toml", '# a\n[[rule]]\nmodel = "starter:tone"\n\n[[rule]]\nmodell = "x"\n')
    value, problems = load([read_source(path, "user")]).build("rule", Table)
    assert value.rule == (Rule(), Rule())
    assert [(problem.key, problem.line) for problem in problems] == [("rule[1].modell", 6)]
    assert str(problems[0]).startswith(f"{path}:6: ")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[server\n", 1),
        (b'[server]\nlog_level = "info"\nlog_level = "debug"\n', 3),
        (b"a = 1\nb = \n", 2),
        (b"a = [\n1,\n]\nb = [1,\n2\n\n", 4),
        (b'a = """\nx = 1\n"""\n[c]\nb = """x\ny = 2\nz = 3\n', 5),
        (b"\xff\xfe", None),
        (b"#" * 2_000_000, None),
        (b"a = " + b"[" * 100_000, None),
        (b"#" * 90_000 + b"\ny = [1,\n", None),  # too long a text to look for where it begins
    ],
)
def test_an_unreadable_file_is_one_problem(tmp_path: Path, content: bytes, line: int | None) -> None:
    got = read_source(write(tmp_path / "inkling.toml", content), "workspace")
    assert got.data == {}
    (problem,) = got.problems
    assert problem.reason == "unreadable"
    assert problem.line == line
    assert str(tmp_path) in problem.where
    assert load([got]).problems == (problem,)


def test_a_depth_that_only_a_part_of_the_file_exceeds(tmp_path: Path) -> None:
    """The parts are read some calls deeper than the whole."""
    for depth in range(450, 505):
        text = "a = " + "[" * depth + "]" * depth + "\nb = 1\nc = [1,\n"
        assert read_source(write(tmp_path / "inkling.toml", text), "workspace").problems[0].reason == "unreadable"


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    assert read_source(tmp_path / "none.toml", "user").problems[0].reason == "unreadable"


def test_pyproject_is_weaker_than_inkling_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_CONFIG", str(tmp_path / "user.toml"))
    assert user_file() == tmp_path / "user.toml"
    write(tmp_path / "pyproject.toml", '[tool.inkling.server]\nlog_level = "debug"\nstart_engine = 0\n')
    assert load_for(tmp_path).build("server", ServerSettings)[0].log_level == "debug"
    assert load_for(tmp_path).build("server", ServerSettings)[1][0].line == 3
    write(tmp_path / "inkling.toml", '[server]\nlog_level = "error"\n')
    write(tmp_path / "user.toml", '[server]\nlog_level = "warning"\nmax_document_size = 7\n')
    assert [path.name for path in workspace_files(tmp_path)] == ["pyproject.toml", "inkling.toml"]
    settings, _ = load_for(tmp_path, {"server": {"start_engine": False}}).build("server", ServerSettings)
    assert (settings.log_level, settings.max_document_size, settings.start_engine) == ("error", 7, False)
    write(tmp_path / "pyproject.toml", "tool = 3\n")
    assert load_for(tmp_path).build("server", ServerSettings)[0].log_level == "error"


def test_line_numbers() -> None:
    text = 'a = 1\r\n[b]\r\nc.d = 2\n"e f" = 3\n[[g]]\nh = 1\n[g.i]\nj = 1\n[[g]]\nh = 2 # x = 1\n'
    assert line_numbers(text) == {
        "a": 1, "b": 2, "b.c.d": 3, "b.e f": 4, "g": 5, "g[0]": 5, "g[0].h": 6, "g[0].i": 7, "g[0].i.j": 8,
        "g[1]": 9, "g[1].h": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("", "classify.threshold", 0.9, "[classify]\nthreshold = 0.9\n"),
        (
            "# mine\n[classify]\nthreshold = 0.5 # low\n\n[server]\n",
            "classify.threshold",
            0.9,
            "# mine\n[classify]\nthreshold = 0.9 # low\n\n[server]\n",
        ),
        ('[c]\nignored = ["a"] # why\n', "c.ignored", "b", '[c]\nignored = ["a", "b"] # why\n'),
        ('[c]\nignored = ["a"]\n', "c.ignored", ["a", "b"], '[c]\nignored = ["a", "b"]\n'),
        ("[c]\r\nx = 1\r\n", "c.x", 2, "[c]\r\nx = 2\r\n"),
        ("\ufeff[c]\nx = 1\n", "c.x", 2, "\ufeff[c]\nx = 2\n"),
        ("", "c.ignored", ["a"], '[c]\nignored = ["a"]\n'),
    ],
)
def test_change_setting_keeps_the_rest(tmp_path: Path, before: str, key: str, value: Any, after: str) -> None:
    path = tmp_path / "inkling.toml"
    if before:
        write(path, before)
    assert change_setting(tmp_path, key, value) == path.resolve()
    assert path.read_bytes().decode() == after
    assert list(tmp_path.iterdir()) == [path]


@relaxed
@given(
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3), st.integers() | st.text() | st.booleans()
)
def test_change_setting_is_read_back(tmp_path_factory: pytest.TempPathFactory, parts: list[str], value: Any) -> None:
    root = tmp_path_factory.mktemp("w")
    change_setting(root, ".".join(parts), value)
    data: Any = tomllib.loads((root / "inkling.toml").read_bytes().decode())
    for part in parts:
        data = data[part]
    assert data == value


@pytest.mark.parametrize(
    ("before", "key", "reason"),
    [("[c", "c.x", "settings-unreadable"), ("c = 1\n", "c.x", "bad-setting"), ("", "c..x", "bad-setting")],
)
def test_change_setting_refuses_and_changes_nothing(tmp_path: Path, before: str, key: str, reason: str) -> None:
    path = write(tmp_path / "inkling.toml", before)
    with pytest.raises(InklingError) as caught:
        change_setting(tmp_path, key, 1)
    assert caught.value.reason == reason
    assert path.read_text() == before


def test_change_setting_on_a_full_disk_keeps_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "inkling.toml", "[c]\nx = 1\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InklingError, match="No space left on device"):
        change_setting(tmp_path, "c.x", 2)
    assert path.read_text() == "[c]\nx = 1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_workspace_has_no_say_about_the_engine_that_all_windows_share() -> None:
    for trusted in (False, True):
        loaded = load([source("workspace", {"engine": {"private": True}}, trusted)])
        value, problems = loaded.build("engine", EngineSettings)
        assert value.private is False
        assert [problem.key for problem in problems] == (["engine.private"] if trusted else ["engine"])


def test_a_workspace_cannot_show_the_users_secret_files() -> None:
    import pathspec

    loaded = load([source("workspace", {"server": {"exclude": ["!**/.env", "*.log"], "secret_files": []}})])
    hidden = pathspec.GitIgnoreSpec.from_lines(loaded.build("server", ServerSettings)[0].hidden_files)
    for path in (".env", "a/.env.local", "deep/down/id_rsa", "x.pem", "a.log"):
        assert hidden.match_file(path), path
    assert not hidden.match_file("src/environment.py")


@pytest.mark.parametrize(("trusted", "expected"), [(True, ("*.md", "build/", "!*.md")), (False, ("*.md", "build/"))])
def test_an_untrusted_workspace_hides_more_and_never_less(trusted: bool, expected: tuple[str, ...]) -> None:
    layers = [
        source("user", {"server": {"exclude": ["*.md"]}}),
        source("workspace", {"server": {"exclude": ["build/", "!*.md"]}}, trusted),
    ]
    value, problems = load(layers).build("server", ServerSettings)
    assert value.exclude == expected
    assert [problem.key for problem in problems] == ([] if trusted else ["server.exclude[1]"])


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("a/.env", True),
        ("a/prod.tfvars", True),
        ("a/terraform.tfstate", True),
        ("a/terraform.tfstate.backup", True),
        ("a/passwords.kdbx", True),
        ("home/me/.ssh/config", True),
        ("home/me/.aws/credentials", True),
        ("home/me/.kube/config", True),
        ("home/me/.docker/config.json", True),
        ("a/gcp-credentials-prod.json", True),
        ("a/secrets.yaml", True),
        ("a/environment.py", False),
        ("a/keys.py", False),
        ("a/config.json", False),
    ],
)
def test_files_that_hold_secrets_are_kept_from_every_plugin(path: str, hidden: bool) -> None:
    import pathspec

    assert pathspec.GitIgnoreSpec.from_lines(ServerSettings().hidden_files).match_file(path) is hidden


def test_the_table_and_the_schema_tell_every_setting() -> None:
    table = markdown_table({"demo": Table})
    for key in ("server.log_level", "server.timeouts.hover", "demo.inner.depth", "demo.rule"):
        assert f"| `{key}` |" in table
    assert "How deep. (from 0 to 9)" in table
    assert '| `demo.inner.name` | a string | `"x"` | What it is called, if anything. |' in table
    assert not [line for line in markdown_table({}).splitlines() if line.endswith("|  |")]  # each says what it means
    schema = json_schema({"demo": Table})
    json.dumps(schema)
    properties = schema["properties"]["demo"]["properties"]
    assert properties["inner"]["properties"]["depth"] == {
        "type": "integer", "minimum": 0, "maximum": 9, "default": 1, "description": "How deep."
    }  # fmt: skip
    assert properties["mode"] == {"enum": ["fast", "exact"], "default": "fast"}


def test_every_installed_setting_says_what_it_means() -> None:
    """A setting without a description would be an empty cell in the README."""
    table = markdown_table(installed_plugins())
    assert "| `complete." in table and "| `classify.threshold`" in table
    assert [
        line for line in table.splitlines() if line.endswith(("|  |", "| *Not from an untrusted workspace.* |"))
    ] == []
    json.dumps(json_schema(installed_plugins()))


@pytest.mark.parametrize("old", ["", "| an | old | table |\n"])
def test_the_table_is_embedded_in_a_document(old: str) -> None:
    document = f"# Title\n\n<!-- settings: begin -->\n{old}<!-- settings: end -->\n\nMore.\n"
    expected = "# Title\n\n<!-- settings: begin -->\n| t |\n<!-- settings: end -->\n\nMore.\n"
    assert embed_table(document, "| t |\n") == expected == embed_table(expected, "| t |\n")


@pytest.mark.parametrize("document", ["", "<!-- settings: begin -->\n", "<!-- settings: end -->\n"])
def test_a_document_without_the_markers_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="needs one"):
        embed_table(document, "| t |\n")


@dataclass(frozen=True)
class Named:
    name: str = ""
    model: str = field(default="", metadata={"scope": "model"})
    level: Literal["warning", "error"] = "warning"
    words: Mapping[str, str] = field(default_factory=dict)
    origin: str = field(default="", metadata={"origin": True})

    def complaints(self) -> list[tuple[str, str]]:
        return [("words.x", "says no")] if self.words.get("x") == "no" else []


@dataclass(frozen=True)
class Lists:
    item: tuple[Named, ...] = field(default=(), metadata={"top_level": True, "merge": "name"})
    flag: bool = True


def test_named_tables_merge_by_name_and_know_where_they_came_from(tmp_path: Path) -> None:
    user = write(tmp_path / "user.toml", '[[item]]\nname = "a"\nlevel = "error"\n\n[[item]]\nname = "b"\n')
    own = write(tmp_path / "inkling.toml", '[lists]\nflag = false\n\n[[item]]\nname = "a"\nwords.x = "yes"\n')
    loaded = load([read_source(user, "user"), read_source(own, "workspace")])
    value, problems = loaded.build("lists", Lists)
    assert problems == loaded.unknown_tables({"lists": Lists}) == []
    assert value == Lists(
        (Named("a", "", "error", {"x": "yes"}, f"{own}:4, {user}:1"), Named("b", origin=f"{user}:5")), False
    )


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ('levell = "error"', 6, 'There is no setting "item[bad].levell". Did you mean "level"?'),
        ('level = "warn"', 6, 'not "warn". Did you mean "warning"?'),
        ('model = "evil/model"', 6, "is restricted"),
        ('level = "error"\n[item.words]\nx = "no"', 8, '"item[bad].words.x" says no'),
        ('origin = "here"', 6, 'There is no setting "item[bad].origin"'),
    ],
)
def test_a_bad_named_table_is_left_out_by_itself(tmp_path: Path, lines: str, line: int, says: str) -> None:
    text = f'[[item]]\nname = "good"\n\n[[item]]\nname = "bad"\n{lines}\n'
    source = read_source(write(tmp_path / "inkling.toml", text), "workspace")
    value, (problem,) = load([source], is_installed=lambda name: False).build("lists", Lists)
    assert [item.name for item in value.item] == ["good"]
    assert (problem.line, says in problem.message) == (line, True), problem


def test_all_that_is_wrong_with_a_named_table_is_told_at_once(tmp_path: Path) -> None:
    text = '[[item]]\nname = "bad"\nlevel = "warn"\nwords = { x = "no", y = 3 }\n'
    below = Source("user", {"item": [{"name": "bad", "words": {"x": "no"}}]}, "below", trusted=True)
    source = read_source(write(tmp_path / "inkling.toml", text), "workspace")
    for sources in ([source], [below, source]):
        value, problems = load(sources).build("lists", Lists)
        own = [(problem.key, problem.line) for problem in problems if problem.where != "below"]
        assert own == [("item[0].level", 3), ("item[0].words.y", 4), ("item[0].words.x", 4)]
        assert value.item == ()


def test_named_tables_need_names_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "inkling.toml", '[[item]]\n\n[[item]]\nname="a"\n[[item]]\nname="a"\nlevel = "error"\n')
    value, problems = load([read_source(path, "user")]).build("lists", Lists)
    assert [(item.name, item.level, item.origin) for item in value.item] == [("a", "warning", f"{path}:3")]
    assert [(problem.reason, problem.line) for problem in problems] == [("no-name", 1), ("name-taken", 6)]
    assert problems[1].message == 'A second "a" is left out; the first is on line 3. Give this one another name.'


def test_one_named_table_is_changed_and_made(tmp_path: Path) -> None:
    path = write(tmp_path / "inkling.toml", '# mine\n[[item]]\nname = "a"  # keep\n')
    change_file(path, "item[a].words.x", "yes")
    change_file(path, "item[b].level", "error")
    value, problems = load([read_source(path, "user")]).build("lists", Lists)
    assert problems == [] and path.read_text().startswith('# mine\n[[item]]\nname = "a"  # keep\n')
    assert [(item.name, item.level, dict(item.words)) for item in value.item] == [
        ("a", "warning", {"x": "yes"}),
        ("b", "error", {}),
    ]


def test_the_schema_has_named_tables_at_the_top() -> None:
    properties = json_schema({"lists": Lists})["properties"]
    assert list(properties["lists"]["properties"]) == ["flag"]
    assert properties["item"]["items"]["required"] == ["name"]
    assert "origin" not in properties["item"]["items"]["properties"]
