"""Secrets in files that may be read otherwise: found by detect-secrets, and masked before anything is kept or shown.

Its detectors take most of a millisecond for a line, so only lines are shown to them in which one of them could
find something: those that `_suspects` names.  A detector that found something elsewhere would be a hole, so a
test holds every detector's own pattern against it.  What detect-secrets would let pass after all (allowlist
comments, secrets that look made up) is masked, too; nothing is ever verified with the service that it is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin

MASK = "<secret>"

#: What stands in lines that a detector might care about, in lower case.
_WORDS = ("pwd", "secret", "contrase", "aws", "hooks.slack.com", "softlayer", "xox")

#: What makes such a word of ``pass``: before it, with an underscore between or without, and right after it.
_OF_PASS, _PASS_OF = ("key", "db", "database"), ("word", "wd")

#: Before ``key``, with an underscore between or without.
_KEYS = ("api", "auth", "service", "account", "db", "database", "priv", "private", "client")

#: After these words a long token may stand that nothing else gives away.
_NAMES_OF_VALUES = ("key", "pw", "pass", "token")
_LONG_VALUE = re.compile(r"""(?:word|d)?["']?\]?[ :=>]+["']?[\w-]{24}""")

#: What begins tokens, as it is.
_MARKS = (
    *("A3T", "ABIA", "ACCA", "AKIA", "ASIA", "AKC", "AccountKey=", "GR1348941", "eyJ", "_authToken=", "T3BlbkFJ"),
    *("PRIVATE KEY", "PuTTY-User-Key-File-2", "pypi-AgE", "SG.", "sq0csp-", "k_live_"),
)

#: Tokens without a word of their own.  Patterns that begin with a certain character are ten times as fast.
_SHAPES = tuple(
    re.compile(pattern)
    for pattern in (
        r"AP[\dA-F][0-9A-Za-z]{8}",
        r"AC[0-9a-z]{32}",
        r"SK[0-9a-z]{32}",
        r"gh[opsur]_",
        r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-",
        r":[0-9A-Za-z_-]{35}",
        r"-us[0-9]",
        r"\.[\dA-Za-z_-]{6}\.[\dA-Za-z_-]{27}",
        r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        r"://[^\s/]+:[^\s]+@",
    )
)

#: Strings that may be random: both kinds in one go.  The closing mark is left, as it may open the next string.
_STRING = re.compile(r"""["'](?=([0-9A-Za-z+/\\_=-]{9,})["'])""")
_NOT_HEX = re.compile(r"[^0-9a-fA-F]")

#: The least number of different characters with which a string's entropy exceeds the detector's limit: log2(9) > 3.0
#: where all are hexadecimal, log2(23) > 4.5 elsewhere.
_LEAST_HEX, _LEAST_BASE64 = 9, 23

#: A key up to its end; one that ends nowhere, up to the last line that looks like it.  16,384 bits are 13 kB.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----"
    r"(?:.{0,20000}?-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----"
    r"""|[^\r\n]*(?:[\r\n]+[ \t"'+#*/]*(?:[A-Za-z-]+: [^\r\n]*|[0-9A-Za-z+/=\\]{16,}[^\r\n]*|))*)"""
    r"|PuTTY-User-Key-File-[0-9].{0,20000}?(?:Private-MAC:[^\r\n]*|\Z)",
    re.DOTALL,
)

#: What a token goes on with beyond what its detector looked at.
_TOKEN_REST = re.compile(r"(?:[\w+/=-]|\.(?=[\w-]{8}))*")
_TOKEN_START = re.compile(r"[\w-]*\Z")

#: The least part of a match that is taken for the secret itself: some detectors put brackets around a prefix.
_MIN_GROUP_CHARS = 8

#: Languages of data, in which values stand without quotes.
_DATA = frozenset({"plaintext", "yaml", "toml", "ini", "properties", "shellscript", "dockerfile"})

#: Replaced one by one: `str.translate` calls for every character of the text.
_LIKE_ASCII = (("İ", "i"), ("ı", "i"), ("ſ", "s"))

_LINE_END = re.compile(r"\r\n|\n|\r")


def mask(text: str, language: str) -> str:
    """*text* with every secret in it replaced; its lines stay where they are."""
    return mask_lines(mask_keys(text), language)


def mask_keys(text: str) -> str:
    """A whole file's *text* with every private key, which takes many lines, replaced."""
    return _PRIVATE_KEY.sub(_mask_block, text) if "PRIVATE KEY" in text or "PuTTY" in text else text


def mask_lines(text: str, language: str) -> str:
    """Whole lines with every secret that stands on one line replaced."""
    spans = sorted(_suspect_lines(text))
    if not spans:
        return text
    pieces, at = [], 0
    for start, end in spans:
        pieces += [text[at:start], _mask_line(text[start:end], language in _DATA)]
        at = end
    return "".join([*pieces, text[at:]])


