"""Result files become boards only when they are intact, consistent and comparable."""

import json
from pathlib import Path

import numpy as np
import pytest
from factories import make_result
from sample_board import sample, write_results

from recombine import leaderboard
from recombine.benchmark.metrics.base import JOINT
from recombine.benchmark.results.result import Result
from recombine.benchmark.statistics.design import scores_of
from recombine.leaderboard.board.entries import (
    board_key,
    find_results,
    load_boards,
    load_entry,
)
from recombine.renderer.core.errors import IntegrityError, InvalidInputError


def resealed(result, change):
    """Return the result with changed content and a fresh, matching result id."""
    plain = result.model_dump(mode="json")
    change(plain)
    fields = {k: v for k, v in plain.items() if k not in ("schema_version", "result_id")}
    return Result.sealed(**fields)


def test_a_folder_of_results_is_listed_by_name(tmp_path):
    write_results(tmp_path)
    (tmp_path / "notes.txt").write_text("no result")
    (tmp_path / "._a.json").write_bytes(b"\x00\x05\x16\x07")  # macOS puts one beside each file
    (tmp_path / "deeper").mkdir()
    found = find_results(tmp_path)
    assert len(found) == 6
    assert found == sorted(found)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="nowhere"):
        find_results(tmp_path / "nowhere")


def test_entries_stand_on_one_board_best_first(tmp_path):
    (board,) = load_boards(write_results(tmp_path))
    estimates = [e.result.scores.ooc_test.estimate for e in board.entries]
    assert estimates == sorted(estimates, reverse=True)
    assert board.key.dataset == "smoke"
    assert board.key.metric == "joint_slot_accuracy"


def test_the_order_of_files_does_not_matter(tmp_path):
    files = write_results(tmp_path)
    assert load_boards(files) == load_boards(files[::-1])


def test_no_files_no_boards():
    assert load_boards([]) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dataset", {"dataset": "other"}),
        ("version", {"version": "1.1"}),
        ("resolution", {"resolution": 128}),
        ("identity", {"identity": "cd" * 32}),
    ],
)
def test_other_data_never_share_a_board(tmp_path, name, change):
    first = make_result(entry="one").save(tmp_path / "a.json")
    second = make_result(entry="two", data=change).save(tmp_path / "b.json")
    boards = load_boards([first, second])
    assert len(boards) == 2
    assert getattr(boards[0].key, name) != getattr(boards[1].key, name)


def test_a_copy_with_other_pixels_shares_the_board_and_is_marked(tmp_path):
    files = [make_result(entry=name).save(tmp_path / f"{name}.json") for name in ("one", "two")]
    copy = make_result(entry="three", data={"root": "cd" * 32}).save(tmp_path / "three.json")
    (board,) = load_boards([*files, copy])
    assert [entry.path for entry in board.other_pixels] == [copy]
    (board,) = load_boards(files)
    assert board.other_pixels == ()


def test_another_metric_version_never_shares_a_board(tmp_path):
    def bump(plain):
        for score in plain["scores"].values():
            score["metric_version"] = "9.9"

    first = make_result(entry="one")
    second = resealed(make_result(entry="two"), bump)
    assert board_key(first) != board_key(second)
    paths = [r.save(tmp_path / f"{i}.json") for i, r in enumerate((first, second))]
    assert [b.key.metric_version for b in load_boards(paths)] == [JOINT.version, "9.9"]


def test_mixed_metric_versions_in_one_file_are_refused(tmp_path):
    def bump(plain):
        plain["scores"]["id_test"]["metric_version"] = "9.9"

    path = resealed(make_result(), bump).save(tmp_path / "mixed.json")
    with pytest.raises(InvalidInputError, match=r"mixed\.json.*one metric and version"):
        load_entry(path)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        (
            "scores.ooc_test.ci95",
            lambda p: p["scores"]["ooc_test"].update(ci95=[0.5, 0.51], lift=None, lift_ci95=None),
        ),
        ("scores.id_test.ci95", lambda p: p["scores"]["id_test"].update(ci95=None)),
        (
            "scores.ooc_test.per_seed",
            lambda p: p["scores"]["ooc_test"]["per_seed"].__setitem__(0, 1.0),
        ),
        ("gap.ci95", lambda p: p["gap"].update(ci95=[-1.0, 1.0])),
        ("paired_gap.ci95", lambda p: p["paired_gap"].update(ci95=[0.0, 0.0])),
        ("paired_gap.estimate", lambda p: p["paired_gap"].update(estimate=0.0)),
    ],
)
def test_numbers_that_do_not_follow_from_the_counts_are_refused(tmp_path, what, change):
    path = resealed(sample(0), change).save(tmp_path / "polished.json")
    with pytest.raises(InvalidInputError, match=f"polished.json: {what} must follow"):
        load_entry(path)


