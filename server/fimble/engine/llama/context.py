"""The KV cache of several sequences and the compute that fills it, through llama.cpp."""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import llama_cpp.llama_cpp as llama
import numpy as np
import numpy.typing as npt

from fimble.engine.llama.adapter import LoraAdapter
from fimble.engine.llama.model import Model
from fimble.engine.llama.threads import ThreadPool, can_keep_apart
from fimble.engine.sizes import KV_BYTES
from fimble.errors import EngineError, ModelTooLarge

#: What ``Context.save`` gives: opaque bytes.
State = npt.NDArray[np.uint8]

_BYTES = ctypes.POINTER(ctypes.c_uint8)


#: llama.cpp rounds the cells of a sequence up to this (llama_context's constructor).
_CELLS_STEP = 256

#: enum ggml_type (ggml.h).
_KV_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 8}


class Decoded(IntEnum):
    """What ``Context.decode`` came to: llama_decode's return codes (llama.h)."""

    OK = 0
    FULL = 1
    ABORTED = 2


class Part(NamedTuple):
    """What one sequence gets in a decode: *tokens* from position *start*; the last *outputs* of them give logits."""

    tokens: Sequence[int]
    seq: int
    start: int
    outputs: int = 1


class Cached(Protocol):
    """A model, or what is known of one that is not loaded."""

    @property
    def kv_values_per_token(self) -> int:
        """How many numbers the KV cache holds for each token."""


def sequence_bytes(model: Cached, n_ctx: int, kv_type: str) -> int:
    """The memory that one sequence of *n_ctx* tokens takes, in bytes."""
    return int(n_ctx * model.kv_values_per_token * KV_BYTES[kv_type])


class Context:
    """The KV cache of several sequences, and the compute that fills it.

    Each of *n_seq* sequences has *n_ctx* cells of its own: in common cells (``kv_unified``) every token would pay for
    what others hold (45 M, three prompts of 1,700 tokens: 3.7 ms a token instead of 2.5).  At most *n_batch* tokens go
    into one ``decode``: llama.cpp aborts the whole process on a larger one.  *flash_attention* is on or off; None
    leaves it to llama.cpp.  *kv_type* is what the cache is kept as: ``f16``, ``q8_0`` or ``q4_0``.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int,
        n_seq: int,
        n_batch: int,
        threads: int,
        threads_batch: int,
        flash_attention: bool | None = None,
        kv_type: str = "f16",
    ) -> None:
        params = llama.llama_context_default_params()
        params.n_ctx = n_seq * -(-n_ctx // _CELLS_STEP) * _CELLS_STEP
        params.n_seq_max = n_seq
        params.n_batch = params.n_ubatch = n_batch
        params.n_threads = threads
        params.n_threads_batch = threads_batch
        params.kv_unified = False
        # Models with sliding windows keep the whole of them, so that a sequence can be cut anywhere.
        params.swa_full = True
        if flash_attention is not None:
            kinds = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED, llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
            params.flash_attn_type = kinds[flash_attention]
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.no_perf = True
        self._ctx = llama.llama_init_from_model(model.handle, params)
        if not self._ctx:
            raise ModelTooLarge(
                f"There is not enough memory for {n_ctx} tokens of context with {model.path.name}.",
                "Lower engine.context_tokens, or choose a smaller model.",
            )
        self._free = weakref.finalize(self, llama.llama_free, self._ctx)
        self._free.atexit = False
        self._memory = llama.llama_get_memory(self._ctx)
        self._n_vocab = model.vocab.size
        self._n_seq = n_seq
        self.is_simple = llama.llama_state_seq_get_size(self._ctx, 0) == _Head(0, 0, n_seq).n_bytes
        """Whether contexts with other numbers of sequences can go on with what this one saves: of one cache only."""
        self.n_batch = n_batch
        self._batch = _Batch(n_batch)
        self._pool: ThreadPool | None = None
        self._views: dict[int, npt.NDArray[np.float32]] = {}
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

    def use_adapter(self, adapter: LoraAdapter | None, scale: float = 1.0) -> None:
        """Compute with *scale* times *adapter* added to the weights; None, or a scale of 0, is the bare model.

        What the cache holds was computed with what was used before: clear it.  Raises EngineError.
        """
        handles = [adapter.handle] if adapter else []
        lora = (llama.llama_adapter_lora_p_ctypes * len(handles))(*handles)
        scales = (ctypes.c_float * len(handles))(*([scale] * len(handles)))
        if llama.llama_set_adapters_lora(self._ctx, lora, len(handles), scales):
            raise EngineError("llama.cpp could not use the adapter.")

    def set_threads(
        self, threads: int, threads_batch: int, *, apart: bool = False, first: int = 0, beside: int = 0
    ) -> None:
        """Compute with *threads* where one token is decoded, with *threads_batch* where several are.

        *apart*: each on a core of its own, from core number *first* on, where that is possible with *beside* threads
        of other contexts; right while nobody else uses these cores.  To be called on the thread that decodes.
        """
        llama.llama_set_n_threads(self._ctx, threads, threads_batch)
        count = max(threads, threads_batch)
        apart = apart and can_keep_apart(count + beside)
        if apart or self._pool:
            self._pool = ThreadPool(count, apart=apart, first=first)
            self._pool.attach(self._ctx)

    def close(self) -> None:
        """Free the cache now; nothing of this context, its logits included, may be used afterwards."""
        self._free()

    def abort(self) -> None:
        """Stop the running decode at its next graph node, and every later one until ``resume``.  Any thread."""
        self._abort_flag[0] = b"\x01"

    def resume(self) -> None:
        """Allow decodes again."""
        self._abort_flag[0] = b"\x00"

    def decode(self, tokens: Sequence[int], seq: int, start: int) -> Decoded:
        """Append *tokens* to sequence *seq* at position *start*; the last one gets logits."""
        return self.decode_together((Part(tokens, seq, start),))

    def decode_together(self, parts: Sequence[Part]) -> Decoded:
        """Append to several sequences in one llama_decode: everything or, unless it returns OK, not all of it.

        Raises EngineError on a fatal return code: what the cache then holds is for ``length`` to say.
        """
        status = llama.llama_decode(self._ctx, self._batch.fill(parts))
        if status in (0, 1, 2):
            return Decoded(status)
        count = sum(len(part.tokens) for part in parts)
        raise EngineError(f"llama.cpp could not evaluate {count} tokens (code {status}).")

    def logits(self, row: int = -1) -> npt.NDArray[np.float32]:
        """The logits after one token of the last decode: a view of shape (n_vocab,) that the next one overwrites.

        *row* counts the tokens of the decode, all its parts together; -1 is the last one that asked for logits.
        Raises EngineError for a row that did not.
        """
        pointer = llama.llama_get_logits_ith(self._ctx, row)
        if not pointer:
            raise EngineError(f"llama.cpp has no logits for row {row}.")
        # Making such a view takes as long as all else around a decode, and llama.cpp keeps to its buffer.
        address = ctypes.addressof(pointer.contents)
        view = self._views.get(address)
        if view is None:
            view = self._views[address] = np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))
        return view

    def length(self, seq: int) -> int:
        """How many tokens of *seq* are in the cache."""
        return int(llama.llama_memory_seq_pos_max(self._memory, seq)) + 1

    def truncate(self, seq: int, length: int) -> bool:
        """Forget everything of *seq* from position *length* on; False if this model's cache cannot (SWA, recurrent)."""
        return bool(llama.llama_memory_seq_rm(self._memory, seq, length, -1))

    def clear(self, seq: int) -> None:
        """Forget the whole sequence."""
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)

    def save(self, seq: int) -> State:
        """A copy of all that the cache holds of *seq*, for ``restore``."""
        data = np.empty(llama.llama_state_seq_get_size(self._ctx, seq), np.uint8)
        count = llama.llama_state_seq_get_data(self._ctx, data.ctypes.data_as(_BYTES), data.size, seq)
        return data[:count]

    def restore(self, seq: int, state: State) -> bool:
        """Give the empty *seq* what ``save`` copied, here or (``is_simple``) in another context with these settings.

        False, and nothing, when it has too few cells for it.
        """
        if self.is_simple:
            state = _for_sequences(state, self._n_seq)
        return bool(llama.llama_state_seq_set_data(self._ctx, state.ctypes.data_as(_BYTES), state.size, seq))


