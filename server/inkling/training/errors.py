"""What a training run tells its user when it cannot go on."""

from __future__ import annotations


class TrainingError(Exception):
    """A fault meant for the user: what happened, to which thing, and what to do next, in one message."""
