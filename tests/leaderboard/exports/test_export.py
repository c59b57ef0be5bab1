"""Downloads say the same as the result files."""

import csv
import io
import json

import pytest
from sample_board import sample, write_results

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.exports import export
from recombine.leaderboard.exports.export import COLUMNS, to_csv, to_json, to_parquet


@pytest.fixture
def boards(tmp_path):
    return [rank_board(board) for board in load_boards(write_results(tmp_path))]


def rows_of(boards):
    return list(csv.DictReader(io.StringIO(to_csv(boards))))


def test_csv_has_one_row_per_entry_with_exact_numbers(boards):
    rows = rows_of(boards)
    assert len(rows) == 6
    assert tuple(rows[0]) == COLUMNS
    for row, entry in zip(rows, boards[0].board.entries, strict=True):
        result = entry.result
        assert float(row["ooc"]) == result.scores.ooc_test.estimate
        assert float(row["id_low"]) == result.scores.id_test.ci95[0]
        assert float(row["paired_gap_high"]) == result.paired_gap.ci95[1]
        assert int(row["generated_images_seen"]) == result.training.generated_images_seen
        assert row["result_id"] == result.result_id


def test_csv_ranks_are_the_ranks_of_the_board(boards):
    for row, rank in zip(rows_of(boards), boards[0].ranks, strict=True):
        assert (int(row["rank_low"]), int(row["rank_high"])) == (rank.low, rank.high)
        assert row["separable"] == str(rank.separable)


def test_missing_values_are_empty(boards):
    (pixels,) = [row for row in rows_of(boards) if row["entry"] == "pixels"]
    assert pixels["gflop_per_image"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_name_is_never_a_formula(tmp_path, name):
    method = {**sample(0).model_dump(mode="json")["method"], "name": name}
    path = sample(0, method=method).save(tmp_path)
    (row,) = rows_of([rank_board(b) for b in load_boards([path])])
    assert row["name"] == f"'{name}"


def test_json_holds_the_complete_results(boards):
    document = json.loads(to_json(boards))
    assert document["format"] == "recombine.boards/1"
    (board,) = document["boards"]
    assert board["root"] == "ab" * 32
    for item, entry, rank in zip(
        board["entries"], boards[0].board.entries, boards[0].ranks, strict=True
    ):
        assert item["result"] == json.loads(entry.path.read_text())
        assert item["rank_set"]["low"] == rank.low
        assert (item["rank_set"]["not_separable"] is None) == rank.separable


def test_no_boards_give_an_empty_table():
    assert to_csv([]).strip().split(",") == list(COLUMNS)
    assert json.loads(to_json([]))["boards"] == []


def test_parquet_says_the_same_as_the_table(boards):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(to_parquet(boards))).to_pylist()
    rows = rows_of(boards)
    assert [row["result_id"] for row in table] == [row["result_id"] for row in rows]
    for row, text in zip(table, rows, strict=True):
        assert row["ooc"] == float(text["ooc"])
        assert row["n_train"] == int(text["n_train"])
        assert (row["gflop_per_image"] is None) == (text["gflop_per_image"] == "")


def test_parquet_columns_have_their_types_whatever_is_missing(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    empty = parquet.read_table(io.BytesIO(to_parquet([])))
    assert (tuple(empty.column_names), empty.num_rows) == (COLUMNS, 0)
    method = sample(5).model_dump(mode="json")["method"] | {"name": "2026-01-01"}
    (board,) = load_boards([sample(5, method=method).save(tmp_path / "a.json")])
    table = parquet.read_table(io.BytesIO(to_parquet([rank_board(board)])))
    assert tuple(table.column_names) == COLUMNS
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["name"], kinds["version"], kinds["root"]) == ("string",) * 3, "no dates"
    assert (kinds["gflop_per_image"], kinds["ooc"]) == ("double", "double")
    assert (kinds["rank_low"], kinds["separable"]) == ("int64", "bool")
    assert table.column("gflop_per_image").to_pylist() == [None]


def test_without_the_library_there_is_no_parquet(boards, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    assert to_parquet(boards) is None
