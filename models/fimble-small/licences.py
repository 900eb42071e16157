"""Read the licence of a package from its own metadata, and refuse what may not go into the corpus."""

from __future__ import annotations

import fnmatch
import json
import re
from dataclasses import dataclass
from pathlib import Path

import archives
from corpus_list import CorpusError, Package

# A licence that asks for derived works under itself, or forbids uses: never part of the corpus.
COPYLEFT = re.compile(
    r"\b(A?GPL|LGPL|GFDL|MPL|EUPL|CDDL|EPL|OSL|CeCILL|SSPL|BUSL|MS-RL|CPL|IPL|QPL|NPL|APSL|Sleepycat|RPL|EPL)\b"
    r"|\b(A?GPL|LGPL|MPL|EUPL|EPL)[-v ]?\d"
    r"|GNU (Affero |Lesser |Library |General |Free )|Mozilla Public|Eclipse Public|European Union Public"
    r"|Common Development and Distribution|Server Side Public|Business Source|Elastic License|Commons Clause"
    r"|CC-BY-(SA|NC|ND)|CC BY-(SA|NC|ND)|Non-?Commercial|Proprietary",
    re.IGNORECASE,
)
FAMILIES = {  # how metadata spells the licences that are welcome
    "MIT": r"\bMIT\b|\bExpat\b|\bX11\b|MIT-|HPND|\bcurl\b|\bICU\b|NTP|\bJSON\b",
    "Apache": r"Apache",
    "BSD": r"\bBSD\b|BSD-|BSD \d|\d-clause|\bBSD[234]|^Go$",
    "ISC": r"\bISC\b|ISCL",
    "PSF": r"\bPSF|Python Software Foundation|Python-2|CNRI|\bPython License",
    "Zlib": r"\bzlib\b|libpng",
    "BSL": r"\bBSL-?1|Boost",
    "Unlicense": r"Unlicense",
    "CC0": r"\bCC0",
    "PublicDomain": r"public[- ]?domain|\bPD\b|blessing",
    "PostgreSQL": r"PostgreSQL",
    "TCL": r"\bTCL\b|\bTclTk|tcltk|tcl-like",
    "Ruby": r"\bRuby\b",
    "OpenLDAP": r"OpenLDAP|OLDAP",
    "MIT-CMU": r"MIT-CMU|HPND",
    "Vim": r"\bVim\b",
}
LICENCE_FILE = r"^(LICEN[CS]E|COPYING|COPYRIGHT)[^/]*$"
METADATA_FILES = {
    "pypi": r"^[^/]+\.dist-info/METADATA$",
    "pypi-source": r"^PKG-INFO$",
    "npm": r"^package\.json$",
    "debian-source": r"^copyright$|^debian/copyright$",
}


@dataclass(frozen=True)
class Stanza:
    """A paragraph of ``debian/copyright``: these files stand under this licence."""

    patterns: tuple[str, ...]
    licence: str

    def covers(self, path: str) -> bool:
        """Whether one of the patterns names this file (`*` also matches slashes)."""
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.patterns)


def families(text: str) -> set[str]:
    """The permissive families that a licence text or expression names."""
    return {name for name, pattern in FAMILIES.items() if re.search(pattern, text, re.IGNORECASE)}


def is_copyleft(licence: str) -> bool:
    """Whether a part of it leaves no permissive choice: ``MIT or GPL-2`` leaves one, ``MIT and GPL-2`` does not."""
    for part in re.split(r"\s+and\s+|;", licence, flags=re.IGNORECASE):
        choices = re.split(r"\s+or\s+|/", part, flags=re.IGNORECASE)
        if COPYLEFT.search(part) and not any(families(one) and not COPYLEFT.search(one) for one in choices):
            return True
    return False


