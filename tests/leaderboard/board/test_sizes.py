"""One method at several sizes makes a curve; other settings, other methods and old files do not."""

import numpy as np
import pytest
from sample_board import hits, sample, write_results

from recombine.benchmark.results.result import Result
from recombine.benchmark.statistics.curves import Reach, data_curves
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.board.sizes import families, reach_words
from recombine.leaderboard.drawing.formatting import percent
from recombine.leaderboard.site.build import build_site

SIZES = (64, 256, 1024)


def at_size(folder, n, mean, seeds=5, **over):
    """Write a result at one number of training images."""
    rng = np.random.default_rng(n)
    counts = np.full((seeds, 8), 48)
    scores = {"id_hits": hits(rng, 0.95, seeds), "ooc_hits": hits(rng, mean, seeds)}
    plain = sample(0, seeds).model_dump(mode="json")
    from factories import make_result

    return make_result(
        **scores, id_counts=counts, ooc_counts=counts, entry="supervised", data={"n_train": n},
        created=f"2026-01-01T00:00:{n % 60:02d}Z", method=plain["method"], **over,
    ).save(folder)  # fmt: skip


def grown(folder):
    return [at_size(folder, n, m) for n, m in zip(SIZES, (0.2, 0.5, 0.9), strict=True)]


def found(paths):
    boards = [rank_board(board) for board in load_boards(paths)]
    return {e.result.data.n_train: families(boards)[e.result.result_id]
            for ranked in boards for e in ranked.board.entries}  # fmt: skip


def test_every_size_of_a_method_has_the_same_family(tmp_path):
    same = found(grown(tmp_path))
    assert {len(one.entries) for one in same.values()} == {3}
    assert [e.result.data.n_train for e in same[256].entries] == list(SIZES)
    assert same[64].figure.count("dot-ooc") == 3


def test_other_settings_are_another_method(tmp_path):
    paths = grown(tmp_path)
    other = {**sample(0).model_dump(mode="json")["method"], "settings": {"width": 64, "lr": 0.001}}
    plain = Result.load(paths[0]).model_dump(mode="json", exclude={"schema_version", "result_id"})
    paths[0] = Result.sealed(**{**plain, "method": other}).save(tmp_path / "other.json")
    same = found(paths)
    assert len(same[64].entries) == 1
    assert len(same[256].entries) == 2
    assert same[64].figure is None


def test_the_printed_area_is_that_of_the_curve(tmp_path):
    paths = grown(tmp_path)
    (curve,) = data_curves(map(Result.load, paths))
    family = found(paths)[1024]
    assert family.area.startswith(f"{percent(curve.area.value)} % (")
    (half, words), (_, high) = family.reached
    assert half == "50"
    assert words.startswith("about ")
    assert 64 < float(words.split()[1].replace(",", "")) < 1024
    assert high.startswith("about ")


def test_sizes_without_a_common_seed_have_a_figure_and_no_area(tmp_path):
    paths = [at_size(tmp_path, 64, 0.3), at_size(tmp_path, 256, 0.5, seeds=5)]
    plain = Result.load(paths[0]).model_dump(mode="json", exclude={"schema_version", "result_id"})
    plain["seeds"] = [7, 8, 9, 10, 11]
    plain["artifacts"] = {"predictions": []}
    paths[0] = Result.sealed(**plain).save(paths[0])
    family = found(paths)[64]
    assert family.figure is not None
    assert "no training seed" in family.area
    assert family.reached == []


@pytest.mark.parametrize(
    ("reach", "words"),
    [
        (Reach(None, None, None, True), "more than 1,024 images"),
        (Reach(64, 64, 80.0, True), "at most 64 images (95 % interval fewer to 80)"),
        (Reach(300.0, 200.0, None, True),
         "about 300 images (95 % interval 200 to more than measured)"),
        (Reach(300.0, None, None, False), "about 300 images (no interval)"),
    ],
)  # fmt: skip
def test_where_a_level_is_reached_in_words(reach, words):
    assert reach_words(reach, 64, 1024) == words


def test_a_new_size_reaches_the_pages_of_the_others(tmp_path):
    paths = grown(tmp_path / "results")
    build_site(paths[:1], tmp_path / "site")
    page = next((tmp_path / "site" / "entries").glob("supervised-*.html"))
    text = page.read_text()
    assert "recombine score supervised --data " in text
    assert " --n 4,16,64 " in text
    build_site(paths, tmp_path / "site")
    text = page.read_text()
    assert "Area under the OOC curve" in text
    assert text.count('<span class="mark">this entry</span>') == 1


def test_one_size_makes_no_curve(tmp_path):
    boards = [rank_board(board) for board in load_boards(write_results(tmp_path))]
    assert all(one.figure is None for one in families(boards).values())
