#!/usr/bin/env python3
"""Train the tokenizer: a byte-level BPE of 16,384 entries, cut into words as qwen2 does.

    python models/fimble-small/tokenizer.py --corpus FOLDER

Reads train.jsonl.zst in FOLDER, takes a balanced sample (every language the same share, as far as there is text),
trains, writes tokenizer.json into FOLDER and prints how many bytes a token holds on heldout.jsonl.zst, by language.
`tokenizer.ggml.pre = "qwen2"` makes llama.cpp cut the same way; tests/model/test_tokenizer.py compares them.  There is
no normalisation, because llama.cpp does none.  Digits stand alone, as in qwen2.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from records import Record, read_records

VOCABULARY = 16_384
SPECIALS = (  # ids 0 to 6, all of them control tokens
    "<|endoftext|>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
QWEN2_WORDS = (  # the pattern of llama.cpp's pre-tokenizer "qwen2"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SAMPLE_BYTES = 12_000_000  # of each language
FEWER = {"svelte": 0.25, "vue": 0.1, "javascript": 0.6}  # languages that share their words with another


def new_tokenizer() -> Tokenizer:
    """An untrained tokenizer with the right pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Train on texts; the special tokens get the first ids."""
    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=32,  # longer ones are rulers made of dashes and runs of spaces that no one types
        show_progress=sys.stderr.isatty(),
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    for number, special in enumerate(SPECIALS):
        assert tokenizer.token_to_id(special) == number
    return tokenizer


def balanced_sample(records: Iterable[Record], per_language: int) -> Iterator[str]:
    """Yield texts, of each language about the same number of bytes, drawn evenly over all projects."""
    files: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        files[record.language].append(record)
    for language, chosen in sorted(files.items()):
        room = per_language * FEWER.get(language, 1.0)
        for record in sorted(chosen, key=lambda record: record.digest):
            if room < record.size:
                break
            room -= record.size
            yield record.text


def bytes_per_token(tokenizer: Tokenizer, records: Iterable[Record]) -> dict[str, tuple[int, int]]:
    """(bytes, tokens) by language; the special tokens' names in a text count as text."""
    tokenizer.encode_special_tokens = True
    batches: dict[str, list[str]] = defaultdict(list)
    for record in records:
        batches[record.language].append(record.text)
    counted = {}
    for language, texts in sorted(batches.items()):
        tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        counted[language] = (sum(len(text.encode()) for text in texts), tokens)
    return counted


def print_table(title: str, counted: dict[str, tuple[int, int]]) -> None:
    """Print bytes per token by language, and over all."""
    print(title)
    rows = {**counted, "all": tuple(map(sum, zip(*counted.values(), strict=True)))} if counted else {}
    for language, (size, tokens) in rows.items():
        print(
            f"  {language:<12}{size / 1e6:>8.1f} MB {tokens / 1e6:>8.2f} M tokens {size / tokens:>6.2f} bytes a token"
        )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with train.jsonl.zst, from prepare.py")
    parser.add_argument("--out", type=Path, help="where to write (default: tokenizer.json beside the corpus)")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY, help="entries, specials included")
    parser.add_argument("--sample-bytes", type=int, default=SAMPLE_BYTES, help="text of each language to learn from")
    parser.add_argument("--count-training", action="store_true", help="also count the tokens of all training text")
    arguments = parser.parse_args(argv)
    out = arguments.out or arguments.corpus / "tokenizer.json"
    training = arguments.corpus / "train.jsonl.zst"
    if not training.exists():
        print(f"tokenizer: no {training}; run prepare.py first", file=sys.stderr)
        return 1
    print("Reading a sample and training; some minutes ...", file=sys.stderr)
    tokenizer = train(balanced_sample(read_records(training), arguments.sample_bytes), arguments.vocabulary)
    tokenizer.save(str(out))
    print(f"{out}: {tokenizer.get_vocab_size()} entries, {out.stat().st_size / 1e6:.2f} MB")
    print_table("held-out text:", bytes_per_token(tokenizer, read_records(arguments.corpus / "heldout.jsonl.zst")))
    if arguments.count_training:
        print_table("training text:", bytes_per_token(tokenizer, read_records(training)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
