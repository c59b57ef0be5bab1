"""Trust cannot be borrowed: tiers, rows, states, and one bad file beside good ones."""

import csv
import io
import json

import pytest
from factories import make_result
from sample_board import sample, write_results

from recombine.benchmark.results.result import Result
from recombine.leaderboard.board import entries
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards, load_entry, read_boards
from recombine.leaderboard.exports import tables
from recombine.leaderboard.exports.every_eval_ever import record
from recombine.leaderboard.ledger.records import record_mark, record_tier
from recombine.leaderboard.site import build as building
from recombine.leaderboard.site.build import build_site, check_site
from recombine.leaderboard.site.entry import sources
from recombine.renderer.core.errors import IntegrityError, InvalidInputError

NOW = "2026-01-01T00:00:00Z"


def put(folder, name, tier=None, **over):
    """Save a result and put it on record; return its file."""
    result = make_result(**over)
    path = result.save(folder / f"{name}.json")
    if tier:
        record_tier(folder, [result], tier, NOW)
    return path


@pytest.mark.parametrize(
    ("old", "new", "holds"),
    [
        ("retrained", "rescored", "old"),
        ("retrained", None, "old"),
        ("rescored", None, "old"),
        ("rescored", "rescored", "new"),
        ("rescored", "retrained", "new"),
    ],
)
def test_a_row_is_held_by_the_newest_of_the_highest_tier(tmp_path, old, new, holds):
    put(tmp_path, "old", old)
    put(tmp_path, "new", new, created="2026-02-01T00:00:00Z")
    (board,) = load_boards(sorted(tmp_path.glob("*.json")))
    assert [entry.path.stem for entry in board.entries] == [holds]
    (other,) = board.superseded
    assert other.by is board.entries[0]


def test_a_withdrawn_result_gives_its_row_back(tmp_path):
    put(tmp_path, "old", "rescored")
    path = put(tmp_path, "new", "retrained", created="2026-02-01T00:00:00Z")
    record_mark(tmp_path, Result.load(path), "withdrawn", "The images were others.", NOW)
    (board,) = load_boards(sorted(tmp_path.glob("*.json")))
    assert [entry.path.stem for entry in board.entries] == ["old"]
    assert board.superseded[0].entry.withdrawn


def test_a_disputed_result_is_not_confirmed_until_that_is_settled(tmp_path):
    path = put(tmp_path, "one", "retrained")
    result = Result.load(path)
    assert load_entry(path).confirmed
    record_mark(tmp_path, result, "disputed", "Two seeds are equal.", NOW)
    entry = load_entry(path)
    assert (entry.tier, entry.confirmed, entry.witnessed) == ("retrained", False, True)
    assert (entry.mark.state, entry.mark.reason, entry.mark.date) == (
        "disputed", "Two seeds are equal.", NOW,
    )  # fmt: skip
    record_mark(tmp_path, result, "settled", "They are not.", NOW)
    assert load_entry(path).confirmed


def test_a_state_stands_on_the_page_and_in_every_export(tmp_path):
    results = tmp_path / "results"
    path = put(results, "one", "retrained")
    put(results, "two", "retrained", entry="other")
    record_mark(results, Result.load(path), "disputed", "Two seeds are equal.", NOW)
    files = sorted(results.glob("*.json"))
    site = build_site(files, tmp_path / "site").parent
    boards = [rank_board(board) for board in load_boards(files)]
    marked = load_entry(path)
    assert "Two seeds are equal." in (site / f"entries/{marked.slug}.html").read_text()
    assert "disputed" in (site / "changelog.html").read_text()
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(boards))))
    states = {row["entry"]: (row["state"], row["state_reason"], row["state_date"]) for row in rows}
    assert states == {
        "autoencoder": ("disputed", "Two seeds are equal.", NOW), "other": ("", "", ""),
    }  # fmt: skip
    (board,) = json.loads(tables.to_json(boards))["boards"]
    assert sorted(str(one["state"] and one["state"]["state"]) for one in board["entries"]) == [
        "None", "disputed",
    ]  # fmt: skip
    assert "autoencoder, direct (disputed)" in tables.markdown_table(boards)
    assert r"$^{?}$" in tables.latex_table(boards)
    assert record(marked)["source_metadata"]["additional_details"]["state"] == "disputed"


