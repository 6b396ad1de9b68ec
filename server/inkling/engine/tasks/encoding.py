"""Text to token windows that a model can read whole, each with its characters' offsets."""

from __future__ import annotations

from typing import Any

from tokenizers import Encoding, Tokenizer

from inkling.engine.models.load import Weights
from inkling.errors import InklingError

MAX_CHARACTERS = 2_000_000
"""Longest input; a longer one is the caller's to split."""

MAX_WINDOW = 4096
"""Longest window, whatever the model says that it can read: attention's memory grows with the square."""

_POSITIONS_AFTER_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "data2vec-text", "bertweet",
     "ibert", "roberta-prelayernorm", "xmod", "esm"}
)  # fmt: skip
"""Architectures whose first position is padding_idx + 1."""


class TextEncoder:
    """Encodes with a private copy of the tokenizer, truncation and padding off: safe beside other threads."""

    def __init__(self, weights: Weights, max_length: int | None = None) -> None:
        """`max_length` counts special tokens too; None asks the model's files."""
        backend = getattr(weights.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise InklingError(
                "no-tokenizer",
                f"{weights.id} has no fast tokenizer, so its tokens cannot be found in the text.",
                "Choose a model that has a tokenizer.json.",
            )
        self.tokenizer = Tokenizer.from_str(backend.to_str())
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self._plain = Tokenizer.from_str(backend.to_str())
        self._plain.no_truncation()
        self._plain.no_padding()
        # Byte-level post-processing trims offsets, and twice would be once too often: here it runs on windows alone.
        self._plain.post_processor = None
        self.max_length = max_length or longest_input(weights)
        self.added = self.tokenizer.num_special_tokens_to_add(False)
        self.added_to_pair = self.tokenizer.num_special_tokens_to_add(True)

    def encode(self, text: str) -> Encoding:
        """Token ids and offsets without special tokens. Raises InklingError `too-large`."""
        if len(text) > MAX_CHARACTERS:
            raise InklingError(
                "too-large",
                f"A text of {len(text):,} characters is too long for one request.",
                f"Split it into parts of at most {MAX_CHARACTERS:,}.",
            )
        return self._plain.encode(text, add_special_tokens=False)

    def windows(self, text: str, stride: int, max_length: int | None = None) -> list[Encoding]:
        """One encoding per window, special tokens added; neighbours share `stride` tokens. At least one."""
        encoding = self.encode(text)
        room = max(1, min(max_length or self.max_length, self.max_length) - self.added)
        encoding.truncate(room, stride=min(stride, room - 1))
        return [self.tokenizer.post_process(window) for window in (encoding, *encoding.overflowing)]

    def pair_windows(
        self, first: str, second: str, *, split: int, stride: int, max_length: int | None = None
    ) -> list[Encoding]:
        """Windows over text number `split` (0 or 1), each beside the whole of the other.

        Where both do not fit together, the other text is cut to half the window. A window's `sequence_ids`
        tell the texts apart, its offsets count within each.
        """
        encodings = [self.encode(first), self.encode(second)]
        room = min(max_length or self.max_length, self.max_length) - self.added_to_pair
        other, long = encodings[1 - split], encodings[split]
        other.truncate(max(1, room // 2, room - len(long)))
        left = max(1, room - len(other))
        long.truncate(left, stride=min(stride, left - 1))
        pairs = ((other, part) if split else (part, other) for part in (long, *long.overflowing))
        return [self.tokenizer.post_process(*pair) for pair in pairs]


def longest_input(weights: Weights) -> int:
    """Tokens that the model reads at once, special ones included."""
    config: Any = weights.model.config
    limits = [MAX_WINDOW]
    if weights.tokenizer.model_max_length < 1_000_000:
        limits.append(int(weights.tokenizer.model_max_length))
    for name in ("max_position_embeddings", "n_positions"):
        positions = getattr(config, name, None)
        if isinstance(positions, int) and positions > 0:
            shift = (config.pad_token_id or 0) + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0
            limits.append(positions - shift)
    return min(limits)
