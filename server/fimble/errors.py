"""What can go wrong, as one tree.

    FimbleError
    ├ ConfigError            a setting cannot be used; the default is, and one message names the key
    ├ ModelError             the model file is the problem; the server stays up and says so once
    │ ├ ModelNotFound
    │ ├ ModelCorrupt
    │ ├ ModelNoFim
    │ ├ ModelTooLarge
    │ ├ ModelCrashes
    │ └ AdapterUnusable      a LoRA adapter is the problem: the model goes on without it
    ├ DownloadError          a model cannot be fetched now; what is installed goes on working
    ├ EngineError            the engine process is the problem; it is restarted with backoff
    │ ├ EngineUnreachable
    │ ├ EngineCrashed
    │ └ EngineOverloaded
    └ WorkspaceError         the workspace index cannot answer now; suggestions do without other files
      └ NoProject

Every error carries a *fix*: what the user can do about it, in one sentence.  No suggestion is not an error,
and a cancelled request is a finish reason.  Programmer errors are not in this tree: they propagate.
"""

from __future__ import annotations


class FimbleError(Exception):
    """Base of every failure that Fimble foresees.

    ``str(error)`` is the message and its fix, ready to be shown to a person.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class ConfigError(FimbleError):
    """A configuration file or value cannot be used."""


class ModelError(FimbleError):
    """The model cannot be used; restarting the engine does not help."""


class ModelNotFound(ModelError):
    """There is no such file, or no model of that name."""


class ModelCorrupt(ModelError):
    """The file is no GGUF, is cut short, or its weights give numbers that are not finite."""


class ModelNoFim(ModelError):
    """The model has no fill-in-the-middle tokens, so it cannot complete inside a file."""


class ModelTooLarge(ModelError):
    """There is not enough memory for this model; *needed_bytes* would be, where that is known."""

    def __init__(self, message: str, fix: str = "", needed_bytes: int = 0) -> None:
        super().__init__(message, fix)
        self.needed_bytes = needed_bytes


class ModelCrashes(ModelError):
    """The engine's process ends on this model, again and again."""


class AdapterUnusable(ModelError):
    """The LoRA adapter does not fit the model, is damaged, or is gone; without it the model works."""


class DownloadError(FimbleError):
    """A model cannot be fetched now: no network, no permission, no room, or not what it should be."""


class EngineError(FimbleError):
    """The engine process cannot answer now."""


class EngineUnreachable(EngineError):
    """The engine did not start, or does not listen."""


class EngineCrashed(EngineError):
    """The engine went away while it was answering."""


class EngineOverloaded(EngineError):
    """The engine has too much waiting; this request was refused rather than answered late."""


class WorkspaceError(FimbleError):
    """The index of the repository cannot be made, does not answer, or went away."""


class NoProject(WorkspaceError):
    """The folder is a home folder or a whole disk, whose files nobody wants to be read."""


#: Names that travel over the wire (``error.type`` in an engine's answer) and come back as classes.
MODEL_ERRORS: dict[str, type[ModelError]] = {
    cls.__name__: cls
    for cls in (ModelError, ModelNotFound, ModelCorrupt, ModelNoFim, ModelTooLarge, ModelCrashes, AdapterUnusable)
}
