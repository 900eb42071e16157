"""A bare llama.cpp loop in a process of its own: what decoding costs when nothing stands around it.

    python bench_raw.py MODEL THREADS CONTEXT_TOKENS     then a line {"prompt_tokens": N, "n_predict": M} for each run

Every line is answered by {"decode_ms": ...}: the time of M - 1 decodes and M greedy picks after N tokens of prompt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np

from bench_engines import code, memory_mb

_BATCH_TOKENS = 512


class RawLoop:
    """The other end of such a process."""

    def __init__(self, model: Path, threads: int, context_tokens: int, environ: Mapping[str, str]) -> None:
        self.threads = threads
        command = [sys.executable, __file__, str(model), str(threads), str(context_tokens)]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environ},
            text=True,
            start_new_session=True,
        )

    def decode_ms(self, prompt_tokens: int, n_predict: int) -> float:
        """Run once."""
        assert self._child.stdin
        assert self._child.stdout
        print(json.dumps({"prompt_tokens": prompt_tokens, "n_predict": n_predict}), file=self._child.stdin, flush=True)
        answer = self._child.stdout.readline()
        if not answer:
            raise OSError(f"The bare llama.cpp loop ended with status {self._child.wait()}.")
        return float(json.loads(answer)["decode_ms"])

    def memory_mb(self) -> dict[str, float]:
        """See `bench_engines.memory_mb`."""
        return memory_mb(self._child.pid)

    def close(self) -> None:
        """End it."""
        self._child.kill()
        self._child.communicate()


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_quiet(_level: int, _text: bytes, _data: object) -> None:
    pass


class _Loop:
    def __init__(self, model_path: str, threads: int, context_tokens: int) -> None:
        llama.llama_log_set(_keep_quiet, None)
        llama.llama_backend_init()
        model: Any = llama.llama_model_load_from_file(os.fsencode(model_path), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_batch = params.n_ubatch = _BATCH_TOKENS
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self._ctx: Any = llama.llama_init_from_model(model, params)
        self._vocab = llama.llama_model_get_vocab(model)
        self._n_vocab = llama.llama_vocab_n_tokens(self._vocab)
        self._batch = llama.llama_batch_init(_BATCH_TOKENS, 0, 1)
        self._held = 0

    def _decode(self, tokens: Sequence[int], start: int) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, start + place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = place == len(tokens) - 1
        if llama.llama_decode(self._ctx, batch) != 0:
            raise SystemExit("llama_decode failed")

    def _pick(self) -> int:
        logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(self._ctx, -1), shape=(self._n_vocab,))
        return int(np.argmax(logits))

    def run(self, prompt_tokens: int, n_predict: int) -> float:
        prompt = self._prompt(prompt_tokens)
        # The last token is evaluated anew: its logits are where writing starts.
        held = prompt_tokens - 1 if self._held == prompt_tokens else 0
        llama.llama_memory_seq_rm(llama.llama_get_memory(self._ctx), 0, held, -1)
        for start in range(held, prompt_tokens, _BATCH_TOKENS):
            self._decode(prompt[start : start + _BATCH_TOKENS], start)
        self._held = prompt_tokens
        began = time.perf_counter()
        token = self._pick()
        for place in range(n_predict - 1):
            self._decode((token,), prompt_tokens + place)
            token = self._pick()
        return (time.perf_counter() - began) * 1000

    def _prompt(self, count: int) -> list[int]:
        data = code(8 * count).encode()
        tokens = (llama.llama_token * len(data))()
        found = llama.llama_tokenize(self._vocab, data, len(data), tokens, len(data), False, False)
        return list(tokens[: min(found, count)])


def main(arguments: Sequence[str]) -> None:
    """Answer every line of stdin."""
    loop = _Loop(arguments[0], int(arguments[1]), int(arguments[2]))
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"decode_ms": loop.run(asked["prompt_tokens"], asked["n_predict"])}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
