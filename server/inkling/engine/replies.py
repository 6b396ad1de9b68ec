"""Results in Hugging Face's inference format to the protocol's dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from inkling.engine.protocol import Answer, Entity, Fill, Label, Rendered, Summary
from inkling.errors import InklingError

_T = TypeVar("_T")


def _checked(convert: Callable[[Any], _T]) -> Callable[[Any], _T]:
    @wraps(convert)
    def checked(item: Any) -> _T:
        try:
            return convert(item)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise InklingError("bad-output", "The engine's reply has an unknown shape.") from None

    return checked


@_checked
def labels(item: Any) -> list[Label]:
    """`[{"label", "score"}]`, best first."""
    return [Label(str(label["label"]), float(label["score"])) for label in item]


@_checked
def entities(item: Any) -> list[Entity]:
    """`[{"entity_group", "score", "start", "end"}]`."""
    return [
        Entity(str(entity.get("entity_group") or entity["entity"]), float(entity["score"]), *_span(entity))
        for entity in item
    ]


@_checked
def rendered(item: Any) -> Rendered:
    """`{"text", "ends", "left_out"}`, or `{"refused", "at"}`."""
    ends, left_out = (tuple(int(number) for number in item.get(key) or ()) for key in ("ends", "left_out"))
    at = item.get("at")
    return Rendered(str(item.get("text") or ""), ends, left_out, str(item.get("refused") or ""), at and int(at))


@_checked
def answers(item: Any) -> list[Answer]:
    """`{"answer", "score", "start", "end"}`, or a list of them."""
    found = [item] if isinstance(item, Mapping) else item
    return [Answer(str(one["answer"]), float(one["score"]), *_span(one)) for one in found]


@_checked
def fills(item: Any) -> list[Fill]:
    """`[{"token_str", "score", "sequence"}]`."""
    return [Fill(str(one["token_str"]), float(one["score"]), str(one["sequence"])) for one in item]


@_checked
def vector(item: Any) -> list[float]:
    """One vector."""
    return [float(number) for number in item]


@_checked
def summary(item: Any) -> Summary:
    """`{"summary_text", "kind", "spans"}`; what says no kind was written by a model."""
    spans = tuple((int(start), int(end)) for start, end in item.get("spans") or ())
    return Summary(str(item["summary_text"]), str(item.get("kind") or "abstractive"), spans)


@_checked
def translation(item: Any) -> str:
    """`{"translation_text"}`."""
    return str(item["translation_text"])


def _span(item: Mapping[str, Any]) -> tuple[int, int]:
    return int(item["start"]), int(item["end"])
