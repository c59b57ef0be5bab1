"""A tier follows from the ledger beside a result, whatever the file says of itself."""

import csv
import json

import pytest
from sample_board import sample

from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.ledger import chain
from recombine.leaderboard.ledger.records import (
    KEY,
    LEDGER,
    TIERS,
    Ledgers,
    Mark,
    ledger_head,
    read_ledger,
    read_tiers,
    record_mark,
    record_tier,
)
from recombine.leaderboard.site.build import build_site
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError

NOW = "2026-01-01T00:00:00Z"


class Signer:
    """Fast, and told apart by its key."""

    def __init__(self, letter=b"k"):
        self.public_key = letter * 32

    def sign(self, message):
        return (self.public_key[:1] + message[:31]) * 2


def check(key, signature, message):
    if signature != (key[:1] + message[:31]) * 2:
        raise IntegrityError("signature: expected one by this key, got another")


@pytest.fixture(autouse=True)
def fast_signatures(monkeypatch):
    monkeypatch.setattr(chain, "verify_signature", check)


def tier(folder, result):
    return Ledgers().of(result.save(folder).parent).tier(result.result_id)


def test_without_a_line_a_result_is_self_reported(tmp_path):
    assert sample(0).trust == "retrained"
    assert tier(tmp_path, sample(0)) == "self-reported"
    record_tier(tmp_path, [sample(1)], "rescored", NOW)
    assert tier(tmp_path, sample(0)) == "self-reported"


def test_a_line_lifts_exactly_one_content(tmp_path):
    result = sample(0)
    record_tier(tmp_path, [result], "rescored", NOW)
    assert tier(tmp_path, result) == "rescored"
    edited = sample(0, method={"note": "another"})
    assert tier(tmp_path, edited) == "self-reported"


def test_a_second_review_adds_only_what_is_new(tmp_path):
    results = [sample(0), sample(1)]
    assert len(record_tier(tmp_path, results, "rescored", NOW)) == 2
    assert record_tier(tmp_path, results, "rescored", NOW) == []
    assert [line.index for line in record_tier(tmp_path, results[:1], "retrained", NOW)] == [2]
    assert record_tier(tmp_path, results[:1], "rescored", NOW) == []
    found = read_tiers(tmp_path)
    assert [found[one.result_id] for one in results] == ["retrained", "rescored"]


@pytest.mark.parametrize(("own", "asked"), [("rescored", "rerun"), ("rerun", "retrained"),
                                            ("retrained", "self-reported")])  # fmt: skip
def test_no_tier_beyond_what_the_harness_did(tmp_path, own, asked):
    with pytest.raises(InvalidInputError, match=f"to {own}"):
        record_tier(tmp_path, [sample(0, trust=own)], asked, NOW)
    assert not (tmp_path / LEDGER).exists()
    assert TIERS.index(own) > 0


def test_pages_and_downloads_show_the_tier_and_follow_the_ledger(tmp_path):
    results, site = tmp_path / "results", tmp_path / "site"
    result = sample(0)
    files = [result.save(results)]

    def shown():
        build_site(files, site)
        (page,) = (site / "entries").glob("*.html")
        (row,) = csv.DictReader((site / "results.csv").read_text().splitlines())
        (board,) = json.loads((site / "results.json").read_text())["boards"]
        assert board["entries"][0]["trust"] == row["trust"]
        for place in (page, site / "index.html"):
            assert f"</svg>{row['trust']}</span>" in place.read_text()
        assert f"current, {row['trust']}" in (site / "changelog.html").read_text()
        return row["trust"]

    assert shown() == "self-reported"
    record_tier(results, [result], "rescored", NOW)
    assert shown() == "rescored"


def lines(folder):
    return (folder / LEDGER).read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: [raw[0].replace(b"rescored", b"retrained"), raw[1]],
        lambda raw: raw[1:],
        lambda raw: raw[::-1],
        lambda raw: [*raw, raw[0]],
        lambda raw: [raw[0], raw[1][:-5]],
    ],
)
def test_a_changed_ledger_stops_every_reader(tmp_path, change):
    record_tier(tmp_path, [sample(0), sample(1)], "rescored", NOW)
    before = lines(tmp_path)
    (tmp_path / LEDGER).write_bytes(b"".join(change(before)))
    for use in (lambda: read_tiers(tmp_path), lambda: tier(tmp_path, sample(0)),
                lambda: record_tier(tmp_path, [sample(2)], "rescored", NOW)):  # fmt: skip
        with pytest.raises(IntegrityError):
            use()


