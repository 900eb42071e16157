"""llama.cpp through llama-cpp-python's ctypes layer: the only module that knows it.

Three objects: a ``Model`` (weights), its ``Vocab`` (text to tokens and back) and a ``Context`` (KV cache and
compute).  A context belongs to one thread; only ``Context.abort`` may be called from another.
"""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp.llama_cpp as llama
import numpy as np
import numpy.typing as npt

from fimble.errors import EngineError, ModelCorrupt, ModelError, ModelNoFim, ModelNotFound, ModelTooLarge

_GGUF_MAGIC = b"GGUF"

# enum ggml_log_level (ggml.h): WARN = 3, ERROR = 4.
_LOG_LEVELS_KEPT = (3, 4)

#: How llama.cpp and the C++ library say that there is no memory.
_NO_MEMORY = ("failed to allocate", "unable to allocate", "out of memory", "bad_alloc")

#: llama.cpp's own warnings and errors, for messages about models that do not load.
_log_lines: collections.deque[str] = collections.deque(maxlen=20)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _collect_log(level: int, text: bytes, _data: object) -> None:
    if level in _LOG_LEVELS_KEPT:
        _log_lines.append(text.decode("utf-8", "replace").strip())


def system_info() -> str:
    """llama.cpp's description of its build and of this processor."""
    info: bytes = llama.llama_print_system_info()
    return info.decode("utf-8", "replace").strip()


def can_use_gpu() -> bool:
    """Whether llama.cpp was built with a GPU backend that found a device."""
    return bool(llama.llama_supports_gpu_offload())


class FimTokens(NamedTuple):
    """The ids of the fill-in-the-middle tokens; None where the model has none."""

    prefix: int
    suffix: int
    middle: int
    repo: int | None
    file: int | None


class Vocab:
    """Text to tokens and back.  User text never becomes a control token."""

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab
        self.size: int = llama.llama_vocab_n_tokens(vocab)
        self.bos: int | None = self._id(llama.llama_vocab_bos(vocab)) if llama.llama_vocab_get_add_bos(vocab) else None
        self.fim = self._fim()
        self._piece_buffer = ctypes.create_string_buffer(512)
        # One prompt is its long, unchanging segments and a short typed tail: only the tail is new at a keystroke.
        self.tokenize: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=128)(self._tokenize)
        self.piece: Callable[[int], bytes] = lru_cache(maxsize=None)(self._piece)

    @staticmethod
    def _id(token: int) -> int | None:
        return None if token < 0 else token

    def _fim(self) -> FimTokens | None:
        """The fill-in-the-middle ids that the GGUF names or that llama.cpp found by their text."""
        prefix, suffix, middle, repo, file = (
            self._id(find(self._vocab))
            for find in (
                llama.llama_vocab_fim_pre,
                llama.llama_vocab_fim_suf,
                llama.llama_vocab_fim_mid,
                llama.llama_vocab_fim_rep,
                llama.llama_vocab_fim_sep,
            )
        )
        if prefix is None or suffix is None or middle is None:
            return None
        return FimTokens(prefix, suffix, middle, repo, file)

    def _tokenize(self, text: str) -> tuple[int, ...]:
        tokens = self._tokenize_as_is(text)
        reserved = {token for token in self.fim or () if token is not None}
        found = reserved.intersection(tokens)
        if not found:
            return tokens
        # This GGUF does not mark its FIM tokens as control tokens, and then llama.cpp finds them in text whatever
        # it is told.  Text that spells one is cut after its first character, and each part is tokenised by itself.
        spelled = "|".join(re.escape(self._text(token)) for token in found)
        cuts = [0, *(match.start() + 1 for match in re.finditer(spelled, text)), len(text)]
        return tuple(t for a, b in itertools.pairwise(cuts) for t in self._tokenize_as_is(text[a:b]))

    def _text(self, token: int) -> str:
        text: bytes = llama.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    def _tokenize_as_is(self, text: str) -> tuple[int, ...]:
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        tokens = (llama.llama_token * size)()
        count = llama.llama_tokenize(self._vocab, data, len(data), tokens, size, False, False)
        if count < 0:
            raise EngineError(f"llama.cpp could not tokenise {len(data)} bytes.")
        return tuple(tokens[:count])

    def _piece(self, token: int) -> bytes:
        buffer = self._piece_buffer
        count = llama.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return bytes(buffer.raw[:count]) if count > 0 else b""

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer, or is a control token that must never reach a person."""
        if self.fim and token in self.fim:
            return True
        return bool(llama.llama_vocab_is_eog(self._vocab, token) or llama.llama_vocab_is_control(self._vocab, token))


class Model:
    """Weights in memory.

    Raises ModelNotFound, ModelCorrupt, ModelNoFim or ModelTooLarge, each with what to do about it.
    """

    def __init__(self, path: Path, on_progress: Callable[[float], None] = lambda _share: None) -> None:
        check_file(path)
        llama.llama_log_set(_collect_log, None)
        llama.llama_backend_init()
        params = llama.llama_model_default_params()

        @llama.llama_progress_callback  # type: ignore[untyped-decorator]
        def progress(share: float, _data: object) -> bool:
            on_progress(share)
            return True

        params.progress_callback = progress
        _log_lines.clear()
        self._model = llama.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise _load_error(path)
        self.path = path
        self.vocab = Vocab(llama.llama_model_get_vocab(self._model))
        if self.vocab.fim is None:
            raise ModelNoFim(
                f"{path.name} has no fill-in-the-middle tokens, so it cannot complete code inside a file.",
                "Choose a base (not a chat) model that has them; `fimble models list` names some.",
            )
        self.fim = self.vocab.fim
        self.n_params: int = llama.llama_model_n_params(self._model)
        self.n_ctx_train: int = llama.llama_model_n_ctx_train(self._model)

    @property
    def handle(self) -> Any:
        """llama.cpp's own pointer, for Context."""
        return self._model

    @property
    def description(self) -> str:
        """The model's own name, its architecture and its quantisation."""
        buffer = ctypes.create_string_buffer(128)
        llama.llama_model_desc(self._model, buffer, len(buffer))
        architecture, _size, quantisation = buffer.value.decode("utf-8", "replace").split(" ", 2)
        name = self.metadata("general.name")
        return f"{name or 'unnamed'}, {architecture}, {quantisation}"

    def metadata(self, key: str) -> str:
        """A value from the GGUF's metadata as text; empty where there is none."""
        buffer = ctypes.create_string_buffer(512)
        count = llama.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if count >= 0 else ""


