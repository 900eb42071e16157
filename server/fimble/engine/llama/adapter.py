"""LoRA adapters: small matrices that are added to a model's weights while it computes (arXiv:2106.09685)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama

from fimble.engine.llama.model import Model, check_file, last_said
from fimble.errors import AdapterUnusable, ModelCorrupt, ModelNotFound

_FIX = "Take another adapter; `fimble adapters use none` goes back to the model as it is."

#: What stands before the cause in llama.cpp's log.
_BEFORE_CAUSE = "failed to apply lora adapter: "


def damaged(path: Path) -> AdapterUnusable:
    """The error for an adapter that loads, but with which the model computes what is not finite."""
    return AdapterUnusable(f"The adapter {path.name} is damaged: it gives numbers that are not finite.", _FIX)


class LoraAdapter:
    """An adapter in memory, for the *model* that it was loaded for.  Load it before the context that uses it.

    It lives as long as the model: llama.cpp frees it then.  Raises AdapterUnusable if it is missing, damaged, or was
    made for another model.
    """

    def __init__(self, model: Model, path: Path) -> None:
        try:
            check_file(path)
        except (ModelCorrupt, ModelNotFound) as failure:
            raise AdapterUnusable(f"The adapter cannot be used: {failure.message}", _FIX) from None
        last_said()  # what stands there is about something else
        handle = llama.llama_adapter_lora_init(model.handle, os.fsencode(path))
        if not handle:
            detail = f" (llama.cpp: {said})" if (said := last_said().rpartition(_BEFORE_CAUSE)[2]) else ""
            raise AdapterUnusable(
                f"The adapter {path.name} does not fit {model.path.name}, or is damaged{detail}.", _FIX
            )
        self.path = path
        self._model = model  # an adapter without its model is a dangling pointer
        self._handle = handle

    @property
    def handle(self) -> Any:
        """llama.cpp's own pointer, for Context."""
        return self._handle
