"""URIs as clients send them; the path is the same as the standard library's where that one has an answer."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.lsp.editor import session_with

from inkling.lsp.greeting import local_path
from inkling.text.uri import split_uri, uri_path

ODD = ("conjure://[x", "file://[/a.txt", "x://a]/b", "file://\u2100/a.txt")
"""What `urlsplit` refuses."""


@given(st.from_regex(r"[a-z]{1,8}://[a-z.]{0,9}/[A-Za-z0-9%/._é#?-]{0,40}", fullmatch=True))
@example("file:///home/a%20b.txt")
@example("untitled:Untitled-1")
@example("vscode-notebook-cell:/home/a.ipynb#W0")
def test_path_as_the_standard_library_has_it(uri: str) -> None:
    parts = urlsplit(uri)
    assert split_uri(uri) == (parts.scheme, parts.netloc, parts.path)
    assert uri_path(uri) == unquote(parts.path).lstrip("/")


@given(st.text())
def test_no_uri_is_refused(uri: str) -> None:
    uri_path(uri)
    local_path(uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///home/a%20b.txt", Path("/home/a b.txt")),
        ("FILE://localhost/work", Path("/work")),
        ("file://[/work", Path("//[/work")),
        ("conjure://[x", None),
        ("", None),
        (None, None),
    ],
)
def test_local_path(uri: object, expected: Path | None) -> None:
    assert local_path(uri) == expected


@pytest.mark.parametrize("uri", ODD)
async def test_an_odd_uri_among_the_open_documents(uri: str) -> None:
    with pytest.raises(ValueError):
        urlsplit(uri)
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(uri, "some words")
        assert await editor.ask("textDocument/hover", editor.at(uri))
        status = await editor.ask("inkling/status")
        assert [document["uri"] for document in status["documents"]] == [uri]