def check_file(path: Path) -> None:
    """Refuse what is plainly no model before llama.cpp sees it."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise ModelNotFound(
            f"There is no model file at {path}.", "See `fimble models list`, or choose one with `fimble models use`."
        ) from None
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    if magic != _GGUF_MAGIC:
        raise ModelCorrupt(
            f"{path} is not a GGUF file.", "Choose another one with `fimble models use`, or download it again."
        )


def _load_error(path: Path) -> ModelError:
    # The first line has the cause; the later ones only say that therefore nothing was loaded.
    said = next((line.rpartition("error loading model: ")[2] for line in _log_lines if line), "")
    lines = " ".join(_log_lines).lower()
    if any(words in lines for words in _NO_MEMORY):
        return ModelTooLarge(f"There is not enough memory for {path.name}.", "Choose a smaller model.")
    detail = f" (llama.cpp: {said})" if said else ""
    return ModelCorrupt(f"{path} cannot be loaded{detail}.", "The file may be incomplete: download it again.")


class Decoded(IntEnum):
    """What ``Context.decode`` came to: llama_decode's return codes (llama.h)."""

    OK = 0
    FULL = 1
    ABORTED = 2


class Context:
    """The KV cache of several sequences, and the compute that fills it.

    *n_ctx* cells are shared by *n_seq* sequences (``kv_unified``).  At most *n_batch* tokens go into one
    ``decode``: llama.cpp aborts the whole process on a larger one.
    """

    def __init__(self, model: Model, *, n_ctx: int, n_seq: int, n_batch: int, threads: int, threads_batch: int) -> None:
        params = llama.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_seq_max = n_seq
        params.n_batch = params.n_ubatch = n_batch
        params.n_threads = threads
        params.n_threads_batch = threads_batch
        params.kv_unified = True
        params.no_perf = True
        self._ctx = llama.llama_init_from_model(model.handle, params)
        if not self._ctx:
            raise ModelTooLarge(
                f"There is not enough memory for {n_ctx} tokens of context with {model.path.name}.",
                "Lower engine.context_tokens, or choose a smaller model.",
            )
        self._memory = llama.llama_get_memory(self._ctx)
        self._n_vocab = model.vocab.size
        self.n_batch = n_batch
        self._batch = _Batch(n_batch)
        self._arm_abort()

    def _arm_abort(self) -> None:
        """Let ``abort`` reach llama.cpp without Python.

        llama.cpp calls the abort callback at every node of the graph.  A Python callback would take the GIL
        each time and slow every token down, so the callback is libc's ``strlen`` on a buffer of ours: 0 for an
        empty string goes on, 1 stops.  (The C ABIs that we run on return ``bool`` in the low byte of the
        register that holds ``size_t``.)
        """
        libc = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self._abort_flag = ctypes.create_string_buffer(64)
        self._abort_callback = ctypes.cast(libc.strlen, llama.ggml_abort_callback)
        llama.llama_set_abort_callback(self._ctx, self._abort_callback, ctypes.addressof(self._abort_flag))

    def abort(self) -> None:
        """Stop the running decode at its next graph node, and every later one until ``resume``.  Any thread."""
        self._abort_flag[0] = b"\x01"

    def resume(self) -> None:
        """Allow decodes again."""
        self._abort_flag[0] = b"\x00"

    def decode(self, tokens: Sequence[int], seq: int, start: int) -> Decoded:
        """Append *tokens* to sequence *seq* at position *start*; the last one gets logits.

        Raises EngineError on a fatal return code: what the cache then holds is for ``length`` to say.
        """
        status = llama.llama_decode(self._ctx, self._batch.fill(tokens, seq, start))
        if status in (0, 1, 2):
            return Decoded(status)
        raise EngineError(f"llama.cpp could not evaluate {len(tokens)} tokens (code {status}).")

    def logits(self) -> npt.NDArray[np.float32]:
        """The logits after the last decoded token: a view of shape (n_vocab,) that the next decode overwrites."""
        pointer = llama.llama_get_logits_ith(self._ctx, -1)
        if not pointer:
            raise EngineError("llama.cpp has no logits for the last token.")
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))

    def length(self, seq: int) -> int:
        """How many tokens of *seq* are in the cache."""
        return int(llama.llama_memory_seq_pos_max(self._memory, seq)) + 1

    def truncate(self, seq: int, length: int) -> bool:
        """Forget everything of *seq* from position *length* on; False if this model's cache cannot (SWA, recurrent)."""
        return bool(llama.llama_memory_seq_rm(self._memory, seq, length, -1))

    def clear(self, seq: int) -> None:
        """Forget the whole sequence."""
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)

    def share(self, source: int, target: int, length: int) -> None:
        """Make the empty *target* begin with the first *length* tokens of *source*, sharing its cells."""
        llama.llama_memory_seq_cp(self._memory, source, target, 0, length)