def test_an_edited_file_is_refused_as_damaged(tmp_path):
    path = make_result().save(tmp_path / "edited.json")
    path.write_text(path.read_text().replace('"Autoencoder"', '"Autoencoder!"'))
    with pytest.raises(IntegrityError, match=r"edited\.json"):
        load_boards([path])


def test_every_bad_file_is_named_at_once(tmp_path):
    good = make_result().save(tmp_path / "good.json")
    broken, unknown = tmp_path / "broken.json", tmp_path / "unknown.json"
    broken.write_text("{")
    plain = json.loads(good.read_text())
    unknown.write_text(json.dumps(plain | {"surprise": 1}))
    with pytest.raises(InvalidInputError) as caught:
        load_boards([good, broken, unknown, tmp_path / "absent.json"])
    for name in ("broken.json", "unknown.json", "surprise", "absent.json"):
        assert name in str(caught.value)
    assert "good.json" not in str(caught.value)


def test_the_same_row_twice_at_one_time_is_refused(tmp_path):
    first = make_result(entry="one").save(tmp_path / "a.json")
    second = make_result(entry="one").save(tmp_path / "b.json")
    with pytest.raises(InvalidInputError, match=r"b\.json.*already taken.*a\.json"):
        load_boards([first, second])


def test_one_entry_at_two_training_sizes_is_two_rows(tmp_path):
    first = make_result(entry="one").save(tmp_path / "a.json")
    second = make_result(entry="one", data={"n_train": 512}).save(tmp_path / "b.json")
    (board,) = load_boards([first, second])
    assert len(board.entries) == 2


def test_other_cells_under_the_same_root_are_refused(tmp_path):
    first = make_result(entry="one").save(tmp_path / "a.json")
    counts = np.full((3, 7), 24)
    second = make_result(entry="two", ooc_hits=counts // 2 + np.arange(7), ooc_counts=counts).save(
        tmp_path / "b.json"
    )
    with pytest.raises(InvalidInputError, match="other cells than"):
        load_boards([first, second])


def test_columns_are_sorted_by_the_names_of_cells():
    counts = np.full((2, 3), 10)
    hits = np.array([[1, 2, 3], [4, 5, 6]])
    result = make_result(ooc_hits=hits, ooc_counts=counts, id_hits=hits, id_counts=counts)
    score = result.scores.ooc_test
    order = sorted(range(3), key=lambda i: score.cells[i])
    assert np.array_equal(scores_of(score).cells, hits[:, order] / 10)


def test_the_order_of_cells_in_a_file_does_not_matter(tmp_path):
    def reverse(plain):
        score = plain["scores"]["ooc_test"]
        score["cells"] = score["cells"][::-1]
        score["blocks"]["images"] = score["blocks"]["images"][::-1]
        for table in (score["hits"], score["counts"], score["blocks"]["right"]):
            table[:] = [row[::-1] for row in table]

    first = sample(0)
    second = resealed(first, reverse)
    assert first.scores.ooc_test.cells != second.scores.ooc_test.cells
    before, after = (scores_of(r.scores.ooc_test) for r in (first, second))
    for name in ("cells", "codes", "blocks"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert load_entry(second.save(tmp_path)).result == second


def test_a_slug_holds_safe_characters_only(tmp_path):
    entry = load_entry(make_result(entry="one-two").save(tmp_path))
    assert entry.slug.startswith("one-two-")
    assert set(entry.slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert entry.plain["result_id"] == entry.result.result_id


@pytest.mark.parametrize("place", ["results", "archive/1.x"])
def test_every_committed_result_is_valid(place):
    folder = Path(leaderboard.__file__).parent / place
    files = sorted(folder.glob("*.json"))
    boards = load_boards(files)
    held = sum(len(board.entries) + len(board.superseded) for board in boards)
    assert held == len(files)


def test_a_newer_file_supersedes_the_older_one(tmp_path):
    old = sample(0).save(tmp_path / "old.json")
    new = sample(0, created="2026-02-01T00:00:00Z").save(tmp_path / "new.json")
    newest = sample(0, created="2026-03-01T00:00:00Z").save(tmp_path / "newest.json")
    (board,) = load_boards([old, newest, new])
    assert [entry.path for entry in board.entries] == [newest]
    assert [(one.entry.path, one.by.path) for one in board.superseded] == [
        (new, newest),
        (old, newest),
    ]


def test_many_bad_files_are_counted(tmp_path):
    files = [tmp_path / f"{i}.json" for i in range(8)]
    for path in files:
        path.write_text("{")
    with pytest.raises(InvalidInputError, match="and 3 more") as caught:
        load_boards(files)
    assert len(str(caught.value).splitlines()) == 6
