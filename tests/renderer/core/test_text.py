"""Text of others: readers see all of it, and it does nothing where it is printed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.core.text import legible, markdown, named, shown, tidy, unseen


@pytest.mark.parametrize(
    "text",
    ["\x00", "\x1b[2J", "a\nb", "a\u202eb", "a\u200bb", "\ufeffa", "a\u2066b", "\u2028", "\ue000",
     "\u3164", "\u115f", "\udc80", "\U000e0041", "e\u0301"],
)  # fmt: skip
def test_text_that_readers_do_not_see_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="text"):
        legible(text)


@pytest.mark.parametrize("text", ["", " ", "\u3000", "\u00a0"])
def test_blanks_are_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="not blanks alone"):
        named(text)


@pytest.mark.parametrize(
    "text",
    ["Slot encoder", "\u00c9cole", "\u05e9\u05dc\u05d5\u05dd", "\u4f60\u597d", "\u2764\ufe0f"],
)
def test_names_of_every_script_hold(text: str) -> None:
    assert named(text) == text


@given(st.text(st.characters(categories=None)))
def test_what_is_shown_is_seen_and_what_is_tidy_is_one_line(text: str) -> None:
    assert not any(unseen(one) for one in shown(text, keep=""))
    assert unicodedata.is_normalized("NFC", tidy(text))
    assert "\n" not in tidy(text)
    assert not any(unseen(one) for one in markdown(text))


def test_markdown_makes_no_link_of_a_name() -> None:
    assert markdown("www.example.org [x](y) @all | 0.5") == (
        r"www\.example.org \[x\]\(y\) \@all \| 0.5"
    )
