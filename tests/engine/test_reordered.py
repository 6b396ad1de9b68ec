"""Linear layers with weights in oneDNN's order: the same sums, shared copies, and tied weights left alone."""

from __future__ import annotations

import copy
import platform

import pytest
import torch
from torch import nn

from inkling.engine.models.reordered import ReorderedLinear, reorder

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available(),
    reason="only where oneDNN's kernels are used",
)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 24)
        self.inner = nn.Sequential(nn.Linear(24, 56), nn.GELU(), nn.Linear(56, 24, bias=False))
        self.head = nn.Linear(24, 40)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.inner(self.embedding(ids)))
        return result


def test_the_sums_are_the_same_and_tied_weights_stay() -> None:
    torch.manual_seed(0)
    model = Tied().eval().requires_grad_(False)
    plain = copy.deepcopy(model)
    reorder(model)
    kinds = [type(layer) for layer in (model.inner[0], model.inner[2], model.head)]
    assert kinds == [ReorderedLinear, ReorderedLinear, nn.Linear]
    with torch.inference_mode():
        for shape in ((1, 1), (3, 7), (2, 300)):
            ids = torch.randint(0, 40, shape)
            torch.testing.assert_close(model(ids), plain(ids), atol=1e-5, rtol=1e-5)
    assert torch.equal(model.inner[0].weight, plain.inner[0].weight)


@pytest.mark.parametrize("change", [lambda m: m.to(torch.bfloat16), lambda m: m.requires_grad_(True)])
def test_what_is_not_float32_or_is_trained_stays(change: object) -> None:
    model = Tied().requires_grad_(False)
    change(model)  # type: ignore[operator]
    reorder(model)
    assert type(model.inner[0]) is nn.Linear


def test_models_that_share_a_matrix_share_its_copy() -> None:
    first = nn.Sequential(nn.Linear(16, 16)).requires_grad_(False)
    second = nn.Sequential(nn.Linear(16, 16)).requires_grad_(False)
    second[0].weight = first[0].weight
    kept = first[0].weight
    reorder(first)
    reorder(second)
    assert first[0]._reordered is second[0]._reordered
    assert kept.shape == (16, 16)
