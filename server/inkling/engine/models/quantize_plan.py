"""Which weights a model gets: the user's choice, or the best one for this machine, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch

from inkling.errors import InklingError

CHOICES = ("auto", "none", "int8", "int4", "nf4")
TINY_PARAMETERS = 32_000_000
"""Up to so many, a token's time is that of many small calls: one thread, and float32 rather than bfloat16."""


class Method(StrEnum):
    """How the weights are kept, and by whose kernels they are multiplied."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"  # torch's own kernels, on the CPU
    INT4 = "int4"
    BNB_INT8 = "bnb-int8"  # bitsandbytes
    BNB_NF4 = "bnb-nf4"

    @property
    def quantization(self) -> str:
        """The user's word for it."""
        names = {Method.FLOAT32: "none", Method.BFLOAT16: "none", Method.BNB_INT8: "int8", Method.BNB_NF4: "nf4"}
        return names.get(self, self.value)

    @property
    def bits(self) -> float:
        """Bits a weight in memory, scales included; int4 is kept twice, for one token and for many."""
        return {"float32": 32, "bfloat16": 16, "int8": 8.1, "int4": 9.0, "bnb-int8": 8.1, "bnb-nf4": 4.2}[self.value]


@dataclass(frozen=True, slots=True)
class Machine:
    """What matters of the hardware. `memory` is what a new model could take, in bytes."""

    device: str
    memory: int
    packed: bool
    """Whether torch's 8- and 4-bit kernels run here."""
    bfloat16: bool
    """Whether bfloat16 products are fast here."""
    int4: bool = True
    """Whether torch's 4-bit kernel is faster than its 8-bit one here."""

    @classmethod
    def here(cls, device: str) -> Machine:
        """This machine."""
        kind = torch.device(device).type
        if kind == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            return cls(kind, int(free), packed=False, bfloat16=torch.cuda.is_bf16_supported())
        from inkling.engine.models.memory import available_bytes

        engines = torch.backends.quantized.supported_engines
        avx2 = bool(torch.cpu._is_avx2_supported())
        fast = bool(torch.cpu._is_avx512_bf16_supported())
        packed = kind == "cpu" and avx2 and "x86" in engines
        wide = bool(torch.cpu._is_avx512_supported())
        return cls(kind, available_bytes(), packed=packed, bfloat16=fast, int4=packed and wide)


@dataclass(frozen=True, slots=True)
class Plan:
    """The method, and the reason in a few words."""

    method: Method
    why: str

    @property
    def told(self) -> str:
        """Method and reason for the status."""
        return f"{self.method}: {self.why}"


def choose(asked: str, machine: Machine, *, parameters: int, stored: str) -> Plan:
    """The plan for a model of so many `parameters`, stored as `stored` (a safetensors dtype such as `BF16`).

    `asked` is one of `CHOICES`, or a `Method` by name. Raises InklingError `bad-quantization`.
    """
    if asked in tuple(Method) and asked not in CHOICES:
        return Plan(Method(asked), "as asked")
    if asked not in CHOICES:
        raise InklingError(
            "bad-quantization", f"“{asked[:40]}” is not a quantization.", f"Choose one of {', '.join(CHOICES)}."
        )
    if asked == "none":
        return _plain(machine, parameters, stored, "as asked")
    if asked == "nf4":
        return Plan(Method.BNB_NF4, "as asked, by bitsandbytes")
    if asked in ("int8", "int4"):
        if asked == "int4" and machine.packed and not machine.int4:
            # on AVX2, for 4 million weights: one token 0.69 ms in 4 bits and 0.32 in 8, 256 tokens 60 ms and 19
            return Plan(Method.INT8, "int4 is slower than int8 without AVX-512, in as much memory; nf4 takes half")
        if machine.packed:
            return Plan(Method(asked), "as asked, by torch's packed kernels")
        if asked == "int8":
            return Plan(Method.BNB_INT8, "as asked, by bitsandbytes")
        return Plan(Method.BNB_NF4, f"int4 has no kernel on {machine.device}; nf4 has the same size")
    return _auto(machine, parameters, stored)


def _auto(machine: Machine, parameters: int, stored: str) -> Plan:
    room = 0.7 * machine.memory  # the rest is for keys, values and other programs
    if machine.device == "cuda":
        if parameters * 2 <= room:
            return Plan(Method.BFLOAT16, "fits the GPU, and is fastest there")
        return Plan(Method.BNB_NF4, "bfloat16 does not fit the GPU's free memory")
    if not machine.packed:
        return _plain(machine, parameters, stored, f"no packed kernels on this {machine.device}")
    if parameters * Method.INT8.bits / 8 > room:
        return Plan(Method.BNB_NF4, "int8 does not fit the free memory")
    if parameters <= TINY_PARAMETERS:
        return Plan(Method.INT8, "fastest for small models too, and as good in quality")
    if not machine.bfloat16:
        return Plan(Method.INT8, "this processor's fastest, a quarter of float32's bytes, at almost no cost in quality")
    return Plan(Method.INT8, "reads half of bfloat16's bytes for each token, at almost no cost in quality")


def _plain(machine: Machine, parameters: int, stored: str, why: str) -> Plan:
    if machine.device != "cpu":
        exact = stored == "F32" or not machine.bfloat16
        return Plan(Method.FLOAT32 if exact else Method.BFLOAT16, why)
    if parameters <= TINY_PARAMETERS:
        return Plan(Method.FLOAT32, why)
    if stored == "F32":
        return Plan(Method.FLOAT32, f"{why}; stored as float32")
    if not machine.bfloat16:
        return Plan(Method.FLOAT32, f"{why}; this processor has no fast bfloat16")
    return Plan(Method.BFLOAT16, why)
