"""Loads a causal LM in the precision that was asked for, or that suits the machine.

`quantize_plan` chooses the method, `quantize_pack` and `quantize_bnb` carry it out, `quantize_cache` keeps the result.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from inkling.engine.generation.decoder import Decoder, ModuleDecoder
from inkling.engine.models import fused_llama, quantize_bnb, quantize_cache
from inkling.engine.models.fused_llama import FusedLlama
from inkling.engine.models.model_files import ModelFiles, inspect
from inkling.engine.models.quantize_modules import pack_modules
from inkling.engine.models.quantize_pack import Packer
from inkling.engine.models.quantize_plan import TINY_PARAMETERS, Machine, Method, Plan, choose
from inkling.engine.models.safetensors_file import read_header
from inkling.errors import InklingError

SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
WORTH_CACHING_BYTES = 200 << 20
"""Of weights on disk; less is quantized faster than it is found again."""
_PACKED = (Method.INT8, Method.INT4)
_BNB = (Method.BNB_INT8, Method.BNB_NF4)


@dataclass(frozen=True, slots=True)
class LoadedCausalLM:
    """A decoder with its tokenizer, the token ids that end a text, and how it was quantized and why."""

    decoder: Decoder
    tokenizer: Any
    end_ids: int | Sequence[int] | None
    plan: Plan
    small: bool
    """Whether a token's time is that of many small calls rather than of reading weights."""
    fim_order: str = ""
    """See `inkling.engine.generation.fim.Order`."""
    notices: tuple[str, ...] = ()


def load(
    folder: Path,
    *,
    name: str = "",
    quantization: str = "auto",
    device: str = "cpu",
    on_progress: Callable[[float], None] | None = None,
) -> LoadedCausalLM:
    """Load the model in `folder`, called `name` in messages. No code of the folder runs; nothing is fetched.

    Raises InklingError: what `model_files.inspect` refuses, `bad-quantization`, `no-tokenizer`, `weights-corrupt`,
    `unknown-architecture`, `out-of-memory`.
    """
    report = on_progress or (lambda _: None)
    files = inspect(folder, name or folder.name)
    parameters, stored = _measure(files)
    with _explained(name or folder.name, folder):
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig

        config = AutoConfig.from_pretrained(folder, **SAFE)
        report(0.05)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **SAFE)
        except Exception as error:  # transformers raises nearly anything for a damaged tokenizer
            raise InklingError(
                "no-tokenizer",
                f"{name or folder.name}'s tokenizer in {folder} cannot be loaded ({type(error).__name__}).",
                "Download the model again, or save its tokenizer beside it.",
            ) from error
        report(0.1)
        plan = choose(quantization, Machine.here(device), parameters=parameters, stored=stored)
        ends = getattr(config, "eos_token_id", None)
        if (folder / "generation_config.json").is_file():
            ends = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id or ends
        decoder, plan, notices = _decoder(files, config, plan, device, lambda part: report(0.1 + 0.85 * part))
    report(1.0)
    small, order = parameters <= TINY_PARAMETERS, str(files.config.get("inkling_fim", ""))
    return LoadedCausalLM(decoder, tokenizer, ends, plan, small, order, notices)


def plan_for(folder: Path, *, quantization: str = "auto", device: str = "cpu") -> Plan:
    """What `load` would do with the model in `folder`, and why; reads no weight. Raises InklingError as it does."""
    parameters, stored = _measure(inspect(folder, folder.name))
    return choose(quantization, Machine.here(device), parameters=parameters, stored=stored)


def _decoder(
    files: ModelFiles, config: Any, plan: Plan, device: str, report: Callable[[float], None]
) -> tuple[Decoder, Plan, tuple[str, ...]]:
    if plan.method in _BNB:
        model, notices = quantize_bnb.load(files.folder, files.weights, plan.method, device, **SAFE)
        return ModuleDecoder(model), plan, notices
    if plan.method in _PACKED and device != "cpu":
        raise InklingError("bad-quantization", f"{plan.method} has no kernel on {device}.", "Choose nf4 or none.")
    other = fused_llama.unsupported(config)
    if not other:
        with _Checkpoint(files.weights) as checkpoint:
            if "model.embed_tokens.weight" in checkpoint.names:
                decoder, notices = _fused(files, config, plan, device, checkpoint, report)
                return decoder, plan, notices
        other = "tensor names"
    return _module(files, plan, device), Plan(plan.method, f"{plan.why}; {other}: transformers' own forward pass"), ()


