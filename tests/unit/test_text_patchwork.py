"""Patched trees: what they say of a place is what a fresh parse of the whole document says."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.text import block as blocks
from inkling.text import grammar
from inkling.text.patchwork import SyntaxTree
from inkling.text.segments import block_at, find_block
from inkling.text.snapshot import Snapshot

STATEMENTS = {
    "python": [
        "def f(a):\n    x = [1,\n  2]\n    return x",
        "class A:\n    def g(self):\n        '''Doc.\n        more'''\n        pass\n    y = 1",
        "# one\n# two",
        "x = 1",
        "@d\ndef h(): pass",
        "if a:\n    b()\nelif c:\n    d()",
        "'''Text\n\nmore'''",
        "x = {\n 'é': '😀',\n}",
        "try:\n    a\nexcept E:\n    b",
    ],
    "javascript": [
        "function f(a) {\n  return `x${a}`;\n}",
        "// one\n// two",
        "const x = 1",
        "class A {\n  g() { return 1 }\n}",
        "foo(1)\n  .bar()",
        "let é = '😀';",
        "a\n(b)",
    ],
    "c": [
        "int f(int a) {\n  return a;\n}",
        "// one\n// two",
        "#include <a.h>",
        "#define X 1 \\\n  2",
        "#if A\nint b;\n#endif",
        'char *s = "é";',
    ],
    "rust": ["fn f(a: i32) -> i32 {\n    a\n}", "/// doc\n/// more", "struct S { a: i32 }", 'const X: &str = r#"é"#;'],
    "ruby": ["def f(a)\n  a\nend", "# one\n# two", "x = <<~E\n  text é\nE", "=begin\nb\n=end", "puts 1"],
    "bash": ["f() {\n  echo a\n}", "# one\n# two", "cat <<E\ntext é\nE", "x=1"],
}
BITS = [
    " ",
    "x",
    "1",
    "(",
    ")",
    "{",
    "}",
    "'",
    '"',
    "'''",
    "`",
    "#",
    "/*",
    "\n",
    "\n\n",
    "    ",
    "else:",
    "é",
    "\\",
    "\r\n",
]
EDITS = st.tuples(st.floats(0, 1), st.sampled_from([0, 0, 0, 1, 2, 30]), st.sampled_from(BITS), st.booleans())


def around(tree: SyntaxTree | None, offset: int) -> list[object]:
    """The nodes that enclose an offset, and those that end there; the root's own span tells nothing of the place."""
    assert tree is not None
    found: list[object] = []
    for start in (offset, max(0, offset - 1)):
        node = tree.node_at(start, offset)
        while node is not None and node.parent is not None:
            found.append((node.type, *tree.span(node)))
            node = node.parent
        found.append(None)
    return found


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(sorted(STATEMENTS)), st.lists(EDITS, min_size=1, max_size=8))
def test_a_patch_says_what_a_whole_parse_says(
    data: st.DataObject, language: str, edits: list[tuple[float, int, str, bool]]
) -> None:
    statements = st.lists(st.sampled_from(STATEMENTS[language]), min_size=4, max_size=25)
    snapshot = Snapshot.of("\n".join(data.draw(statements)) + "\n", language=language, uri="file:///patched")
    _forget()
    grammar.near(snapshot, 0)
    for share, size, new, undo in edits:
        start = int(share * len(snapshot))
        end = min(len(snapshot), start + size)
        for span, text in (((start, end), new), ((start, start + len(new)), snapshot.slice(start, end)))[: 1 + undo]:
            rope = snapshot.rope.replace(*span, text)
            snapshot = Snapshot(snapshot.uri, snapshot.version + 1, language, rope)
            patched = not _parses_whole(snapshot)
            if not patched:  # tree-sitter's own business
                continue
            fresh = Snapshot.of(snapshot.text, language=language, uri="file:///fresh")
            whole = grammar.parse(fresh)
            for offset in range(len(snapshot) + 1):
                assert around(grammar.near(snapshot, offset), offset) == around(whole, offset), offset
                if offset % 7 == 0:
                    assert block_at(snapshot, snapshot.position(offset)) == block_at(fresh, fresh.position(offset))


FUNCTIONS = "".join(f"# about f{n}\ndef f{n}(a):\n    return {n}\n\n" for n in range(400))


