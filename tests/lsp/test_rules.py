"""The example workspace of rules in the real server, with the starter models: every surface, nothing faked."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from lsprotocol import types
from tests.engine.tasks.conftest import checkpoints
from tests.lsp.conftest import serving
from tests.lsp.test_handlers import Desk, of, offset, position

from inkling.settings import Source, load, read_source
from inkling_plugins.rules.plugin import Rules

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "rules-workspace"
T = TypeVar("T")
OWN = {
    "ask-for-the-cause": ("bert", "ForQuestionAnswering"),
    "better-word": ("bert", "ForMaskedLM"),
    "into-german": ("t5", "ForConditionalGeneration"),
    "gist": ("bart", "ForConditionalGeneration"),
}
"""Rules of user-settings.toml, and the kind of model that stands there for the one named: tiny, with random weights."""
LANGUAGES = {".md": "markdown", ".py": "python", ".txt": "plaintext"}


async def until(ask: Callable[[], Awaitable[T]], there: Callable[[T], object]) -> T:
    """What is asked, once it is there: a model that is being loaded has no answer yet."""
    for _ in range(400):
        if there(answer := await ask()):
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"never there: {answer}")


class Workspace(Desk):
    """The desk, on a copy of the example."""

    def open_file(self, name: str) -> tuple[str, str]:
        text = (self.root / name).read_text("utf-8")
        return self.open(name, LANGUAGES[Path(name).suffix], text), text

    async def run(self, command: str, uri: str, place: types.Range, **arguments: Any) -> Any:
        first = {"uri": uri, "range": self.plain(place), **arguments}
        return await self.client.workspace_execute_command_async(types.ExecuteCommandParams(command, [first]))

    async def marks(self, uri: str) -> dict[str, types.Diagnostic]:
        """The diagnostics by code, once all has been read: the first ones may come while models are loaded."""
        for _ in range(400):
            found = await self.diagnostics(uri)
            if "still being read" not in await self.why(uri):
                return {str(mark.code): mark for mark in found}
            await asyncio.sleep(0.1)
        raise AssertionError("still being read")

    async def titles(self, uri: str, place: types.Range) -> set[str]:
        """Of all actions; lsprotocol takes one that has a command for a command."""
        params = types.CodeActionParams(types.TextDocumentIdentifier(uri), place, types.CodeActionContext([]))
        return {action.title for action in await self.client.text_document_code_action_async(params) or []}

    async def why(self, uri: str) -> str:
        asked = types.ExecuteCommandParams("inkling.whyNothing", [{"uri": uri}])
        return str(await self.client.workspace_execute_command_async(asked))

    @staticmethod
    def plain(place: types.Range) -> dict[str, Any]:
        return {
            "start": {"line": place.start.line, "character": place.start.character},
            "end": {"line": place.end.line, "character": place.end.character},
        }


def own_rules(folder: Path) -> str:
    """The user's settings: rules of the example that need a model of one's own, with models that are there."""

    def new(kind: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=kind, dir=folder))

    make, parts = checkpoints(new), []
    for part in (EXAMPLE / "user-settings.toml").read_text("utf-8").split("[[rule]]")[1:]:
        name, model = tomllib.loads(part)["name"], tomllib.loads(part)["model"]
        if name in OWN:
            made = make(*OWN[name])
            parts.append("[[rule]]" + part.replace(f'"{model}"', json.dumps(made)))
    assert len(parts) == len(OWN)
    return "\n".join(parts)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Workspace, None]:
    folder = tmp_path_factory.mktemp("rules")
    root = folder / "work"
    shutil.copytree(EXAMPLE, root)
    (folder / "user.toml").write_text(own_rules(folder), encoding="utf-8")
    homes = {name: str(folder / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME")}
    settings = {
        "engine": {"private": True},
        "rules": {"patience": 60},
        "complete": {"enabled": False},
        "rule": [{"name": "ask-for-the-cause", "threshold": 0.0}, {"name": "into-german", "max_tokens": 8}],
    }
    async with serving(root, settings, {**homes, "INKLING_CONFIG": str(folder / "user.toml")}) as client:
        yield Workspace(client, root)


async def test_diagnostics_of_three_tasks(desk: Workspace) -> None:
    uri, text = desk.open_file("notes.md")
    marks = await desk.marks(uri)
    assert set(marks) == {"tone/hostile", "secrets/EMAIL", "said-twice/similar"}
    assert marks["tone/hostile"].message.startswith("Reads as hostile (")
    assert marks["secrets/EMAIL"].range == of(text, "maria.lopez@example.com")
    assert marks["secrets/EMAIL"].severity == types.DiagnosticSeverity.Error
    assert marks["tone/hostile"].source == "inkling: rules"


async def test_redact_why_and_not_helpful(desk: Workspace) -> None:
    uri, _ = desk.open_file("notes.md")
    marks = await desk.marks(uri)
    tone = marks["tone/hostile"].range
    why = str(await desk.run("inkling.rules.why", uri, tone, rule="tone", label="hostile"))
    assert why.startswith("hostile 9") and "“" in why
    noted = str(await desk.run("inkling.rules.not_helpful", uri, tone, rule="tone", label="hostile"))
    path = Path(noted.removeprefix("Noted in ").partition(". It stays")[0])
    assert json.loads(path.read_text("utf-8"))["label"] == "hostile"
    fixes = await desk.actions(uri, marks["secrets/EMAIL"].range)
    whole = await desk.client.code_action_resolve_async(fixes["Redact all of secrets in this file"])
    assert whole.edit is not None
    desk.apply(whole.edit)
    assert "write to <EMAIL> when" in desk.texts[uri] and "@example" not in desk.texts[uri]
    assert "secrets/EMAIL" not in await desk.marks(uri)


async def test_hover_lens_hint_and_tokens(desk: Workspace) -> None:
    uri, text = desk.open_file("mail.txt")
    at = types.HoverParams(types.TextDocumentIdentifier(uri), position(text, 5))
    hover = await until(
        lambda: desk.client.text_document_hover_async(at), lambda hover: hover and "injection |" in str(hover.contents)
    )
    assert hover is not None and isinstance(hover.contents, types.MarkupContent)
    assert "**Prompt injection?** · `starter:injection`" in hover.contents.value
    assert "| injection | 9" in hover.contents.value

    uri, text = desk.open_file("app.py")
    asked = types.CodeLensParams(types.TextDocumentIdentifier(uri))
    lenses = await until(lambda: desk.client.text_document_code_lens_async(asked), bool)
    titles = [(lens.command.title, lens.range.start.line) for lens in lenses or [] if lens.command]
    assert len(titles) == 1 and titles[0][0].startswith("This comment admits a debt (") and titles[0][1] == 4

    uri, text = desk.open_file("notes.md")
    everything = types.Range(types.Position(0, 0), position(text, len(text)))
    place = types.InlayHintParams(types.TextDocumentIdentifier(uri), everything)
    hints = await until(lambda: desk.client.text_document_inlay_hint_async(place), bool)
    assert [(hint.label, hint.position.line) for hint in hints or []] == [
        ("a fault of a program", 0),
        ("food and cooking", 8),
    ]
    document = types.SemanticTokensParams(types.TextDocumentIdentifier(uri))
    tokens = await until(
        lambda: desk.client.text_document_semantic_tokens_full_async(document), lambda tokens: tokens and tokens.data
    )
    assert tokens is not None and list(tokens.data)[:3] == [2, 16, len("maria.lopez@example.com")]


async def test_what_is_carried_out_on_demand(desk: Workspace) -> None:
    uri, text = desk.open_file("notes.md")
    place = of(text, "Please write to maria.lopez@example.com when you see this again. The parser reads the first line")
    place.end = position(text, text.index("\n\nYou idiot"))
    titles = await desk.titles(uri, place)
    assert {"What is the tone of this?", "Shorten this"} <= titles
    assert await desk.run("inkling.rules.run", uri, place, rule="shorten")
    assert len(desk.texts[uri]) <= len(text) and desk.texts[uri] != text
    said = await desk.run("inkling.rules.run", uri, place, rule="tone-of-selection")
    assert str(said).startswith("tone-of-selection: ")

    uri, text = desk.open_file("app.py")
    nowhere = types.Range(types.Position(0, 0), types.Position(0, 0))
    assert await desk.run("inkling.rules.run", uri, of(text, "def main():"), rule="continue") is not None
    assert desk.texts[uri].startswith(text[: text.index("def main():") + len("def main():")] + "\n")
    uri, text = desk.open_file("app.py")
    assert "rude-output/hostile" not in await desk.marks(uri)
    assert await desk.run("inkling.rules.run", uri, nowhere, rule="rude-output") == "rude-output: 1 findings."
    assert (await desk.marks(uri))["rude-output/hostile"].range == of(
        text, '"You stupid idiot, go away and never come back"'
    )
    listed = await desk.run("inkling.rules.list", uri, nowhere)
    assert str(listed).endswith("rules are on here.")


async def test_tasks_that_answer_choose_and_write_with_models_of_ones_own(desk: Workspace) -> None:
    uri, text = desk.open_file("notes.md")
    paragraph = next(part for part in text.split("\n\n") if "@" in part)
    place = of(text, paragraph)
    answered = str(await desk.run("inkling.rules.run", uri, place, rule="ask-for-the-cause"))
    opened = desk.client.shown_documents[-1]
    assert opened.uri == uri and opened.selection is not None
    start, end = offset(text, opened.selection.start), offset(text, opened.selection.end)
    assert answered.startswith(text[start:end]) and start < end
    gist = str(await desk.run("inkling.rules.run", uri, place, rule="gist"))
    shown = Path(desk.client.shown_documents[-1].uri.removeprefix("file://"))
    assert shown.read_text("utf-8") == f"{gist}\n" and shown.name != "notes.md"
    written = str(await desk.run("inkling.rules.run", uri, place, rule="into-german"))
    assert f"{paragraph}\n{written}\n" in desk.texts[uri]
    offered: list[str] = []

    def choose(params: types.ShowMessageRequestParams) -> types.MessageActionItem:
        offered.extend(action.title for action in params.actions or [])
        return types.MessageActionItem(offered[1])

    desk.client.protocol.fm.features[types.WINDOW_SHOW_MESSAGE_REQUEST] = choose
    text = desk.texts[uri]
    word = next(match for match in re.finditer(r"[a-z]{4,}", text))
    at = types.Range(position(text, word.start()), position(text, word.start()))
    chosen = await desk.run("inkling.rules.run", uri, at, rule="better-word")
    assert chosen == offered[1] and desk.texts[uri] == text[: word.start()] + chosen + text[word.end() :]
    desk.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))


async def test_settings_are_taken_up_at_once_and_a_bad_rule_is_told_with_its_line(desk: Workspace) -> None:
    path = desk.root / "inkling.toml"
    uri, _ = desk.open_file("notes.md")
    assert "tone/hostile" in await desk.marks(uri)
    rules = path.read_text("utf-8").replace('name = "tone"\n', 'name = "tone"\nenabled = false\n')
    bad = '\n[[rule]]\nname = "oops"\nsurface = "diagnostic"\n\n[[rule]]\nname = "far"\nmodel = "someone/else"\n'
    path.write_text(rules + bad, "utf-8")
    document = types.TextDocumentIdentifier(path.as_uri())
    desk.client.text_document_did_save(types.DidSaveTextDocumentParams(document))
    line = (rules + bad).splitlines().index('surface = "diagnostic"') + 1
    for _ in range(100):
        messages = [message.message for message in desk.client.messages]
        if any("someone/else" in message for message in messages):
            break
        await asyncio.sleep(0.05)
    assert any(f"inkling.toml:{line}: " in m and 'Did you mean "diagnostics"?' in m for m in messages), messages
    assert any('"someone/else" is not in your model catalog' in message for message in messages), messages
    marks = await desk.marks(uri)
    assert "tone/hostile" not in marks and "secrets/EMAIL" in marks


async def test_a_model_of_the_wrong_task_and_labels_that_it_lacks_are_told(desk: Workspace) -> None:
    (desk.root / "inkling.toml").write_text(
        "[classify]\nenabled = false\n\n"
        '[[rule]]\nname = "wrong"\ntask = "token-classification"\nmodel = "starter:tone"\n\n'
        '[[rule]]\nname = "lacks"\nlabels = { rude = "hint" }\n',
        "utf-8",
    )
    document = types.TextDocumentIdentifier((desk.root / "inkling.toml").as_uri())
    desk.client.text_document_did_save(types.DidSaveTextDocumentParams(document))
    await asyncio.sleep(0.3)
    uri, _ = desk.open_file("notes.md")
    assert await desk.marks(uri) == {}
    said = await desk.why(uri)
    file = desk.root / "inkling.toml"
    assert f"wrong ({file}:4): starter:tone cannot do token-classification" in said
    assert f'lacks ({file}:9): starter:tone has no label "rude". Its labels: ' in said and "hostile" in said


async def test_the_users_settings_of_the_example_are_valid() -> None:
    source = read_source(EXAMPLE / "user-settings.toml", "user")
    settings, problems = load([source]).build("rules", Rules.Settings)
    assert problems == [] and len(settings.rule) == 6
    assert isinstance(source, Source)
