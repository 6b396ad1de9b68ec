"""Token boundaries in colours and ids, and two tokenizers compared; with the starters' own tokenizers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inkling.api import InklingError, Nothing, Range, Snapshot
from inkling.lsp.handles import _model_folder
from inkling.text.tokens import TokenService
from inkling_plugins import token_lens
from inkling_plugins.token_lens import TokenLens

TEXT = "def unbelievable(x):\n    return x  # <|endoftext|> 😀\n"


@pytest.fixture
async def lens(started: Any) -> AsyncIterator[Any]:
    """`await lens(**settings)`: the plugin with the starters' tokenizers, and an editor that keeps refreshes."""
    services = []

    async def start(**settings: Any) -> Any:
        plugin = await started(TokenLens, **{"shown": True} | settings)
        plugin.tokens = TokenService(_model_folder)
        services.append(plugin.tokens)
        plugin.editor.refreshed = []
        plugin.editor.refresh = plugin.editor.refreshed.append
        return plugin

    yield start
    for service in services:
        service.close()


def everything(snapshot: Snapshot) -> Range:
    return snapshot.range(0, len(snapshot))


async def test_colours_take_turns_and_cover_the_document_as_the_tokenizer_does(lens: Any) -> None:
    plugin, snapshot = await lens(), Snapshot.of(TEXT)
    tokens = await plugin.colours(snapshot, everything(snapshot))
    assert "".join(snapshot.text_in(token.range) for token in tokens) == TEXT, "the starter's vocabulary drops nothing"
    first = [token.type for token in tokens if token.range.start.line == 0]
    assert first == (["token", "tokenAlternate"] * len(first))[: len(first)]
    (special,) = [token for token in tokens if token.type == "tokenSpecial"]
    assert snapshot.text_in(special.range) == "<|endoftext|>"
    part = await plugin.colours(snapshot, snapshot.line_range(1))
    assert part == [token for token in tokens if (1, 0) <= token.range.start < snapshot.line_range(1).end]


async def test_an_unknown_script_is_marked_and_told(lens: Any) -> None:
    plugin, snapshot = await lens(model="starter:tone"), Snapshot.of("Runes: ᚠᚢᚦ!")
    tokens = await plugin.colours(snapshot, everything(snapshot))
    assert [snapshot.text_in(token.range) for token in tokens if token.type == "tokenUnknown"] == ["ᚠᚢᚦ"]
    assert "1 of them unknown" in await plugin.show(snapshot, None, on=True)


async def test_ids_stand_behind_their_tokens(lens: Any) -> None:
    plugin, snapshot = await lens(view="ids"), Snapshot.of("x <|endoftext|>😀")
    hints = [hint async for hint in plugin.ids(snapshot, everything(snapshot))]
    x, _, special, emoji = hints
    assert x.position == (0, 1) and special.label.endswith(" special")
    assert emoji.position == (0, 16), "the tokens of one character are shown together"
    assert len(emoji.label.split("+")) == len(emoji.tooltip.split("\n\n")) > 1


async def test_more_than_an_editor_should_be_given(lens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, snapshot = await lens(view="both", max_characters=20), Snapshot.of("word " * 10)
    assert isinstance(found := await plugin.colours(snapshot, everything(snapshot)), Nothing)
    assert found.reason == "too-large"
    monkeypatch.setattr(token_lens, "_MOST_HINTS", 2)
    hints = [hint async for hint in plugin.ids(snapshot, everything(snapshot))]
    assert len(hints) == 3 and hints[2].reason == "too-many"


async def test_the_command_switches_it(lens: Any) -> None:
    plugin, snapshot = await lens(shown=False), Snapshot.of(TEXT)
    assert (await plugin.colours(snapshot, everything(snapshot))).reason == "disabled"
    count = await plugin.tokens.count(snapshot, "starter:code")
    assert f"{count} tokens" in await plugin.show(snapshot, None)
    assert plugin.editor.refreshed == ["semantic_tokens", "inlay_hints"]
    assert await plugin.colours(snapshot, everything(snapshot))
    assert "off" in await plugin.show(snapshot, None)
    assert (await plugin.colours(snapshot, everything(snapshot))).reason == "disabled"


async def test_a_model_without_a_tokenizer_is_told_and_switches_nothing(lens: Any, tmp_path: Path) -> None:
    plugin, snapshot = await lens(shown=False), Snapshot.of(TEXT)
    plugin.tokens = TokenService(lambda model: tmp_path)
    with pytest.raises(InklingError, match=r"no tokenizer\.json"):
        await plugin.show(snapshot, None)
    assert plugin.editor.refreshed == []
    assert (await plugin.colours(snapshot, everything(snapshot))).reason == "disabled"
    plugin.tokens.close()


async def test_two_tokenizers_compared_on_a_selection(lens: Any) -> None:
    plugin, snapshot = await lens(), Snapshot.of(f"skipped\n{'unbelievable `ᚠᚢ` '}the\nskipped")
    said = await plugin.compare(snapshot, snapshot.line_range(1))
    ((title, text),) = plugin.editor.texts
    assert title == "Tokenizers compared"
    one, other = [
        len(await plugin.tokens.spans(Snapshot.of(snapshot.line(1)), 0, 99, model))
        for model in ("starter:code", "starter:tone")
    ]
    assert f"| tokens | {one} | {other} |" in text and said.startswith(f"{one} of starter:code and {other} of")
    assert f"| tokens per word | {one / 5:.2f} | {other / 5:.2f} |" in text
    assert "- `unbelievable`:" in text and "skipped" not in text
    assert "| unknown tokens | 0 | 1 |" in text
    assert "\n- `the`" not in text, "both know that word"


async def test_what_cannot_be_compared(lens: Any) -> None:
    plugin, snapshot = await lens(max_characters=5), Snapshot.of("too long")
    for arguments, reason in (
        ((None, None), "no-document"),
        ((snapshot, None), "too-large"),
    ):
        with pytest.raises(InklingError) as error:
            await plugin.compare(*arguments)
        assert error.value.reason == reason
    with pytest.raises(InklingError, match="Both"):
        await plugin.compare(snapshot, snapshot.range(0, 2), other="starter:code")
