"""Texts of similar lengths together, so that little of a model's work goes into padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

PASS_TOKENS = 32
"""What one more forward pass costs on a CPU, in tokens of work: padding beyond that is worth a pass of its own."""


def length_batches(lengths: Sequence[int], budget: int, pass_tokens: int = PASS_TOKENS) -> Iterator[list[int]]:
    """Groups of indices, shortest first; padded, a group has at most `budget` tokens or is a single text.

    A group ends where taking in the next, longer text would pad the others by more than `pass_tokens` in all.
    """
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = max(1, lengths[index])
        padding = (length - longest) * len(batch)
        if batch and (padding > pass_tokens or length * (len(batch) + 1) > budget):
            yield batch
            batch = []
        batch.append(index)
        longest = length
    if batch:
        yield batch
