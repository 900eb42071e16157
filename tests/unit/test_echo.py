"""Echo: what followed the longest earlier occurrence of the text left of the cursor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble import echo
from fimble.echo import Echo

LINE = "result = compute_everything(first, second)"

chars = st.text(alphabet="ab (\n\t", max_size=60)


def test_the_rest_of_an_earlier_line_is_copied() -> None:
    """Who begins a line that stands above already gets its rest."""
    found = echo.find(f"{LINE}\nx = 1\nresult = compute_ever", (), 16)
    assert found == Echo("ything(first, second)", len("\nresult = compute_ever") - 1)


def test_too_short_a_match_is_none() -> None:
    """Fewer characters than asked for are no echo; exactly as many are one."""
    before = f"{LINE}\nresult = comput"
    assert echo.find(before, (), 16) is None
    found = echo.find(before, (), 15)
    assert found is not None
    assert found.text == "e_everything(first, second)"


def test_nothing_repeats_at_the_first_time() -> None:
    """The text at the cursor does not echo itself."""
    assert echo.find(LINE, (), 4) is None
    assert echo.find("", (), 4) is None


def test_the_longest_match_wins_over_the_nearest() -> None:
    """Of two earlier places the one that agrees further to the left is copied, though it is further away."""
    before = "alpha(); compute_total(one)\nbeta(); compute_total(two)\nalpha(); compute_total("
    found = echo.find(before, (), 10)
    assert found is not None
    assert found.text == "one)"


def test_the_nearest_of_equal_matches_wins() -> None:
    """Of two places that agree equally far, the later one is likelier."""
    before = "compute_total(one)\ncompute_total(two)\ncompute_total("
    found = echo.find(before, (), 10)
    assert found is not None
    assert found.text == "two)"


def test_an_indentation_does_not_count_as_a_match() -> None:
    """Blanks that indent a line tell nothing about what follows."""
    assert echo.find("        x = 1\n        y = 2\n        ", (), 8) is None


def test_a_short_line_needs_the_line_above() -> None:
    """On a new line the lines above must repeat; then what stood below them is copied."""
    block = "def load(self, path):\n    return open(path)\n"
    found = echo.find(f"{block}\n{block[:26]}", (), 16)
    assert found is not None
    assert found.text == "return open(path)"


def test_a_place_without_a_rest_is_passed_over() -> None:
    """An earlier occurrence at the end of its line has nothing to copy; an earlier one that has is used."""
    before = "compute_total(one)\ncompute_total(\ncompute_total(  \ncompute_total("
    found = echo.find(before, (), 10)
    assert found is not None
    assert found.text == "one)"


def test_other_files_are_searched_nearest_first() -> None:
    """What is not in this file comes from the most recently used other one."""
    others = ("compute_total(recent)\n", "compute_total(older)\n")
    found = echo.find("x = 1\ncompute_total(", others, 10)
    assert found is not None
    assert found.text == "recent)"


def test_this_file_wins_over_others_that_match_as_well() -> None:
    """Another file is copied from only where it agrees further."""
    here = "compute_total(here)\ncompute_total("
    assert echo.find(here, ("compute_total(there)",), 10) == Echo("here)", 14)
    further = echo.find(here, ("compute_total(here)\ncompute_total(there)",), 10)
    assert further is not None
    assert further.text == "there)"


def test_a_file_with_other_line_endings_is_found_all_the_same() -> None:
    """\\r\\n in another file neither hides a match nor gets into the copy."""
    found = echo.find("compute_total(", ("compute_total(there)\r\nnext\r\n",), 10)
    assert found is not None
    assert found.text == "there)"


@given(chars, st.lists(chars, max_size=2), st.integers(min_value=1, max_value=12))
def test_a_copy_is_one_line_that_really_followed(before: str, others: list[str], min_chars: int) -> None:
    """Every copy is the blank-trimmed rest of a line that stands after the same characters somewhere."""
    found = echo.find(before, others, min_chars)
    if found is None:
        return
    assert found.match_chars >= min_chars
    assert found.text.strip()
    assert "\n" not in found.text
    assert found.text == found.text.rstrip()
    repeated = before[-found.match_chars :] + found.text
    assert any(repeated in text for text in (before, *others))


@given(st.text(alphabet="abc()., ", min_size=8, max_size=40), st.text(alphabet="xyz\n", max_size=20))
def test_a_repeated_line_is_always_found(line: str, between: str) -> None:
    """A line that stands above is echoed once enough of its characters are typed again."""
    line = f"<{line}>"
    found = echo.find(f"{line}\n{between}\n{line[:9]}", (), 8)
    assert found is not None
    assert found.text == line[9:]


def test_a_huge_file_of_repetitions_has_a_bounded_search() -> None:
    """Thousands of occurrences are not all compared: the nearest ones are enough."""
    far = "alpha(); compute_total(far)\n"
    near = "compute_total(near)\n" * 5000
    found = echo.find(far + near + "alpha(); compute_total(", (), 10)
    assert found is not None
    assert found.text == "near)"