def test_one_bad_file_is_refused_and_the_others_stand(tmp_path):
    files = write_results(tmp_path / "results")
    bad = tmp_path / "results" / "bad.json"
    bad.write_text('{"training": {"real_images_seen": 1' + "0" * 400 + "}}")
    told = []
    index = build_site([*files, bad], tmp_path / "site", tell=told.append)
    assert [one.path for one in told] == [bad]
    listed = (index.parent / "changelog.html").read_text()
    assert "bad.json" in listed
    assert str(tmp_path) not in listed
    assert "1 refused file" in index.read_text()
    boards, refused = read_boards([*files, bad])
    assert (len(boards), len(boards[0].entries), len(refused)) == (1, 6, 1)
    with pytest.raises(InvalidInputError, match=r"bad\.json"):
        load_boards([*files, bad])


def test_what_nobody_thought_of_stops_no_build(tmp_path, monkeypatch):
    files = write_results(tmp_path / "results")

    def pages(boards, *_):
        for board in boards:
            for entry in board.board.entries:
                if entry.path == files[2]:
                    raise KeyError("surprise")
        yield "index.html", b"made"
        yield building.MARKER, b""

    monkeypatch.setattr(building, "site_files", pages)
    told = []
    build_site(files, tmp_path / "site", tell=told.append)
    assert [one.path for one in told] == [files[2]]
    assert "surprise" in str(told[0].error)
    boards, refused = check_site(files)
    assert (len(boards[0].board.entries), len(refused)) == (5, 1)


def test_a_fault_of_no_file_is_not_blamed_on_one(tmp_path, monkeypatch):
    files = write_results(tmp_path / "results", indices=[0, 1])

    def pages(boards, *_):
        if len(boards[0].board.entries) > 1:
            raise ValueError("together")
        yield "index.html", b"made"

    monkeypatch.setattr(building, "site_files", pages)
    with pytest.raises(ValueError, match="together"):
        build_site(files, tmp_path / "site")


def test_a_file_that_breaks_its_reader_is_refused(tmp_path, monkeypatch):
    files = write_results(tmp_path, indices=[0, 1])
    real = entries.check_picture

    def check(path, *rest):
        if path == files[0]:
            raise OverflowError("too large")
        real(path, *rest)

    monkeypatch.setattr(entries, "check_picture", check)
    _, refused = read_boards(files)
    assert [(one.path, "OverflowError" in str(one.error)) for one in refused] == [(files[0], True)]


def test_a_strangers_cells_do_not_make_others_strange(tmp_path):
    files = [put(tmp_path, name, "retrained", entry=name) for name in ("b-one", "c-two")]
    odd = make_result(entry="a-odd", ooc_hits=[[1] * 7] * 3, ooc_counts=[[24] * 7] * 3)
    path = odd.save(tmp_path / "a-odd.json")
    boards, refused = read_boards([path, *files])
    assert [one.path for one in refused] == [path]
    assert len(boards[0].entries) == 2


def test_an_edited_ledger_stops_everything(tmp_path):
    path = put(tmp_path, "one", "rescored")
    ledger = tmp_path / "verified.jsonl"
    ledger.write_text(ledger.read_text().replace("rescored", "retrained"))
    with pytest.raises(IntegrityError, match="matches its hash"):
        read_boards([path])


def test_only_a_maintainers_run_says_what_was_measured(tmp_path):
    path = sample(0).save(tmp_path)
    said = dict(sources(load_entry(path)))
    assert set(said) == {"Ran", "Self-reported"}
    assert "elsewhere" in said["Ran"]
    record_tier(tmp_path, [sample(0)], "retrained", NOW)
    assert "Measured by the harness" in dict(sources(load_entry(path)))


def test_a_file_by_hand_never_says_measured_by_the_harness(tmp_path):
    site = build_site([sample(0).save(tmp_path / "r")], tmp_path / "site").parent
    (page,) = (site / "entries").glob("*.html")
    assert "Measured by the harness" not in page.read_text()
    assert "Self-reported: no harness of a maintainer ran this method" in page.read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"recipe": {"preset": "a/b"}}},
        {"data": {"recipe": {"preset": "smoke", "values": "8; rm -rf ."}}},
        {"data": {"recipe": {"preset": "smoke", "scale": -1.0}}},
        {"data": {"recipe": {"scale": 1.0}}},
        {"created": "2026-13-45T99:99:99Z"},
        {"created": "\u0662\u0660\u0662\u0666-01-01T00:00:00Z"},
        {"training": {"wall_s": 1e300}},
        {"method": {"settings": {"\u202e": 1}}},
        {"seeds": list(range(2000))},
        {"further": {"identifiability": {"a/b": {}}}},
    ],
    ids=str,
)
def test_what_no_page_could_show_is_no_result(change):
    with pytest.raises(InvalidInputError, match="not a valid result"):
        make_result(**change)
