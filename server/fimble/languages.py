"""What a file's name says about its language, for callers without an editor to ask."""

from __future__ import annotations

from pathlib import PurePath

#: Suffix to language id, as in LSP's list of text document language identifiers.
_BY_SUFFIX = {
    ".bash": "shellscript",
    ".c": "c",
    ".cc": "cpp",
    ".cjs": "javascript",
    ".cpp": "cpp",
    ".cs": "csharp",
    ".css": "css",
    ".cts": "typescript",
    ".cxx": "cpp",
    ".go": "go",
    ".h": "c",
    ".hh": "cpp",
    ".hpp": "cpp",
    ".html": "html",
    ".java": "java",
    ".js": "javascript",
    ".json": "json",
    ".jsx": "javascriptreact",
    ".lua": "lua",
    ".md": "markdown",
    ".mjs": "javascript",
    ".mts": "typescript",
    ".php": "php",
    ".py": "python",
    ".pyi": "python",
    ".rb": "ruby",
    ".rs": "rust",
    ".sh": "shellscript",
    ".svelte": "svelte",
    ".toml": "toml",
    ".ts": "typescript",
    ".tsx": "typescriptreact",
    ".yaml": "yaml",
    ".yml": "yaml",
}


def language_of(filename: str) -> str:
    """The language id of *filename*; ``plaintext`` if its suffix is not known."""
    return _BY_SUFFIX.get(PurePath(filename).suffix.lower(), "plaintext")


#: Languages in which the same lines make sense.
_FAMILIES = (
    frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact", "svelte", "vue"}),
    frozenset({"c", "cpp", "objective-c", "objective-cpp", "cuda-cpp"}),
    frozenset({"css", "scss", "sass", "less"}),
)


def are_related(one: str, other: str) -> bool:
    """Whether a line of the one language could stand in the other."""
    return one == other or any(one in family and other in family for family in _FAMILIES)
