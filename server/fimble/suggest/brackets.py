"""Brackets, strings and comments in a piece of code, read like a lexer does: for text that no parser would take.

A piece has no beginning, changes with every token and is looked at for every one of them, so this is one pass of one
regular expression.  What it misreads (a regular expression in JavaScript, say) costs a suggestion its best end;
whether the result is sound is for the syntax tree to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
_BRACKETS = r"(?P<opens>[(\[{])|(?P<closes>[)\]}])"
_CHAR = r"'(?:\\[^\n']+|[^\\'\n])'"


class Marker(Enum):
    """What there is to see in a piece of code."""

    OPENS = auto()
    CLOSES = auto()
    LINE_END = auto()
    INNER_LINE_END = auto()
    """A line's end within a string or a comment that goes on."""


class Mark(NamedTuple):
    """A place in a piece of code."""

    start: int
    end: int
    marker: Marker
    text: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """How one language writes what is no code, and the words that act as brackets."""

    comment: str = ""
    """Regular expression of what makes the rest of a line a comment."""
    block: tuple[str, str] = ("", "")
    quotes: tuple[str, ...] = ('"',)
    long_quotes: frozenset[str] = frozenset()
    """Those whose strings may go over several lines."""
    has_chars: bool = False
    """Whether ``'`` encloses one character, and may stand alone otherwise."""
    opening_words: str = ""
    closing_words: tuple[str, ...] = ()
    closer_of_word: tuple[tuple[str, str], ...] = ()
    ends_statements: str = ""
    """What a statement must end with."""


_C = Lexicon("//", ("/*", "*/"), has_chars=True, ends_statements=";")
_GO = Lexicon("//", ("/*", "*/"), ('"', "`"), frozenset("`"), has_chars=True)
_SCRIPT = Lexicon("//", ("/*", "*/"), ('"', "'", "`"), frozenset("`"))
#: Text in which only brackets mean anything.
PROSE = Lexicon(quotes=())
_MARKUP = Lexicon(block=("<!--", "-->"), quotes=())
_HASH = r"(?<!\S)#"
_LEXICONS = {
    **dict.fromkeys(("c", "cpp", "csharp", "java"), _C),
    "rust": Lexicon("//", ("/*", "*/"), ('"',), frozenset('"'), has_chars=True, ends_statements=";"),
    "go": _GO,
    **dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact"), _SCRIPT),
    "php": Lexicon(r"//|#(?!\[)", ("/*", "*/"), ('"', "'"), frozenset("\"'"), ends_statements=";"),
    "python": Lexicon("#", ("", ""), ('"""', "'''", '"', "'"), frozenset(('"""', "'''"))),
    "css": Lexicon("", ("/*", "*/"), ('"', "'"), ends_statements=";"),
    "lua": Lexicon(
        r"--(?!\[\[)",
        ("--[[", "]]"),
        ('"', "'"),
        opening_words=r"\b(?:function|if|do)\b",
        closing_words=("end",),
    ),
    "ruby": Lexicon(
        _HASH,
        ("", ""),
        ('"', "'"),
        frozenset("\"'"),
        opening_words=r"^[ \t]*(?:if|unless|case|def|class|module|begin)\b|\bdo\b",
        closing_words=("end",),
    ),
    "shellscript": Lexicon(
        _HASH,
        ("", ""),
        ('"', "'"),
        frozenset("\"'"),
        opening_words=r"(?<![\w-])(?:if|case|do)(?![\w-])",
        closing_words=("fi", "esac", "done"),
        closer_of_word=(("if", "fi"), ("case", "esac"), ("do", "done")),
    ),
    "json": Lexicon(),
    "jsonc": Lexicon("//", ("/*", "*/")),
    "toml": Lexicon("#", ("", ""), ('"""', "'''", '"', "'"), frozenset(('"""', "'''"))),
    "yaml": Lexicon(_HASH, ("", ""), ('"',)),
    **dict.fromkeys(("html", "vue", "svelte", "xml", "markdown", "plaintext"), _MARKUP),
}


def lexicon_of(language: str) -> Lexicon:
    """How *language* is read; with quotes and brackets only if it is not known."""
    return _LEXICONS.get(language, Lexicon())


