"""A checkpoint into GGUF files that llama.cpp and Fimble's engine load: F32 first, then quantised.

    python export.py RUN/checkpoint TOKENIZER.json OUT --quantise q8_0 q5_k_m q4_k_m

writes OUT-f32.gguf, OUT-q8_0.gguf and so on.  The output matrix is the embedding, so it is left out; rotary positions
are on interleaved pairs already, so the weights are copied as they are.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from torch import Tensor

import checkpoint
from model import Shape

#: llama_ftype (llama.h).
QUANTISED = {"f16": 1, "q8_0": 7, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}

_TENSORS = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.out": "attn_output",
    "feed_norm": "ffn_norm",
    "feed.gate": "ffn_gate",
    "feed.up": "ffn_up",
    "feed.down": "ffn_down",
}

_FIM = {
    "fim_pre": "<|fim_prefix|>",
    "fim_suf": "<|fim_suffix|>",
    "fim_mid": "<|fim_middle|>",
    "fim_pad": "<|fim_pad|>",
    "fim_rep": "<|repo_name|>",
    "fim_sep": "<|file_sep|>",
}

_DESCRIPTION = (
    "Fills in the middle of source code. Trained from nothing on permissively licensed packages; "
    "recipe: models/fimble-small in Fimble's repository."
)


def write_gguf(weights: dict[str, Tensor], shape: Shape, tokenizer: Path, out: Path, name: str, pre: str) -> None:
    """Write a GGUF with 32-bit weights.  *pre* is llama.cpp's name for the pre-tokenizer."""
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_description(_DESCRIPTION)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_shape(writer, shape)
    _add_tokenizer(writer, json.loads(tokenizer.read_text("utf-8")), shape.vocabulary, pre)
    for title, tensor in gguf_tensors(weights, shape).items():
        writer.add_tensor(title, np.ascontiguousarray(tensor.float().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_tensors(weights: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """The weights by llama.cpp's names."""
    found = {"token_embd.weight": weights["embedding.weight"], "output_norm.weight": weights["norm.weight"]}
    for layer in range(shape.layers):
        for ours, theirs in _TENSORS.items():
            found[f"blk.{layer}.{theirs}.weight"] = weights[f"layers.{layer}.{ours}.weight"]
    return found


def _add_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, Any], vocabulary: int, pre: str) -> None:
    """The vocabulary with its merges; rows of the embedding that no token uses become unused entries."""
    tokens = [f"[UNUSED{i}]" for i in range(vocabulary)]
    types = [gguf.TokenType.UNUSED] * vocabulary
    for text, i in tokenizer["model"]["vocab"].items():
        tokens[i], types[i] = text, gguf.TokenType.NORMAL
    control: dict[str, int] = {}
    for added in tokenizer["added_tokens"]:
        control[added["content"]] = i = added["id"]
        tokens[i], types[i] = added["content"], gguf.TokenType.CONTROL
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    end = control["<|endoftext|>"]
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_pad_token_id(control["<|fim_pad|>"])
    for key, text in _FIM.items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", control[text])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def quiet() -> None:
    """Let llama.cpp say nothing; what fails raises."""
    import llama_cpp

    global _silence
    _silence = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)
    llama_cpp.llama_log_set(_silence, None)


#: Kept: llama.cpp calls it as long as the process lives.
_silence: Any = None


def quantise(source: Path, target: Path, kind: str, threads: int = 2) -> None:
    """Let llama.cpp quantise *source*; raises RuntimeError if it refuses."""
    import llama_cpp

    quiet()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = QUANTISED[kind]
    params.nthread = threads
    if llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), params) != 0:
        raise RuntimeError(f"llama.cpp could not write {target}")


def export(folder: Path, tokenizer: Path, out: Path, kinds: list[str], name: str, pre: str = "qwen2") -> list[Path]:
    """Write OUT-f32.gguf and the quantised kinds; return their paths."""
    tensors, state = checkpoint.load(folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    full = out.with_name(f"{out.name}-f32.gguf")
    write_gguf(checkpoint.weights(tensors), Shape(**state["shape"]), tokenizer, full, name, pre)
    written = [full]
    for kind in kinds:
        written.append(out.with_name(f"{out.name}-{kind}.gguf"))
        quantise(full, written[-1], kind)
    return written


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint's folder: exact or portable")
    parser.add_argument("tokenizer", type=Path, help="the tokenizer.json that the model was trained with")
    parser.add_argument("out", type=Path, help="path and beginning of the files' names")
    parser.add_argument("--quantise", nargs="*", choices=QUANTISED, default=["q8_0", "q5_k_m", "q4_k_m"])
    parser.add_argument("--name", default="fimble-small", help="general.name (default: fimble-small)")
    parser.add_argument("--pre", default="qwen2", help="llama.cpp's name of the pre-tokenizer (default: qwen2)")
    args = parser.parse_args()
    for path in export(args.checkpoint, args.tokenizer, args.out, args.quantise, args.name, args.pre):
        print(f"{path.stat().st_size / 1e6:7.2f} MB  {path}")


if __name__ == "__main__":
    main()
