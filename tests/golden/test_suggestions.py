"""What is shown of what a model writes: a small file with a cursor, the answer, and what a person should get.

One file in ``suggestions/`` for each language, named by its id.  A case is

    === what it is about
    the file, with the cursor as ‸
    --- model
    what the model writes, without end
    --- shown
    what is shown of it; `--- shown for 2` if it takes the place of two characters right of the cursor

``⇥`` stands for a tab and ``␠`` for a blank that one would not see.  After an intended change run
``pytest tests/golden --update-golden`` and read the difference: these files are the specification.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from fimble.core import Document
from fimble.suggest.place import Place
from fimble.suggest.sound import fit
from fimble.suggest.stop import Stop
from fimble.suggest.trim import Trimmed
from fimble.syntax import Trees
from fimble.text import Text

FOLDER = Path(__file__).parent / "suggestions"
FILES = sorted(FOLDER.glob("*.txt"))
CURSOR = "‸"


class Case(NamedTuple):
    language: str
    name: str
    file: str
    model: str
    shown: Trimmed

    @property
    def text(self) -> str:
        """The case as it stands in its file."""
        head = f"--- shown for {self.shown.replaces}" if self.shown.replaces else "--- shown"
        shown = f"{head}\n{self.shown.text}" if self.shown.text else head
        return _visible(f"=== {self.name}\n{self.file}\n--- model\n{self.model}\n{shown}\n")


def _visible(text: str) -> str:
    return re.sub(r" +$", lambda blanks: "␠" * len(blanks[0]), text.replace("\t", "⇥"), flags=re.MULTILINE)


def _plain(text: str) -> str:
    return text.replace("⇥", "\t").replace("␠", " ")


def load(path: Path) -> list[Case]:
    """The cases of a file."""
    cases = []
    for part in re.split(r"^(?==== )", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        head, _, rest = _plain(part).partition("\n")
        file, _, rest = rest.partition("\n--- model\n")
        model, _, rest = rest.partition("\n--- shown")
        replaces, _, shown = rest.partition("\n")
        expected = Trimmed(shown.removesuffix("\n").removesuffix("\n"), int(replaces.removeprefix(" for ") or 0))
        cases.append(Case(path.stem, head.removeprefix("=== "), file, model, expected))
    return cases


def shown_of(case: Case) -> Trimmed:
    """What comes of the case's answer, which arrives character by character."""
    before, cursor, after = case.file.partition(CURSOR)
    assert cursor, f"no cursor in {case.name}"
    document = Document("file:///case", "case", case.language, 1, Text(before + after))
    place = Place.at(document, len(before))
    spot = Trees().at(document, len(before))
    stop = Stop(place, True, spot)
    cuts = (stop.cut(case.model[:size]) for size in range(1, len(case.model) + 1))
    end = next((cut for cut in cuts if cut is not None), None)
    return fit(case.model[:end], place, spot)


CASES = [case for path in FILES for case in load(path)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.language}: {case.name}")
def test_what_is_shown(case: Case, update_golden: bool) -> None:
    """For this file, cursor and answer a person gets this, and nothing else."""
    if not update_golden:
        assert shown_of(case) == case.shown


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_are_written_as_they_are_read(path: Path, update_golden: bool) -> None:
    """No case is lost or bent by the format; this is also what rewrites the files."""
    cases = load(path)
    if update_golden:
        cases = [case._replace(shown=shown_of(case)) for case in cases]
        path.write_text("\n".join(case.text for case in cases), "utf-8")
    assert path.read_text("utf-8") == "\n".join(case.text for case in cases)


def test_the_cases_are_there() -> None:
    """There are enough of them, in enough languages, and no two of a language have the same name."""
    assert len(CASES) >= 150
    assert len({case.language for case in CASES}) >= 10
    assert len({(case.language, case.name) for case in CASES}) == len(CASES)
