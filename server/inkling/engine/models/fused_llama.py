"""A forward pass of our own for the Llama family: Llama, Mistral, Qwen2 and Qwen3, the shape of most code models.

Against the transformers module it merges the query, key and value products and the gate and up products, keeps keys
and values in one preallocated block, rotates positions with one complex product, and takes any `LinearOp`. Logits equal
the module's but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inkling.engine.generation.decoder import Interrupted, never
from inkling.engine.models.packed_linear import Int8Rows, LinearOp
from inkling.engine.models.quantize_pack import HEAD, Packer

TYPES = ("llama", "mistral", "qwen2", "qwen3")
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")

GetTensor = Callable[[str], Tensor | None]


def unsupported(config: Any) -> str:
    """Why a model of this configuration needs the transformers module; empty when it does not."""
    if config.model_type not in TYPES:
        return f"architecture {config.model_type}"
    if config.hidden_act != "silu":
        return f"activation {config.hidden_act}"
    layers = set(getattr(config, "layer_types", None) or ())
    if layers - {"full_attention"} or (not layers and getattr(config, "sliding_window", None)):
        return "sliding-window attention"
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") not in _STATIC_ROPE:
        return f"rotary positions of type {rope.get('rope_type')}"
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        return "partly rotated heads"
    return ""


class FusedCache:
    """Keys and values of one sequence: [layer, key or value, head, position, dimension], grown by doubling."""

    def __init__(self, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
        layers, heads, size = shape
        self.block = torch.empty(layers, 2, heads, 0, size, dtype=dtype, device=device)
        self.length = 0

    def reserve(self, length: int) -> None:
        """Make room for `length` positions."""
        layers, two, heads, capacity, size = self.block.shape
        if length <= capacity:
            return
        grown = self.block.new_empty(layers, two, heads, max(length, 2 * capacity, 256), size)
        grown[:, :, :, : self.length] = self.block[:, :, :, : self.length]
        self.block = grown

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.length = length

    def copy(self, length: int) -> FusedCache:
        """An independent cache of the first `length` tokens."""
        layers, _, heads, _, size = self.block.shape
        twin = FusedCache((layers, heads, size), self.block.dtype, self.block.device)
        twin.reserve(length)
        twin.block[:, :, :, :length] = self.block[:, :, :, :length]
        twin.length = length
        return twin

    @property
    def bytes(self) -> int:
        """Memory held, also by room that is not used yet."""
        return self.block.nelement() * self.block.element_size()


class _Layer:
    """One transformer block's weights."""

    __slots__ = ("down", "gate_up", "key_norm", "norm_1", "norm_2", "out", "qkv", "query_norm")

    qkv: LinearOp
    out: LinearOp
    gate_up: LinearOp
    down: LinearOp
    norm_1: Tensor
    norm_2: Tensor
    query_norm: Tensor | None
    key_norm: Tensor | None