class Scan:
    """One pass over a piece of code.

    *quote* is the string that the piece begins in.  *is_final* is False while more may follow: then what may still
    become something else, as ``'`` or the word ``end``, is left out at the end.
    """

    def __init__(self, text: str, lexicon: Lexicon, quote: str = "", *, is_final: bool = True) -> None:
        self.quote = quote
        """The string that it ends in; empty if it does not."""
        self.comment_start = -1
        """Where the comment begins that it ends in; -1 if it does not."""
        self.unclosed: list[Mark] = []
        """The brackets that it opens and does not close."""
        self.unopened: list[Mark] = []
        """The brackets and quotes that it closes and has not opened."""
        self.marks: list[Mark] = []
        self._text, self._lexicon, self._is_final = text, lexicon, is_final
        self._read()

    def closers(self) -> list[str]:
        """What would close its open string and brackets, the innermost first."""
        return [*([self.quote] if self.quote else []), *(closer_of(m.text, self._lexicon) for m in self.unclosed[::-1])]

    def _read(self) -> None:
        text, pattern, position = self._text, _code(self._lexicon), 0
        if quote := self.quote:
            position = self._string(0, quote)
            if not self.quote and text.endswith(quote, 0, position):
                self.unopened.append(Mark(position - len(quote), position, Marker.CLOSES, quote))
        while 0 <= position < len(text) and (found := pattern.search(text, position)):
            position = self._take(found)

    def _take(self, found: re.Match[str]) -> int:
        """Read on from *found*; where code goes on, or -1 if it does not."""
        kind, end = found.lastgroup, found.end()
        left = len(self._text) - end
        if not self._is_final and ((kind == "apostrophe" and left < 2) or (kind == "word" and not left)):
            return -1
        match kind:
            case "line":
                self.marks.append(Mark(found.start(), end, Marker.LINE_END, "\n"))
            case "opens" | "closes" | "word":
                self._bracket(found)
            case "comment":
                end = self._text.find("\n", end)
                self.comment_start = found.start() if end < 0 else -1
            case "block":
                start, end = end, self._text.find(self._lexicon.block[1], end)
                self._inner_lines(start, end)
                self.comment_start = found.start() if end < 0 else -1
                end += len(self._lexicon.block[1]) if end >= 0 else 0
            case "quote":
                end = self._string(end, found[0])
        return end

    def _bracket(self, found: re.Match[str]) -> None:
        word = found[0].strip()
        opens = word not in ")]}" and word not in self._lexicon.closing_words
        mark = Mark(found.end() - len(word), found.end(), Marker.OPENS if opens else Marker.CLOSES, word)
        self.marks.append(mark)
        if opens:
            self.unclosed.append(mark)
        elif self.unclosed and closer_of(self.unclosed[-1].text, self._lexicon) == word:
            self.unclosed.pop()
        else:
            self.unopened.append(mark)

    def _string(self, start: int, quote: str) -> int:
        """Read a string whose content begins at *start*; where code goes on, or -1 if the string does not end."""
        self.quote = quote
        for found in _inside(quote).finditer(self._text, start):
            if found[0] == quote or (found[0] == "\n" and quote not in self._lexicon.long_quotes):
                self._inner_lines(start, found.start())
                self.quote = ""
                return found.end() if found[0] == quote else found.start()
        self._inner_lines(start, len(self._text))
        return -1

    def _inner_lines(self, start: int, end: int) -> None:
        end = len(self._text) if end < 0 else end
        while (start := self._text.find("\n", start, end)) >= 0:
            self.marks.append(Mark(start, start + 1, Marker.INNER_LINE_END, "\n"))
            start += 1


def begins_with_closer(line: str, lexicon: Lexicon) -> bool:
    """Whether a line begins with a closing bracket or word."""
    return _closer(lexicon).match(line) is not None


def closer_of(opener: str, lexicon: Lexicon) -> str:
    """What closes *opener*, a bracket or a word."""
    return CLOSER_OF.get(opener) or dict(lexicon.closer_of_word).get(opener) or "".join(lexicon.closing_words[:1])


@cache
def _code(lexicon: Lexicon) -> re.Pattern[str]:
    """What is worth stopping at in code."""
    quotes = "|".join(re.escape(quote) for quote in lexicon.quotes)
    closing = "|".join(lexicon.closing_words)
    kinds = [
        f"(?P<block>{re.escape(lexicon.block[0])})" if lexicon.block[0] else "",
        f"(?P<comment>{lexicon.comment})" if lexicon.comment else "",
        f"(?P<char>{_CHAR})|(?P<apostrophe>')" if lexicon.has_chars else "",
        f"(?P<quote>{quotes})" if quotes else "",
        _BRACKETS,
        rf"(?P<word>{lexicon.opening_words}|(?<![\w.-])(?:{closing})(?![\w-]))" if closing else "",
        r"(?P<line>\n)",
    ]
    return re.compile("|".join(kind for kind in kinds if kind), re.MULTILINE)


@cache
def _closer(lexicon: Lexicon) -> re.Pattern[str]:
    """What begins a line that closes something."""
    words = rf"|(?:{'|'.join(lexicon.closing_words)})(?![\w-])" if lexicon.closing_words else ""
    return re.compile(rf"\s*(?:[)\]}}]{words})")


@cache
def _inside(quote: str) -> re.Pattern[str]:
    """What is worth stopping at in a string."""
    return re.compile(rf"\\.|{re.escape(quote)}|\n", re.DOTALL)