def _fused(
    files: ModelFiles, config: Any, plan: Plan, device: str, checkpoint: _Checkpoint, report: Callable[[float], None]
) -> tuple[FusedLlama, tuple[str, ...]]:
    small = files.bytes < 4 * TINY_PARAMETERS  # where bytes do not count, float32 attention is the faster one
    cache_dtype = torch.float32 if small or plan.method == Method.FLOAT32 else torch.bfloat16

    def build(packer: Packer) -> FusedLlama:
        return FusedLlama(config, checkpoint.get, packer, cache_dtype=cache_dtype, device=device, on_layer=report)

    if plan.method not in _PACKED or files.bytes < WORTH_CACHING_BYTES:
        return build(Packer(plan.method, device)), ()
    name = quantize_cache.entry_name(files.weights, plan.method, ("fused",))
    if (entry := quantize_cache.find(name)) is not None:
        try:
            return build(Packer(plan.method, cached=entry)), ()
        except (SafetensorError, OSError, KeyError):  # a damaged entry must not be worse than none
            quantize_cache.discard(name)
    partial = quantize_cache.begin(int(files.bytes * plan.method.bits / 16))
    packer = Packer(plan.method, save_to=partial)
    try:
        decoder = build(packer)
    except BaseException:
        if partial is not None:
            quantize_cache.abandon(partial)
        raise
    if partial is not None and packer.saved and quantize_cache.commit(partial, name):
        return decoder, ()
    if partial is not None:
        quantize_cache.abandon(partial)
    return decoder, (quantize_cache.UNAVAILABLE,)


def _module(files: ModelFiles, plan: Plan, device: str) -> ModuleDecoder:
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if plan.method == Method.FLOAT32 else torch.bfloat16
    auto: Any = AutoModelForCausalLM
    model, info = auto.from_pretrained(
        files.folder, use_safetensors=True, dtype=dtype, output_loading_info=True, **SAFE
    )
    if missing := sorted(info.get("missing_keys") or ()):
        raise KeyError(missing[0])
    packed = pack_modules(model.eval().requires_grad_(False), Packer(plan.method)) if plan.method in _PACKED else 0
    decoder = ModuleDecoder(model.to(device))
    decoder.bytes += packed
    return decoder


def _measure(files: ModelFiles) -> tuple[int, str]:
    """(parameters, the type that most of them are stored in)."""
    kinds: Counter[str] = Counter()
    for path in files.weights:
        for tensor in read_header(path).values():
            kinds[tensor.dtype] += tensor.parameters
    return sum(kinds.values()), kinds.most_common(1)[0][0] if kinds else "F32"


class _Checkpoint:
    """A checkpoint's tensors by name, read when asked for."""

    def __init__(self, weights: Sequence[Path]) -> None:
        self._stack = contextlib.ExitStack()
        self._files: dict[str, Any] = {}
        for path in weights:
            file = self._stack.enter_context(safe_open(path, framework="pt"))
            self._files.update(dict.fromkeys(file.keys(), file))

    def __enter__(self) -> _Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def names(self) -> set[str]:
        """All tensors' names."""
        return set(self._files)

    def get(self, name: str) -> Tensor | None:
        """The tensor, or None."""
        file = self._files.get(name)
        return None if file is None else file.get_tensor(name)


def _hide_progress_bars() -> None:
    """Transformers' bars are for notebooks; ours is `on_progress`."""
    from transformers.utils import logging as transformers_logging

    hide: Any = transformers_logging.disable_progress_bar
    hide()


@contextlib.contextmanager
def _explained(name: str, folder: Path) -> Iterator[None]:
    """Quiet libraries, and their errors in words for the user."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    _hide_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InklingError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise InklingError(
            "out-of-memory",
            f"Memory ran out while {name} was loaded.",
            "Choose a smaller model or a stronger quantization, or close other programs.",
        ) from error
    except KeyError as error:
        raise InklingError(
            "weights-corrupt", f"{folder} lacks the tensor {error.args[0]}.", "Download the model again."
        ) from error
    except ImportError as error:
        package = (error.name or "a package").partition(".")[0]
        raise InklingError(
            "missing-package",
            f"{name} cannot be loaded this way without {package}.",
            "Install it beside Inkling, or set the quantization to auto.",
        ) from error
    except Exception as error:  # transformers, safetensors and torch each raise their own for damaged files
        if "does not recognize this architecture" in str(error):
            raise InklingError(
                "unknown-architecture",
                f"{name} has an architecture that the installed transformers does not know.",
                "Upgrade transformers, or choose another model.",
            ) from error
        raise InklingError(
            "weights-corrupt",
            f"{folder} cannot be loaded ({type(error).__name__}).",
            "Download the model again, or check its config.json against its weights.",
        ) from error
    finally:
        logger.setLevel(level)