def _new_batch() -> Any:
    return llama.llama_batch()


class _Batch:
    """A llama_batch whose arrays are ours, filled without a Python loop over tokens."""

    def __init__(self, size: int) -> None:
        self._tokens = np.zeros(size, dtype=np.int32)
        self._positions = np.zeros(size, dtype=np.int32)
        self._counts = np.ones(size, dtype=np.int32)
        self._seq_ids = np.zeros(size, dtype=np.int32)
        self._logits = np.zeros(size, dtype=np.int8)
        seq_pointer = ctypes.POINTER(llama.llama_seq_id)
        base, step = self._seq_ids.ctypes.data, self._seq_ids.itemsize
        self._seq_pointers = (seq_pointer * size)(
            *(ctypes.cast(base + i * step, seq_pointer) for i in range(size)),
        )
        self._batch = _new_batch()
        self._batch.embd = None
        self._batch.token = ctypes.cast(self._tokens.ctypes.data, ctypes.POINTER(llama.llama_token))
        self._batch.pos = ctypes.cast(self._positions.ctypes.data, ctypes.POINTER(llama.llama_pos))
        self._batch.n_seq_id = ctypes.cast(self._counts.ctypes.data, ctypes.POINTER(ctypes.c_int32))
        self._batch.seq_id = ctypes.cast(self._seq_pointers, ctypes.POINTER(seq_pointer))
        self._batch.logits = ctypes.cast(self._logits.ctypes.data, ctypes.POINTER(ctypes.c_int8))

    def fill(self, tokens: Sequence[int], seq: int, start: int) -> Any:
        count = len(tokens)
        if not 0 < count <= len(self._tokens):
            raise ValueError(f"{count} tokens in a batch of {len(self._tokens)}")
        self._tokens[:count] = tokens
        self._positions[:count] = np.arange(start, start + count)
        self._seq_ids[:count] = seq
        self._logits[:count] = 0
        self._logits[count - 1] = 1
        self._batch.n_tokens = count
        return self._batch
