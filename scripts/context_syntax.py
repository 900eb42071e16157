"""What a source file defines, imports and names, for scripts/context_cuts.py: by tree-sitter, with queries of its own.

Fimble's outlines are not asked: what is judged by these tasks must not have a say in what is right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from tree_sitter import Node, Query, QueryCursor

from fimble.syntax.grammars import parser_for

LANGUAGES = {
    ".py": "python",
    ".ts": "typescript",
    **dict.fromkeys((".js", ".mjs", ".cjs"), "javascript"),
    ".rs": "rust",
    ".go": "go",
    ".java": "java",
    ".cs": "csharp",
}

_JAVASCRIPT = """
(function_declaration name: (_) @name) @definition
(generator_function_declaration name: (_) @name) @definition
(class_declaration name: (_) @name) @definition
(method_definition name: (_) @name) @definition
(program [(lexical_declaration (variable_declarator name: (identifier) @name))
          (export_statement (lexical_declaration (variable_declarator name: (identifier) @name)))] @definition)
(assignment_expression left: (member_expression property: (_) @name) right: [(function_expression) (class)
    (arrow_function)]) @definition
(pair key: (property_identifier) @name value: [(function_expression) (arrow_function)]) @definition
(assignment_expression left: (member_expression property: (_) @attribute))
"""

#: Per language: what defines a name, and (``@attribute``) what only makes it less than unique.
_DEFINITIONS = {
    "python": """
        (function_definition name: (_) @name) @definition
        (class_definition name: (_) @name) @definition
        (module (expression_statement (assignment left: (identifier) @name)) @definition)
        (class_definition body: (block (expression_statement (assignment left: (identifier) @name)) @definition))
        (assignment left: (attribute attribute: (_) @attribute))
    """,
    "javascript": _JAVASCRIPT + "(class_body (field_definition property: (_) @name) @definition)",
    "typescript": _JAVASCRIPT
    + """
        (class_body (public_field_definition name: (_) @name) @definition)
        (abstract_class_declaration name: (_) @name) @definition
        (interface_declaration name: (_) @name) @definition
        (type_alias_declaration name: (_) @name) @definition
        (enum_declaration name: (_) @name) @definition
        (abstract_method_signature name: (_) @name) @definition
        (method_signature name: (_) @name) @definition
        (property_signature name: (_) @name) @definition
    """,
    "rust": """
        (function_item name: (_) @name) @definition
        (function_signature_item name: (_) @name) @definition
        (struct_item name: (_) @name) @definition
        (enum_item name: (_) @name) @definition
        (enum_variant name: (_) @name) @definition
        (trait_item name: (_) @name) @definition
        (type_item name: (_) @name) @definition
        (const_item name: (_) @name) @definition
        (static_item name: (_) @name) @definition
        (macro_definition name: (_) @name) @definition
        (field_declaration name: (_) @name) @definition
    """,
    "go": """
        (function_declaration name: (_) @name) @definition
        (method_declaration name: (_) @name) @definition
        (type_spec name: (_) @name) @definition
        (source_file (const_declaration (const_spec name: (_) @name) @definition))
        (source_file (var_declaration (var_spec name: (_) @name) @definition))
        (method_elem name: (_) @name) @definition
        (field_declaration name: (_) @name) @definition
    """,
    "java": """
        (method_declaration name: (_) @name) @definition
        (class_declaration name: (_) @name) @definition
        (interface_declaration name: (_) @name) @definition
        (enum_declaration name: (_) @name) @definition
        (record_declaration name: (_) @name) @definition
        (enum_constant name: (_) @name) @definition
        (field_declaration (variable_declarator name: (_) @name)) @definition
    """,
    "csharp": """
        (method_declaration name: (_) @name) @definition
        (class_declaration name: (_) @name) @definition
        (interface_declaration name: (_) @name) @definition
        (struct_declaration name: (_) @name) @definition
        (enum_declaration name: (_) @name) @definition
        (enum_member_declaration name: (_) @name) @definition
        (delegate_declaration name: (_) @name) @definition
        (property_declaration name: (_) @name) @definition
        (field_declaration (variable_declaration (variable_declarator (identifier) @name))) @definition
    """,
}

_IMPORT_TYPES = """
    import_statement import_from_statement future_import_statement use_declaration import_declaration using_directive
    package_clause package_declaration extern_crate_declaration
"""
_FUNCTION_TYPES = """
    function_definition function_declaration generator_function_declaration method_definition function_expression
    arrow_function function_item method_declaration constructor_declaration func_literal
"""
_CONTAINER_TYPES = """
    class_definition class_declaration abstract_class_declaration interface_declaration impl_item trait_item
    enum_item struct_item type_spec struct_declaration enum_declaration record_declaration