class _Head(NamedTuple):
    """How llama.cpp begins the state of a sequence in a simple cache (llama_kv_cache::state_write).

    A number of cells follows for each sequence of the context, with those cells; but for *seq* it is 0.
    """

    mark: int
    seq: int
    n_seq: int

    @property
    def n_bytes(self) -> int:
        """The size of the state of an empty sequence."""
        return _WORD.itemsize * (len(self) + self.n_seq)


_WORD = np.dtype(np.uint32)


def _for_sequences(state: State, n_seq: int) -> State:
    """*state* as a context with *n_seq* sequences writes it: llama.cpp refuses that of one with more or fewer."""
    size = _WORD.itemsize
    head = _Head(*map(int, state[: size * len(_Head._fields)].view(_WORD)))
    if head.n_seq == n_seq:
        return state
    cells = state[size * (len(head) + head.seq) : state.size - size * (head.n_seq - head.seq - 1)]
    begin, end = np.array([head.mark, 0, n_seq], _WORD), np.zeros(n_seq - 1, _WORD)
    return np.concatenate([begin.view(np.uint8), cells, end.view(np.uint8)])


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

    def fill(self, parts: Sequence[Part]) -> Any:
        size, at = len(self._tokens), 0
        for tokens, seq, start, outputs in parts:
            end = at + len(tokens)
            if not at < end <= size:
                raise ValueError(f"{end} tokens in a batch of {size}")
            self._tokens[at:end] = tokens
            self._positions[at:end] = np.arange(start, start + end - at)
            self._seq_ids[at:end] = seq
            self._logits[at : end - outputs] = 0
            self._logits[end - outputs : end] = 1
            at = end
        self._batch.n_tokens = at
        return self._batch
