"""Other people's servers on loopback, with a tiny random model: llama-cpp-python's and `transformers serve`.

They are not part of the project's environment: `tests/engine/install_servers.sh`, which `make test` runs, puts what
they import into `.cache/servers`, and `make bench` builds llama.cpp into `.cache/llama-cpp`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / ".cache" / name for name in ("servers", "llama-cpp")]

LLAMA_CPP = ("llama_cpp", "gguf", "fastapi", "sse_starlette", "starlette_context", "pydantic_settings")
TRANSFORMERS = ("fastapi", "openai", "pydantic", "uvicorn")


def missing(packages: tuple[str, ...]) -> str:
    """The packages that cannot be imported beside ours, as a reason to skip; empty when all can."""
    probe = f"import importlib.util as u; print(*[n for n in {packages!r} if u.find_spec(n) is None])"
    done = subprocess.run([sys.executable, "-c", probe], env=_environment(), capture_output=True, text=True, check=True)
    how = "`make bench` builds llama.cpp, tests/engine/install_servers.sh installs the rest"
    return f"not installed: {done.stdout.strip()} ({how})" if done.stdout.strip() else ""


def _environment() -> dict[str, str]:
    # what they brought along comes before our own packages, in their process alone
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", ""), *map(str, FOLDERS)]))
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }
    proxies = {"http_proxy", "https_proxy", "all_proxy"}
    kept = {key: value for key, value in os.environ.items() if key.lower() not in proxies}
    return {**kept, **quiet, "PYTHONPATH": path}


@contextlib.contextmanager
def llama_cpp(model: Path, folder: Path) -> Iterator[str]:
    """llama-cpp-python's server with a tiny Qwen2 (a folder of `tiny_lm("qwen2")`); the URL."""
    gguf = folder / "tiny-qwen2.5-coder.gguf"
    code = (
        "import sys, pathlib; from tests.engine.third_party import write_gguf as w; w(*map(pathlib.Path, sys.argv[1:]))"
    )
    subprocess.run([sys.executable, "-c", code, str(model), str(gguf)], env=_environment(), check=True)
    port = _free_port()
    arguments = ["--model", str(gguf), "--port", str(port), "--n_ctx", "512", "--n_threads", "1", "--verbose", "False"]
    arguments += ["--model_alias", "tiny-qwen2.5-coder"]
    with _running([sys.executable, "-m", "llama_cpp.server", "--host", "127.0.0.1", *arguments], port) as url:
        yield url


@contextlib.contextmanager
def transformers_serve(model: Path, folder: Path) -> Iterator[str]:
    """`transformers serve` for the checkpoint in a folder; the URL."""
    port = _free_port()
    code = "from transformers.cli.transformers import main; main()"
    arguments = ["serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    # without a hub cache its list of models is an internal error
    with _running([sys.executable, "-c", code, *arguments], port, HF_HUB_CACHE=str(folder)) as url:
        yield url


@contextlib.contextmanager
def _running(command: list[str], port: int, **variables: str) -> Iterator[str]:
    process = subprocess.Popen(
        command,
        env=_environment() | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, f"{url}/v1/models")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(f"the server ended: {process.stderr.read()[-2000:].decode('utf-8', 'replace')}")
        with contextlib.suppress(OSError, urllib.error.URLError), opener.open(url, timeout=2):
            return
        time.sleep(0.2)
    raise TimeoutError(url)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_gguf(model: Path, path: Path) -> None:
    """A Qwen2 checkpoint with its byte-level tokenizer as GGUF, unquantized. Needs the `gguf` package."""
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    config = json.loads((model / "config.json").read_text())
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    vocabulary = {**tokenizer["model"]["vocab"], **special}
    names = dict(zip(vocabulary.values(), vocabulary, strict=True))
    tokens = [names.get(number, f"[unused{number}]") for number in range(config["vocab_size"])]
    kinds = [
        gguf.TokenType.CONTROL
        if name in special
        else gguf.TokenType.NORMAL
        if number in names
        else gguf.TokenType.UNUSED
        for number, name in enumerate(tokens)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [" ".join(merge) if isinstance(merge, list) else merge for merge in tokenizer["model"]["merges"]]
    )
    writer.add_eos_token_id(special["<|endoftext|>"])
    writer.add_bos_token_id(special["<|endoftext|>"])
    writer.add_add_bos_token(False)
    parts = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, array in load_file(model / "model.safetensors").items():
        stem, _, leaf = name.rpartition(".")
        if stem.startswith("model.layers."):
            _, _, layer, part = stem.split(".", 3)
            target = f"blk.{layer}.{parts[part]}"
        else:
            target = outer[stem]
        writer.add_tensor(f"{target}.{leaf}", array.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
