"""What travels between a gateway and a replica, besides plain values: one encoder call, and answers that may be errors.

An error travels as a value: an exception would arrive wrapped, with a traceback, and logged on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inkling.engine.cluster.metrics import Sample
from inkling.engine.jobs import Busy
from inkling.engine.protocol import Chunk, ModelState
from inkling.errors import InklingError


@dataclass(frozen=True, slots=True)
class Call:
    """A request for any task but generation."""

    task: str
    inputs: Sequence[Any]
    parameters: Mapping[str, Any]
    priority: int
    client: str
    deadline_s: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An `InklingError`."""

    reason: str
    message: str
    hint: str = ""
    retry_after_s: int = 0

    @classmethod
    def of(cls, error: InklingError) -> Failed:
        """To send it."""
        return cls(error.reason, error.message, error.hint, error.retry_after_s if isinstance(error, Busy) else 0)

    def error(self) -> InklingError:
        """To raise it."""
        if self.retry_after_s:
            return Full(self.message, self.hint, self.retry_after_s)
        return InklingError(self.reason, self.message, self.hint)


class Full(Busy):
    """`engine-busy`, as another process said it."""

    def __init__(self, message: str, hint: str, retry_after_s: int) -> None:
        InklingError.__init__(self, "engine-busy", message, hint)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of a generation and the prompt's tokens as counted so far."""

    chunk: Chunk
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one replica or gateway says of itself."""

    replica: str
    samples: Sequence[Sample]
    states: Sequence[ModelState] = ()
    device: str = ""
    active: int = 0
    queued: int = 0
    cancelled: int = 0
    counters: Mapping[str, int] | None = None
    bytes: int = 0


class ReplicaGone(Exception):
    """The replica ended, or its node did, before it had answered."""


class CannotServe(Exception):
    """Why a replica or gateway cannot start, in an `InklingError`'s words: one line, so that it survives Ray's way of
    carrying a constructor's error to whoever deployed it."""


def why_not_started(text: str) -> str:
    """The line that matters of what Ray says about a deployment that failed: its end is the error's own words."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line.partition("CannotServe: ")[2] for line in lines if "CannotServe: " in line]
    errors = [line for line in lines if "Error" in line]
    return (ours or errors or lines or ["Ray does not say why."])[-1][:500]
