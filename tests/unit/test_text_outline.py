"""What a source file defines, in each language with a grammar."""

from __future__ import annotations

import pytest

from inkling.text.outline import outline
from inkling.text.snapshot import Snapshot

CASES: list[tuple[str, str, list[str]]] = [
    (
        "python",
        '# not\nx = 1  # trailing\n@dec\n# above\nclass A(B):\n    """Doc of A."""\n'
        "    async def f(self, a: int, *, b=3, **kw):\n"
        '        r"""Doc\n        of f."""\n        def inner(): pass\n',
        ["class A 'Doc of A.'", "method A.f(a, b, kw) 'Doc\\nof f.'", "function A.f.inner"],
    ),
    ("python", "x = 1  # trailing\ndef f(): pass\n# own\n\n# far\ndef g(): pass\n", ["function f", "function g 'far'"]),
    (
        "javascript",
        "/** Adds. */\nexport const add = (a, {b}) => a + b;\n"
        "class K { m(x) { return () => 1 }\n/* p */\np = () => 2 }\n",
        ["function add(a, b) 'Adds.'", "class K", "method K.m(x)", "method K.p 'p'"],
    ),
    (
        "typescript",
        "/** D */\nexport abstract class A<T> { f(x?: number): void {} }\ninterface I {}\nconst o = { k: (z) => z };",
        ["class A 'D'", "method A.f(x)", "class I", "function k(z)"],
    ),
    (
        "go",
        "// Foo is\n// nice.\nfunc (r *R) Foo(a int, b string) error { return nil }\n// T is\ntype T struct {}\n",
        ["function Foo(a, b) 'Foo is\\nnice.'", "class T 'T is'"],
    ),
    (
        "rust",
        "/// Doc\n#[inline]\npub fn foo(x: u8) {}\nimpl<T> Foo for Bar<T> { fn m(&self, q: u8) {} }\n",
        ["function foo(x) 'Doc'", "class Bar", "method Bar.m(q)"],
    ),
    ("c", "/* doc */\nstatic int *foo(char *a, int b[]) { return 0; }\n", ["function foo(a, b) 'doc'"]),
    (
        "cpp",
        "class A { int f(int x) { return x; } };\nint A::g(int y) { return 1; }\n",
        ["class A", "method A.f(x)", "function g(y)"],
    ),
    ("java", "/** D. */\n@Override\nclass A { int f(int x) { return x; } }", ["class A 'D.'", "method A.f(x)"]),
    ("ruby", "# doc\ndef foo(a, b=1)\nend\n", ["function foo(a, b) 'doc'"]),
    ("shellscript", "# doc\nfoo() { echo; }\n", ["function foo 'doc'"]),
    ("plaintext", "def f(): pass", []),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "expected"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_outline(language: str, text: str, expected: list[str]) -> None:
    found = []
    for one in outline(Snapshot.of(text, language=language)):
        name = f"{one.container}.{one.name}" if one.container else one.name
        found.append(f"{one.kind} {name}" + (f"({', '.join(one.parameters)})" if one.parameters else ""))
        found[-1] += f" {one.documentation!r}" if one.documentation else ""
    assert found == expected


def test_spans_are_code_points() -> None:
    text = "s = '😀ä'\ndef f():\n    '''Größe 😀.'''\n"
    (one,) = outline(Snapshot.of(text, language="python"))
    assert text[one.start : one.end] == "def f():\n    '''Größe 😀.'''" and one.documentation == "Größe 😀."
