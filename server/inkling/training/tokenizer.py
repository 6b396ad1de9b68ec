"""The tokenizer recipe: byte-level BPE from any iterator of text, with special tokens for FIM and chat.

The pre-tokenizer is made for code: a line break and the indentation after it are one piece, so a prompt that
ends in indentation ends where a token of the training text ends, and a line costs one token less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from inkling.training import preflight
from inkling.training.card import ModelCard, Result
from inkling.training.corpus import build as corpus
from inkling.training.errors import TrainingError
from inkling.training.tokenizer_recipe import END, SPECIAL_TOKENS, TokenizerRecipe

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_PIECES = (
    r"\s*\n[ \t]*"  # blank lines, the break and the indentation after it
    r"|[^\n\p{L}\p{N}]?\p{L}+"  # a word with the character before it: " self", ".name", "_id"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+"  # operators and brackets
    r"|\s+"
)


def train_from_recipe(path: Path, out: Path | None, overrides: Mapping[str, str]) -> Path:
    """Build the recipe's corpus, train its tokenizer, and return the tokenizer's folder. Raises TrainingError."""
    return run(preflight.tokenizer(path, out, overrides))


def run(recipe: TokenizerRecipe) -> Path:
    """`train_from_recipe` for a recipe that was read."""
    folder = recipe.out
    report = corpus.build_once(recipe.corpus, recipe.corpus_out)
    texts = [document.text for document in corpus.read(recipe.corpus_out / "train.jsonl")]
    tokenizer = train_from_scratch(texts, recipe.vocabulary, minimum_frequency=recipe.minimum_frequency)
    wrap(tokenizer, recipe.context).save_pretrained(folder)
    held_out = [document.text for document in corpus.read(recipe.corpus_out / "held-out.jsonl")]
    _card(recipe, tokenizer, report, texts, held_out).write(folder)
    return folder


def train_from_scratch(texts: Iterable[str], vocabulary: int, *, minimum_frequency: int = 2) -> Tokenizer:
    """Train a byte-level BPE of at most ``vocabulary`` tokens on an iterator of texts.

    Raises TrainingError when the iterator yields no text.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=minimum_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    counted = _Counted(texts)
    tokenizer.train_from_iterator(counted, trainer)
    if not counted.characters:
        raise TrainingError("the tokenizer got no text: the corpus is empty. Check the recipe's [corpus] table.")
    return tokenizer


def wrap(tokenizer: Tokenizer, context: int) -> Any:
    """The tokenizer as transformers knows it: special tokens named, chat template set."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=context,
        bos_token=END,
        eos_token=END,
        pad_token="<|fim_pad|>",
        additional_special_tokens=[t for t in SPECIAL_TOKENS if t not in (END, "<|fim_pad|>")],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def control_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token. Raises TrainingError when the tokenizer lacks it."""
    found = tokenizer.token_to_id(token)
    if found is None:
        raise TrainingError(f"the tokenizer has no token {token}. Make one with the tokenizer recipe.")
    return int(found)


def train_from(base: Any, texts: Iterable[str], vocabulary: int) -> Any:
    """A tokenizer of the same kind as ``base`` (a transformers fast tokenizer), trained on new text."""
    return base.train_new_from_iterator(iter(texts), vocabulary)


def bytes_per_token(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """How many bytes of text one token stands for, on average."""
    size = tokens = 0
    for text in texts:
        size += len(text.encode())
        tokens += len(tokenizer.encode(text, add_special_tokens=False).ids)
    return size / max(1, tokens)


def _card(
    recipe: TokenizerRecipe, tokenizer: Tokenizer, report: corpus.Report, train: Sequence[str], held_out: Sequence[str]
) -> ModelCard:
    held_size = sum(len(text.encode()) for text in held_out) / 1e6
    train_size = max(0.0, sum(report.sizes) - held_size)
    measured_on = "held-out" if held_out else "training"
    return ModelCard(
        name=f"Byte-level BPE tokenizer, {tokenizer.get_vocab_size():,} tokens",
        task="text-generation",
        summary=(
            "A byte-level BPE tokenizer for source code. A line break and the indentation after it are one token; "
            "any byte can be encoded. It has special tokens for fill-in-the-middle and chat."
        ),
        limits="Trained on the text below and on nothing else: other languages take more tokens per byte.",
        results=[Result(f"bytes per token, {measured_on} text", bytes_per_token(tokenizer, held_out or train), "B")],
        training={
            "corpus": f"{train_size:.1f} MB, {len(report.packages)} packages or folders",
            "held out": f"{held_size:.1f} MB",
            "vocabulary": recipe.vocabulary,
            "special tokens": " ".join(f"`{token}`" for token in SPECIAL_TOKENS),
        },
    )


class _Counted:
    """Iterates texts and counts their characters on the way."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = texts
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.characters += len(text)
            yield text
