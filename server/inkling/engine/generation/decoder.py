"""What the decode loop asks of a model: a forward pass over new tokens, and a cache that can be cut back.

`ModuleDecoder` gives that to any transformers causal LM. `inkling.engine.models.fused_llama` gives it faster to the
architectures that most code models share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Interrupted(Exception):
    """A forward pass was given up between two layers because `Decoder.interrupt` said so."""


class KeyValueCache(Protocol):
    """Keys and values of `length` tokens in every layer."""

    length: int

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens. `length` is at most the present one."""
        ...

    def copy(self, length: int) -> KeyValueCache:
        """An independent cache of the first `length` tokens."""
        ...

    @property
    def bytes(self) -> int:
        """Memory held."""
        ...


class Decoder(Protocol):
    """A causal LM as the loop sees it. Used by one thread at a time."""

    vocabulary: int
    context: int
    """Most tokens, prompt and answer together, that the positions reach."""
    device: torch.device
    bytes: int
    croppable: bool
    """False for recurrent models: their state cannot go back, so no reuse after an edit and no drafting; and it takes
    several tokens at once only when empty."""
    interrupt: Callable[[], bool]
    """Asked between layers or more often; when true, the forward pass ends with `Interrupted` and leaves the cache as
    it was."""

    def new_cache(self) -> Any:
        """An empty cache for one sequence."""
        ...

    def forward(self, ids: Sequence[int], cache: Any, keep: int) -> Tensor:
        """Append `ids` to the cache and return the last `keep` positions' logits, float32 [keep, vocabulary]."""
        ...


def never() -> bool:
    """The idle value of `Decoder.interrupt`."""
    return False


class ModuleCache:
    """A transformers cache whose length the caller may cut."""

    def __init__(self, inner: Any, length: int = 0) -> None:
        self.inner = inner
        self.length = length

    def crop(self, length: int) -> None:
        """Cut every layer that is longer, also when an interrupted pass left the layers uneven."""
        for layer in self.inner.layers:
            if getattr(layer, "is_initialized", False) and layer.keys.shape[-2] > length:
                layer.keys = layer.keys[..., :length, :]
                layer.values = layer.values[..., :length, :]
        self.length = length

    def copy(self, length: int) -> ModuleCache:
        """Clone the first `length` tokens."""
        from transformers import DynamicCache

        inner = DynamicCache()
        for index, layer in enumerate(self.inner.layers):
            inner.update(layer.keys[..., :length, :].clone(), layer.values[..., :length, :].clone(), index)
        return ModuleCache(inner, length)

    @property
    def bytes(self) -> int:
        """Storage of keys and values."""
        total = 0
        for layer in self.inner.layers:
            for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None)):
                if tensor is not None:
                    total += tensor.nelement() * tensor.element_size()
        return total


class ModuleDecoder:
    """Any `AutoModelForCausalLM`, driven through its own forward pass."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        config = model.config.get_text_config()
        self.vocabulary: int = config.vocab_size
        self.context: int = _context(config)
        self.device: torch.device = model.device
        self.bytes: int = sum(t.nelement() * t.element_size() for t in _tensors(model))
        self.croppable = not getattr(model, "_is_stateful", False)
        self.interrupt: Callable[[], bool] = never
        parameters = inspect.signature(model.forward).parameters
        self._keeps_last = "logits_to_keep" in parameters
        names = ("past_key_values", "cache_params")
        self._cache_name = next((name for name in names if name in parameters), names[0])
        for layer in _layers(model):
            layer.register_forward_pre_hook(self._check)

    def _check(self, *_: object) -> None:
        if self.interrupt():
            raise Interrupted

    def new_cache(self) -> ModuleCache:
        """A growing cache. Sliding-window layers keep everything, so it can be cropped; the mask limits the view."""
        from transformers import DynamicCache

        return ModuleCache(DynamicCache() if self.croppable else DynamicCache(config=self.model.config))

    @torch.inference_mode()
    def forward(self, ids: Sequence[int], cache: ModuleCache, keep: int) -> Tensor:
        """One pass of the module over `ids`."""
        options: dict[str, Any] = {"logits_to_keep": keep} if self._keeps_last else {}
        before = cache.length
        try:
            out = self.model(
                input_ids=torch.tensor([list(ids)], device=self.device),
                use_cache=True,
                **{self._cache_name: cache.inner},
                **options,
            )
        except Interrupted:
            if self.croppable:
                cache.crop(before)
            raise
        cache.length = before + len(ids)
        logits: Tensor = out.logits[0, -keep:].float()
        return logits


def _context(config: Any) -> int:
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return 1 << 20  # no positions, hence no limit of the model's own


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _layers(model: nn.Module) -> list[nn.Module]:
    """The transformer blocks: the longest ModuleList."""
    lists = [list(module) for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
