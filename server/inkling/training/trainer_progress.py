"""A run of `Trainer` shown as our own runs are: a bar or a line now and then, not its dictionaries and bars."""

from __future__ import annotations

from typing import Any

from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from inkling.training.progress import RunLog


def show(trainer: Trainer, log: RunLog) -> None:
    """Let `log` show what `trainer` does. Its arguments have `disable_tqdm`, so that it has no bar of its own."""
    logging.disable_progress_bar()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_Shown(log))


class _Shown(TrainerCallback):
    def __init__(self, log: RunLog) -> None:
        self._log = log

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._log.set_total(state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs and "loss" in logs:
            rate = float(logs.get("learning_rate", 0.0))
            self._log.step(state.global_step, loss=round(float(logs["loss"]), 4), rate=rate)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._log.reached(state.global_step)
