"""The gradient of one batch, computed here or shared among processes.

On a busy machine, threads that meet a thousand times a step wait for the slowest each time; processes that meet once
a step do not. Weights and gradients lie in shared memory, so a step moves nothing but token ids and a loss. Each
process takes a fixed part of the batch, so a run with the same number of processes repeats itself exactly.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import torch

from inkling.training.device import precision
from inkling.training.errors import TrainingError


class Gradient(Protocol):
    """Leaves the mean gradient of the next-token loss over ``ids`` (``[windows, context]``) in the weights."""

    def __call__(self, ids: torch.Tensor) -> float:
        """The loss, in nats per token."""
        ...


@contextmanager
def gradient_of(model: Any, *, ignore: int, compiled: bool, processes: int = 1) -> Iterator[Gradient]:
    """A Gradient of ``model``; further processes live as long as the block. ``ignore`` is a token without loss."""
    alone = _Alone(model, ignore, compiled)
    if processes == 1:
        yield alone
        return
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(max(1, threads // processes))
        model.share_memory()
        parts = [stack.enter_context(_part(model, ignore, compiled)) for _ in range(processes - 1)]
        yield _Shared(alone, parts)


class _Alone:
    """All of a batch in this process."""

    def __init__(self, model: Any, ignore: int, compiled: bool) -> None:
        self.model = model
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.ignore = ignore
        device = self.parameters[0].device
        self._device, self._kind = device.type, precision(device)
        self._sum = torch.compile(_summed, dynamic=False) if compiled else _summed

    def __call__(self, ids: torch.Tensor) -> float:
        loss, count = self.summed(ids)
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad /= count
        return loss / count

    def summed(self, ids: torch.Tensor) -> tuple[float, int]:
        """Leave the gradient of the loss summed over tokens; returns that loss and the number of tokens."""
        with torch.autocast(self._device, self._kind, enabled=self._kind != torch.float32):
            loss = self._sum(self.model, ids, self.ignore)
        loss.backward()
        return float(loss.detach()), max(1, int((ids[:, 1:] != self.ignore).sum()))


class _Shared:
    """A batch in equal parts: one for each further process, the last for this one."""

    def __init__(self, alone: _Alone, parts: list[_Part]) -> None:
        self.alone = alone
        self.parts = parts

    def __call__(self, ids: torch.Tensor) -> float:
        pieces = ids.tensor_split(len(self.parts) + 1)
        busy = [(part, piece) for part, piece in zip(self.parts, pieces, strict=False) if len(piece)]
        for part, piece in busy:
            part.start(piece)
        loss, count = self.alone.summed(pieces[-1])
        for part, _ in busy:
            more, tokens = part.finish()
            loss, count = loss + more, count + tokens
            for parameter, gradient in zip(self.alone.parameters, part.gradients, strict=True):
                if parameter.grad is not None:
                    parameter.grad += gradient
        for parameter in self.alone.parameters:
            if parameter.grad is not None:
                parameter.grad /= count
        return loss / count


class _Part:
    """The near end of a process that computes a part of each batch."""

    def __init__(self, connection: Any, gradients: list[torch.Tensor]) -> None:
        self.connection = connection
        self.gradients = gradients

    def start(self, ids: torch.Tensor) -> None:
        """Hand over a part."""
        self._talk(lambda: self.connection.send(ids.tolist()))

    def finish(self) -> tuple[float, int]:
        """Wait for its summed loss and token count; ``gradients`` then holds its gradient."""
        result: tuple[float, int] = self._talk(self.connection.recv)
        return result

    @staticmethod
    def _talk(action: Any) -> Any:
        try:
            return action()
        except (EOFError, OSError):
            raise TrainingError(
                "a training process ended unexpectedly, perhaps for want of memory. "
                "Run the same command again to resume, with --set loop.processes=1 if it happens again."
            ) from None


@contextmanager
def _part(model: Any, ignore: int, compiled: bool) -> Iterator[_Part]:
    import torch.multiprocessing as processes

    context = processes.get_context("spawn")
    gradients = [torch.zeros_like(p) for p in model.parameters() if p.requires_grad]
    for gradient in gradients:
        gradient.share_memory_()  # type: ignore[no-untyped-call]
    near, far = context.Pipe()
    arguments = (model, gradients, far, ignore, compiled, torch.get_num_threads())
    process = context.Process(target=_compute, args=arguments, daemon=True)
    process.start()
    far.close()
    try:
        yield _Part(near, gradients)
    finally:
        near.close()  # the far end sees the pipe end and leaves
        process.join(10)
        if process.is_alive():
            process.terminate()


def _compute(
    model: Any, gradients: list[torch.Tensor], connection: Any, ignore: int, compiled: bool, threads: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides when to stop
    torch.set_num_threads(threads)
    alone = _Alone(model, ignore, compiled)
    while True:
        try:
            ids = connection.recv()
        except (EOFError, OSError):
            return
        result = alone.summed(torch.tensor(ids))
        for gradient, parameter in zip(gradients, alone.parameters, strict=True):
            gradient.copy_(parameter.grad)
            parameter.grad = None
        connection.send(result)


def _summed(model: Any, ids: torch.Tensor, ignore: int) -> Any:
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, :-1]).flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten(), ignore_index=ignore, reduction="sum")
