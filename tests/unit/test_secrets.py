"""Secrets in files that may be read: masked, whichever of detect-secrets' detectors is meant for them."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from planted import KEY_LINES, PLANTED, PRIVATE_KEY, Planted

from fimble.index import secrets
from fimble.index.secrets import MASK, mask

DETECTORS = secrets._detectors()
PATTERNS = sorted(
    {
        *DETECTORS.patterns,
        *(pattern for pattern, _ in DETECTORS.code_keywords),
        *(pattern for pattern, _ in DETECTORS.data_keywords),
    },
    key=lambda pattern: pattern.pattern,
)


def all_detectors() -> dict[str, type]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    kinds: dict[str, type] = get_mapping_from_secret_type_to_class()
    return {kind.__name__: kind for kind in kinds.values()}


def test_a_secret_is_planted_for_every_detector() -> None:
    """A detector that a new version of detect-secrets brings has to be thought of here."""
    assert {planted.detector for planted in PLANTED} == set(all_detectors())


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.detector)
def test_what_a_detector_finds_is_masked(planted: Planted) -> None:
    """The detector finds the planted secret, and nothing of it is left."""
    detector = all_detectors()[planted.detector]()
    assert detector.analyze_line("a.py", planted.line, 1)
    masked = mask(f"before = 1\n{planted.line}\nafter = 2\n", "python")
    assert masked.startswith("before = 1\n")
    assert masked.endswith("\nafter = 2\n")
    assert MASK in masked
    assert not [at for at in range(len(planted.secret) - 3) if planted.secret[at : at + 4] in masked]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.detector)
@pytest.mark.parametrize("comment", ["# pragma: allowlist secret", "# nosec", "// pragma: whitelist secret"])
def test_a_comment_does_not_let_a_secret_pass(planted: Planted, comment: str) -> None:
    """Comments that quieten detect-secrets for a repository's own checks do not make a secret public."""
    assert planted.secret not in mask(f"{planted.line}  {comment}", "python")


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: re.sub(r"\W+", "-", pattern.pattern)[:40])
def test_no_match_of_a_detector_escapes_the_filter(pattern: re.Pattern[str]) -> None:
    """Whatever a detector's own pattern matches stands in a line that the detectors are shown."""

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern))
    def check(line: str) -> None:
        assume("\n" not in line and "\r" not in line and pattern.search(line))
        assert secrets._suspect_lines(f"x\n{line}\ny")

    check()


@given(
    st.text("0123456789abcdefABCDEF", min_size=1, max_size=60)
    | st.text("abcdefghijklmnopqrstuvwxyzABCDE+/=-_\\9", max_size=90)
)
@settings(deadline=None)
def test_no_random_string_escapes_the_filter(value: str) -> None:
    """A quoted string is shown to the detectors of random strings if its entropy is above their limits."""
    line = f"x = '{value}'"
    for detector in DETECTORS.entropies:
        for found in detector.regex.finditer(line):
            if detector.calculate_shannon_entropy(found[2]) > detector.entropy_limit:
                assert secrets._suspect_lines(line)
                assert value not in mask(line, "python")


@given(st.text())
@settings(deadline=None)
def test_lines_stay_where_they_are(text: str) -> None:
    """Masking changes no line ending, whatever the text."""
    ends = re.compile(r"\r\n|\n|\r")
    source = f"{text}\r\npassword = 'correct horse'\r{text}"
    assert ends.findall(mask(source, "python")) == ends.findall(source)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_private_key_is_masked_whole(ending: str) -> None:
    """Of a PEM block nothing is left, and the lines after it are still at their numbers."""
    key = PRIVATE_KEY.replace("\n", ending)
    masked = mask(f"a = 1{ending}{key}{ending}b = 2{ending}", "plaintext")
    assert not [line for line in KEY_LINES if line in masked]
    assert masked.split(ending)[0] == "a = 1"
    assert masked.split(ending)[8] == "b = 2"


@pytest.mark.parametrize(
    "text",
    [
        PRIVATE_KEY.rpartition("\n")[0],
        PRIVATE_KEY.rpartition("\n")[0] + "\n\ndef f():\n    return 1\n",
        'KEY = """\\\n' + PRIVATE_KEY + '"""\n',
        "key = (\n" + "\n".join(f'    "{line}\\n"' for line in PRIVATE_KEY.split("\n")) + "\n)\n",
        PRIVATE_KEY.replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,1\n\n"),
        "PuTTY-User-Key-File-2: ssh-rsa\nPublic-Lines: 1\n" + "\n".join(KEY_LINES) + "\nPrivate-MAC: abc\n",
    ],
    ids=["cut off", "cut off before code", "string", "strings of lines", "encrypted", "PuTTY"],
)
def test_private_keys_in_other_clothes(text: str) -> None:
    """Keys that are cut off, quoted, indented, with headers, or of PuTTY."""
    masked = mask(text, "python")
    assert not [line for line in KEY_LINES if line in masked]
    if "def f" in text:
        assert masked.endswith("def f():\n    return 1\n")


@pytest.mark.parametrize(
    ("line", "language", "is_masked"),
    [
        ("password: correct-horse", "yaml", True),
        ("PASSWORD=correct-horse", "properties", True),
        ('{"password": "correct-horse"}', "json", True),
        ('password := "correct-horse"', "go", True),
        ('const char *password[] = "correct-horse";', "c", True),
        ("if 'correct-horse' == my_password:", "python", True),
        ("password = correct_horse()", "python", False),
        ("def login(self, password: correct_horse) -> None:", "python", False),
        ("password := correct_horse()", "go", False),
        ("total = correct_horse(key, token)", "python", False),
        ('version = "1.2.3"; correct_horse', "python", False),
    ],
)
def test_values_are_masked_and_code_is_not(line: str, language: str, is_masked: bool) -> None:
    """Data has values without quotes; in code only strings are secrets, and code stays readable."""
    assert ("horse" not in mask(line, language)) is is_masked


def test_nothing_is_verified_with_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """No detector's check over the network is ever called."""
    import requests

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a request was made")

    monkeypatch.setattr(requests.Session, "request", refuse)
    secrets._mask_line.cache_clear()
    assert mask("\n".join(planted.line for planted in PLANTED), "python").count(MASK) >= len(PLANTED)
