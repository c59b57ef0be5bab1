"""Ids have owners: whoever held one first, and nobody else."""

import pytest
from factories import make_result

from recombine.leaderboard.board.entries import load_entry
from recombine.leaderboard.ledger.records import MAINTAINERS, Holder, record_tier
from recombine.leaderboard.submissions.bundle import MethodFile
from recombine.leaderboard.submissions.ownership import claim, holders, owner_of
from recombine.renderer.core.errors import InvalidInputError

NOW = "2026-01-01T00:00:00Z"
THEM, US = "https://example.org/them", "https://example.org/us"


def result(name="mine", code="m.py:M", **over):
    return make_result(entry=name, method={"code": code}, **over)


@pytest.mark.parametrize(
    ("code", "owner"),
    [
        ("https://GitHub.com/A/B.git", "https://github.com/a/b"),
        ("https://github.com/a/b/", "https://github.com/a/b"),
        ("", "a. name; b. other"),
    ],
)
def test_an_owner_is_the_address_of_the_code_else_the_authors(code, owner):
    card = MethodFile(authors=("B. Other", "A.  Name"), licence="MIT", code=code)
    assert owner_of(card) == owner


def test_a_free_id_is_held_from_then_on():
    held = {}
    claim(held, [result()], US)
    assert held == {"mine": Holder(US, "m.py:M", NOW)}
    with pytest.raises(InvalidInputError, match="belongs to https://example"):
        claim(held, [result(created="2026-02-01T00:00:00Z")], THEM, update=True)


def test_a_search_is_of_the_same_id():
    held = {}
    claim(held, [result(), result("mine-search", steps=(0, 9))], US)
    assert list(held) == ["mine"]
    with pytest.raises(InvalidInputError, match="belongs to"):
        claim(held, [result("mine-search", created="2026-02-01T00:00:00Z")], THEM)


def test_an_update_takes_a_maintainer_who_knows_the_sender():
    held = {"mine": Holder(US, "m.py:M", NOW)}
    later = result(created="2026-02-01T00:00:00Z")
    with pytest.raises(InvalidInputError, match="--update"):
        claim(held, [later], US)
    claim(held, [later], US, update=True)
    claim(held, [later], MAINTAINERS)
    assert held["mine"].owner == US


def test_another_method_needs_another_id():
    held = {"mine": Holder(US, "m.py:M", NOW)}
    for owner in (US, MAINTAINERS):
        with pytest.raises(InvalidInputError, match="Give the card another id"):
            claim(held, [result(code="n.py:N")], owner, update=True)


def test_ids_of_baselines_are_theirs():
    for name in ("supervised", "supervised-search"):
        for owner in (US, MAINTAINERS):
            with pytest.raises(InvalidInputError, match="that of a baseline"):
                claim({}, [result(name)], owner, reserved={"supervised"})
    ours = result("supervised", code="recombine.baselines.methods.supervised:Supervised")
    claim({}, [ours], MAINTAINERS, reserved={"supervised"})
    with pytest.raises(InvalidInputError, match="run by the maintainers"):
        claim({}, [ours], US, reserved={"supervised"})


def test_the_first_line_of_the_ledger_decides_and_files_without_one_are_the_maintainers(tmp_path):
    first, again = result(), result(created="2026-02-01T00:00:00Z")
    other = result("other", code="o.py:O")
    files = [one.save(tmp_path / f"{i}.json") for i, one in enumerate((first, again, other))]
    record_tier(tmp_path, [first], "rescored", NOW, owner=US)
    record_tier(tmp_path, [again], "rescored", "2026-02-01T00:00:00Z", owner=THEM)
    assert holders(map(load_entry, files)) == {
        "mine": Holder(US, "m.py:M", NOW),
        "other": Holder(MAINTAINERS, "o.py:O", NOW),
    }
