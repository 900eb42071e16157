"""The GPUs that llama.cpp would compute on, and their memory."""

from __future__ import annotations

import ctypes
from typing import Any

from llama_cpp._ggml import libggml

from fimble.engine.slices import Gpu

#: enum ggml_backend_dev_type (ggml-backend.h): a GPU with memory of its own, and one that uses the system's.
_GPU_TYPES = (1, 2)


def gpus(library: Any = libggml) -> list[Gpu]:
    """Every GPU that this build of llama.cpp has found; none, where it was built without.

    Accelerators without memory (BLAS) are none.
    """
    try:
        count, get = library.ggml_backend_dev_count, library.ggml_backend_dev_get
        kind, memory, description = (
            getattr(library, f"ggml_backend_dev_{name}") for name in ("type", "memory", "description")
        )
    except AttributeError:
        return []  # a library that is divided otherwise
    count.restype, get.restype, description.restype = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
    get.argtypes, kind.argtypes, description.argtypes = [ctypes.c_size_t], [ctypes.c_void_p], [ctypes.c_void_p]
    size_pointer = ctypes.POINTER(ctypes.c_size_t)
    memory.argtypes, memory.restype = [ctypes.c_void_p, size_pointer, size_pointer], None
    found = []
    for device in (get(number) for number in range(count())):
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        memory(device, ctypes.byref(free), ctypes.byref(total))
        if kind(device) in _GPU_TYPES and total.value:
            name = description(device).decode("utf-8", "replace")
            found.append(Gpu(name=name, free_bytes=free.value, total_bytes=total.value))
    return found