"""
_IMPORTS = frozenset(_IMPORT_TYPES.split())
_FUNCTIONS = frozenset(_FUNCTION_TYPES.split())
_CONTAINERS = frozenset(_CONTAINER_TYPES.split())
_QUIET = ("comment", "string", "template_string", "char_literal", "rune_literal")

WORD = re.compile(r"[A-Za-z_$][\w$]*")


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a name is defined; offsets are code points."""

    name: str
    path: str
    start: int
    end: int
    container: str
    is_target: bool = True
    """False for what is only assigned: it makes a name ambiguous, but no line is cut before it."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is used in a function's body, in code."""

    text: str
    start: int
    is_member: bool


@dataclass(slots=True)
class Source:
    """A file, read once."""

    path: str
    language: str
    text: str
    definitions: list[Definition] = field(default_factory=list)
    names: list[Name] = field(default_factory=list)
    imports: list[tuple[int, int]] = field(default_factory=list)

    def import_texts(self) -> list[str]:
        """Every import, as it is written."""
        return [self.text[start:end] for start, end in self.imports]

    def without_imports(self) -> str:
        """The text with blanks in place of imports, so that places stay."""
        pieces, at = [], 0
        for start, end in self.imports:
            pieces += [self.text[at:start], " " * (end - start)]
            at = end
        return "".join((*pieces, self.text[at:]))


@cache
def _query(language: str) -> Query:
    parser = parser_for(language)
    assert parser is not None
    assert parser.language is not None
    return Query(parser.language, _DEFINITIONS[language])


def read_source(path: str, language: str, text: str) -> Source:
    """What the file defines, imports and names."""
    parser = parser_for(language)
    assert parser is not None
    # One byte for each character keeps tree-sitter's places and ours the same; no name has any other.
    root = parser.parse(text.encode("ascii", "replace")).root_node
    source = Source(path, language, text)
    for _pattern, found in QueryCursor(_query(language)).matches(root):
        for node in (*found.get("name", ()), *found.get("attribute", ())):
            whole = found["definition"][0] if "definition" in found else node
            name = text[node.start_byte : node.end_byte]
            is_target = "definition" in found
            source.definitions.append(
                Definition(name, path, whole.start_byte, whole.end_byte, _container(whole, text), is_target)
            )
    _walk(root, source, is_inside=False)
    source.imports.sort()
    return source


def _container(node: Node, text: str) -> str:
    if receiver := node.child_by_field_name("receiver"):
        return next(reversed(WORD.findall(text[receiver.start_byte : receiver.end_byte])), "")
    while (parent := node.parent) is not None:
        if parent.type in _CONTAINERS:
            named = parent.child_by_field_name("name") or parent.child_by_field_name("type")
            return next(iter(WORD.findall(text[named.start_byte : named.end_byte])), "") if named else ""
        node = parent
    return ""


def _walk(root: Node, source: Source, is_inside: bool) -> None:
    waiting = [(root, is_inside)]
    while waiting:
        node, inside = waiting.pop()
        if node.type in _IMPORTS or _is_require(node):
            source.imports.append((node.start_byte, node.end_byte))
        elif not node.type.startswith(_QUIET):
            if inside and node.type.endswith("identifier") and not node.children:
                text = source.text[node.start_byte : node.end_byte]
                if not _is_key(node):
                    source.names.append(Name(text, node.start_byte, _is_member(node)))
            body = node.child_by_field_name("body") if node.type in _FUNCTIONS else None
            waiting += [(child, inside or child == body) for child in reversed(node.children)]


def _is_require(node: Node) -> bool:
    if node.type not in ("lexical_declaration", "variable_declaration"):
        return False
    value = node.named_children[0].child_by_field_name("value") if node.named_children else None
    while value is not None and value.type == "member_expression":
        value = value.child_by_field_name("object")
    called = value.child_by_field_name("function") if value is not None and value.type == "call_expression" else None
    return called is not None and called.text == b"require"


def _is_member(node: Node) -> bool:
    parent = node.parent
    if parent is None:
        return False
    members = {"attribute": "attribute", "member_expression": "property", "field_expression": "field"}
    members |= {"selector_expression": "field", "field_access": "field", "member_access_expression": "name"}
    if parent.type == "method_invocation":
        return parent.child_by_field_name("name") == node and parent.child_by_field_name("object") is not None
    return parent.type in members and parent.child_by_field_name(members[parent.type]) == node


def _is_key(node: Node) -> bool:
    """Whether it names an argument, a key or a label: what stands there is not what a definition decides."""
    parent = node.parent
    if parent is None or parent.type not in ("keyword_argument", "pair", "pair_pattern", "keyed_element", "argument"):
        return False
    return parent.child_count > 1 and parent.children[0] == node
