"""Weights in memory, and what llama.cpp says about them, itself and this machine."""

from __future__ import annotations

import collections
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import llama_cpp.llama_cpp as llama

from fimble.engine.failures import NO_MEMORY
from fimble.engine.llama.families import why_untrained
from fimble.engine.llama.vocab import Vocab
from fimble.errors import ModelCorrupt, ModelError, ModelNoFim, ModelNotFound, ModelTooLarge

_GGUF_MAGIC = b"GGUF"

# enum ggml_log_level (ggml.h): WARN = 3, ERROR = 4.
_LOG_LEVELS_KEPT = (3, 4)

#: llama.cpp's own warnings and errors, for messages about models that do not load.
_log_lines: collections.deque[str] = collections.deque(maxlen=20)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _collect_log(level: int, text: bytes, _data: object) -> None:
    if level in _LOG_LEVELS_KEPT:
        _log_lines.append(text.decode("utf-8", "replace").strip())


def last_said() -> str:
    """The first complaint of llama.cpp's since this was last asked; empty if there is none."""
    lines = [line for line in _log_lines if line]
    _log_lines.clear()
    return lines[0] if lines else ""


def system_info() -> str:
    """llama.cpp's description of its build and of this processor."""
    info: bytes = llama.llama_print_system_info()
    return info.decode("utf-8", "replace").strip()


def can_use_gpu() -> bool:
    """Whether llama.cpp was built with a GPU backend that found a device."""
    return bool(llama.llama_supports_gpu_offload())


class Model:
    """Weights in memory: *mmap* maps the file, *mlock* forbids to swap it out; *gpu_layers* -1 means all.

    Raises ModelNotFound, ModelCorrupt, ModelNoFim or ModelTooLarge, each with what to do about it.
    """

    def __init__(
        self,
        path: Path,
        on_progress: Callable[[float], None] = lambda _share: None,
        *,
        mmap: bool = True,
        mlock: bool = False,
        gpu_layers: int = -1,
    ) -> None:
        check_file(path)
        llama.llama_log_set(_collect_log, None)
        llama.llama_backend_init()
        params = llama.llama_model_default_params()
        params.use_mmap, params.use_mlock, params.n_gpu_layers = mmap, mlock, gpu_layers

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
        name = f"{self.metadata('general.name')} {self.metadata('general.finetune')} {path.stem}"
        self.vocab = Vocab(llama.llama_model_get_vocab(self._model), name)
        if why := why_untrained(name):
            self._refuse(why)
        self.fim = self.vocab.fim or self._refuse("it has no fill-in-the-middle tokens")
        self.n_params: int = llama.llama_model_n_params(self._model)
        self.n_ctx_train: int = llama.llama_model_n_ctx_train(self._model)
        self.size_bytes: int = llama.llama_model_size(self._model)

    def _refuse(self, why: str) -> NoReturn:
        kind = "a chat model that" if self.metadata("tokenizer.chat_template") else "a model that"
        raise ModelNoFim(
            f"{self.path.name} is {kind} cannot complete code inside a file: {why}.",
            "Choose a base (not a chat) model for code; `fimble models list` names some.",
        )

    def close(self) -> None:
        """Free the weights now; its contexts must be closed already, and nothing of it may be used afterwards."""
        llama.llama_model_free(self._model)

    @property
    def why_no_roll_back(self) -> str:
        """Why a sequence of this model cannot be cut in its middle; empty for most models, which can.

        (Sliding windows are no reason: llama.cpp keeps the whole of them unless told otherwise, ``swa_full``.)
        """
        if llama.llama_model_is_hybrid(self._model):
            return "hybrid: some layers keep one state for the whole text"
        if llama.llama_model_is_recurrent(self._model):
            return "recurrent: one state stands for the whole text"
        return ""

    @property
    def kv_values_per_token(self) -> int:
        """How many numbers the KV cache holds for each token; 0 where one state stands for the whole text."""
        heads = llama.llama_model_n_head(self._model)
        architecture = self.metadata("general.architecture")
        width = int(self.metadata(f"{architecture}.attention.key_length") or 0)
        width = width or llama.llama_model_n_embd(self._model) // max(heads, 1)
        kv_heads: int = llama.llama_model_n_head_kv(self._model)
        return 2 * int(llama.llama_model_n_layer(self._model)) * kv_heads * width

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
    if any(words in lines for words in NO_MEMORY):
        return ModelTooLarge(f"There is not enough memory for {path.name}.", "Choose a smaller model.")
    detail = f" (llama.cpp: {said})" if said else ""
    return ModelCorrupt(f"{path} cannot be loaded{detail}.", "The file may be incomplete: download it again.")