def _mask_block(block: re.Match[str]) -> str:
    return MASK + "".join(_LINE_END.findall(block[0]))


def _suspect_lines(text: str) -> set[tuple[int, int]]:
    """Start and end of each line that is worth a look."""
    lines: set[tuple[int, int]] = set()
    end = -1
    for at in sorted(_suspects(text)):
        if at > end:
            start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
            ends = [found for found in (text.find("\n", at), text.find("\r", at)) if found >= 0]
            end = min(ends, default=len(text))
            lines.add((start, end))
    return lines


def _suspects(text: str) -> Iterator[int]:
    """Places in whose lines a detector might find something; any place of such a line will do."""
    # What re.IGNORECASE takes for an i and an s, too.  No other letter's lower case has another length.
    low = text
    for letter, like in () if text.isascii() else _LIKE_ASCII:
        low = low.replace(letter, like)
    low = low.lower()
    for word in _WORDS:
        yield from _places(low, word)
    for word in _NAMES_OF_VALUES:
        for at in _places(low, word):
            if _is_secret(low, word, at) or _LONG_VALUE.match(low, at + len(word)):
                yield at
    for mark in _MARKS:
        yield from _places(text, mark)
    for shape in _SHAPES:
        for found in shape.finditer(text):
            yield found.end() - 1
    for found in _STRING.finditer(text):
        different = len(set(found[1]))
        if different >= _LEAST_BASE64 or (different >= _LEAST_HEX and not _NOT_HEX.search(found[1])):
            yield found.start()


def _is_secret(low: str, word: str, at: int) -> bool:
    """Whether the name around *word* says that its value is secret, however short that is."""
    before = low[max(at - 9, 0) : at].rstrip("_")
    if word == "key":
        return before.endswith(_KEYS)
    return word == "pass" and (before.endswith(_OF_PASS) or low.startswith(_PASS_OF, at + len(word)))


def _places(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + len(word))


@lru_cache(maxsize=4096)
def _mask_line(line: str, is_data: bool) -> str:
    spans = [span for span in _found_in(line, is_data) if span[0] < span[1]]
    if not spans:
        return line
    pieces, at = [], 0
    for start, end in _merged(spans):
        pieces += [line[at:start], MASK]
        at = end
    return "".join([*pieces, line[at:]])


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _found_in(line: str, is_data: bool) -> Iterator[tuple[int, int]]:
    detectors = _detectors()
    for pattern in detectors.patterns:
        for match in pattern.finditer(line):
            yield _whole_token(line, *_secret_of(match))
    for detector in detectors.entropies:
        for match in detector.regex.finditer(line):
            if detector.calculate_shannon_entropy(match[2]) > detector.entropy_limit:
                yield match.span(2)
    for keyword, group in detectors.data_keywords if is_data else detectors.code_keywords:
        for match in keyword.finditer(line):
            yield match.span(group)


def _secret_of(match: re.Match[str]) -> tuple[int, int]:
    """The part of a match that its detector means, where that is clear, else all of it."""
    longest = max(range(match.re.groups + 1), key=lambda g: len(match[g] or "") if g else 0)
    return match.span(longest if len(match[longest] or "") >= _MIN_GROUP_CHARS else 0)


def _whole_token(line: str, start: int, end: int) -> tuple[int, int]:
    before, after = _TOKEN_START.search(line[max(start - 200, 0) : start]), _TOKEN_REST.match(line, end)
    assert before
    assert after
    return start - len(before[0]), after.end()


class _Detectors(NamedTuple):
    patterns: tuple[re.Pattern[str], ...]
    entropies: tuple[HighEntropyStringsPlugin, ...]
    code_keywords: tuple[tuple[re.Pattern[str], int], ...]
    """Assignments to names that sound secret, and the group that is the value."""
    data_keywords: tuple[tuple[re.Pattern[str], int], ...]


@cache
def _detectors() -> _Detectors:
    # Here, because the library loads `requests` with it, to verify what it finds: which nobody asks it to.
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins import keyword
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin

    classes: list[Any] = list(get_mapping_from_secret_type_to_class().values())
    quoted_go = rf"{keyword.DENYLIST_REGEX}({keyword.CLOSING})?\s*:=\s*({keyword.QUOTE})({keyword.SECRET})(\3)"
    code = {
        **keyword.QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
        **keyword.COMMON_C_DENYLIST_REGEX_TO_GROUP,
        **keyword.C_PLUS_PLUS_REGEX_TO_GROUP,
        re.compile(quoted_go, re.IGNORECASE): 4,
    }
    return _Detectors(
        tuple(pattern for kind in classes if issubclass(kind, RegexBasedDetector) for pattern in kind.denylist),
        tuple(kind() for kind in classes if issubclass(kind, HighEntropyStringsPlugin)),
        tuple(code.items()),
        tuple({**code, **keyword.CONFIG_DENYLIST_REGEX_TO_GROUP}.items()),
    )
