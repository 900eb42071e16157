"""Echo: what followed earlier occurrences of the text left of the cursor, and what speaks for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble import echo
from fimble.echo import Echo, Origin

LINE = "result = compute_everything(first, second)"

chars = st.text(alphabet="ab (\n\t", max_size=60)


def best(before: str, after: str = "", *others: str) -> Echo:
    found = echo.find(before, after, others)
    assert found
    return found[0]


def test_the_rest_of_an_earlier_line_is_copied() -> None:
    """Who begins a line that stands above already gets its rest."""
    found = best(f"{LINE}\nx = 1\nresult = compute_ever")
    assert (found.text, found.match_chars) == ("ything(first, second)", len("\nresult = compute_ever") - 1)
    assert (found.origin, found.share, found.agreeing, found.places) == (Origin.ABOVE, 1.0, 1, 1)


def test_nothing_repeats_at_the_first_time() -> None:
    """The text at the cursor does not echo itself."""
    assert echo.find("qwert = ") == ()
    assert echo.find("") == ()


def test_the_longest_match_wins_over_the_nearest() -> None:
    """Of two earlier places the one that agrees further to the left is copied, though it is further away."""
    found = echo.find("alpha(); compute_total(one)\nbeta(); compute_total(two)\nalpha(); compute_total(")
    assert [each.text for each in found] == ["one)", "two)"]
    assert found[0].match_chars > found[1].match_chars
    assert (found[0].reach, found[0].share > 0.5 > found[1].share) == (1.0, True)
    assert found[1].reach == found[1].match_chars / found[0].match_chars


def test_the_nearest_of_equal_matches_wins() -> None:
    """Of two places that agree equally far, the later one is likelier."""
    found = echo.find("\ncompute_total(one)\ncompute_total(two)\ncompute_total(")
    assert [each.text for each in found] == ["two)", "one)"]
    assert found[0].is_nearest


def test_many_places_outvote_one() -> None:
    """What stands at five places beats what stands nearer, once; the vote tells how many agree."""
    many = "".join(f"n{number} = load(path)\n" for number in range(5))
    found = best(f"{many}z = load(data)\nx = load(")
    assert (found.text, found.agreeing, found.places) == ("path)", 5, 6)


def test_a_line_that_ends_here_elsewhere_is_counter_evidence() -> None:
    """Where the same text ended its line nothing is copied, but it is told."""
    found = best("total = first\ntotal = first + second\ntotal = first")
    assert found.text == " + second"
    assert 0 < found.ending < 1


def test_an_indentation_does_not_count_as_a_match() -> None:
    """Blanks that indent a line tell nothing about what follows."""
    assert all(each.match_chars <= 1 for each in echo.find("        x = 1\n        y = 2\n        "))


def test_a_new_line_needs_the_line_above() -> None:
    """On a new line the lines above must repeat; then what stood below them is copied."""
    block = "def load(self, path):\n    return open(path)\n"
    assert best(f"{block}\n{block[:26]}").text == "return open(path)"


def test_text_below_the_cursor_is_copied_from() -> None:
    """Who writes the second method first finds its words above."""
    found = best("x = compute_t", "\n\ny = compute_total(below)\n")
    assert (found.text, found.origin) == ("otal(below)", Origin.BELOW)


def test_other_files_are_searched_nearest_first() -> None:
    """What is not in this file comes from the most recently used other one."""
    found = best("x = 1\ncompute_total(", "", "compute_total(recent)\n", "compute_total(older)\n")
    assert (found.text, found.origin) == ("recent)", Origin.ELSEWHERE)


def test_this_file_wins_over_others_that_match_as_well() -> None:
    """Another file is copied from only where it agrees further."""
    here = "\ncompute_total(here)\ncompute_total("
    assert best(here, "", "\ncompute_total(there)").text == "here)"
    assert best(here, "", "compute_total(here)\ncompute_total(there)").text == "there)"


def test_a_file_with_other_line_endings_is_found_all_the_same() -> None:
    """\\r\\n in another file neither hides a match nor gets into the copy."""
    assert best("compute_total(", "", "compute_total(there)\r\nnext\r\n").text == "there)"


def test_how_many_are_wanted_is_how_many_come() -> None:
    """No more than asked for, and each begins with another word."""
    before = "".join(f"\nload({name})" for name in ("one", "two", "three", "four")) + "\nload("
    assert len(echo.find(before, limit=3)) == 3
    assert len({echo.first_word(each.text) for each in echo.find(before, limit=4)}) == 4


def test_the_first_word_is_what_one_would_take_alone() -> None:
    """Two characters or more, up to an edge between letters and others."""
    taken = {text: echo.first_word(text) for text in ("name(x)", "x + y", "(a, b)", "ab", "a", "", "snake_case = 1")}
    assert list(taken.values()) == ["name", "x ", "(a", "ab", "a", "", "snake"]


@given(chars, chars, st.lists(chars, max_size=2))
def test_a_copy_is_one_line_that_really_followed(before: str, after: str, others: list[str]) -> None:
    """Every copy is the blank-trimmed rest of a line that stands after the same characters somewhere."""
    for found in echo.find(before, after, others):
        assert found.text.strip()
        assert "\n" not in found.text
        assert found.text == found.text.rstrip()
        repeated = before[len(before) - found.match_chars :] + found.text
        assert any(repeated in text for text in (before, after, *others))
        assert 0 < found.share <= 1
        assert 0 <= found.ending < 1
        assert 0 < found.reach <= 1
        assert 1 <= found.agreeing <= found.places


@given(st.text(alphabet="abc()., ", min_size=8, max_size=40), st.text(alphabet="xyz\n", max_size=20))
def test_a_repeated_line_is_always_found(line: str, between: str) -> None:
    """A line that stands above is echoed once enough of its characters are typed again."""
    line = f"<{line}>"
    assert line[9:].rstrip() in [each.text for each in echo.find(f"{line}\n{between}\n{line[:9]}", limit=9)]


def test_a_huge_file_of_repetitions_has_a_bounded_search() -> None:
    """Thousands of occurrences are not all compared: the nearest ones are enough."""
    far = "alpha(); compute_total(far)\n"
    near = "compute_total(near)\n" * 5000
    found = best(far + near + "beta(); compute_total(")
    assert found.text == "near)"
    assert found.places <= 16 * 5
