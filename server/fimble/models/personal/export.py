"""An adapter as a GGUF that llama.cpp loads (``llama_adapter_lora_init``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np


def write(path: Path, tensors: Mapping[str, Any], architecture: str, rank: int, name: str) -> None:
    """Write *tensors*, pairs by llama.cpp's names, so that with a scale of 1 exactly their products are added."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    # llama.cpp adds scale * alpha / rank times the product.
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
    for title, tensor in tensors.items():
        writer.add_tensor(title, np.ascontiguousarray(tensor, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
