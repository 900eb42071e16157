"""The settings: one typed tree with every default, limit and explanation.

``server/CONFIG.md`` is generated from it; ``config`` reads it from files, editors and the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class SuggestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is suggested, and when."""

    enabled: Annotated[bool, Meta(description="Suggest at all.")] = True
    max_tokens: Annotated[
        int, Meta(ge=1, le=1024, description="The longest suggestion that the model may write, in tokens.")
    ] = 64
    multiline: Annotated[
        bool, Meta(description="Suggest whole blocks after a line that opens one; off: single lines only.")
    ] = True
    deadline_ms: Annotated[
        int,
        Meta(
            ge=50,
            le=60_000,
            description="Give up on the model after this many milliseconds; what it wrote so far is used.",
        ),
    ] = 1500
    echo: Annotated[
        bool, Meta(description="Copy what followed the same text earlier, in this file and the open ones.")
    ] = True
    model: Annotated[
        bool, Meta(description="Ask the model; off: only copies, and what was suggested before, without any engine.")
    ] = True
    eagerness: Annotated[
        Literal["eager", "balanced", "quiet"],
        Meta(
            description="eager: suggest often, though only every third is right; quiet: only what you are likely to "
            "accept; balanced: in between."
        ),
    ] = "balanced"
    completion_menu: Annotated[
        Literal["auto", "always", "never"],
        Meta(description="Also answer textDocument/completion; auto: only to editors without inline completion."),
    ] = "auto"


class PrivacyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Fimble keeps out."""

    exclude: Annotated[
        tuple[str, ...],
        Meta(description="Files, as gitignore patterns, in which nothing is suggested and which no prompt ever sees."),
    ] = (
        ".env",
        ".env.*",
        "*.pem",
        "*.key",
        "*.p12",
        "*.pfx",
        "id_rsa*",
        "id_ed25519*",
        ".netrc",
        ".pgpass",
        "*.kdbx",
    )
    languages_off: Annotated[
        tuple[str, ...], Meta(description="Language ids (as the editor names them) without suggestions.")
    ] = ()
    max_file_kb: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Files larger than this many kilobytes get no suggestions.")
    ] = 2048


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model runs."""

    context_tokens: Annotated[
        int,
        Meta(
            ge=256,
            le=131_072,
            description="The longest prompt with its answer, in tokens; never more than the model was trained on.",
        ),
    ] = 2048
    threads: Annotated[
        int,
        Meta(
            ge=0,
            le=256,
            description="CPU threads; 0: those that are found fastest here, fewer while the machine is busy.",
        ),
    ] = 0
    power: Annotated[
        Literal["auto", "full", "saving"],
        Meta(
            description="saving: compute nothing that nobody has asked for yet; auto: while on battery, or while "
            "other programs need the cores."
        ),
    ] = "auto"
    flash_attention: Annotated[Literal["auto", "on", "off"], Meta(description="auto: if it is found faster here.")] = (
        "auto"
    )
    kv_type: Annotated[
        Literal["f16", "q8_0", "q4_0"],
        Meta(
            description="How evaluated prompts are kept: q8_0 takes half of the memory, q4_0 a quarter, at some loss."
        ),
    ] = "f16"
    mmap: Annotated[bool, Meta(description="Map the model's file instead of reading it: it loads faster.")] = True
    mlock: Annotated[bool, Meta(description="Never let the model's memory be swapped out.")] = False
    gpu_layers: Annotated[
        int,
        Meta(
            ge=-1,
            le=1000,
            description="Layers computed on the GPU, where llama.cpp was built for one; -1: as many as there are.",
        ),
    ] = -1
    cache_mb: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Memory for evaluated prompts that the context has no room for, in megabytes; 0: forget them.",
        ),
    ] = 32
    idle_minutes: Annotated[
        float,
        Meta(
            gt=0,
            le=10_080,
            description="An engine that nobody asked anything for this long ends and frees its memory.",
        ),
    ] = 15.0
    transport: Annotated[
        Literal["auto", "unix", "tcp"],
        Meta(description="How windows reach the engine; auto: a Unix socket, else loopback TCP with a token file."),
    ] = "auto"


class CacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered between sessions."""

    enabled: Annotated[bool, Meta(description="Keep suggestions on disk, so that a restart does not forget them.")] = (
        True
    )
    max_mb: Annotated[int, Meta(ge=1, le=10_000, description="The most that the cache may take, in megabytes.")] = 64


class IndexConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the repository's other files."""

    enabled: Annotated[
        bool,
        Meta(description="Read the repository's files, so that suggestions know what other files define."),
    ] = True
    max_files: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Of a larger repository only this many files are read.")
    ] = 50_000
    max_file_kb: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Files larger than this many kilobytes are left out.")
    ] = 1024


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting."""

    model: Annotated[
        str,
        Meta(description="A name from `fimble models list` or the path of a GGUF file; empty: the bundled model."),
    ] = ""
    log_level: Annotated[
        Literal["error", "warning", "info", "debug"],
        Meta(description="How much is logged. Source code never is."),
    ] = "warning"
    suggest: SuggestConfig = SuggestConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    engine: EngineConfig = EngineConfig()
    cache: CacheConfig = CacheConfig()
    index: IndexConfig = IndexConfig()


#: What a project may set: it can switch off, exclude and shorten, never choose files, programs or addresses.
PROJECT_KEYS = frozenset(
    {
        "suggest.enabled",
        "suggest.max_tokens",
        "suggest.multiline",
        "suggest.echo",
        "privacy.exclude",
        "privacy.languages_off",
        "privacy.max_file_kb",
        "index.enabled",
        "index.max_files",
        "index.max_file_kb",
    }
)


def settings() -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Every setting as (dotted key, field), in the order in which they are declared."""
    for field in msgspec.structs.fields(Config):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            for inner in msgspec.structs.fields(field.type):
                yield f"{field.name}.{inner.name}", inner
        else:
            yield field.name, field