def test_a_broken_ledger_is_said_once(tmp_path):
    paths = [sample(i).save(tmp_path) for i in range(3)]
    (tmp_path / LEDGER).write_text("x")
    with pytest.raises(IntegrityError) as caught:
        load_boards(paths)
    assert "\n" not in str(caught.value)


def test_other_logs_are_no_ledger(tmp_path):
    chain.append(tmp_path / LEDGER, "verified", {"result_id": "0" * 64, "tier": "x"}, NOW, None)
    with pytest.raises(IntegrityError, match="recombine submission review"):
        read_tiers(tmp_path)


def test_a_signed_ledger_takes_lines_of_its_key_only(tmp_path):
    record_tier(tmp_path, [sample(0)], "rescored", NOW, Signer())
    assert (tmp_path / KEY).read_text().strip() == (b"k" * 32).hex()
    assert json.loads(lines(tmp_path)[0])["signature"]
    for other in (None, Signer(b"x")):
        with pytest.raises(UsageError, match="--key"):
            record_tier(tmp_path, [sample(1)], "rescored", NOW, other)
    record_tier(tmp_path, [sample(1)], "rescored", NOW, Signer())
    assert len(read_tiers(tmp_path)) == 2
    (tmp_path / KEY).write_text((b"x" * 32).hex())
    with pytest.raises(IntegrityError, match="by this key"):
        read_tiers(tmp_path)
    (tmp_path / KEY).write_text("not a key")
    with pytest.raises(IntegrityError, match="public key"):
        read_tiers(tmp_path)


def test_taking_the_key_away_does_not_take_signatures_away(tmp_path):
    record_tier(tmp_path, [sample(0)], "rescored", NOW, Signer())
    (tmp_path / KEY).unlink()
    with pytest.raises(IntegrityError, match="without a key"):
        read_tiers(tmp_path)
    (tmp_path / LEDGER).unlink()
    record_tier(tmp_path, [sample(0)], "rescored", NOW)
    with pytest.raises(UsageError, match="without signatures"):
        record_tier(tmp_path, [sample(1)], "rescored", NOW, Signer())


def test_the_last_mark_counts_and_a_settled_one_is_none(tmp_path):
    result = sample(0)
    with pytest.raises(UsageError, match="nothing to settle"):
        record_mark(tmp_path, result, "settled", "Over.", NOW)
    record_mark(tmp_path, result, "disputed", "Odd.", NOW)
    record_mark(tmp_path, result, "withdrawn", "Wrong.", "2026-02-01T00:00:00Z")
    found = read_ledger(tmp_path).marks
    assert found == {result.result_id: Mark("withdrawn", "Wrong.", "2026-02-01T00:00:00Z")}
    record_mark(tmp_path, result, "settled", "Right after all.", NOW)
    assert read_ledger(tmp_path).marks == {}


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "a\u202eb"])
def test_a_mark_needs_a_reason_that_readers_see(tmp_path, reason):
    with pytest.raises(UsageError, match="a reason for readers"):
        record_mark(tmp_path, sample(0), "disputed", reason, NOW)


def test_a_signed_ledger_takes_marks_of_its_key_only(tmp_path):
    record_tier(tmp_path, [sample(0)], "rescored", NOW, Signer())
    with pytest.raises(UsageError, match="--key"):
        record_mark(tmp_path, sample(0), "disputed", "Odd.", NOW)
    record_mark(tmp_path, sample(0), "disputed", "Odd.", NOW, Signer())
    assert len(read_ledger(tmp_path).marks) == 1


def rewrite(folder):
    """Write a ledger anew, from its first line."""
    (folder / LEDGER).unlink()
    record_tier(folder, [sample(0), sample(1)], "retrained", "2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "change",
    [rewrite, lambda folder: (folder / LEDGER).write_bytes(b"".join(lines(folder)[:-1])),
     lambda folder: (folder / LEDGER).unlink()],
)  # fmt: skip
def test_a_published_head_finds_what_the_chain_alone_cannot_see(tmp_path, change):
    record_tier(tmp_path, [sample(0), sample(1)], "rescored", NOW)
    head = ledger_head(tmp_path)
    record_tier(tmp_path, [sample(2)], "rescored", NOW)
    assert ledger_head(tmp_path, head) != head  # it has grown, and still begins with that
    grown = ledger_head(tmp_path)
    change(tmp_path)
    read_tiers(tmp_path)  # nothing is to be seen
    with pytest.raises((IntegrityError, InvalidInputError)):
        ledger_head(tmp_path, grown)
