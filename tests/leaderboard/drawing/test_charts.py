"""Drawings are well-formed, escaped, and hold the numbers they are given."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.leaderboard.drawing import charts as svg
from recombine.leaderboard.drawing.charts import (
    NAMED,
    Mark,
    Trace,
    cost_figure,
    heat_map,
    search_figure,
    shares,
    strip,
    strip_axis,
)
from recombine.leaderboard.drawing.formatting import TIMES

PRINTABLE = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)


@given(PRINTABLE, PRINTABLE)
def test_any_text_survives_as_text(title, label):
    drawn = svg.figure([svg.node("text", text=label)], title=title, height=10, css="x")
    root = ET.fromstring(str(drawn))
    assert (root.find("title").text or "") == title
    assert (root.find("text").text or "") == label
    assert [child.tag for child in root] == ["title", "text"]


def test_script_in_a_label_stays_text():
    drawn = svg.figure([svg.node("text", text="<script>x</script>")], title="t", height=1, css="c")
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn


def test_a_figure_is_an_image_with_a_name_and_no_style_attribute():
    drawn = svg.figure([], title="Name", height=12, css="c", desc="More")
    root = ET.fromstring(str(drawn))
    assert root.attrib == {"class": "c", "width": "100%", "height": "12", "role": "img"}
    assert [child.tag for child in root] == ["title", "desc"]


@given(st.floats(-5, 5))
def test_percent_stays_inside_the_drawing(share):
    value = svg.percent(share)
    assert value.endswith("%")
    assert 0 <= float(value[:-1]) <= 100


def test_attribute_names_and_numbers():
    made = svg.node("text", None, text_anchor="end", class_="c", y=1.5000001, hidden=None)
    assert ET.fromstring(made).attrib == {"text-anchor": "end", "class": "c", "y": "1.5"}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 300)), max_size=6))
def test_segments_join_neighbours(points):
    lines = [ET.fromstring(line) for line in svg.segments(points, "curve")]
    assert len(lines) == max(0, len(points) - 1)
    for before, after in pairwise(lines):
        assert before.get("x2") == after.get("x1")
        assert before.get("y2") == after.get("y1")


def test_a_diamond_is_placed_by_percentage():
    made = ET.fromstring(svg.diamond(0.25, 30, 6, "dot"))
    assert (made.get("x"), made.get("y"), made.get("overflow")) == ("25%", "30", "visible")
    assert made[0].get("class") == "dot"


def test_marks_are_told_apart_by_form_and_hidden_where_a_word_stands():
    drawn = {shape: str(svg.symbol(shape, "x")) for shape in svg.SHAPES}
    assert len(set(drawn.values())) == len(drawn)
    assert all('aria-hidden="true"' in text for text in drawn.values())
    placed = ET.fromstring(str(svg.shaped("plus", 0.25, 7, "dot")))
    assert (placed.get("x"), placed.get("y")) == ("25%", "7")
    assert placed.find("path").get("class") == "dot shape-plus"


def test_an_attribute_is_written_by_its_type():
    assert str(svg.node("rect", x=1, y=1.0, z=True, w="1<")) == (
        '<rect x="1" y="1" z="True" w="1&lt;"></rect>'
    )


SHARE = st.floats(0, 1)


def tree(drawing):
    return ET.fromstring(str(drawing))


def of_class(root, name):
    return [e for e in root.iter() if name in (e.get("class") or "").split()]


def at(element, key):
    return float(element.get(key).rstrip("%"))


@given(SHARE, SHARE, SHARE)
def test_markers_stand_at_their_values(inside, outside, chance):
    root = tree(strip(Mark(inside), Mark(outside), [(chance, "chance")], "t"))
    assert at(of_class(root, "dot-id")[0], "cx") == pytest.approx(100 * inside, abs=0.006)
    nested = root.find("svg")
    assert at(nested, "x") == pytest.approx(100 * outside, abs=0.006)
    assert at(of_class(root, "chance")[0], "x1") == pytest.approx(100 * chance, abs=0.006)


def test_intervals_are_drawn_end_to_end():
    root = tree(strip(Mark(0.9, (0.8, 0.95)), Mark(0.5, (0.3, 0.7)), (), "t"))
    bar = of_class(root, "bar-ooc")[0]
    assert (at(bar, "x1"), at(bar, "x2")) == (30, 70)
    assert [at(e, "x1") for e in of_class(root, "whisker-id")] == [80, 95]
    assert not of_class(root, "chance")


def test_without_an_interval_only_the_marker_is_drawn():
    root = tree(strip(Mark(0.9), Mark(0.5), (), "t"))
    assert not of_class(root, "bar-id")
    assert not of_class(root, "bar-ooc")
    assert len(of_class(root, "dot-id")) == 1


def test_the_axis_names_the_chance_level():
    texts = [e.text for e in tree(strip_axis([(0.0625, "chance")])).iter("text")]
    assert texts == ["0", "25", "50", "75", "100", "chance 6.25 %", "accuracy, %"]
    assert "chance" not in str(strip_axis(()))


LEVELS = [(0.0156, "chance"), (0.125, "knows the wall, guesses the hat"), (0.167, "knows more")]


def test_levels_have_a_line_and_a_name_that_stand_apart():
    axis = tree(strip_axis(LEVELS))
    assert [e.text for e in axis.iter("tspan")] == [f" {words}" for _, words in LEVELS[1:]]
    frame = tree_curves(cost_figure([Trace("A", "a", ((1.0, 0.5),))], LEVELS, "t"))
    for root in (axis, frame):
        assert len(of_class(root, "chance")) == 3
        assert len(of_class(root, "level")) == 2
        named = (e for e in root.iter("text") if re.search(r"\d %$", e.text or ""))
        heights = sorted(float(e.get("y")) for e in named)
        assert len(heights) == 3
        assert all(b - a > 12 for a, b in pairwise(heights))


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


COST = st.floats(1e-4, 1e5)
SHARE_CURVES = st.floats(0, 1)


def tree_curves(drawing):
    return ET.fromstring(str(drawing))


def markers(root):
    return [e for e in root.iter("svg") if e is not root and e[0].get("class")[:7] == "dot-ooc"]


@given(st.lists(st.tuples(COST, SHARE_CURVES), min_size=1, max_size=8))
def test_every_entry_has_one_marker_and_its_letter(points):
    traces = [Trace(chr(65 + i), f"name {i}", (p,)) for i, p in enumerate(points)]
    root = tree_curves(cost_figure(traces, [(0.1, "chance")], "t"))
    assert len(markers(root)) == len(points)
    letters = [e.text.strip() for e in root.iter("tspan") if e.get("class") == "strong"]
    assert letters == [t.key for t in traces]


@given(COST, st.floats(1.5, 1000), SHARE_CURVES)
def test_more_operations_stand_further_right(cost, factor, value):
    traces = [Trace("A", "a", ((cost, value),)), Trace("B", "b", ((cost * factor, value),))]
    left, right = (
        float(e.get("x").rstrip("%")) for e in markers(tree_curves(cost_figure(traces, (), "t")))
    )
    assert left < right


def test_higher_accuracy_stands_higher():
    traces = [Trace("A", "a", ((1.0, 0.9),)), Trace("B", "b", ((1.0, 0.2),))]
    high, low = (float(e.get("y")) for e in markers(tree_curves(cost_figure(traces, (), "t"))))
    assert high < low


@given(st.lists(st.tuples(COST, SHARE_CURVES), min_size=1, max_size=30))
def test_every_mark_stands_at_its_cost_and_its_accuracy(points):
    traces = [Trace(str(i), "n", (p,), (0.4, 0.6)) for i, p in enumerate(points)]
    root = tree_curves(cost_figure(traces, (), "t"))
    decades = {
        float(tick.text.replace(",", "")): at(tick, "x")
        for tick in root.iter("text")
        if tick.get("text-anchor") == "middle" and tick.get("x") != "53%"
    }
    (low, left), *_, (high, right) = sorted(decades.items())
    for (cost, value), mark in zip(points, markers(root), strict=True):
        share = math.log(cost / low) / math.log(high / low)
        assert at(mark, "x") == pytest.approx(left + share * (right - left), abs=0.02)
        assert at(mark, "y") == pytest.approx(276 - 262 * value, abs=0.02)


def test_a_mark_links_to_its_entry_and_tells_its_numbers():
    tip = ("A <b>Mine</b>, direct", "OOC 50.0 % (40.0\u201360.0), 2 GFLOP per image")
    trace = Trace("A", "a", ((2.0, 0.5),), (0.4, 0.6), href="entries/mine.html", tip=tip)
    root = tree_curves(cost_figure([trace], (), "t"))
    (link,) = root.iter("a")
    assert link.get("href") == "entries/mine.html"
    assert link.find("title").text == "; ".join(tip)
    assert [e.text for e in of_class(link, "tip")] == list(tip)
    assert len(markers(link)) == 1
    assert root.get("role") == "group"  # what stands in an image cannot be reached
    lowest = max(float(e.get("y")) for e in of_class(link, "tip"))
    assert lowest < float(root.get("height"))


def test_labels_of_equal_markers_do_not_overlap():
    traces = [Trace(k, "same name", ((1.0, 0.5),)) for k in "ABCD"]
    root = tree_curves(cost_figure(traces, (), "t"))
    heights = sorted(float(e.get("y")) for e in root.iter("text") if e.get("class") == "halo")
    assert all(b - a >= 14 for a, b in pairwise(heights))


def test_a_curve_joins_the_points_of_one_entry():
    trace = Trace("A", "a", ((0.1, 0.4), (1.0, 0.5), (10.0, 0.6)), (0.55, 0.65))
    root = tree_curves(cost_figure([trace], (), "t"))
    lines = [e for e in root.iter("line") if "curve" in e.get("class")]
    assert len(lines) == 2
    assert len([e for e in root.iter("line") if "whisker" in e.get("class")]) == 1


def test_decades_are_labelled():
    traces = [Trace("A", "a", ((0.02, 0.5),)), Trace("B", "b", ((30.0, 0.5),))]
    texts = [e.text for e in tree_curves(cost_figure(traces, (), "t")).iter("text")]
    for decade in ("0.01", "0.1", "1", "10", "100"):
        assert decade in texts


def test_where_names_would_crowd_only_letters_are_written_and_levels_told_below():
    traces = [Trace(chr(65 + i), "name", ((1.0 + i, 0.05),)) for i in range(NAMED + 1)]
    for few in (traces[:NAMED], traces):
        root = tree_curves(cost_figure(few, [(0.06, "guesses")], "t"))
        names = [e.text for e in root.iter("tspan") if e.text == "name"]
        assert len(names) == (NAMED if few is not traces else 0)
        level = next(e for e in root.iter("text") if (e.text or "").startswith("6 %"))
        assert float(level.get("y")) > max(float(e.get("y")) for e in markers(root))


def test_a_long_name_is_cut():
    root = tree_curves(cost_figure([Trace("A", "x" * 200, ((1.0, 0.5),))], (), "t"))
    name = next(e.text for e in root.iter("tspan") if e.get("class") == "wide-only")
    assert len(name) == 40
    assert name.endswith("…")


@given(st.lists(SHARE_CURVES, min_size=1, max_size=7))
def test_the_search_figure_has_a_pair_of_markers_per_step_count(values):
    steps = [0, 1, 3, 10, 30, 100, 300][: len(values)]
    marks = [Mark(v, (max(0, v - 0.1), min(1, v + 0.1))) for v in values]
    root = tree_curves(search_figure(steps, marks, marks, [(0.0625, "chance")], "t"))
    assert len(markers(root)) == len(values)
    assert len([e for e in root.iter("circle") if e.get("class") == "dot-id"]) == len(values)
    assert len([e for e in root.iter("line") if "curve-ooc" in e.get("class")]) == len(values) - 1
    texts = [e.text for e in root.iter("text")]
    assert all(str(step) in texts for step in steps)


def test_whiskers_span_the_interval():
    root = tree_curves(search_figure([0], [Mark(0.5)], [Mark(0.5, (0.25, 0.75))], (), "t"))
    whiskers = [e for e in root.iter("line") if "whisker" in e.get("class")]
    grid = {e.text: float(e.get("y")) - 4 for e in root.iter("text") if e.text in ("25", "75")}
    assert len(whiskers) == 1
    assert math.isclose(float(whiskers[0].get("y1")), grid["25"], abs_tol=0.02)
    assert float(whiskers[0].get("y2")) == pytest.approx(grid["75"], abs=0.02)


def test_a_crowded_figure_has_markers_without_labels():
    traces = [Trace(str(i), f"n{i}", ((1.0 + i, 0.5),)) for i in range(25)]
    root = tree_curves(cost_figure(traces, (), "t"))
    assert len(markers(root)) == 25
    assert not [e for e in root.iter("text") if e.get("class") == "halo"]