@pytest.mark.parametrize("place", [10, 200, 390])
def test_typing_in_a_long_file_parses_a_stretch_of_it(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    parse = grammar._parse
    monkeypatch.setattr(grammar, "_parse", lambda data, *rest: (sizes.append(len(data)), parse(data, *rest))[1])
    _forget()
    snapshot = Snapshot.of(FUNCTIONS, language="python", uri="file:///long")
    grammar.near(snapshot, 0)
    offset = FUNCTIONS.index(f"return {place}") + len("return ")
    for letter in "total + ":
        snapshot = Snapshot(snapshot.uri, 1, "python", snapshot.rope.replace(offset, offset, letter))
        offset += 1
        block = block_at(snapshot, snapshot.position(offset))
        assert block is not None
        assert block.text.startswith(f"def f{place}(a):")
    whole = [size for size in sizes if size >= len(FUNCTIONS)]
    assert len(whole) <= 3, "once at first, and while `total +` lacks its other side"
    assert max(size for size in sizes if size < len(FUNCTIONS)) < 400


async def _shown(text: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Snapshot, list[int]]:
    """A text that has been asked about once, and the bytes that will be parsed from then on."""
    sizes: list[int] = []
    parse = grammar._parse
    monkeypatch.setattr(grammar, "_parse", lambda data, *rest: (sizes.append(len(data)), parse(data, *rest))[1])
    _forget()
    snapshot = Snapshot.of(text, language="python", uri=uri)
    assert await find_block(snapshot, snapshot.position(0)) is not None
    sizes.clear()
    return snapshot, sizes


async def test_syntax_errors_far_apart_cost_the_statements_around_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, sizes = await _shown(FUNCTIONS, "file:///apart", monkeypatch)
    broken = ("300", "20", "150", "390", "60")
    for name in broken:
        offset = snapshot.text.index(f"return {name}\n")
        snapshot = Snapshot(snapshot.uri, 1, "python", snapshot.rope.replace(offset, offset, "x("))
        for other in ("10", "100", "250"):
            place = snapshot.text.index(f"def f{other}(a)")
            block = await find_block(snapshot, snapshot.position(place + 4))
            assert block is not None
            assert block.text == f"def f{other}(a):\n    return {other}"
    assert len(sizes) == len(broken)
    assert max(sizes) < 400


@pytest.mark.parametrize(
    ("language", "function", "marks"),
    [
        ("python", "def f{0}(a):\n    return {0}\n\n\n", ('"""\n', '"""\n')),
        ("javascript", "function f{0}(a) {{\n  return {0};\n}}\n\n", ("/*\n", "*/\n")),
        ("javascript", "function f{0}(a) {{\n  return {0};\n}}\n\n", ("`\n", "`\n")),
    ],
)
async def test_two_errors_that_make_a_sound_text_are_one(language: str, function: str, marks: tuple[str, str]) -> None:
    _forget()
    text = "".join(function.format(number) for number in range(800))
    uri = f"file:///pair{marks[0][:1]}.{language}"
    snapshot = Snapshot.of(text, language=language, uri=uri)
    await find_block(snapshot, snapshot.position(0))
    letters = [(f"f{number}", "x = 1\n") for number in (20, 700, 780)]
    for name, new in [("f200", marks[0]), ("f500", marks[1]), *letters]:
        start = snapshot.text.index(name + "(")
        offset = snapshot.text.rindex("\n", 0, start) + 1
        snapshot = Snapshot(uri, 1, language, snapshot.rope.replace(offset, offset, new))
        for place in ("f10(", "f350(", "f600("):
            position = snapshot.position(snapshot.text.index(place))
            block = await find_block(snapshot, position)
            if new != marks[0]:  # then the text is sound
                fresh = Snapshot.of(snapshot.text, language=language, uri=f"{uri}.fresh")
                assert block == block_at(fresh, position), (name, place)


async def test_a_text_with_errors_is_parsed_whole_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "SETTLE_S", 0.01)
    snapshot, sizes = await _shown(FUNCTIONS, "file:///pause", monkeypatch)
    offset = snapshot.text.index("return 300")
    snapshot = Snapshot(snapshot.uri, 1, "python", snapshot.rope.replace(offset, offset, "x("))
    assert await find_block(snapshot, snapshot.position(9)) is not None
    async with asyncio.timeout(10):
        while not grammar.is_settled(snapshot):
            await asyncio.sleep(0.01)
    assert max(sizes) >= len(FUNCTIONS)


async def test_an_error_in_a_large_class_costs_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = "".join(f"    def m{number}(self):\n        return {number}\n\n" for number in range(300))
    snapshot, sizes = await _shown(f"{FUNCTIONS}\nclass C:\n{methods}\n{FUNCTIONS}", "file:///class", monkeypatch)
    for name in ("m7", "m290"):
        offset = snapshot.text.index(f"def {name}(self)")
        snapshot = Snapshot(snapshot.uri, 1, "python", snapshot.rope.replace(offset, offset, "("))
        block = await find_block(snapshot, snapshot.position(snapshot.text.index("def f100(a)") + 4))
        assert block is not None
        assert block.text == "def f100(a):\n    return 100"
    assert max(sizes) < len(methods) + 400 < len(snapshot)


async def test_a_syntax_error_costs_the_statements_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, sizes = await _shown(FUNCTIONS, "file:///broken", monkeypatch)
    snapshot, offset = whole, FUNCTIONS.index("return 200")
    for letter in "x(":
        snapshot = Snapshot(snapshot.uri, 1, "python", snapshot.rope.replace(offset, offset, letter))
        offset += 1
        for name in ("f10", "f199", "f201", "f390"):
            place = snapshot.text.index(f"def {name}(a)")
            block = await find_block(snapshot, snapshot.position(place + 4))
            assert block is not None
            assert block.text == f"def {name}(a):\n    return {name[1:]}"
        assert await find_block(snapshot, snapshot.position(offset)) is not None
    assert len(sizes) == 2, "once for each letter"
    assert max(sizes) < 400
    mended = Snapshot(snapshot.uri, 2, "python", snapshot.rope.replace(offset - 2, offset, ""))
    assert await find_block(mended, mended.position(offset)) == block_at(whole, whole.position(offset))
    assert max(sizes) < 400


def _forget() -> None:
    grammar._rough.clear()
    grammar._latest.clear()
    grammar._patched.clear()


def _parses_whole(snapshot: Snapshot) -> bool:
    grammar.near(snapshot, 0)
    return snapshot in grammar._trees