def read_stanzas(copyright_text: str) -> list[Stanza]:
    """The ``Files:`` paragraphs of a machine-readable debian/copyright."""
    stanzas = []
    for paragraph in re.split(r"\n\s*\n", copyright_text):
        files = re.search(r"^Files:((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE)
        licence = re.search(r"^Licen[sc]e:[ \t]*(\S.*)$", paragraph, re.MULTILINE)
        if files and licence:
            stanzas.append(Stanza(tuple(files[1].replace(",", " ").split()), licence[1].strip()))
    return stanzas


def python_licence(metadata: str) -> str:
    """The licence that a wheel's or source distribution's metadata declares."""
    head = metadata.split("\n\n", 1)[0]
    expression = re.search(r"^License-Expression:[ \t]*(\S.*)$", head, re.MULTILINE)
    if expression:
        return expression[1].strip()
    classifiers = re.findall(r"^Classifier: License :: (?:OSI Approved :: )?(.+)$", head, re.MULTILINE)
    field = re.search(r"^License:[ \t]*(\S.*)$", head, re.MULTILINE)
    stated = [field[1].strip()[:80]] if field and field[1].strip().upper() != "UNKNOWN" else []
    return " AND ".join(stated + [text for text in classifiers if text != "OSI Approved"])


def npm_licence(package_json: str) -> str:
    """The licence that a package.json declares, in its new or its old form."""
    document = json.loads(package_json)
    licence = document.get("license") or document.get("licenses") or ""
    if isinstance(licence, dict):
        return str(licence.get("type", ""))
    if isinstance(licence, list):
        return " OR ".join(str(entry.get("type", entry) if isinstance(entry, dict) else entry) for entry in licence)
    return str(licence)


def debian_licence(stanzas: list[Stanza]) -> str:
    """The licence of the package as a whole: the one of ``Files: *``."""
    return next((stanza.licence for stanza in stanzas if "*" in stanza.patterns), "")


def licence_file(folder: Path) -> str:
    """What the project's own licence file names in its head, where debian/copyright has no line for the whole."""
    head = (archives.find_member(folder, LICENCE_FILE) or "")[:1500]
    head = re.sub(r"GPL[- ]\s*(from\s+)?compatible", "", head)  # Python's says so in a table
    if COPYLEFT.search(head):
        return "GPL or another copyleft licence"
    return " AND ".join(sorted(families(head)))


def declared_licence(package: Package, folder: Path) -> tuple[str, list[Stanza]]:
    """Return what the package says of itself, and Debian's list of files under other licences."""
    metadata = archives.find_member(folder, METADATA_FILES[package.kind])
    if metadata is None:
        raise CorpusError(f"{package.name}: no metadata that would tell its licence")
    if package.kind == "debian-source":
        stanzas = read_stanzas(metadata)
        return debian_licence(stanzas) or licence_file(folder), stanzas
    return (npm_licence if package.kind == "npm" else python_licence)(metadata), []


def check_licence(package: Package, folder: Path) -> str:
    """Return the declared licence; raise unless it is permissive and the one that the list expects."""
    declared, _ = declared_licence(package, folder)
    if not declared:
        raise CorpusError(f"{package.name}: declares no licence")
    if is_copyleft(declared):
        raise CorpusError(f"{package.name}: refused, its licence is {declared!r}")
    if not families(declared) & families(package.licence):
        raise CorpusError(f"{package.name}: the list expects {package.licence}, the package says {declared!r}")
    return declared


def copyleft_stanzas(stanzas: list[Stanza]) -> list[Stanza]:
    """Cut the list of stanzas down to what :func:`file_is_refused` needs (an empty list when all is well)."""
    return stanzas if any(is_copyleft(stanza.licence) for stanza in stanzas) else []


def file_is_refused(path: str, stanzas: list[Stanza]) -> bool:
    """Whether debian/copyright puts this file under a copyleft licence; the last stanza that names it counts."""
    last = next((stanza for stanza in reversed(stanzas) if stanza.covers(path)), None)
    return last is not None and is_copyleft(last.licence)