class FusedLlama:
    """A `Decoder` for the Llama family."""

    croppable = True

    def __init__(
        self,
        config: Any,
        tensors: GetTensor,
        packer: Packer,
        *,
        cache_dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        on_layer: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Build from `tensors` (a checkpoint's tensor by name, None where it has none), layer by layer.

        Raises KeyError with the name of a missing tensor, ValueError with that of one of another shape.
        """
        self.device = torch.device(device)
        self.vocabulary: int = config.vocab_size
        self.context: int = config.max_position_embeddings
        self.interrupt: Callable[[], bool] = never
        self._heads: int = config.num_attention_heads
        self._kv_heads: int = config.num_key_value_heads
        self._size: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._epsilon: float = config.rms_norm_eps
        self._width: int = config.hidden_size
        self._cache_dtype = cache_dtype
        self._zero = torch.zeros(self._width, device=self.device)
        self._turn = _rotations(config, self._size, self.device)

        def need(name: str, inputs: int) -> Tensor:
            tensor = tensors(name)
            if tensor is None:
                raise KeyError(name)
            if tensor.shape[-1] != inputs:
                raise ValueError(name)
            return tensor

        def merge(
            layer: int, names: Sequence[str], turned: Sequence[bool], inputs: int
        ) -> tuple[Tensor, Tensor | None]:
            weights = [need(f"model.layers.{layer}.{name}.weight", inputs) for name in names]
            biases = [tensors(f"model.layers.{layer}.{name}.bias") for name in names]
            whole = [w.new_zeros(len(w)) if b is None else b for w, b in zip(weights, biases, strict=True)]
            weights = [self._interleave(w) if t else w for w, t in zip(weights, turned, strict=True)]
            whole = [self._interleave(b) if t else b for b, t in zip(whole, turned, strict=True)]
            return torch.cat(weights), None if all(b is None for b in biases) else torch.cat(whole)

        def pack(layer: int, *names: str, inputs: int, turned: Sequence[bool] = ()) -> LinearOp:
            turned = turned or [False] * len(names)
            return packer.linear(f"model.layers.{layer}.{'+'.join(names)}", lambda: merge(layer, names, turned, inputs))

        def norm(name: str, width: int) -> Tensor:
            return need(name, width).float().to(self.device)

        width, count = self._width, int(config.num_hidden_layers)
        self._layers: list[_Layer] = []
        for index in range(count):
            layer, path = _Layer(), f"model.layers.{index}"
            attention = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
            layer.qkv = pack(index, *attention, inputs=width, turned=(True, True, False))
            layer.out = pack(index, "self_attn.o_proj", inputs=self._heads * self._size)
            layer.gate_up = pack(index, "mlp.gate_proj", "mlp.up_proj", inputs=width)
            layer.down = pack(index, "mlp.down_proj", inputs=config.intermediate_size)
            layer.norm_1 = norm(f"{path}.input_layernorm.weight", width)
            layer.norm_2 = norm(f"{path}.post_attention_layernorm.weight", width)
            layer.query_norm = layer.key_norm = None
            if config.model_type == "qwen3":
                layer.query_norm = self._interleave(norm(f"{path}.self_attn.q_norm.weight", self._size))
                layer.key_norm = self._interleave(norm(f"{path}.self_attn.k_norm.weight", self._size))
            self._layers.append(layer)
            on_layer((index + 1) / (count + 1))
        self._norm = norm("model.norm.weight", width)
        tied, words = bool(config.tie_word_embeddings), "model.embed_tokens.weight"
        self._head = packer.linear(HEAD, lambda: (need(words if tied else "lm_head.weight", width), None))
        self._embedding = packer.table(lambda: need(words, width), tied=tied)
        if isinstance(self._embedding, Int8Rows):
            table = self._embedding.values.nelement()
        else:
            table = 0 if tied else self._embedding.nelement() * self._embedding.element_size()
        ops = [op for layer in self._layers for op in (layer.qkv, layer.out, layer.gate_up, layer.down)]
        self.bytes: int = table + sum(op.bytes for op in (*ops, self._head))
        on_layer(1.0)

    def new_cache(self) -> FusedCache:
        """An empty cache."""
        return FusedCache((len(self._layers), self._kv_heads, self._size), self._cache_dtype, self.device)

    @torch.inference_mode()
    def forward(self, ids: Sequence[int], cache: FusedCache, keep: int) -> Tensor:
        """See `Decoder.forward`."""
        start, count = cache.length, len(ids)
        end = start + count
        cache.reserve(end)
        x = self._embed(torch.tensor(ids, device=self.device))
        turn = self._turn[start:end].unsqueeze(1)
        mask = None if count == 1 or start == 0 else self._mask(start, count)
        for index, layer in enumerate(self._layers):
            self._go_on()
            h = self._normalize(x, layer.norm_1)
            x += layer.out(self._attend(layer, layer.qkv(h), cache.block[index], start, turn, mask))
            h = self._normalize(x, layer.norm_2)
            if count > 1:
                self._go_on()
            gate, up = layer.gate_up(h).chunk(2, -1)
            if count > 1:
                self._go_on()
            x += layer.down(F.silu(gate).mul_(up))
        cache.length = end
        return self._head(self._normalize(x[-keep:], self._norm)).float()

    def _go_on(self) -> None:
        if self.interrupt():
            raise Interrupted  # cache.length is unchanged, so what was written does not count

    def _normalize(self, x: Tensor, weight: Tensor) -> Tensor:
        """Root-mean-square norm of float32 [tokens, width]."""
        if x.shape[0] > 1 or self.device.type != "cpu":
            return F.rms_norm(x, (self._width,), weight, self._epsilon)
        row = x[0]  # torch has no fused kernel for this on the CPU; two calls cost a third of its six
        scale = (row.dot(row).item() / self._width + self._epsilon) ** -0.5
        return torch.addcmul(self._zero, x, weight, value=scale)

    def _attend(
        self, layer: _Layer, qkv: Tensor, block: Tensor, start: int, turn: Tensor, mask: Tensor | None
    ) -> Tensor:
        count, heads, kv_heads, size = qkv.shape[0], self._heads, self._kv_heads, self._size
        end = start + count
        qkv = qkv.float()
        split = (heads + kv_heads) * size
        rotated = qkv[:, :split].view(count, heads + kv_heads, size)
        if layer.query_norm is not None and layer.key_norm is not None:
            rotated[:, :heads] = F.rms_norm(rotated[:, :heads], (size,), layer.query_norm, self._epsilon)
            rotated[:, heads:] = F.rms_norm(rotated[:, heads:], (size,), layer.key_norm, self._epsilon)
        torch.view_as_complex(rotated.view(count, heads + kv_heads, size // 2, 2)).mul_(turn)
        block[:, :, start:end] = qkv[:, heads * size :].view(count, 2, kv_heads, size).permute(1, 2, 0, 3)
        keys, values = block[:, :, :end].unsqueeze(1).unbind()
        query = rotated[:, :heads].to(block.dtype)
        if count == 1:  # the heads of a group are the rows of one product
            query = query.view(1, kv_heads, heads // kv_heads, size)
            return F.scaled_dot_product_attention(query, keys, values).view(1, heads * size)
        mixed = F.scaled_dot_product_attention(
            query.transpose(0, 1).unsqueeze(0), keys, values, mask, is_causal=mask is None, enable_gqa=True
        )
        return mixed[0].transpose(0, 1).reshape(count, heads * size)

    def _embed(self, ids: Tensor) -> Tensor:
        """Float32 [tokens, width]."""
        table = self._embedding
        if isinstance(table, Int8Rows):
            return table.values[ids].float() * table.scales[ids, None]
        return table[ids].float()

    def _mask(self, start: int, count: int) -> Tensor:
        """Which of the positions each new token sees, [new, all]."""
        return torch.ones(count, start + count, dtype=torch.bool, device=self.device).tril_(start)

    def _interleave(self, tensor: Tensor) -> Tensor:
        """Reorder each head's rows so that the two parts of a rotated pair are neighbours: 0, n/2, 1, n/2 + 1, …"""
        half = self._size // 2
        rest = tensor.shape[1:]
        return tensor.reshape(-1, 2, half, *rest).transpose(1, 2).reshape(-1, *rest)


def _rotations(config: Any, size: int, device: torch.device) -> Tensor:
    """Each position's rotations as complex numbers, [context, size / 2]."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    rotary = LlamaRotaryEmbedding(config)
    angles = torch.outer(torch.arange(config.max_position_embeddings).float(), rotary.inv_freq.float())
    if angles.shape[1] != size // 2:
        raise ValueError("rotary positions do not cover the heads")
    return torch.polar(torch.full_like(angles, rotary.attention_scaling), angles).to(device)
