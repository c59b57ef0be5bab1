"""A document of results follows from result files; what is written by hand stays."""

from pathlib import Path

import pytest
from sample_board import sample, write_results

from recombine.cli.main import main
from recombine.leaderboard.board.entries import find_results, load_boards
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.exports.results_page import BLOCKS, MASKED, filled, told
from recombine.renderer.core.errors import InvalidInputError

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/results.md"


def blocks(path, *names):
    text = "".join(f"By hand {n}.\n<!-- results: {n} -->\nold\n<!-- /results -->\n" for n in names)
    path.write_text(text)
    return path


def test_every_block_is_made_of_the_files(tmp_path, capsys):
    files = write_results(tmp_path / "results")
    for n, images in ((2, 256), (3, 64)):
        part = {"n_train": images}
        files.append(sample(0, n, data=part).save(tmp_path / "results" / f"{images}.json"))
    wide = {"dataset": "smoke--rung-2", "recipe": {"preset": "smoke", "rung": 2}}
    files.append(sample(0, data=wide, training={"cpu_s": 99.0}).save(tmp_path / "results"))
    page = blocks(tmp_path / "page.md", *BLOCKS)
    assert main(["results", "page", str(tmp_path / "results"), "--out", str(page)]) == 0
    text = page.read_text()
    for name in BLOCKS:
        assert f"By hand {name}." in text
    assert "\nold\n" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if "| ---" not in row]
    assert len(rows[:7]) == 1 + 6
    assert [row.split(" | ")[2] for row in rows[1:7]] == ["none"] * 5 + ["labels"]
    spent = [row.strip("| ").split(" | ") for row in rows[8:]]
    assert sum(row[3] == "not kept" for row in spent) == len(spent) - 1
    (kept,) = (row for row in spent if row[3] != "not kept")
    assert float(kept[3]) == pytest.approx(99.0 * int(kept[2]) / 3600, abs=0.005)
    assert f"took {float(kept[3]):.1f} CPU-hours. {len(spent) - 1} sets of runs" in text
    for k in range(6):
        ooc = sample(k).scores.ooc_test.estimate
        assert sum(numbers.percent(ooc) in row for row in rows) == 1
    for name in ("ooc", "data", "rungs"):
        assert f"(page-{name}.svg)" in text
        assert (tmp_path / f"page-{name}.svg").stat().st_size < 300_000
    assert filled(load_boards(files), page) == text
    assert "(9 results, of which 0 are superseded" in text


def test_a_page_without_blocks_or_with_others_is_refused(tmp_path):
    for names in ((), ("ooc", "surprise")):
        with pytest.raises(InvalidInputError, match="expected blocks"):
            filled([], blocks(tmp_path / "page.md", *names))


def test_what_training_was_told_follows_from_track_and_settings():
    def of(supervision, **method):
        plain = sample(0).method.model_dump(mode="json")
        track = {"data": "scratch", "supervision": supervision, "test_compute": "T1"}
        return told(sample(0, method=plain | method, track=track))

    assert of("unsupervised") == "none"
    assert of("weak") == "masks"
    assert of("supervised") == "labels"
    assert of("supervised", id=MASKED[0]) == "labels and masks"
    without = {"base.mask_weight": 0.0}
    assert of("supervised", id=MASKED[0], settings=without) == "labels"


def test_the_committed_page_shows_the_committed_results():
    if not PAGE.is_file():
        pytest.skip("needs a checkout")
    text = PAGE.read_text()
    assert filled(load_boards(find_results(ROOT / "leaderboard/results")), PAGE) == text
    for figure in PAGE.parent.glob("results-*.svg"):
        assert figure.name in text
        assert figure.stat().st_size < 300_000


def test_what_was_trained_elsewhere_stands_apart(tmp_path):
    files = write_results(tmp_path / "results")
    track = sample(0).track.model_dump(mode="json") | {"data": "pretrained"}
    files.append(sample(0, entry="elsewhere", track=track).save(tmp_path / "results"))
    text = filled(load_boards(files), blocks(tmp_path / "page.md", "tables"))
    (row,) = (line for line in text.splitlines() if "pretrained elsewhere" in line)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert row == rows[-1]  # after all that was trained here alone
