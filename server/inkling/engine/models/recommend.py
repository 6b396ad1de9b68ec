"""Hub models worth trying on this machine, by task.

A list made by hand, of models with safetensors and a licence that allows everyday use. Sizes are approximate: nothing
is fetched to make a recommendation, and `inkling models pull` asks the hub for exact ones and the licence before it
downloads.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.engine.models import hub_cache
from inkling.engine.models.memory import OVERHEAD_BYTES, available_bytes
from inkling.engine.protocol import Task


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hub model: millions of parameters, megabytes to download, and what it is good for."""

    id: str
    task: str
    parameters_m: int
    download_mb: int
    licence: str
    languages: str
    note: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has: bytes of memory and disk that are free, CPU cores, and the GPU's memory (0 without)."""

    memory: int
    cores: int
    disk: int
    gpu: str = ""
    gpu_memory: int = 0


@dataclass(frozen=True, slots=True)
class Advice:
    """A candidate judged: `verdict` is `good`, `slow`, `needs-memory` or `needs-disk`; `needs` is bytes of memory."""

    candidate: Candidate
    verdict: str
    needs: int
    quantization: str
    installed: bool


_GENERATION, _CLASSIFY, _TOKENS = Task.TEXT_GENERATION, Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION
_FIM = "completion with fill-in-the-middle"
CANDIDATES = (
    Candidate("Qwen/Qwen2.5-Coder-0.5B", _GENERATION, 494, 988, "apache-2.0", "code", _FIM),
    Candidate("Qwen/Qwen2.5-Coder-1.5B", _GENERATION, 1544, 3088, "apache-2.0", "code", _FIM),
    Candidate("Qwen/Qwen2.5-Coder-7B", _GENERATION, 7616, 15232, "apache-2.0", "code", _FIM),
    Candidate("HuggingFaceTB/SmolLM2-135M", _GENERATION, 135, 269, "apache-2.0", "en", "prose, prefix only"),
    Candidate("HuggingFaceTB/SmolLM2-360M-Instruct", _GENERATION, 362, 724, "apache-2.0", "en", "short instructions"),
    Candidate("Qwen/Qwen2.5-1.5B-Instruct", _GENERATION, 1544, 3088, "apache-2.0", "29 languages",
              "instructions, summaries, translation"),
    Candidate("distilbert/distilbert-base-uncased-finetuned-sst-2-english", _CLASSIFY, 67, 268, "apache-2.0", "en",
              "positive or negative"),
    Candidate("SamLowe/roberta-base-go_emotions", _CLASSIFY, 125, 499, "mit", "en", "28 emotions, several at once"),
    Candidate("unitary/toxic-bert", _CLASSIFY, 109, 438, "apache-2.0", "en", "toxic comments, several labels"),
    Candidate("protectai/deberta-v3-base-prompt-injection-v2", _CLASSIFY, 184, 738, "apache-2.0", "en",
              "prompt injection"),
    Candidate("dslim/distilbert-NER", _TOKENS, 66, 261, "apache-2.0", "en", "persons, places, organizations"),
    Candidate("dslim/bert-base-NER", _TOKENS, 108, 433, "mit", "en", "persons, places, organizations"),
    Candidate("MoritzLaurer/deberta-v3-base-zeroshot-v2.0", Task.ZERO_SHOT_CLASSIFICATION, 184, 369, "mit", "en",
              "labels of your own"),
    Candidate("facebook/bart-large-mnli", Task.ZERO_SHOT_CLASSIFICATION, 407, 1630, "mit", "en", "labels of your own"),
    Candidate("Falconsai/text_summarization", Task.SUMMARIZATION, 61, 242, "apache-2.0", "en", "short summaries"),
    Candidate("facebook/bart-large-cnn", Task.SUMMARIZATION, 406, 1625, "mit", "en", "news and reports"),
    Candidate("google-t5/t5-small", Task.TRANSLATION, 61, 242, "apache-2.0", "en fr de ro", "from English"),
    Candidate("google-t5/t5-base", Task.TRANSLATION, 223, 892, "apache-2.0", "en fr de ro", "from English"),
    Candidate("distilbert/distilbert-base-cased-distilled-squad", Task.QUESTION_ANSWERING, 65, 261, "apache-2.0", "en",
              "the answer must be in the text"),
    Candidate("deepset/roberta-base-squad2", Task.QUESTION_ANSWERING, 124, 496, "cc-by-4.0", "en",
              "can also say that there is no answer"),
    Candidate("distilbert/distilroberta-base", Task.FILL_MASK, 82, 331, "apache-2.0", "en", "better words"),
    Candidate("answerdotai/ModernBERT-base", Task.FILL_MASK, 149, 599, "apache-2.0", "en, code", "better words"),
    Candidate("BAAI/bge-small-en-v1.5", Task.FEATURE_EXTRACTION, 33, 133, "mit", "en", "search"),
    Candidate("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", Task.FEATURE_EXTRACTION, 118, 471,
              "apache-2.0", "50 languages", "search across languages"),
)  # fmt: skip


def this_machine() -> Machine:
    """What is free here. Imports torch to ask for a GPU, and does without one if that fails."""
    gpu, gpu_memory = "", 0
    try:
        import torch

        if torch.cuda.is_available():
            gpu, gpu_memory = torch.cuda.get_device_name(0), int(torch.cuda.mem_get_info(0)[0])
    except (ImportError, OSError, RuntimeError):
        pass
    return Machine(available_bytes(), _cores(), disk_free(hub_cache.cache_folder()), gpu, gpu_memory)


def recommend(machine: Machine, tasks: Sequence[str] = ()) -> list[Advice]:
    """The candidates for `tasks` (all when empty), each judged; within a task good ones first, the largest before."""
    order = ("good", "slow", "needs-memory", "needs-disk")
    advice = [_judge(candidate, machine) for candidate in CANDIDATES if not tasks or candidate.task in tasks]
    places = {task: place for place, task in enumerate(Task)}
    return sorted(
        advice,
        key=lambda one: (
            places[Task(one.candidate.task)],
            order.index(one.verdict),
            -one.candidate.parameters_m if one.verdict == "good" else one.candidate.parameters_m,
        ),
    )


QUICK_M_PER_CORE = 350
"""Millions of parameters per core at which 8-bit decoding on a CPU stays above 20 tokens a second: 0.5 B parameters
were measured at 50 tokens a second on 2 cores."""


def _judge(candidate: Candidate, machine: Machine) -> Advice:
    generates = candidate.task == Task.TEXT_GENERATION
    parameters = candidate.parameters_m * 1_000_000
    room = int(0.6 * (machine.gpu_memory or machine.memory))
    widths = (("none", 2.0), ("nf4", 0.6)) if machine.gpu_memory else (("int8", 1.1), ("nf4", 0.65))
    choices = widths if generates else (("none", 4.0),)
    needs = [(name, int(parameters * width) + OVERHEAD_BYTES) for name, width in choices]
    quantization, need = next(((name, size) for name, size in needs if size <= room), needs[-1])
    installed = hub_cache.find_snapshot(candidate.id) is not None
    if need > room:
        verdict = "needs-memory"
    elif not installed and candidate.download_mb * 1_000_000 > 0.8 * machine.disk:
        verdict = "needs-disk"
    elif generates and not machine.gpu_memory and candidate.parameters_m > QUICK_M_PER_CORE * machine.cores:
        verdict = "slow"
    else:
        verdict = "good"
    return Advice(candidate, verdict, need, quantization, installed)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def disk_free(path: Path) -> int:
    """Bytes free where `path` is or would be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free
