"""The training loop of causal models: windows in, weights out, checkpoints on the way.

There is no randomness in a step (no dropout), and the data's order is a function of seed, epoch and position, so
a resumed run takes the same steps as one that was never interrupted.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from inkling.training.causal_recipe import LoopRecipe, OptimizerRecipe
from inkling.training.checkpoint import (
    Checkpoint,
    Checkpoints,
    module_tensors,
    optimizer_tensors,
    restore_module,
    restore_optimizer,
)
from inkling.training.errors import CheckpointError, made_by_another_recipe
from inkling.training.gradient import gradient_of
from inkling.training.optim import Optimizers
from inkling.training.packing import Tokens
from inkling.training.progress import RunLog


class Windows(Protocol):
    """Where the loop gets its data: all windows of one epoch at one context length."""

    def __call__(self, epoch: int, context: int) -> Tokens:
        """Unsigned 16-bit tokens, ``[windows, context]``."""
        ...


@dataclass
class Position:
    """Where a run is: everything that ``state.json`` holds. ``recipe`` is the fingerprint of what must not change."""

    recipe: str
    step: int = 0
    epoch: int = 0
    at: int = 0
    context: int = 0
    tokens: int = 0
    seconds: float = 0.0


def train(
    model: torch.nn.Module,
    windows: Windows,
    recipe: LoopRecipe,
    optimizer: OptimizerRecipe,
    out: Path,
    *,
    fingerprint: str,
    ignore: int,
    evaluate: Callable[[torch.nn.Module], float] | None = None,
) -> Position:
    """Train ``model`` in place up to ``recipe.steps``, resuming from the checkpoints in ``out`` when there are any.

    SIGINT and SIGTERM save a checkpoint and end the run early; the model then holds the running average of its
    weights, which stands in for the decay that did not happen. ``ignore`` is the token id that carries no loss.
    Raises CheckpointError when the checkpoints there are those of another recipe or shape, or the disk refuses,
    or are beyond ``recipe.steps``.
    """
    run = _Run(model, optimizer, Checkpoints(out / "checkpoints"), fingerprint)
    if run.position.step > recipe.steps:
        raise CheckpointError(
            f"{out}: is at step {run.position.step} already. Set loop.steps to more than that, or give another --out."
        )
    data = _Data(windows, recipe, run.position)
    position = run.position
    saved = time.monotonic()
    with (
        gradient_of(model, ignore=ignore, compiled=recipe.compile, processes=recipe.processes) as gradient,
        RunLog(out, "causal", recipe.steps) as log,
        _stop_signal() as stop,
    ):
        while position.step < recipe.steps and not stop:
            begun = time.monotonic()
            ids = torch.from_numpy(data.next().astype("int64")).to(run.device)
            loss = gradient(ids)
            factor = run.step(recipe)
            position.tokens += ids.numel()
            spent = time.monotonic() - begun
            position.seconds += spent
            figures: dict[str, Any] = {"loss": round(loss, 4), "rate": round(factor, 4)}
            figures |= {"tokens": position.tokens, "per_second": round(ids.numel() / spent)}
            if evaluate and position.step % recipe.evaluate_every == 0:
                figures["held_out_bits_per_byte"] = round(evaluate(model), 4)
            log.step(position.step, **figures)
            if time.monotonic() - saved > 60 * recipe.checkpoint_minutes:
                run.save()
                saved = time.monotonic()
        run.save()
    if position.step < recipe.steps:
        run.take_average()
    return position


class _Run:
    """A model in training: its optimizers, the running average of its weights, its position and checkpoints."""

    def __init__(self, model: torch.nn.Module, recipe: OptimizerRecipe, store: Checkpoints, fingerprint: str) -> None:
        self.model = model
        self.weights = dict(model.named_parameters())
        self.device = next(model.parameters()).device
        self.optimizers = Optimizers(model, recipe)
        self.average = {name: value.detach().clone() for name, value in self.weights.items()}
        self.store = store
        self.position = Position(fingerprint)
        if (found := store.latest()) is not None:
            self._restore(found)

    def step(self, recipe: LoopRecipe) -> float:
        """Apply the gradients; returns the schedule's factor."""
        position = self.position
        factor = self.optimizers.step(position.step, recipe.steps, recipe.decay_steps)
        keep = min(recipe.average, (1 + position.step) / (10 + position.step))  # the first steps are soon forgotten
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - keep)
        position.step += 1
        return factor

    def take_average(self) -> None:
        """Put the average of the weights in their place."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.average[name])

    def save(self) -> None:
        """Write a checkpoint."""
        parts = {"model": module_tensors(self.model), "average": self.average}
        parts |= {name: optimizer_tensors(inner) for name, inner in self.optimizers.all.items()}
        tensors = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        self.store.save(self.position.step, tensors, vars(self.position))

    def _restore(self, found: Checkpoint) -> None:
        if found.state.get("recipe") != self.position.recipe:
            raise made_by_another_recipe(found.folder)
        restore_module(self.model, found.part("model"), found.folder)
        for name, inner in self.optimizers.all.items():
            restore_optimizer(inner, found.part(name))
        kept = found.part("average")
        self.average = {name: kept[name].to(self.device) for name in self.average}
        self.position = Position(**{k: v for k, v in found.state.items() if k in Position.__dataclass_fields__})


class _Data:
    """The windows of each step in turn, epoch after epoch, from where ``position`` says."""

    def __init__(self, windows: Windows, recipe: LoopRecipe, position: Position) -> None:
        self._windows = windows
        self._recipe = recipe
        self._position = position
        self._epoch: Tokens | None = None

    def next(self) -> Tokens:
        """The next step's windows. A change of context begins a new series of epochs."""
        position = self._position
        batch, context = self._recipe.window(position.step)
        if context != position.context:
            position.context, position.epoch, position.at, self._epoch = context, 0, 0, None
        while True:
            if self._epoch is None:
                self._epoch = self._windows(position.epoch, context)
            rows = self._epoch[position.at : position.at + batch]
            remainder = len(rows) < batch <= len(self._epoch)
            position.at += batch
            if position.at >= len(self._epoch):
                position.epoch, position.at, self._epoch = position.epoch + 1, 0, None
            if not remainder:  # a compiled step knows one shape; what is left over comes back in the next epoch
                return rows


@contextmanager
def _stop_signal() -> Iterator[list[int]]:
    """A list that fills when the user (or the system) asks the process to end."""
    got: list[int] = []
    old = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            old[number] = signal.signal(number, lambda number, _frame: got.append(number))
    except ValueError:  # not in the main thread: signals go elsewhere
        pass
    try:
        yield got
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
