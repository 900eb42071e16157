"""Types that one can see: the last name of a written type, and what an expression obviously makes."""

from __future__ import annotations

import re
from functools import lru_cache

#: Types that are used like what they hold.
_WRAPPERS = {"Annotated", "Awaitable", "ClassVar", "Final", "NotRequired", "Optional", "Required"}
_WRAPPERS |= {"Arc", "Box", "Cow", "Mutex", "Option", "Rc", "RefCell", "Result", "RwLock"}
_WRAPPERS |= {"Future", "Nullable", "Promise", "Readonly", "Ref", "Task", "shared_ptr", "unique_ptr", "weak_ptr"}

#: Words in types that are no type one could look up.
_NOTHING = {"None", "any", "auto", "let", "never", "nil", "null", "object", "undefined", "unknown", "var", "void"}
_NOTHING |= {"class", "const", "dyn", "enum", "impl", "in", "mut", "out", "readonly", "ref", "struct", "union"}
_NOTHING |= {"extern", "final", "inline", "static", "unsigned", "volatile"}

_NAME = re.compile(r"[A-Za-z_$]\w*(?:(?:\.|::|\\)[A-Za-z_$]\w*)*")
_NO_NAME = re.compile(r"\s*(?:\(|\[|func\b|fn\b|map\[|chan\b|\{|typeof\b|keyof\b)")

_LINK = re.compile(r"[.:\\]")
_PATH = r"(?:[A-Za-z_$][\w$]*(?:\.|::|\\))*"
_GENERIC = r"(?:<[^<>(){}]*>)?"
_FACTORY = r"new|create|of|builder|from|from_\w+|getInstance|open|load"
_MADE = re.compile(
    rf"""(?:await\s+)?(?:
        new\s+{_PATH}(?P<new>[A-Za-z_]\w*)
      | new\(\s*{_PATH}(?P<pointer>[A-Za-z_]\w*)\s*\)
      | (?:std::)?make_(?:unique|shared)<\s*{_PATH}(?P<smart>\w+)
      | &?{_PATH}(?P<literal>[A-Z]\w*){_GENERIC}\s*\{{
      | {_PATH}New(?P<go>[A-Z]\w*)\(
      | {_PATH}(?P<factory>[A-Z]\w*){_GENERIC}(?:::[a-z]\w*(?P<held>\()|\.(?:{_FACTORY})\b)
      | {_PATH}(?P<call>[A-Z]\w*[a-z]\w*|[A-Z])(?:\[[^\[\]]*\])?\(
    )""",
    re.VERBOSE,
)


@lru_cache(maxsize=4096)
def type_name(written: str) -> str:
    """The last name of a type as it is written; empty where it has none, or holds several of what it names.

    ``pkg.Foo``, ``Foo | None``, ``&mut Foo<T>`` and ``Optional[Foo]`` are all ``Foo``; ``[]Foo`` is none.
    """
    rest = written.lstrip(":-> \t&*?\"'@\r\n")
    while not _NO_NAME.match(rest):
        found = _NAME.search(rest)
        if found is None:
            return ""
        rest = rest[found.end() :].lstrip()
        last = _LINK.split(found[0])[-1]
        if last in _WRAPPERS and rest[:1] in ("[", "<"):
            rest = rest[1:].lstrip("&*\"' ")
        elif last not in _NOTHING:
            return "" if rest.startswith(("[]", "...")) else last
    return ""


def made_type(expression: str) -> str:
    """The last name of the type that an expression makes, if its first words say so; otherwise empty."""
    found = _MADE.match(expression)
    if found is None or found.lastgroup is None:
        return ""
    name = found["factory"] or found[found.lastgroup]
    if found["held"] and name in _WRAPPERS:
        return made_type(expression[found.end() :])
    return name


def base_names(written: str) -> tuple[str, ...]:
    """The last names of a list of types: ``(A, b.C[T], metaclass=M)`` gives A and C."""
    depth, parts, part = 0, [], ""
    for char in re.sub(r"\b(?:extends|implements|public|private|protected|virtual)\b", ",", written[:1000]):
        depth += (char in "([<{") - (char in ")]>}")
        if (char in ",+&" and depth <= (written[:1] in "(<")) or char in "\r\n":
            parts.append(part)
            part = ""
        else:
            part += char
    names = (type_name(part.strip("():<> \t")) for part in [*parts, part] if "=" not in part and "'" not in part)
    return tuple(dict.fromkeys(name for name in names if name))
