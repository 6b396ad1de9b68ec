"""A model that the settings name and that cannot be used is told unasked, once, with the way out."""

from pathlib import Path

import pytest

from inkling.cli.session import Session

DOCUMENT = "file:///notes.md"


@pytest.mark.parametrize(
    ("settings", "method", "expected"),
    [
        ({"classify": {"model": "starter:ton"}}, "textDocument/diagnostic", 'Did you mean "starter:tone"?'),
        ({"complete": {"model": "no/such-model"}}, "textDocument/inlineCompletion", "no/such-model is not on this"),
        ({"token_count": {"model": "no/such-model"}}, "textDocument/hover", "no/such-model is not on this"),
    ],
)
async def test_is_told_once(tmp_path: Path, settings: dict, method: str, expected: str) -> None:
    params = {"textDocument": {"uri": DOCUMENT}, "position": {"line": 0, "character": 4}, "context": {"triggerKind": 1}}
    async with Session.open(tmp_path, settings=settings) as session:
        session.open_document(DOCUMENT, "markdown", "The cache keeps the next page for every reader.\n")
        for _ in range(2):
            await session.request(method, params)
        told = [message for message in session.messages if expected in message]
    assert len(told) == 1, session.messages
