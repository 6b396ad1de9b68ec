"""The training loop of causal models: windows in, weights out, checkpoints on the way.

There is no randomness in a step (no dropout), and the data's order is a function of seed, epoch and position, so
a resumed run takes the same steps as one that was never interrupted.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from inkling.training.checkpoint import (
    CheckpointError,
    Checkpoints,
    module_tensors,
    optimizer_tensors,
    restore_module,
    restore_optimizer,
)
from inkling.training.gradient import gradient_of
from inkling.training.optim import OptimizerRecipe, Optimizers
from inkling.training.packing import Tokens
from inkling.training.progress import RunLog


class Windows(Protocol):
    """Where the loop gets its data: all windows of one epoch at one context length."""

    def __call__(self, epoch: int, context: int) -> Tokens:
        """Unsigned 16-bit tokens, ``[windows, context]``."""
        ...


@dataclass(frozen=True)
class LoopRecipe:
    """How long, how large a step, and how often to save."""

    steps: int = 10_000
    batch: int = 16  # windows a step
    context: int = 512  # tokens a window
    decay_batch: int | None = None  # the same for the decay, where a longer context costs little and pays
    decay_context: int | None = None
    average: float = 0.99  # weight of the past in the running average of the weights
    checkpoint_minutes: float = 3.0
    evaluate_every: int = 250
    processes: int = 1  # that share each batch; on a CPU one per core, each with one thread, waits least
    compile: bool = False  # torch.compile: half a minute once, then about half as fast again on a CPU

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "context", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")


@dataclass
class Position:
    """Where a run is: everything that ``state.json`` holds."""

    step: int = 0
    epoch: int = 0
    at: int = 0
    context: int = 0
    tokens: int = 0
    seconds: float = 0.0
    recipe: str = ""
    losses: list[float] = field(default_factory=list)


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
    weights, as it does at the end. ``ignore`` is the token id that carries no loss.
    Raises CheckpointError when the checkpoints there are those of another recipe or shape, or the disk refuses.
    """
    device = next(model.parameters()).device
    optimizers = Optimizers(model, optimizer)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    store = Checkpoints(out / "checkpoints")
    position = Position(recipe=fingerprint)
    if (found := store.latest()) is not None:
        known = {key: value for key, value in found.state.items() if key in Position.__dataclass_fields__}
        position = Position(**known)
        if position.recipe != fingerprint:
            raise CheckpointError(
                f"{found.folder}: made by another recipe (data, seed, shape or rates differ). "
                "Give another --out to start anew, or go back to that recipe to resume."
            )
        restore_module(model, found.part("model"), found.folder)
        for name, inner in optimizers.all.items():
            restore_optimizer(inner, found.part(name))
        kept = found.part("average")
        average = {name: kept[name].to(device) for name in average}

    def save() -> None:
        tensors = {f"model.{k}": v for k, v in module_tensors(model).items()}
        tensors |= {f"average.{k}": v for k, v in average.items()}
        for name, inner in optimizers.all.items():
            tensors |= {f"{name}.{k}": v for k, v in optimizer_tensors(inner).items()}
        store.save(position.step, tensors, vars(position))

    data: Tokens | None = None
    saved = time.monotonic()
    with (
        gradient_of(model, ignore=ignore, compiled=recipe.compile, processes=recipe.processes) as gradient,
        RunLog(out, "causal", recipe.steps) as log,
        _stop_signal() as stop,
    ):
        while position.step < recipe.steps and not stop:
            begun = time.monotonic()
            decaying = position.step >= recipe.steps - optimizer.decay_steps
            context = (recipe.decay_context if decaying else None) or recipe.context
            batch = (recipe.decay_batch if decaying else None) or recipe.batch
            if context != position.context:
                position.context, position.epoch, position.at, data = context, 0, 0, None
            if data is None:
                data = windows(position.epoch, context)
            rows = data[position.at : position.at + batch]
            remainder = len(rows) < batch <= len(data)
            position.at += batch
            if position.at >= len(data):
                position.epoch, position.at, data = position.epoch + 1, 0, None
            if remainder:  # a compiled step knows one shape, and these windows come back in the next epoch
                continue
            ids = torch.from_numpy(rows.astype("int64")).to(device)
            loss = gradient(ids)
            factor = optimizers.step(position.step, recipe.steps)
            with torch.no_grad():
                keep = min(recipe.average, (1 + position.step) / (10 + position.step))
                torch._foreach_lerp_(list(average.values()), list(model.parameters()), 1 - keep)
            position.step += 1
            position.tokens += ids.numel()
            spent = time.monotonic() - begun
            position.seconds += spent
            figures: dict[str, Any] = {"loss": round(loss, 4), "rate": round(factor, 4)}
            figures |= {"tokens": position.tokens, "per_second": round(ids.numel() / spent)}
            if evaluate and position.step % recipe.evaluate_every == 0:
                figures["held_out_bits_per_byte"] = round(evaluate(model), 4)
            log.step(position.step, **figures)
            if time.monotonic() - saved > 60 * recipe.checkpoint_minutes:
                save()
                saved = time.monotonic()
        save()
    if position.step < recipe.steps:  # cut short: the average stands in for the decay that did not happen
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(average[name])
    return position


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
