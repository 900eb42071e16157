"""Tiny GGUF files with the vocabulary of a known family: its markers, its kind of tokenizer, its settings.

The words are few and the weights are zeros; what matters is which tokens a prompt is made of.  How each family's own
tokenizer is configured (kind, BOS) is said in its ``tokenizer_config.json``; the markers are in its card or paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

WIDTH = 32

#: What source is made of here; everything else is bytes.
_WORDS = (
    *("import", " os", "def", " add", "(a", " b", "):\n", "    ", "   ", " return", "return", " a", " +", "ret"),
    *("total", " =", " 1", "sums", "names", "app", "/", ".py", "fim", "prefix", "suffix", "middle", "file", "x"),
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A family's tokenizer, as its GGUF has it."""

    name: str
    """``general.name``."""
    prompt: str
    """How its makers show a prompt."""
    markers: tuple[str, ...]
    kind: str = "gpt2"
    """``gpt2`` for byte pairs, ``llama`` for SentencePiece."""
    pre: str = "default"
    bos: str = ""
    """The BOS token's text; empty if the tokenizer adds none."""
    eos: str = "<|endoftext|>"
    space_first: bool = True
    """Whether SentencePiece puts a space before a text."""
    keys: dict[str, str] = field(default_factory=dict)
    """Further metadata that names a token: its key, and the token's text."""
    chat_template: str = ""


QWEN = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
    *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
)
_BARS = "<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>"
_STARCODER = "<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>"
MISTRAL = ("[INST]", "[/INST]", "[TOOL_CALLS]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]")

