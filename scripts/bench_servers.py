"""A llama-server that is asked at every key, in llama.vim's way or with a plain sliding window.  See bench.py."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from bench_engine import Setup
from bench_engines import CONTEXT_TOKENS
from bench_peer import LlamaServer, Streamed
from bench_players import Answer, Player
from bench_trace import Stroke

#: The same window of text as ours for the prompt that slides.
_SLIDING_PREFIX_CHARS, _SLIDING_SUFFIX_CHARS = 6000, 2000

#: What llama.vim takes, in lines.
_VIM_PREFIX_LINES, _VIM_SUFFIX_LINES = 256, 64

#: How long it waits before it asks again, in seconds.
_VIM_TIMER_S = 0.1


class ServerPlayer(Player):
    """A llama-server of its own, with the flags that llama.vim recommends."""

    def __init__(self, setup: Setup, program: Path, threads: tuple[int, int], environ: Mapping[str, str]) -> None:
        super().__init__()
        self._n_predict = setup.n_predict
        self.server = LlamaServer(program, setup.model, CONTEXT_TOKENS, threads, environ)

    async def start(self) -> None:
        await self.server.start()

    @property
    def pid(self) -> int:
        return self.server.pid

    async def look(self) -> object:
        return await self.server.is_up()

    @abstractmethod
    def request(self, stroke: Stroke) -> tuple[str, dict[str, Any]]:
        """Path and body for a key."""

    async def ask(self, stroke: Stroke) -> Answer:
        path, body = self.request(stroke)
        # Greedily, as ours: llama.vim's own samplers end random weights' text at the first token.
        greedy = {"temperature": 0.0, "top_k": 1, "samplers": ["top_k"], "ignore_eos": True}
        heard: Streamed = await self.server.ask(path, {**body, **greedy, "stream": True, "cache_prompt": True})
        return Answer(heard.first_ms, heard.done_ms, heard.prompt_n, heard.cache_n, heard.predicted_n)

    async def stop(self) -> None:
        await self.server.stop()

    def extra(self) -> list[dict[str, str]]:
        """The snippets on the wire."""
        return [{"filename": piece.filename, "text": piece.text} for piece in self.snippets]


class LlamaVim(ServerPlayer):
    """Whole lines around the cursor's, of which the part left of it is the ``prompt``."""

    name = "llama.vim"
    _open: asyncio.Task[Answer] | None = None

    async def ask_paced(self, stroke: Stroke) -> Answer:
        """It never gives a request up: a key looks every 100 ms whether the one before is done."""
        while self._open and not self._open.done():  # noqa: ASYNC110 - the plugin polls
            await asyncio.sleep(_VIM_TIMER_S)
        self._open = asyncio.create_task(self.ask(stroke))
        return await asyncio.shield(self._open)

    async def settle(self) -> None:
        if self._open:
            await self._open

    def request(self, stroke: Stroke) -> tuple[str, dict[str, Any]]:
        above, _, line_before = stroke.before.rpartition("\n")
        line_after, _, below = stroke.after.partition("\n")
        is_blank = not (line_before + line_after).strip()
        indent = len(line_before) - len(line_before.lstrip())
        body = {
            "input_prefix": "\n".join(above.split("\n")[-_VIM_PREFIX_LINES:]) + "\n",
            "input_suffix": ("" if is_blank else line_after)
            + "\n"
            + "\n".join(below.split("\n")[:_VIM_SUFFIX_LINES])
            + "\n",
            "input_extra": self.extra(),
            "prompt": "" if is_blank else line_before,
            "n_predict": self._n_predict,
            "n_indent": 0 if is_blank else indent,
            "t_max_prompt_ms": 500,
            "t_max_predict_ms": 250,
        }
        return "/infill", body


@dataclass(frozen=True, slots=True)
class _Markers:
    """How a model spells its fill-in-the-middle tokens; empty where it has none."""

    prefix: str
    suffix: str
    middle: str
    file: str

    @classmethod
    def of(cls, model: Path) -> _Markers:
        """Those of a GGUF."""
        fields = gguf.GGUFReader(model).fields
        tokens = fields["tokenizer.ggml.tokens"]
        keys = [f"tokenizer.ggml.fim_{name}_token_id" for name in ("pre", "suf", "mid", "sep")]
        return cls(*(str(tokens.contents(int(fields[key].contents()))) if key in fields else "" for key in keys))


class SlidingWindow(ServerPlayer):
    """So many characters on both sides of the cursor, as text with the model's markers: what most plugins send."""

    name = "sliding window"

    def __init__(self, setup: Setup, program: Path, threads: tuple[int, int], environ: Mapping[str, str]) -> None:
        super().__init__(setup, program, threads, environ)
        self._markers = _Markers.of(setup.model)

    def request(self, stroke: Stroke) -> tuple[str, dict[str, Any]]:
        marks = self._markers
        head = "".join(f"{marks.file}{piece.filename}\n{piece.text}\n" for piece in self.snippets)
        prefix, suffix = stroke.before[-_SLIDING_PREFIX_CHARS:], stroke.after[:_SLIDING_SUFFIX_CHARS]
        prompt = f"{head}{marks.prefix}{prefix}{marks.suffix}{suffix}{marks.middle}"
        return "/completion", {"prompt": prompt, "n_predict": self._n_predict}
