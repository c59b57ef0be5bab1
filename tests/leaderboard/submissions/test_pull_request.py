"""Texts for people: complete, and safe with a stranger's words in them."""

import re

from hypothesis import given
from hypothesis import strategies as st
from sample_board import sample

from recombine.leaderboard.submissions.changes import EntryChange
from recombine.leaderboard.submissions.review import CLAIMS, _link, plain, review_text


@given(st.text(max_size=60))
def test_a_strangers_text_is_one_line_without_markup(text):
    shown = plain(text)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>*_`\[\]@#|]", shown)


def test_a_mention_or_link_or_script_stays_text():
    shown = plain("@all [x](https://e.org) <script> | ~~a~~")
    for live in (r"(?<!\\)@", r"(?<!\\)\[", r"(?<!\\)<", r"(?<!\\)\|"):
        assert not re.search(live, shown)


def test_the_review_names_scores_and_changes():
    result = sample(0)
    text = review_text([result], [EntryChange("added", "smoke", "supervised", 1024, "", "0.5512")])
    assert f"{100 * result.scores.ooc_test.estimate:.1f}" in text
    assert "added: supervised" in text
    assert "Trust tier: rescored." in text
    assert "Trust tier: rerun." in review_text([result], [], "rerun")
    assert "0.5512" in text
    assert "None." in review_text([result], [])


def test_only_a_plain_address_is_a_link():
    assert _link("https://example.org/my-method?a=1") == "<https://example.org/my-method?a=1>"
    assert "<" not in _link("https://e.org/)[x](y>").replace("\\<", "")
    assert _link("") == "not given"


def test_the_claims_are_sentences():
    assert all(claim.endswith(".") for claim in CLAIMS)
