"""Weak labels: real comments, by the markers that they carried, or as what a task meets every day.

A comment with TODO, FIXME, HACK or XXX was called debt by the one who wrote it. The marker is taken out, so that
a model must read the rest; a share of those to train on is there once more with it (`weak.marked`), so that the
model knows markers too.
Comments without a marker stand on the other side, though some of them admit debt too, which bounds what any model
can score here. Only permissively licensed packages are read, and the held-out comments come from other packages
than those of training.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from tree_sitter import Language, Node, Parser, Query, QueryCursor
from tree_sitter_python import language

from inkling.training.classifier_recipe import WeakComments
from inkling.training.corpus.sources import Package, installed, standard_library, text_of
from inkling.training.data_labelled import Example

_PYTHON = Language(language())
_COMMENTS = Query(_PYTHON, "(comment) @comment")
_MARKER = re.compile(r"\b(TODO|FIXME|HACK|XXX)\b")
_MARKER_PHRASE = re.compile(r"(?i)@?\b(todo|fixme|hack|xxx+)s?\b\s*([(\[][^)\]]*[)\]])?\s*[:;,.!?/-]*\s*")
_CODE = re.compile(
    r"^\s*(def|class|import|from\s+\S+\s+import|if .*:$|for .*:$|return\b|print\(|@\w)|[\w\])]\s*=\s*\S|\w\(.*\)$"
)
_DIRECTIVE = re.compile(
    r"^(noqa|type:|pylint|fmt:|isort|pragma|mypy|ruff|pyright|flake8|!|-\*-|vim?:|coding)|copyright|licen[sc]e|spdx",
    re.I,
)


def weak_examples(weak: WeakComments, seed: int) -> tuple[list[Example], list[Example]]:
    """(training, held-out) examples, `weak.ratio` negatives to a positive; the topic is the package.

    Held-out comments that also occur in a training package are dropped. Raises CorpusError when a package is
    not installed.
    """
    train = _labelled(weak.packages, weak, seed, weak.marked)
    known = {_key(example.text) for example in train}
    heldout = [e for e in _labelled(weak.heldout_packages, weak, seed, 0.0) if _key(e.text) not in known]
    return train, heldout


def _labelled(names: Sequence[str], weak: WeakComments, seed: int, keeping: float) -> list[Example]:
    """Examples of packages; a share of those with a marker is there once more, `keeping` it."""
    packages = [standard_library()] if "stdlib" in names else []
    if others := [name for name in names if name != "stdlib"]:
        packages += installed(others)[0]
    seen: set[str] = set()
    result: list[Example] = []
    for package in packages:
        marks = random.Random(f"{seed} {package.name} markers")  # noqa: S311 - a sample, not a secret
        debt: list[str] = []
        whole: list[str] = []
        other: list[str] = []
        for comment in package_comments(package):
            marked = _MARKER.search(comment)
            text = strip_marker(comment) if marked else comment
            if _key(text) in seen or not is_prose(text):
                continue
            seen.add(_key(text))
            (debt if marked else other).append(text)
            if marked and marks.random() < keeping:
                whole.append(comment[marked.start() :])
        chance = random.Random(f"{seed} {package.name}")  # noqa: S311 - a sample, not a secret
        wanted = round(len(debt) * weak.ratio) if weak.positive else weak.most
        chosen = chance.sample(other, min(len(other), wanted))
        if weak.positive:
            result += [Example(t, label=weak.positive, topic=package.name, weight=weak.weight) for t in [*debt, *whole]]
        result += [Example(t, label=weak.negative, topic=package.name, weight=weak.weight) for t in chosen]
    return result


def package_comments(package: Package) -> Iterator[str]:
    """Every comment block of a package's Python files, `#` and line breaks taken out."""
    parser = Parser(_PYTHON)
    for _, text in text_of(package):
        if "#" in text:
            yield from comment_blocks(parser.parse(text.encode()).root_node)


def comment_blocks(root: Node) -> Iterator[str]:
    """Comments below `root`; neighbouring full-line comments of one column are one block."""
    lines: list[str] = []
    last = (-2, -1)
    captures = QueryCursor(_COMMENTS).captures(root)
    for node in sorted(captures.get("comment", []), key=lambda node: node.start_byte):
        row, column = node.start_point
        text = (node.text or b"").decode().lstrip("#").strip()
        if lines and (row, column) != (last[0] + 1, last[1]):
            yield " ".join(lines)
            lines = []
        if text:
            lines.append(text)
        last = (row, column)
    if lines:
        yield " ".join(lines)


def strip_marker(comment: str) -> str:
    """The comment from its marker on, without the marker, its owner (`TODO(ann):`) and any further markers."""
    match = _MARKER.search(comment)
    rest = comment[match.start() :] if match else comment
    if match and len(rest) < 20:  # "slow, see above. XXX": what was admitted stands before
        rest = comment
    return _MARKER_PHRASE.sub("", rest).strip(" -:")


def is_prose(text: str) -> bool:
    """Whether a comment is worth judging: a few words, not commented-out code, a directive or a licence."""
    words = re.findall(r"[A-Za-z]{2,}", text)
    letters = sum(map(str.isalpha, text))
    return (
        len(words) >= 3
        and len(text) <= 600
        and letters / len(text) > 0.6
        and not _CODE.search(text)
        and not _DIRECTIVE.search(text)
    )


def _key(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()