VOCABULARIES = {
    "qwen2.5-coder": Vocabulary("Qwen2.5 Coder 0.5B", _BARS, QWEN, pre="qwen2"),
    "qwen3-coder": Vocabulary(
        "Qwen3 Coder 30B A3B Instruct", _BARS, QWEN, pre="qwen2", eos="<|im_end|>", chat_template="{{ messages }}"
    ),
    "starcoder2": Vocabulary(
        "Starcoder2 3b",
        _STARCODER,
        (
            *("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<repo_name>"),
            *("<file_sep>", "<issue_start>", "<jupyter_start>"),
        ),
        pre="starcoder",
    ),
    "granite-4": Vocabulary(
        "Granite 4.0 Micro Base",
        _BARS,
        (
            *("<|pad|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
            *("<|filename|>", "<|reponame|>", "<|start_of_role|>", "<|end_of_role|>"),
        ),
        pre="dbrx",
        eos="<|end_of_text|>",
    ),
    "stable-code": Vocabulary(
        "Stable Code 3b",
        _STARCODER,
        (
            *("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>"),
            *("<gh_stars>", "<reponame>"),
        ),
    ),
    "deepseek-coder": Vocabulary(
        "Deepseek Coder 1.3b Base",
        "<｜begin▁of▁sentence｜><｜fim▁begin｜>{prefix}<｜fim▁hole｜>{suffix}<｜fim▁end｜>",
        (
            *("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜fim▁hole｜>", "<｜fim▁begin｜>"),
            *("<｜fim▁end｜>", "<|User|>", "<|Assistant|>", "<|EOT|>"),
        ),
        pre="deepseek-coder",
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
    ),
    "codellama": Vocabulary(
        "CodeLlama 7b Hf",
        "<s> <PRE> {prefix} <SUF>{suffix} <MID>",
        ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
        kind="llama",
        bos="<s>",
        eos="</s>",
        keys={
            f"{name}_token_id": f"▁<{text}>"
            for name, text in {"prefix": "PRE", "suffix": "SUF", "middle": "MID"}.items()
        },
    ),
    "codegemma": Vocabulary(
        "Codegemma 2b",
        "<s><|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>",
        (
            "<start_of_turn>",
            "<end_of_turn>",
            "<|fim_prefix|>",
            "<|fim_middle|>",
            "<|fim_suffix|>",
            "<|file_separator|>",
        ),
        kind="llama",
        bos="<s>",
        eos="</s>",
        space_first=False,
    ),
    "codestral": Vocabulary(
        "Codestral 22B v0.1", "<s>[SUFFIX]{suffix}[PREFIX] {prefix}", MISTRAL, kind="llama", bos="<s>", eos="</s>"
    ),
    "seed-coder": Vocabulary(
        "Seed Coder 8B Base",
        "<[begin▁of▁sentence]><[fim-suffix]>{suffix}<[fim-prefix]>{prefix}<[fim-middle]>",
        (
            *("<[begin▁of▁sentence]>", "<[end▁of▁sentence]>", "<[fim-suffix]>", "<[fim-prefix]>"),
            *("<[fim-middle]>", "<[PAD▁TOKEN]>"),
        ),
        pre="seed-coder",
        bos="<[begin▁of▁sentence]>",
        eos="<[end▁of▁sentence]>",
    ),
    "mellum": Vocabulary(
        "Mellum 4b Base",
        "<fim_suffix>{suffix}<fim_prefix>{prefix}<fim_middle>",
        (
            *("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>"),
            *("<gh_stars>", "<reponame>"),
        ),
        pre="mellum",
    ),
}


def write_vocabulary(vocabulary: Vocabulary, path: Path, marked: gguf.TokenType = gguf.TokenType.CONTROL) -> Path:
    """Write a GGUF with this vocabulary and weights of zeros; the markers are of the kind *marked*."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(vocabulary.name)
    for add, number in (
        (writer.add_context_length, 512),
        (writer.add_embedding_length, WIDTH),
        (writer.add_block_count, 1),
        (writer.add_feed_forward_length, WIDTH),
        (writer.add_head_count, 1),
        (writer.add_head_count_kv, 1),
        (writer.add_rope_dimension_count, WIDTH),
    ):
        add(number)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = (_add_pairs if vocabulary.kind == "gpt2" else _add_sentence_pieces)(vocabulary, writer, marked)
    writer.add_tokenizer_model(vocabulary.kind)
    writer.add_bool("tokenizer.ggml.add_bos_token", bool(vocabulary.bos))
    special = {"eos_token_id": vocabulary.eos, "bos_token_id": vocabulary.bos or vocabulary.eos, **vocabulary.keys}
    for key, text in special.items():
        writer.add_uint32(f"tokenizer.ggml.{key}", tokens.index(text))
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)
    _add_zeros(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_pairs(vocabulary: Vocabulary, writer: gguf.GGUFWriter, marked: gguf.TokenType) -> list[str]:
    """Byte pairs: every byte, the words with what leads to them, and the markers."""
    letters = _byte_letters()
    tokens, merges = list(letters), []
    for word in _WORDS:
        spelled = "".join(letters[byte] for byte in word.encode())
        for end in range(2, len(spelled) + 1):
            if spelled[:end] not in tokens:
                tokens.append(spelled[:end])
                merges.append(f"{spelled[: end - 1]} {spelled[end - 1]}")
    kinds = [gguf.TokenType.NORMAL] * len(tokens) + [marked] * len(vocabulary.markers)
    tokens += vocabulary.markers
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    return tokens


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's table): itself if it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return [chr(byte) if byte in seen else chr(256 + hidden.index(byte)) for byte in range(256)]


def _add_sentence_pieces(vocabulary: Vocabulary, writer: gguf.GGUFWriter, marked: gguf.TokenType) -> list[str]:
    """SentencePiece: three of its own, every byte, the words and letters, and the markers."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.BYTE] * 256
    pieces: dict[str, None] = {"▁": None, **dict.fromkeys(map(chr, range(ord("!"), ord("~") + 1)))}
    for word in _WORDS:
        spelled = word.replace(" ", "▁")
        for start in ("", "▁"):  # a word may begin a text, and gets a space then
            pieces.update(
                (f"{start}{spelled}"[:end], None)
                for end in range(1, len(spelled) + len(start) + 1)
                if "\n" not in spelled
            )
    tokens += pieces
    scores = [0.0] * (len(tokens) - len(pieces)) + [-float(n) for n in range(len(pieces))]
    kinds += [gguf.TokenType.NORMAL] * len(pieces) + [marked] * len(vocabulary.markers)
    scores += [0.0] * len(vocabulary.markers)
    tokens += vocabulary.markers
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_add_space_prefix(vocabulary.space_first)
    return tokens


def _add_zeros(writer: gguf.GGUFWriter, tokens: int) -> None:
    def zeros(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.zeros(shape, np.float32)

    writer.add_tensor("token_embd.weight", zeros(tokens, WIDTH))
    writer.add_tensor("output_norm.weight", zeros(WIDTH))
    for part in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{part}.weight", zeros(WIDTH))
    for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{part}.weight", zeros(WIDTH, WIDTH))
