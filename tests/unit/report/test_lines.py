from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tqsim.report.lines import broken


def test_a_line_is_broken_between_words_and_further_indented() -> None:
    line = '  latency (max = "10m", task = "shop.report-branch")'
    assert broken(line, 25) == ['  latency (max = "10m",', '      task = "shop.report-branch")']
    assert broken(line, 80) == [line]


def test_columns_in_a_line_stay_where_they_are() -> None:
    assert broken("    1s   a    b", 80) == ["    1s   a    b"]


def test_an_empty_line_is_a_line() -> None:
    assert broken("", 80) == [""]


@given(st.lists(st.text("abc-.", min_size=1, max_size=30), min_size=1), st.integers(10, 40))
def test_no_word_is_split_and_none_is_lost(words: list[str], width: int) -> None:
    parts = broken(" ".join(words), width)
    assert " ".join(parts).split() == words
    assert all(len(part) <= width or len(part.split()) == 1 for part in parts)
