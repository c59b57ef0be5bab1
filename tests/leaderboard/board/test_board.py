"""A ranked board: rows, marks, figures and anchors."""

import pytest
from factories import make_result
from hypothesis import given
from hypothesis import strategies as st
from sample_board import on_record, sample, write_results

from recombine.benchmark.metrics.base import JOINT
from recombine.benchmark.results.result import Result
from recombine.leaderboard.board import board as module
from recombine.leaderboard.board.board import every_row, letter, rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.drawing import formatting as numbers


def ranked(tmp_path, seeds=5, indices=None):
    (board,) = load_boards(write_results(tmp_path, seeds, indices))
    return rank_board(board)


def test_rows_join_entries_and_ranks(tmp_path):
    board = ranked(tmp_path)
    assert [row.letter for row in board.rows] == list("ABCDEF")
    best = {entry.slug for entry in board.family.best}
    assert 0 < len(best) < 6
    assert [row.rank.best for row in board.rows] == [row.entry.slug in best for row in board.rows]
    assert [row.entry for row in board.rows] == list(board.board.entries)


@pytest.mark.parametrize(("seeds", "mark"), [(1, "sketch"), (4, "sketch"), (5, "")])
def test_few_seeds_are_marked(tmp_path, seeds, mark):
    row = ranked(tmp_path, seeds, [0]).rows[0]
    assert row.seed_mark == mark
    assert ("not tested" in row.seed_words) == (seeds < 3)


def test_a_failed_check_is_named(tmp_path):
    failed = {"value": 0.2, "limit": 0.001, "passed": False}
    path = sample(0, checks={"batch_invariance": failed, "repeatability": None}).save(tmp_path)
    row = rank_board(load_boards([path])[0]).rows[0]
    assert row.failed_checks == ["batch invariance"]


def test_the_cost_figure_leaves_out_what_was_not_counted(tmp_path):
    board = ranked(tmp_path)
    assert board.uncounted == ["Pixels, no training"]
    assert "Pixels" not in board.cost
    assert board.cost.count('class="dot-ooc ') == 5
    assert board.cost.count("shape-triangle") == 4
    assert board.cost.count("shape-square") == 1


def test_without_counted_operations_there_is_no_cost_figure(tmp_path):
    assert ranked(tmp_path, indices=[5]).cost is None


def test_shared_names_are_told_apart_by_inference(tmp_path):
    drawn = ranked(tmp_path).cost
    assert "Autoencoder, search" in drawn
    assert "Autoencoder, direct" in drawn
    assert "Supervised slot encoder<" in drawn


def test_a_curve_is_drawn_up_to_the_entry_only(tmp_path):
    direct = ranked(tmp_path / "a", indices=[1]).cost
    searched = ranked(tmp_path / "b", indices=[2]).cost
    assert direct.count("curve-ooc") == 0
    assert searched.count("curve-ooc") == 6


def test_the_strip_is_named_by_its_numbers(tmp_path):
    row = ranked(tmp_path, indices=[0]).rows[0]
    scores = row.entry.result.scores
    assert f"ID {100 * scores.id_test.estimate:.1f} %" in row.strip
    assert f"OOC {100 * scores.ooc_test.estimate:.1f} %" in row.strip


def test_rows_are_grouped_by_role_and_a_long_board_charts_the_highest_of_each(
    tmp_path, monkeypatch
):
    board = ranked(tmp_path)
    letters = {role.key: [row.letter for row in rows] for role, rows in board.roles.items()}
    assert letters == {"generative": ["A", "B", "C", "E"], "encoder": ["D", "F"]}
    assert board.charted == board.roles
    monkeypatch.setattr(module, "CHARTED", 3)
    monkeypatch.setattr(module, "CHARTED_OF_A_KIND", 1)
    short = ranked(tmp_path / "again")
    assert [row.letter for rows in short.charted.values() for row in rows] == ["A", "D"]
    assert short.cost.count('class="dot-ooc ') == 2


def test_many_marks_carry_letters_only(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "NAMED", 2)
    drawn = ranked(tmp_path).cost
    assert 'class="wide-only">Supervised' not in drawn
    assert ">A <" in drawn


def test_every_mark_of_the_cost_figure_tells_its_numbers_and_links(tmp_path):
    board = ranked(tmp_path)
    for row in board.rows:
        result = row.entry.result
        if result.compute.gflop_per_image:
            score = numbers.percent(result.scores.ooc_test.estimate)
            assert f'href="entries/{row.entry.slug}.html"' in board.cost
            assert f">{row.letter} {result.method.name}, {result.method.inference}<" in board.cost
            assert f"OOC {score} %" in board.cost


def test_the_bar_of_a_row_shows_estimate_and_interval(tmp_path):
    row = ranked(tmp_path, indices=[0]).rows[0]
    score = row.entry.result.scores.ooc_test
    low, high = (100 * end for end in score.ci95)
    assert f'd="M0 3H{100 * score.estimate:.1f}V5H0Z"' in row.ooc_bar
    assert f'd="M{low:.1f} 0V8M{high:.1f} 0V8"' in row.ooc_bar
    alone = ranked(tmp_path / "one", seeds=1, indices=[0]).rows[0]
    end = 100 * alone.entry.result.scores.ooc_test.estimate
    assert f'd="M{end:.1f} 0V8M{end:.1f} 0V8"' in alone.ooc_bar


