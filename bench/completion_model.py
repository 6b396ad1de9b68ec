"""The benchmark's model: Qwen2.5-Coder-0.5B's shape with random weights, for transformers and for llama.cpp.

Speed does not depend on what the weights say, so nothing has to be downloaded. Made once, in Inkling's cache folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import platformdirs

SHAPE = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
THETA = 1e6


def folder() -> Path:
    """The model's folder with safetensors, config and a tokenizer that covers a part of the vocabulary."""
    place = Path(platformdirs.user_cache_dir("inkling", appauthor=False)) / "bench" / "qwen2-0.5b-random"
    if (place / "model.safetensors").is_file() and (place / "tokenizer.json").is_file():
        return place
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    from inkling.engine.models.catalog import STARTER_FOLDER

    partial = place.with_name(place.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        config = Qwen2Config(**SHAPE, rope_parameters={"rope_type": "default", "rope_theta": THETA})  # type: ignore[no-untyped-call]
        AutoModelForCausalLM.from_config(config).save_pretrained(partial)  # type: ignore[no-untyped-call]
    finally:
        torch.set_default_dtype(before)
    for file in (STARTER_FOLDER / "code").glob("tokenizer*.json"):
        shutil.copy(file, partial / file.name)
    shutil.rmtree(place, ignore_errors=True)
    partial.rename(place)
    return place


def write_gguf(path: Path, kind: str) -> None:
    """The same weights for llama.cpp, as `Q8_0` or `Q4_0`; the output layer stays at 8 bits, as in ours.

    Needs the `gguf` package.
    """
    import gguf
    import numpy as np
    from safetensors.torch import load_file

    weights = {name: tensor.float().numpy() for name, tensor in load_file(folder() / "model.safetensors").items()}
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_context_length(SHAPE["max_position_embeddings"])
    writer.add_embedding_length(SHAPE["hidden_size"])
    writer.add_block_count(SHAPE["num_hidden_layers"])
    writer.add_feed_forward_length(SHAPE["intermediate_size"])
    writer.add_head_count(SHAPE["num_attention_heads"])
    writer.add_head_count_kv(SHAPE["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(SHAPE["rms_norm_eps"])
    writer.add_rope_freq_base(THETA)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if kind == "Q8_0" else gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"<{number}>" for number in range(SHAPE["vocab_size"])])
    writer.add_token_types([gguf.TokenType.NORMAL] * SHAPE["vocab_size"])
    writer.add_token_merges(["< 0"])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    parts = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for name, array in weights.items():
        if name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            part, _, leaf = rest.rpartition(".")
            target = f"blk.{layer}.{parts[part]}.{leaf}"
        else:
            target = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
        if array.ndim == 1:
            writer.add_tensor(target, array.astype(np.float32))
            continue
        wide = kind == "Q8_0" or target == "token_embd.weight"
        to = gguf.GGMLQuantizationType.Q8_0 if wide else gguf.GGMLQuantizationType.Q4_0
        writer.add_tensor(target, gguf.quants.quantize(array.astype(np.float32), to), raw_dtype=to)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
