"""Snippets: whole lines, never more than the budget, nothing twice, in an order that stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repositories import Repository

from fimble.index.packing import shown
from fimble.index.wire import Found

MODULE = '''"""Module {0}."""


class Thing{0}:
    """Something."""

    def work{0}(self, first: int, second: str) -> bool:
        """Does it."""
        return first > len(second)


def make_thing{0}(size: int) -> Thing{0}:
    thing = Thing{0}()
    thing.work{0}(size, "{0}")
    return thing
'''

ASKED = "from pkg.part{0} import make_thing{0}, Thing{0}\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    files = {f"pkg/part{number}.py": MODULE.format(number) for number in range(12)}
    files["build/lib/pkg/part3.py"] = MODULE.format(3)
    return Repository(tmp_path_factory.mktemp("packing"), files)


def ask(repository: Repository, budget_chars: int) -> list[Found]:
    text = "".join(ASKED.format(number) for number in range(12)) + "\ndef run(thing: Thing1):\n    make_thing0(|)\n"
    return repository.ask("pkg/new.py", text, budget_chars=budget_chars)


@given(budget_chars=st.integers(0, 4000))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_is_cut_and_the_budget_is_kept(repository: Repository, budget_chars: int) -> None:
    """Whatever the budget: every line is one of its file, or a definition's signature, and the names count, too."""
    found = ask(repository, budget_chars)
    assert sum(len(one.text) + len(one.path) + 2 for one in found) <= budget_chars
    for one in found:
        source = {line.rstrip() for line in (repository.root / one.path).read_text("utf-8").split("\n")}
        assert one.text.endswith("\n")
        assert {line.rstrip() for line in one.text.split("\n")} <= source


def test_a_larger_budget_keeps_what_was_best(repository: Repository) -> None:
    """The first file stays the first."""
    assert {ask(repository, budget_chars)[0].path for budget_chars in (200, 500, 760, 2000, 4000)} == {"pkg/part0.py"}


def test_the_same_question_gets_the_same_answer(repository: Repository) -> None:
    """Order and text: the cache of the engine depends on it."""
    assert ask(repository, 760) == ask(repository, 760)


def test_a_file_is_one_snippet_and_its_lines_stand_in_order(repository: Repository) -> None:
    """However many pieces of it were chosen."""
    found = ask(repository, 4000)
    assert len({one.path for one in found}) == len(found)
    for one in found:
        source = (repository.root / one.path).read_text("utf-8").split("\n")
        places = [source.index(line) for line in one.text.split("\n")[:-1] if source.count(line) == 1]
        assert places == sorted(places)
        assert one.start_line == places[0]


def test_copies_are_taken_once(repository: Repository) -> None:
    """A copied file says nothing new, whichever of the two was chosen."""
    text = "".join(one.text for one in ask(repository, 4000))
    assert len(re.findall(r"def make_thing3\(", text)) == 1


def test_what_the_prompt_has_already_is_left_out(tmp_path: Path) -> None:
    """A file that was copied and is being edited does not get its own lines as context."""
    repository = Repository(tmp_path, {"pkg/part1.py": MODULE.format(1), "pkg/part2.py": MODULE.format(2)})
    marked = (
        MODULE.format(1).replace("return thing\n", "return |\n") + "\nimport pkg.part1\nfrom pkg.part2 import Thing2\n"
    )
    lines = {line for one in repository.ask("pkg/copy.py", marked, budget_chars=4000) for line in one.text.split("\n")}
    assert "class Thing2:" in lines
    assert "def make_thing1(size: int) -> Thing1:" not in lines


def test_bodies_come_only_where_signatures_leave_room(repository: Repository) -> None:
    """The best definition's body is shown once everything else has its signature."""
    assert "thing = Thing0()" not in ask(repository, 200)[0].text
    assert "thing = Thing0()" in ask(repository, 4000)[0].text


def test_a_long_list_of_parameters_ends_with_dots() -> None:
    """What is called and with what first is worth more than its tenth parameter."""
    long = "def make(" + ", ".join(f"parameter_{number}: int" for number in range(20)) + ") -> None:"
    assert shown(long).startswith("def make(parameter_0: int, parameter_1: int")
    assert shown(long).endswith(", ...")
    assert len(shown(long)) < 150
    assert shown("def make(size: int):") == "def make(size: int):"
    assert shown("DATA = '" + "x" * 300 + "'") == ""
