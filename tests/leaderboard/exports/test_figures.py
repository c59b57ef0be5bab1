"""Figures hold what the result files say; equal figures are equal bytes."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from factories import make_result
from PIL import Image
from sample_board import sample, write_results

from recombine.benchmark.running.training_curves import Curve
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.exports import figures as plots
from recombine.leaderboard.exports.figures import row_name, rows, training
from recombine.renderer.core.errors import InvalidInputError, UsageError

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def board():
    return [sample(index) for index in range(6)]


def at_sizes(entry="autoencoder", sizes=(128, 256, 512)):
    rng, counts = np.random.default_rng(0), np.full((5, 8), 24)
    hits = [rng.binomial(counts, 0.3 + 0.2 * i) for i in range(len(sizes))]
    return [
        make_result(
            entry=entry, id_hits=h, id_counts=counts, ooc_hits=h, ooc_counts=counts,
            data={"n_train": n},
        )
        for h, n in zip(hits, sizes, strict=True)
    ]  # fmt: skip


def labels(axes):
    (legend,) = axes.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_scatter_has_every_entry_at_its_scores(board):
    (axes,) = plots.scatter(board).axes
    assert labels(axes)[2] == "Autoencoder (search)"
    points = {
        (float(container.lines[0].get_xdata()[0]), float(container.lines[0].get_ydata()[0]))
        for container in axes.containers
    }
    assert points == {(r.scores.id_test.estimate, r.scores.ooc_test.estimate) for r in board}
    ends = axes.containers[0].lines[2][1].get_segments()[0][:, 1]
    assert ends == pytest.approx(board[0].scores.ooc_test.ci95)


def test_an_entry_without_interval_is_a_bare_point():
    right = np.full((3, 8), 24)
    flat = make_result(id_hits=right, ooc_hits=right)
    (axes,) = plots.scatter([flat]).axes
    assert not axes.containers[0].has_xerr
    assert labels(axes) == ["Autoencoder (direct, 3 seeds)"]


def test_compute_draws_one_line_per_curve_and_leaves_out_the_uncounted(board):
    (axes,) = plots.compute(board).axes
    assert labels(axes) == [
        "Supervised slot encoder (direct)",
        "Autoencoder (direct and search)",
        "Autoencoder with replay (replay and search)",
    ]
    assert axes.get_xscale() == "log"
    line = axes.containers[1].lines[0]
    assert line.get_ydata() == pytest.approx(board[2].compute_curve.ooc)
    with pytest.raises(InvalidInputError, match="counted operations"):
        plots.compute([board[5]])


def test_data_curve_and_its_area():
    results = at_sizes()
    (axes,) = plots.data([results[2], results[0], results[1]]).axes
    line = axes.containers[0].lines[0]
    assert line.get_xdata() == pytest.approx([128, 256, 512])
    assert line.get_ydata() == pytest.approx([r.scores.ooc_test.estimate for r in results])
    heights = [r.scores.ooc_test.estimate for r in results]
    area = (heights[0] / 2 + heights[1] + heights[2] / 2) / 2
    assert f"area {100 * area:.1f} % (" in labels(axes)[0]
    with pytest.raises(InvalidInputError, match="two or more"):
        plots.data(results[:1])


def test_cells_frame_what_was_held_out(board):
    axes = plots.cells(board[0]).axes[0]
    frames = {(round(p.get_x() + 0.44), round(p.get_y() + 0.44)) for p in axes.patches}
    rows = [text.get_text() for text in axes.get_yticklabels()]
    columns = [text.get_text() for text in axes.get_xticklabels()]
    held_out = {(columns.index(c), rows.index(r)) for r, c in board[0].scores.ooc_test.cells}
    assert frames == held_out
    assert len(axes.texts) == 16


def test_more_factors_make_panels():
    plain = make_result().model_dump(mode="json", exclude={"schema_version", "result_id"})
    plain["data"]["recombined"].append("object.material")
    for split in plain["scores"].values():
        split["cells"] = [
            [*cell, ("steel", "wood")[i % 2]] for i, cell in enumerate(split["cells"])
        ]
    figure = plots.cells(type(make_result()).sealed(**plain))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["steel", "wood"]


def test_one_factor_has_no_map():
    plain = make_result().model_dump(mode="json", exclude={"schema_version", "result_id"})
    plain["data"]["recombined"] = ["object.shape"]
    for split in plain["scores"].values():
        split["cells"] = [["/".join(cell)] for cell in split["cells"]]
    with pytest.raises(InvalidInputError, match="two or more recombined factors"):
        plots.cells(type(make_result()).sealed(**plain))


def test_two_datasets_never_share_a_figure(board):
    other = sample(0, data={"identity": "ff" * 32})
    for draw in (plots.scatter, plots.compute, plots.data):
        with pytest.raises(InvalidInputError, match="one dataset"):
            draw([board[0], other])


@pytest.mark.parametrize("suffix", plots.FORMATS)
def test_files_are_of_their_format_and_reproducible(board, suffix, tmp_path):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        plots.save(plots.scatter(board[:2]), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == ".svg":
        text = "".join(ET.parse(paths[0]).getroot().itertext())
        assert "Supervised slot encoder (direct)" in text
    elif suffix == ".png":
        image = np.asarray(Image.open(paths[0]).convert("L"))
        assert image.shape[0] > 500
        assert (image < 128).mean() > 0.001
    else:
        assert paths[0].read_bytes().startswith(b"%PDF")


def test_a_name_is_no_formula(tmp_path):
    odd = sample(0, method={"name": r"a $\frac$ b"})
    plots.save(plots.scatter([odd]), tmp_path / "a.svg")
    assert r"a $\frac$ b" in "".join(ET.parse(tmp_path / "a.svg").getroot().itertext())


def test_other_formats_are_refused(board, tmp_path):
    with pytest.raises(UsageError, match=r"\.svg"):
        plots.save(plots.scatter(board), tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    (board,) = load_boards(write_results(tmp_path_factory.mktemp("results")))
    return rank_board(board)


def points(axes, label):
    found = [line for line in axes.lines if line.get_label() == label]
    return [float(line.get_xdata()[0]) for line in found]


def test_every_row_has_its_two_scores_intervals_and_rank_set(ranked):
    (axes,) = rows(ranked).axes
    listed = [row for track in ranked.tracks for row in track.rows]
    scores = [row.entry.result.scores for row in listed]
    assert points(axes, "ID") == [one.id_test.estimate for one in scores]
    assert points(axes, "OOC") == [one.ooc_test.estimate for one in scores]
    ends = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    for one in scores:
        assert one.ooc_test.ci95 in ends
    texts = [text.get_text() for text in axes.texts]
    assert [words for words in texts if words in {row.rank.words for row in listed}] == [
        row.rank.words for row in listed
    ]
    assert {track.title for track in ranked.tracks} <= set(texts)
    assert [t.get_text() for t in axes.get_yticklabels()] == [row_name(row) for row in listed]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["ID", "OOC"]


def test_open_is_id_and_filled_is_ooc(ranked):
    (axes,) = rows(ranked).axes
    faces = {line.get_label(): line.get_markerfacecolor() for line in axes.lines}
    assert faces["ID"] == "white"
    assert faces["OOC"] != "white"
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert np.unique(dotted[0].get_xdata()) == pytest.approx([0.0625])


def test_few_seeds_are_named_and_no_interval_is_no_line(tmp_path):
    (board,) = load_boards([sample(0, seeds=1).save(tmp_path)])
    ranked = rank_board(board)
    assert row_name(ranked.rows[0]).endswith("direct, 1 seed")
    (axes,) = rows(ranked).axes
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert lines == []
    assert len(axes.texts) == 2


pytest.importorskip("matplotlib")

CURVES = [
    Curve("leak/cpu/seed-0", "encoder", (0, 20), (3.0, 1.0)),
    Curve("leak/cpu/seed-1", "encoder", (0, 20), (2.0, 0.5)),
    Curve("vae/cpu/seed-0", "encoder", (0, 20), (4.0, 1.5)),
    Curve("vae/cpu/seed-0", "elbo", (0, 20), (-2.0, 1.5)),
]


def test_there_is_a_panel_per_curve_and_a_colour_per_setting() -> None:
    figure = training(CURVES)
    upper, lower = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["encoder", "elbo"]
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")
    drawn = [line for line in upper.lines if len(line.get_xdata())]
    assert [list(line.get_ydata()) for line in drawn] == [[3.0, 1.0], [2.0, 0.5], [4.0, 1.5]]
    first, second, third = (line.get_color() for line in drawn)
    assert first == second != third
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["leak/cpu", "vae/cpu"]


def test_logs_without_curves_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no training curve"):
        training([])
