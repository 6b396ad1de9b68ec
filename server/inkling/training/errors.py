"""What a training run tells its user when it cannot go on."""

from __future__ import annotations

from pathlib import Path

from inkling.errors import InklingError


class TrainingError(InklingError):
    """A fault meant for the user: what happened, to which thing, and what to do next, in one message."""

    def __init__(self, message: str, *, reason: str = "training-failed") -> None:
        super().__init__(reason, message)


class CheckpointError(TrainingError):
    """A checkpoint that cannot be written, read, or does not fit the model."""


class Stopped(TrainingError):
    """The user ended the run early; what is done is kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="stopped")


def made_by_another_recipe(checkpoint: Path) -> CheckpointError:
    """What is told where a run would go on from a checkpoint that it could not have made."""
    return CheckpointError(
        f"{checkpoint}: made by another recipe (data, seed, shape or rates differ). "
        "Give another --out to start anew, or go back to that recipe to resume."
    )
