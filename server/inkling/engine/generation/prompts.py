"""From a request to prompt tokens that fit the model and stay the same under typing.

The prefix cache keeps only what a prompt shares with the last one from its first token on. Therefore:

* windows start at line starts, at places that do not move while text is added at the cursor;
* shares of the budget are fixed, so a longer prefix does not push out context;
* what changes with each key comes last, as far as the model's format permits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inkling.engine.generation import chat, fim, healing
from inkling.engine.generation.incremental import IncrementalEncoder
from inkling.engine.generation.vocabulary import Vocabulary
from inkling.engine.protocol import ContextFile, GenerateRequest
from inkling.errors import InklingError

CONTEXT_SHARE = 0.35
SUFFIX_SHARE = 0.15
NO_FIM = "no-fim-tokens"
_CUTS = 4
"""A window that overflows moves on by this fraction of its size, and then stays for as long as possible."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of the prompt, and reasons worth telling the user."""

    ids: list[int]
    notices: tuple[str, ...] = ()
    typed: str = ""
    """The last word, which `ids` leave out: the generation must begin with it (see `healing`)."""
    typed_ids: tuple[int, ...] = ()


class Prompter:
    """Builds prompts for one model: `budget` is the most prompt tokens for completion."""

    def __init__(self, vocabulary: Vocabulary, budget: int, fim_order: str = fim.Order.USUAL) -> None:
        self.vocabulary = vocabulary
        self.budget = budget
        self._prefixes = IncrementalEncoder(lambda text, inside: vocabulary.encode_with_ends(text, inside=inside))
        self.format = fim.find(vocabulary.control, fim_order)
        self._knows_fim = fim.find(vocabulary.control) is not None

    def build(self, request: GenerateRequest, context_window: int) -> Prompt:
        """The prompt of a request; leaves room for `max_tokens` in the model's `context_window`.

        Raises InklingError `prompt-too-long` for a chat that does not fit, and what `chat.encode` raises.
        """
        room = context_window - min(request.max_tokens, context_window // 2)
        if request.messages:
            return Prompt(self._chat(request.messages, room))
        ids, typed, typed_ids = self._completion(request, min(room, self.budget))
        lacks_fim = not self._knows_fim and bool(request.suffix and request.suffix.strip())
        return Prompt(ids or [self._something()], (NO_FIM,) if lacks_fim else (), typed, typed_ids)

    def _chat(self, messages: Sequence[Mapping[str, str]], room: int) -> list[int]:
        ids = chat.encode(self.vocabulary, messages)
        if len(ids) > room:
            raise InklingError(
                "prompt-too-long",
                f"The messages take {len(ids)} tokens; the model has room for {room}.",
                "Select less text.",
            )
        return ids

    def _completion(self, request: GenerateRequest, budget: int) -> tuple[list[int], str, tuple[int, ...]]:
        begin = self.vocabulary.begin
        budget -= len(begin) + 8  # the markers
        context = self._context(request.context, int(budget * CONTEXT_SHARE))
        context_budget = int(budget * CONTEXT_SHARE) if context else 0
        suffix: list[int] = []
        if self.format is not None and request.suffix:
            suffix = self._suffix(request.suffix, int(budget * SUFFIX_SHARE))
        prefix_budget = budget - context_budget - (int(budget * SUFFIX_SHARE) if suffix else 0)
        prefix, ends = self._prefix(request.prompt, prefix_budget, inside=bool(context))
        typed, typed_ids = "", tuple[int, ...]()
        if request.heal and prefix and self.vocabulary.pieces.enabled:
            keep = healing.split(request.prompt, prefix, ends)
            # a window of one word has nothing to stand on, and an added token no piece to spell
            if keep and all(map(self.vocabulary.pieces.piece, prefix[keep:])):
                typed = request.prompt[ends[keep - 1] :]
                prefix, typed_ids = prefix[:keep], tuple(prefix[keep:])
        # a middle with nothing after it is plain continuation, which every model does better than filling
        if self.format is None or not suffix:
            return [*begin, *context, *prefix], typed, typed_ids
        parts = {"prefix": prefix, "suffix": suffix, "": []}
        ids = [*begin, *context]
        for marker, part in self.format.layout:
            ids += [self._id(marker), *parts[part]]
        return ids, typed, typed_ids

    def _prefix(self, text: str, budget: int, *, inside: bool) -> tuple[list[int], list[int]]:
        """The last lines that fit into `budget` tokens, and the offset in `text` at which each token ends."""
        return stable_tail(text, budget, lambda part: self._prefixes(part, inside))

    def _suffix(self, text: str, budget: int) -> list[int]:
        """The first whole lines that fit; the first line cut if it alone does not."""
        text = text[: 8 * budget + 64]
        ids = self.vocabulary.encode(text, inside=True)
        while len(ids) > budget:
            cut = text[: max(1, len(text) * budget // len(ids))]
            line_end = cut.rfind("\n") + 1
            text = cut[:line_end] if line_end else cut
            ids = self.vocabulary.encode(text, inside=True)
            if len(text) <= 1:
                return ids[:budget]
        return ids

    def _context(self, files: Sequence[ContextFile], budget: int) -> list[int]:
        """Other documents, most relevant last. The first ones go when there is no room."""
        blocks: list[list[int]] = []
        left = budget
        for file in reversed(files):
            block = self._file(file)
            if len(block) > left:
                break
            blocks.insert(0, block)
            left -= len(block)
        ids = [token for block in blocks for token in block]
        if ids and self.format is not None and self.format.file and self.format.repo:
            # the markers that tell the model where the current document begins
            ids = [self._id(self.format.repo), *self.vocabulary.encode("workspace\n", inside=True), *ids]
        if ids and self.format is not None and self.format.file:
            ids += [self._id(self.format.file), *self.vocabulary.encode("\n", inside=True)]
        return ids

    def _file(self, file: ContextFile) -> list[int]:
        text = file.text if file.text.endswith("\n") else file.text + "\n"
        if self.format is not None and self.format.file:
            body = self.vocabulary.encode(f"{file.path}\n{text}", inside=True)
            return [self._id(self.format.file), *body]
        # the language's comment sign is not known here; "#" is a comment or a heading nearly everywhere
        return self.vocabulary.encode(f"# {file.path}\n{text}\n", inside=True)

    def _id(self, marker: str) -> int:
        token = self.vocabulary.control(marker)
        if token is None:
            raise AssertionError(f"{marker} was in the vocabulary when the format was chosen")
        return token

    def _something(self) -> int:
        """A model needs one token to go on from, also for an empty document."""
        tokenizer = self.vocabulary.tokenizer
        for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return self.vocabulary.encode("\n")[0]


def stable_tail(
    text: str, budget: int, encode: Callable[[str], tuple[list[int], list[int]]]
) -> tuple[list[int], list[int]]:
    """The tokens of a tail of `text` that starts at a line start and has at most `budget` tokens, and their ends.

    `encode` gives the tokens and the offset at which each ends. The tail may start at places a quarter window apart,
    counted from the text's start, and starts at the first that fits: typing at the end leaves it where it is until
    the window is full.
    """
    if budget <= 0:
        return [], []
    step = max(1, budget // _CUTS) * 3  # about three characters a token in code
    far = max(0, (len(text) - 8 * budget) // step * step)  # no text has more than eight characters a token for long
    begin = _line_start(text, far)
    ids, ends = encode(text[begin:])
    ends = [begin + end for end in ends]
    for place in range(far, len(text), step):
        first = bisect_right(ends, _line_start(text, place))  # the token that holds the line's first character
        if len(ids) - first <= budget:
            return ids[first:], ends[first:]
    return ids[-budget:], ends[-budget:]


def _line_start(text: str, at: int) -> int:
    """The first line start at or after `at`; `at` itself when no line starts there or later."""
    if at == 0 or text[at - 1] == "\n":
        return at
    found = text.find("\n", at)
    return at if found < 0 or found + 1 >= len(text) else found + 1
