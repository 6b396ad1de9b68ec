"""llama.cpp beside us: `python -m bench.llama_cpp_peer MODEL.gguf THREADS CONTEXT STEPS` prints its figures as JSON.

Runs in a process of its own, since two OpenMP runtimes in one process slow each other down. `install_llama_cpp.sh`
builds it into .cache/llama-cpp; INKLING_LLAMA_CPP may name another folder that llama-cpp-python and gguf are in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
FOLDER = os.environ.get("INKLING_LLAMA_CPP", str(ROOT / ".cache" / "llama-cpp"))
LONGEST_S = 600


class PeerFailed(Exception):
    """llama.cpp ended without figures; says how."""


def available() -> bool:
    """Whether llama-cpp-python and gguf can be imported."""
    probe = "import llama_cpp, gguf"
    return subprocess.run([sys.executable, "-c", probe], env=_environment(), capture_output=True).returncode == 0


def measure(model: Path, *, threads: int, context: int, steps: int) -> dict[str, float]:
    """Prefill and decode in tokens per second, and the time of 5 tokens on a warm prefix, in seconds."""
    command = [sys.executable, "-m", "bench.llama_cpp_peer", str(model), str(threads), str(context), str(steps)]
    done = _run(command)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def make_gguf(kind: str, path: Path) -> None:
    """Write the benchmark's model as GGUF, where the gguf package is."""
    code = "import sys, pathlib, bench.completion_model as m; m.write_gguf(pathlib.Path(sys.argv[1]), sys.argv[2])"
    _run([sys.executable, "-c", code, str(path), kind])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Raises PeerFailed, with the signal or the last line where Python's fault handler told of one."""
    try:
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, cwd=ROOT, timeout=LONGEST_S)
    except subprocess.TimeoutExpired as error:
        raise PeerFailed(f"nothing within {LONGEST_S} s") from error
    if done.returncode or not (done.stdout or "-c" in command):
        place = next((line.strip() for line in done.stderr.splitlines() if "File" in line), "")
        last = done.stderr.strip().splitlines()[-1:] or [""]
        how = place if done.returncode < 0 else last[0][:200]  # a signal has only the fault handler's words
        raise PeerFailed(f"status {done.returncode}; {how}")
    return done


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONFAULTHANDLER": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), FOLDER])),
    }


def main() -> None:
    """Measure in this process."""
    model, threads, context, steps = sys.argv[1], *map(int, sys.argv[2:5])
    import llama_cpp

    llm = llama_cpp.Llama(
        model, n_ctx=context + steps + 16, n_threads=threads, n_threads_batch=threads, n_batch=512, verbose=False
    )
    ids = [(7919 * n) % 150_000 + 1 for n in range(context)]
    llm.eval(ids[:16])
    llm.reset()
    began = time.perf_counter()
    llm.eval(ids)
    prefill = context / (time.perf_counter() - began)
    times = []
    for n in range(steps):
        began = time.perf_counter()
        llm.eval([ids[n]])
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    llm.eval(ids[:5])  # as a keystroke does
    print(json.dumps({"prefill": prefill, "decode": 1 / median(times), "warm_s": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
