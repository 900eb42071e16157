"""The tokenizer says the same in `tokenizers`, which trains with it, and in llama.cpp, which runs the model."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import pytest
import tokenizers

import tokenizer as recipe

ROOT = Path(__file__).resolve().parents[2]
TRAINED = ROOT / "models" / "fimble-small" / "tokenizer.json"
SOURCES = ("server", "scripts", "tests", "models", "editors")
SNIPPETS = 4000

ODD_TEXTS = [
    "", " ", "  ", "\t", "\n", "\n\n\n", "\r\n", " \n ", "a\n\n  b", "    return x\n",
    "\t\t\tfoo(bar)\n\n\n", "x  =  1", "don't I'LL we'Ve", "0123456789 3.14e-10 0xFFee",
    "a_b__c ___ __init__", "====== ----->", "//////// **** ####",
    "naïve café Straße ﬁ e\u0301 \u212b", "日本語のテキスト", "Привет, мир!", "שלום עולם", "한국어 텍스트",
    "हिन्दी पाठ", "😀👩‍👩‍👧‍👦🇩🇪", "\u00a0\u2003\u3000x", "\u200b\u200d\ufeff", "\u2028\u2029",
    "١٢٣ ⅷ ²³ ½", "\x00\x01\x7f\x1b[0m", "<|fim_prefix|>", "a<|endoftext|>b", "<|fim_middle",
    "\U0010ffff\ue000", "ǅ ǈ ʰ ª", "ſK", "'S 'ſ", "x" * 500, " " * 300, "\n" * 90,
    "if(a&&b||!c){d+=e;}", "λx.x → ∀y∈ℝ", "</div>\n</template>", "`${a}`\\n\\t\\\\",
]  # fmt: skip


def source_files() -> list[str]:
    """The repository's own texts."""
    suffixes = {".py", ".lua", ".md", ".toml", ".vim", ".ts", ".json"}
    found = [path for top in SOURCES for path in sorted((ROOT / top).rglob("*")) if path.suffix in suffixes]
    files = [path for path in found if "node_modules" not in path.parts and path.stat().st_size < 200_000]
    return [path.read_text(encoding="utf-8", errors="ignore") for path in files]


def snippets() -> Iterator[str]:
    """Pieces of source cut anywhere, and random Unicode."""
    draw = random.Random(3)
    texts = [text for text in source_files() if len(text) > 50]
    yield from ODD_TEXTS
    for _ in range(SNIPPETS):
        text = draw.choice(texts)
        start = draw.randrange(len(text))
        yield text[start : start + draw.choice((3, 20, 100, 400))]
    letters = [chr(code) for code in range(0x3000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    plain = list("  \n\t\r'\"()_.,09azAZ=<>|")
    for _ in range(SNIPPETS // 2):
        yield "".join(draw.choice(letters if draw.random() < 0.3 else plain) for _ in range(draw.randrange(1, 40)))


def write_vocabulary(file: Path, tokenizer: Any) -> None:
    """A GGUF that holds nothing but the tokenizer, as export.py describes it."""
    model = json.loads(tokenizer.to_str())["model"]
    by_id = sorted(model["vocab"], key=model["vocab"].__getitem__)
    control = [gguf.TokenType.CONTROL if token in recipe.SPECIALS else gguf.TokenType.NORMAL for token in by_id]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(1024)
    writer.add_embedding_length(256)
    writer.add_block_count(1)
    writer.add_feed_forward_length(256)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(by_id)
    writer.add_token_types(control)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def compare(tokenizer: Any, file: Path) -> int:
    """Tokenise every snippet both ways; return how many were compared."""
    write_vocabulary(file, tokenizer)
    tokenizer.encode_special_tokens = True
    llama = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    different = []
    texts = list(snippets())
    for text in texts:
        ours = tokenizer.encode(text, add_special_tokens=False).ids
        theirs = llama.tokenize(text.encode(), add_bos=False, special=False)
        if ours != theirs:
            different.append((text, ours, theirs))
        assert tokenizer.decode(ours, skip_special_tokens=False) == text
        assert llama.detokenize(theirs, special=True) == text.encode() or not theirs
    assert not different, f"{len(different)} of {len(texts)} differ, such as {different[:3]}"
    llama.close()
    return len(texts)


@pytest.fixture(scope="module")
def small_tokenizer() -> Any:
    """Trained here and now, on the repository's own files."""
    return recipe.train(source_files(), vocabulary=2000)


def test_special_tokens_stand_first(small_tokenizer: Any) -> None:
    assert [small_tokenizer.id_to_token(number) for number in range(7)] == list(recipe.SPECIALS)
    assert small_tokenizer.get_vocab_size() == 2000


def test_llama_cpp_agrees_on_thousands_of_snippets(small_tokenizer: Any, tmp_path: Path) -> None:
    assert compare(small_tokenizer, tmp_path / "vocabulary.gguf") > 5000


def test_the_shipped_tokenizer_agrees_too(tmp_path: Path) -> None:
    assert TRAINED.exists(), "models/fimble-small/tokenizer.json belongs to the recipe"
    tokenizer = tokenizers.Tokenizer.from_file(str(TRAINED))
    assert tokenizer.get_vocab_size() == recipe.VOCABULARY
    assert [tokenizer.id_to_token(number) for number in range(7)] == list(recipe.SPECIALS)
    assert compare(tokenizer, tmp_path / "vocabulary.gguf") > 5000


def test_training_can_be_repeated(small_tokenizer: Any) -> None:
    assert recipe.train(source_files(), vocabulary=2000).to_str() == small_tokenizer.to_str()


def test_digits_stand_alone_and_indents_have_tokens_of_their_own(small_tokenizer: Any) -> None:
    assert len(small_tokenizer.encode("1234567", add_special_tokens=False).ids) == 7
    assert len(small_tokenizer.encode("        x", add_special_tokens=False).ids) <= 3
