"""Figures: positions follow the numbers, and every cell, interval and frame is there."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.leaderboard.drawing.charts import Mark, heat_map, rank_bar, shares, strip, strip_axis
from recombine.leaderboard.drawing.formatting import TIMES

SHARE = st.floats(0, 1)


def tree(drawing):
    return ET.fromstring(str(drawing))


def of_class(root, name):
    return [e for e in root.iter() if name in (e.get("class") or "").split()]


def at(element, key):
    return float(element.get(key).rstrip("%"))


@given(SHARE, SHARE, SHARE)
def test_markers_stand_at_their_values(inside, outside, chance):
    root = tree(strip(Mark(inside), Mark(outside), chance, "t"))
    assert at(of_class(root, "dot-id")[0], "cx") == pytest.approx(100 * inside, abs=0.006)
    nested = root.find("svg")
    assert at(nested, "x") == pytest.approx(100 * outside, abs=0.006)
    assert at(of_class(root, "chance")[0], "x1") == pytest.approx(100 * chance, abs=0.006)


def test_intervals_are_drawn_end_to_end():
    root = tree(strip(Mark(0.9, (0.8, 0.95)), Mark(0.5, (0.3, 0.7)), None, "t"))
    bar = of_class(root, "bar-ooc")[0]
    assert (at(bar, "x1"), at(bar, "x2")) == (30, 70)
    assert [at(e, "x1") for e in of_class(root, "whisker-id")] == [80, 95]
    assert not of_class(root, "chance")


def test_without_an_interval_only_the_marker_is_drawn():
    root = tree(strip(Mark(0.9), Mark(0.5), None, "t"))
    assert not of_class(root, "bar-id")
    assert not of_class(root, "bar-ooc")
    assert len(of_class(root, "dot-id")) == 1


def test_the_axis_names_the_chance_level():
    texts = [e.text for e in tree(strip_axis(0.0625)).iter("text")]
    assert texts == ["0", "25", "50", "75", "100", "chance 6.25 %", "accuracy, %"]
    assert "chance" not in str(strip_axis(None))


ROWS, COLUMNS = ["a", "b", "c"], ["x", "y"]
VALUES = {(r, c): (i + j) / 3 for i, r in enumerate(ROWS) for j, c in enumerate(COLUMNS)}


def test_every_cell_has_its_number_and_held_out_cells_their_frame():
    root = tree(heat_map(ROWS, COLUMNS, VALUES, {("a", "y"), ("c", "x")}, "t"))
    cells = of_class(root, "cell")
    assert len(cells) == 6
    assert len(of_class(root, "frame")) == 2
    tips = {e.find("title").text for e in cells}
    assert f"a {TIMES} y, held out: 33.3 %" in tips
    assert f"b {TIMES} x, in combination: 33.3 %" in tips
    numbers = [e.text for e in root.iter("text") if e.get("class", "").startswith("on-")]
    assert sorted(numbers) == sorted(f"{100 * v:.0f}" for v in VALUES.values())


def test_a_frame_surrounds_its_cell():
    root = tree(heat_map(ROWS, COLUMNS, VALUES, {("a", "y")}, "t"))
    frame = of_class(root, "frame")[0]
    cell = next(e for e in of_class(root, "cell") if f"a {TIMES} y" in e.find("title").text)
    assert at(frame, "x") < at(cell, "x")
    assert at(frame, "x") + at(frame, "width") > at(cell, "x") + at(cell, "width")
    assert at(frame, "y") < at(cell, "y")


def test_an_untested_cell_is_left_blank():
    root = tree(heat_map(ROWS, COLUMNS, {("a", "x"): 0.5}, set(), "t"))
    assert len(of_class(root, "cell")) == 1


def test_a_large_map_drops_the_numbers_but_keeps_the_tips():
    columns = [f"c{i}" for i in range(32)]
    values = {("a", c): 0.5 for c in columns}
    root = tree(heat_map(["a"], columns, values, set(), "t"))
    assert len(of_class(root, "cell")) == 32
    assert [e.text for e in root.iter("text")] == ["a"]


@given(SHARE)
def test_the_step_of_the_scale_follows_the_value(value):
    root = tree(heat_map(["a"], ["x"], {("a", "x"): value}, set(), "t"))
    level = round(10 * value)
    assert of_class(root, f"h{level}")
    assert of_class(root, "on-dark" if level >= 6 else "on-light")


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=4))
def test_shares_fill_the_bar(parts):
    total = sum(parts)
    root = tree(shares([(f"p{i}", p / total) for i, p in enumerate(parts)], "t"))
    boxes = list(root.iter("rect"))
    assert sum(at(b, "width") for b in boxes) == pytest.approx(100, abs=0.05)
    assert at(boxes[0], "x") == 0


@given(st.integers(1, 20), st.data())
def test_a_rank_bar_covers_its_ranks(of, data):
    low = data.draw(st.integers(1, of))
    high = data.draw(st.integers(low, of))
    root = tree(rank_bar(low, high, of, known=True))
    bar = of_class(root, "set")[0]
    assert at(bar, "x1") <= at(bar, "x2")
    assert root.find("title").text == f"Ranks {low} to {high} of {of}"
    assert not of_class(tree(rank_bar(1, of, of, known=False)), "set")
