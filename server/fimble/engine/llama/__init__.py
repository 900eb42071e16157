"""llama.cpp through llama-cpp-python's ctypes layer: the only package that knows it.

Three objects: a ``Model`` (weights), its ``Vocab`` (text to tokens and back) and a ``Context`` (KV cache and
compute).  A context belongs to one thread; only ``Context.abort`` may be called from another.
"""

from fimble.engine.llama.adapter import LoraAdapter, damaged
from fimble.engine.llama.context import Context, Decoded, Part, State, sequence_bytes
from fimble.engine.llama.families import Layout
from fimble.engine.llama.model import Model, can_use_gpu, check_file, system_info
from fimble.engine.llama.quantising import QuantisedSize, quantise, quantised_size
from fimble.engine.llama.threads import release
from fimble.engine.llama.vocab import FimTokens, Vocab

__all__ = [
    "Context",
    "Decoded",
    "FimTokens",
    "Layout",
    "LoraAdapter",
    "Model",
    "Part",
    "QuantisedSize",
    "State",
    "Vocab",
    "can_use_gpu",
    "check_file",
    "damaged",
    "quantise",
    "quantised_size",
    "release",
    "sequence_bytes",
    "system_info",
]