def test_rows_that_were_not_rerun_stand_apart(tmp_path):
    files = write_results(tmp_path, tier="rescored")
    first = rank_board(load_boards(files)[0])
    assert (len(first.listed), first.unconfirmed, first.roles) == (6, (), {})
    on_record(files[:2])
    found = rank_board(load_boards(files)[0])
    assert {row.entry.path for row in found.listed} == set(files[:2])
    assert {row.entry.path for row in found.unconfirmed} == set(files[2:])
    charted = [row for rows in found.charted.values() for row in rows]
    assert {row.entry.path for row in charted} == set(files[:2])


def test_on_ones_own_board_every_entry_counts(tmp_path):
    files = write_results(tmp_path, tier="self-reported")
    own = rank_board(load_boards(files)[0])
    assert (own.own, len(own.confirmed), own.unconfirmed) == (True, 6, ())
    assert own.summary.headline.startswith("The best method here reads")
    assert "maintainer" not in own.family.words + own.summary.verdict
    assert {row.entry.tier for row in own.rows} == {"self-reported"}


def test_a_copy_that_was_not_rerun_never_hides_the_entry_it_copies(tmp_path):
    plain = sample(1).model_dump(mode="json")["method"]
    copied = sample(1, method=plain | {"entry": "aaa", "id": "aaa"})
    files = [sample(1).save(tmp_path), copied.save(tmp_path)]
    on_record(files[:1])
    found = rank_board(load_boards(files)[0])
    assert [row.entry.path for row in found.listed] == files[:1]


def test_trust_and_inference_have_words(tmp_path):
    (board,) = load_boards([sample(4).save(tmp_path)])
    row = rank_board(board).rows[0]
    assert (row.trust_level, row.inference_words.count("search")) == (0, 1)
    row = ranked(tmp_path, indices=[4]).rows[0]
    assert row.trust_level == 3
    assert "scored by the harness" in row.trust_words


def test_anchors_are_safe(tmp_path):
    data = {"version": '1.0 "<x>'}
    path = sample(0, data=data).save(tmp_path / "a.json")
    slug = rank_board(load_boards([path])[0]).slug
    assert slug == f"smoke-1-0-x-64px-{JOINT.version.replace('.', '-')}-ababab"


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_letters_are_unique_and_ordered(a, b):
    key = [(len(letter(i)), letter(i)) for i in (a, b)]
    assert (key[0] < key[1]) == (a < b)


def test_rows_are_put_into_tracks(tmp_path):
    board = ranked(tmp_path)
    assert [track.title for track in board.tracks] == [
        "scratch, unsupervised, T1",
        "scratch, supervised, T1",
    ]
    assert [len(track.rows) for track in board.tracks] == [5, 1]
    assert board.tracks[1].rows[0].rank.against == "the reference"
    assert "no labels in training" in board.tracks[0].words


def test_missing_parts_are_named(tmp_path):
    board = ranked(tmp_path)
    missing = {row.entry.result.method.entry: row.missing for row in board.rows}
    assert missing["pixels"] == ("operations could not be counted",)
    assert missing["supervised"] == ()
    assert board.older == ""


def older(result, matches):
    """Return the result as an older measure would have it, with these slots per seed."""
    plain = result.model_dump(mode="json", exclude={"schema_version", "result_id"})
    for score in plain["scores"].values():
        score["metric_version"] = "1.0"
    plain["readout"]["slot_match"] = matches
    return Result.sealed(**plain)


def test_an_older_measure_is_said_and_never_on_the_same_board(tmp_path):
    swapped = older(sample(0), [[0, 1], [1, 0], [0, 1], [1, 0], [0, 1]])
    plain = older(sample(1), [[0, 1]] * 5)
    files = [one.save(tmp_path / f"{i}.json") for i, one in enumerate((swapped, plain, sample(0)))]
    boards = {board.key.metric_version: rank_board(board) for board in load_boards(files)}
    assert boards.keys() == {"1.0", JOINT.version}
    assert boards["1.0"].older.startswith("Measure 1.0: ")
    missing = {row.entry.result.method.entry: row.missing for row in boards["1.0"].rows}
    assert missing["autoencoder"] == ("slots assigned by the older rule",)
    assert missing["supervised"][0].endswith("not in the scene's order in 2 of 5 seeds")


def test_a_superseded_entry_keeps_its_page_and_loses_its_rank(tmp_path):
    old = sample(0).save(tmp_path / "old.json")
    new = sample(0, created="2026-02-01T00:00:00Z").save(tmp_path / "new.json")
    (board,) = load_boards([old, new])
    rows = list(every_row([rank_board(board)]))
    assert [(row.entry.path, after and after.path) for _, row, after in rows] == [
        (new, None),
        (old, new),
    ]
    assert rows[1][1].rank.outside == "superseded"


def test_rows_of_one_name_are_told_apart(tmp_path):
    def named(entry, n=1024, **over):
        method = {"name": "Ours", "id": entry, "entry": entry, **over}
        return make_result(method=method, data={"n_train": n})

    results = [named("a"), named("a", 2048), named("b"), named("c", inference="replay")]
    paths = [one.save(tmp_path / f"{i}.json") for i, one in enumerate(results)]
    (board,) = load_boards(paths)
    ranked = rank_board(board)
    names = [ranked.full_names[one.result_id] for one in results]
    assert names == [
        "Ours, direct, a, 1,024 images", "Ours, direct, a, 2,048 images",
        "Ours, direct, b, 1,024 images", "Ours, replay",
    ]  # fmt: skip
