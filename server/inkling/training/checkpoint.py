"""Checkpoints that survive a kill at any moment: written aside, synced, then renamed into place.

One checkpoint is a folder ``step-00001200`` with ``tensors.safetensors`` (weights, optimizer moments, random
states) and ``state.json`` (step, position in the data, what the run wants to remember). No pickle anywhere.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from inkling.training.errors import CheckpointError


@dataclass(frozen=True)
class Checkpoint:
    """One saved moment of a run: ``tensors`` by name (on the CPU) and the JSON ``state`` beside them."""

    folder: Path
    step: int
    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names start with ``prefix.``, with the prefix removed."""
        return {k.removeprefix(f"{prefix}."): v for k, v in self.tensors.items() if k.startswith(f"{prefix}.")}


class Checkpoints:
    """The checkpoints of one run, newest kept: ``keep`` of them."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, step: int, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> Path:
        """Write a checkpoint atomically and drop the oldest. Raises CheckpointError when the disk refuses."""
        final = self.folder / f"step-{step:08d}"
        draft = self.folder / f".draft-{os.getpid()}"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, draft / "tensors.safetensors")
            (draft / "state.json").write_text(json.dumps({**state, "step": step}), encoding="utf-8")
            for name in ("tensors.safetensors", "state.json"):
                _sync(draft / name)
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)
            _sync(self.folder)
        except Exception as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise self._refused(error, tensors) from error
        for old in self._steps()[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint, or None before the first. Raises CheckpointError when it cannot be read."""
        steps = self._steps()
        if not steps:
            return None
        folder = steps[-1]
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            return Checkpoint(folder, state["step"], load_file(folder / "tensors.safetensors"), state)
        except Exception as error:
            raise CheckpointError(
                f"{folder}: this checkpoint is damaged ({type(error).__name__}). "
                "Delete that folder to resume from the one before, or give another --out to start anew."
            ) from error

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _refused(self, error: Exception, tensors: Mapping[str, torch.Tensor]) -> CheckpointError:
        need = sum(v.numel() * v.element_size() for v in tensors.values())
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        # safetensors wraps the operating system's error in one of its own and keeps only the text
        full = full or "No space left" in str(error)
        if not full:
            return CheckpointError(f"{self.folder}: cannot write a checkpoint: {error}.")
        kept = f"The last one is {steps[-1].name}. " if (steps := self._steps()) else ""
        return CheckpointError(
            f"{self.folder}: the disk is full; a checkpoint needs {need / 2**20:.0f} MiB. {kept}"
            "Free some space and run the same command again: it resumes."
        )


def restore_module(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], origin: Path) -> None:
    """Load ``tensors`` into ``module``; raise CheckpointError naming the tensors that do not fit its shape."""
    own = module_tensors(module)
    faults = [f"{name} is absent" for name in own if name not in tensors]
    faults += [f"{name} is not part of this model" for name in tensors if name not in own]
    faults += [
        f"{name} is {tuple(tensors[name].shape)}, the model's is {tuple(value.shape)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckpointError(
            f"{origin}: a checkpoint of another shape: {'; '.join(faults[:3])}{more}. "
            "Give the recipe the shape it was made with, or another --out to start anew."
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def module_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A module's weights and kept buffers by name, a shared one (tied embeddings) once."""
    once: dict[int, str] = {}
    state = module.state_dict(keep_vars=True)
    for name, value in state.items():
        once.setdefault(id(value), name)
    return {name: state[name].detach() for name in once.values()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's moments as named tensors: ``<parameter index>.<moment>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, moments in state.items()
        for name, value in moments.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put moments saved by ``optimizer_tensors`` back; learning rates stay those of the running recipe."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
