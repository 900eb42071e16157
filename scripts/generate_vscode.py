"""The part of the VS Code extension's manifest that is made from the settings' declarations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import environment

if TYPE_CHECKING:
    from generate import Setting

MANIFEST = environment.ROOT / "editors" / "vscode" / "package.json"

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}

#: Where VS Code lets people set a group's settings.  A workspace is a project: it may choose neither model nor
#: folder, and may not let files in that are excluded.  What is for one machine does not go along to a remote one.
_SCOPES = {"suggest": "window", "privacy": "application"}
_OTHER_SCOPE = "machine"


def manifest(text: str, settings: list[Setting], titles: dict[str, str], version: str) -> str:
    """The manifest *text* with *settings* as its configuration, after the extension's own; and with *version*."""
    tree: dict[str, Any] = json.loads(text)
    tree["version"] = version
    own, *_generated = tree["contributes"]["configuration"]
    groups = [_section(title, [each for each in settings if each.group == group]) for group, title in titles.items()]
    for order, section in enumerate((own, *groups)):
        section["order"] = order
    tree["contributes"]["configuration"] = [own, *groups]
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _section(title: str, settings: list[Setting]) -> dict[str, Any]:
    # Without an order VS Code shows them by the alphabet.
    properties = {f"fimble.{each.key}": _schema(each) | {"order": order} for order, each in enumerate(settings)}
    return {"title": title, "properties": properties}


def _schema(setting: Setting) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for meta in setting.metas:
        named = {"minimum": meta.ge, "exclusiveMinimum": meta.gt, "maximum": meta.le}
        limits |= {name: value for name, value in named.items() if value is not None}
    scope = _SCOPES.get(setting.group, _OTHER_SCOPE)
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    about = {"default": default, "scope": scope, "markdownDescription": setting.meaning}
    return {**_kind(setting.kind), **limits, **about}


def _kind(kind: Any) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"type": "string", "enum": list(get_args(kind))}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    return {"type": _TYPES[kind]}
