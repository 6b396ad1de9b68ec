"""A tokenizer seen as two alphabets: document text, and the control tokens that only Inkling may write.

Text that happens to contain `<|endoftext|>` or `<fim_prefix>` must reach the model as those characters, never as the
control token. So text is encoded by a twin of the tokenizer in which no control token can match.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer

from inkling.engine.generation import fim
from inkling.engine.generation.healing import Pieces
from inkling.errors import InklingError

CHAT_MARKERS = (
    "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|end|>",
    "<|user|>", "<|assistant|>", "<|system|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>",
)  # fmt: skip
END_MARKERS = (
    "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|EOT|>", "</s>", "<eos>",
    "<|end_of_text|>", "<｜end▁of▁sentence｜>",
)  # fmt: skip
"""Tokens that end any text, beyond the end-of-sequence token that the model's configuration names."""


class Vocabulary:
    """Encodes text as text, and names control tokens. Wraps a transformers tokenizer; used by one thread at a time."""

    def __init__(self, tokenizer: Any) -> None:
        """Raises InklingError when the tokenizer is not one of the `tokenizers` library."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise InklingError(
                "tokenizer-unsupported",
                f"The model's tokenizer ({type(tokenizer).__name__}) has no tokenizer.json.",
                "Use a model with a fast tokenizer.",
            )
        self.tokenizer = tokenizer
        self.backend = Tokenizer.from_str(backend.to_str())
        self.backend.no_truncation()
        self.backend.no_padding()
        added = self.backend.get_added_tokens_decoder()
        known = {*fim.MARKERS, *CHAT_MARKERS, *END_MARKERS}
        self._control = {t.content: i for i, t in added.items() if t.special or t.content in known}
        self._plain = _without(self.backend, self._control)
        self.pieces = Pieces(self.backend)
        self.begin = self._begin()
        self._spaced = self._plain.encode("a", add_special_tokens=False).tokens[:1] not in ([], ["a"])
        self._mark = self._plain.encode("☺", add_special_tokens=False).ids

    def control(self, token: str) -> int | None:
        """The id of a control token, or None when the vocabulary has none of that name."""
        return self._control.get(token)

    @property
    def controls(self) -> tuple[str, ...]:
        """The names of all control tokens."""
        return tuple(self._control)

    def ends(self, configured: int | Sequence[int] | None) -> frozenset[int]:
        """The tokens that end a text: `configured` (the model's own), the tokenizer's, and those that always do."""
        ids = {configured} if isinstance(configured, int) else set(configured or ())
        ids |= {i for name in (*END_MARKERS, *fim.MARKERS) if (i := self._control.get(name)) is not None}
        eos = self.tokenizer.eos_token_id
        return frozenset(ids if eos is None else ids | {eos})

    def encode(self, text: str, *, inside: bool = False) -> list[int]:
        """The tokens of `text`, control-token strings taken as plain characters.

        With `inside`, the text continues something: a tokenizer that puts a space before each text puts none.
        """
        return self.encode_with_ends(text, inside=inside)[0]

    def encode_with_ends(self, text: str, *, inside: bool = False) -> tuple[list[int], list[int]]:
        """As `encode`, and the offset in `text`, in code points, at which each token ends."""
        skip = 0
        encoding = None
        if inside and self._spaced:
            encoding = self._plain.encode("☺" + text, add_special_tokens=False)
            skip = len(self._mark)
        if encoding is None or encoding.ids[:skip] != self._mark:
            encoding, skip = self._plain.encode(text, add_special_tokens=False), 0
        shift = 1 if skip else 0
        return encoding.ids[skip:], [end - shift for _, end in encoding.offsets[skip:]]

    def encode_template(self, text: str) -> list[int]:
        """The tokens of text that Inkling or a chat template wrote: control tokens are control tokens."""
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def has_control(self, text: str) -> bool:
        """True when `text` contains the characters of a control token."""
        return any(token in text for token in self._control)

    def _begin(self) -> list[int]:
        """What the tokenizer puts before every text, such as `<s>`."""
        with_special: list[int] = self.backend.encode("a", add_special_tokens=True).ids
        bare: list[int] = self.backend.encode("a", add_special_tokens=False).ids
        for start in range(len(with_special) - len(bare) + 1):
            if with_special[start : start + len(bare)] == bare:
                return with_special[:start]
        return []


def _without(tokenizer: Tokenizer, control: Iterable[str]) -> Tokenizer:
    """A copy in which the strings of `control` are ordinary text; all other ids stay."""
    state = json.loads(tokenizer.to_str())
    names = set(control)
    own = tokenizer.get_vocab(with_added_tokens=False)
    kept = []
    for token in state["added_tokens"]:
        if token["content"] not in names:
            kept.append(token)
        elif token["content"] not in own:  # holds its id, under a name that no text contains
            kept.append({**token, "content": f"\U0010fffe{token['id']}\U0010fffe", "normalized": False})
    state["added_tokens"] = kept
    state["post_processor"] = None
    return Tokenizer.from_str(json.dumps(state))
