"""What every task model has: identity, memory, one `run` over a batch, no `generate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tokenizers import Encoding

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Chunk, GenerateRequest
from inkling.errors import InklingError

T = TypeVar("T")


class TaskModel:
    """Satisfies `LoadedModel` but for `run`, which each task writes."""

    task: str

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.id = weights.id
        self.device = weights.device
        self.quantization = weights.quantization
        self.quantization_why = weights.quantization_why
        self.bytes = weights.bytes

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One result per input, in order; fewer when `stop` was set on the way."""
        raise NotImplementedError

    def generate(self, request: GenerateRequest, stop: Stop) -> Iterator[Chunk]:
        """Raises InklingError: this model does not stream text."""
        raise InklingError(
            "wrong-task", f"{self.id} is loaded for {self.task}, which does not generate text.", "Name a causal model."
        )

    def counters(self) -> Mapping[str, int]:
        """None of the token counters apply."""
        return {}

    def close(self) -> None:
        """Free the memory."""
        del self.weights


def flatten(windows: Sequence[Sequence[Encoding]]) -> tuple[list[Encoding], list[int]]:
    """All windows of all inputs, and for each the number of its input."""
    flat = [window for group in windows for window in group]
    owners = [number for number, group in enumerate(windows) for _ in group]
    return flat, owners


def complete_prefix(results: Sequence[T | None]) -> list[T]:
    """The results up to the first that is missing: what a stopped batch may hand over."""
    done: list[T] = []
    for result in results:
        if result is None:
            break
        done.append(result)
    return done


def number(parameters: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """An integer parameter within bounds. Raises InklingError `bad-parameter`."""
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise bad_parameter(name, f"a whole number from {low} to {high}")
    return value


def choice(parameters: Mapping[str, Any], name: str, default: str, choices: Sequence[str]) -> str:
    """One of `choices`. Raises InklingError `bad-parameter`."""
    value = parameters.get(name)
    if value is None:
        return default
    if value not in choices:
        raise bad_parameter(name, "one of " + ", ".join(choices))
    return str(value)


def flag(parameters: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A boolean parameter. Raises InklingError `bad-parameter`."""
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad_parameter(name, "true or false")
    return value


def bad_parameter(name: str, expected: str) -> InklingError:
    """The error for a parameter of the wrong kind."""
    return InklingError("bad-parameter", f'The parameter "{name}" must be {expected}.')


def bad_input(task: str, expected: str) -> InklingError:
    """The error for an input of the wrong kind."""
    return InklingError("bad-input", f"An input of {task} must be {expected}.")


def text_of(task: str, item: Any) -> str:
    """The input as text. Raises InklingError `bad-input`."""
    if not isinstance(item, str):
        raise bad_input(task, "a string")
    return item
