"""Whether a model has room in memory, told from its file before it is loaded."""

from __future__ import annotations

from pathlib import Path

from fimble import gguf_header, memory
from fimble.engine.llama import can_use_gpu, check_file, sequence_bytes
from fimble.engine.sizes import LEAST_SEQUENCES
from fimble.engine.wire import EngineSettings
from fimble.errors import ModelTooLarge

TOO_LARGE_FIX = "Choose a smaller model, lower engine.context_tokens, or end other programs."


def check_room(settings: EngineSettings) -> None:
    """Refuse a model for which there is not enough memory, before anything of it is read.

    What is counted are its weights and the KV cache of the fewest sequences; the rest (compute buffers) is some
    megabytes.  Where a GPU takes the weights, llama.cpp says whether it can.  Raises ModelTooLarge with the numbers,
    ModelNotFound and ModelCorrupt.
    """
    path = Path(settings.model_path)
    check_file(path)
    if settings.gpu_layers and can_use_gpu():
        return
    header = gguf_header.read(path)
    n_ctx = min(settings.context_tokens, header.n_ctx_train or settings.context_tokens)
    cache_bytes = LEAST_SEQUENCES * sequence_bytes(header, n_ctx, settings.kv_type)
    free, needed = memory.available(), header.n_bytes + cache_bytes
    if needed > free.n_bytes:
        raise ModelTooLarge(
            f"{path.name} needs {_gb(needed)} of memory ({_gb(header.n_bytes)} of weights, {_gb(cache_bytes)} for "
            f"{n_ctx} tokens of context), and {free.limit} leaves {_gb(free.n_bytes)}.",
            TOO_LARGE_FIX,
            needed_bytes=needed,
        )


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
