"""Accuracy against compute: order on the axis, one marker per entry, labels that keep apart."""

import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.leaderboard.drawing.charts import Mark, Trace, cost_figure, search_figure

COST = st.floats(1e-4, 1e5)
SHARE = st.floats(0, 1)


def tree(drawing):
    return ET.fromstring(str(drawing))


def markers(root):
    return [e for e in root.findall("svg") if e[0].get("class").startswith("dot-ooc")]


@given(st.lists(st.tuples(COST, SHARE), min_size=1, max_size=8))
def test_every_entry_has_one_marker_and_its_letter(points):
    traces = [Trace(chr(65 + i), f"name {i}", (p,)) for i, p in enumerate(points)]
    root = tree(cost_figure(traces, 0.1, "t"))
    assert len(markers(root)) == len(points)
    letters = [e.text.strip() for e in root.iter("tspan") if e.get("class") == "strong"]
    assert letters == [t.key for t in traces]


@given(COST, st.floats(1.5, 1000), SHARE)
def test_more_operations_stand_further_right(cost, factor, value):
    traces = [Trace("A", "a", ((cost, value),)), Trace("B", "b", ((cost * factor, value),))]
    left, right = (
        float(e.get("x").rstrip("%")) for e in markers(tree(cost_figure(traces, None, "t")))
    )
    assert left < right


def test_higher_accuracy_stands_higher():
    traces = [Trace("A", "a", ((1.0, 0.9),)), Trace("B", "b", ((1.0, 0.2),))]
    high, low = (float(e.get("y")) for e in markers(tree(cost_figure(traces, None, "t"))))
    assert high < low


def test_equal_costs_are_moved_apart():
    traces = [Trace(k, k, ((1.0, 0.5),), (0.4, 0.6)) for k in "ABC"]
    places = [float(e.get("x").rstrip("%")) for e in markers(tree(cost_figure(traces, None, "t")))]
    assert len({round(p, 1) for p in places}) == 3
    assert max(places) - min(places) < 5


def test_labels_of_equal_markers_do_not_overlap():
    traces = [Trace(k, "same name", ((1.0, 0.5),)) for k in "ABCD"]
    root = tree(cost_figure(traces, None, "t"))
    heights = sorted(float(e.get("y")) for e in root.iter("text") if e.get("class") == "halo")
    assert all(b - a >= 14 for a, b in pairwise(heights))


def test_a_curve_joins_the_points_of_one_entry():
    trace = Trace("A", "a", ((0.1, 0.4), (1.0, 0.5), (10.0, 0.6)), (0.55, 0.65))
    root = tree(cost_figure([trace], None, "t"))
    lines = [e for e in root.iter("line") if "curve" in e.get("class")]
    assert len(lines) == 2
    assert len([e for e in root.iter("line") if "whisker" in e.get("class")]) == 1


def test_decades_are_labelled():
    traces = [Trace("A", "a", ((0.02, 0.5),)), Trace("B", "b", ((30.0, 0.5),))]
    texts = [e.text for e in tree(cost_figure(traces, None, "t")).iter("text")]
    for decade in ("0.01", "0.1", "1", "10", "100"):
        assert decade in texts


def test_a_long_name_is_cut():
    root = tree(cost_figure([Trace("A", "x" * 200, ((1.0, 0.5),))], None, "t"))
    name = next(e.text for e in root.iter("tspan") if e.get("class") == "wide-only")
    assert len(name) == 40
    assert name.endswith("…")


@given(st.lists(SHARE, min_size=1, max_size=7))
def test_the_search_figure_has_a_pair_of_markers_per_step_count(values):
    steps = [0, 1, 3, 10, 30, 100, 300][: len(values)]
    marks = [Mark(v, (max(0, v - 0.1), min(1, v + 0.1))) for v in values]
    root = tree(search_figure(steps, marks, marks, 0.0625, "t"))
    assert len(markers(root)) == len(values)
    assert len([e for e in root.iter("circle") if e.get("class") == "dot-id"]) == len(values)
    assert len([e for e in root.iter("line") if "curve-ooc" in e.get("class")]) == len(values) - 1
    texts = [e.text for e in root.iter("text")]
    assert all(str(step) in texts for step in steps)


def test_whiskers_span_the_interval():
    root = tree(search_figure([0], [Mark(0.5)], [Mark(0.5, (0.25, 0.75))], None, "t"))
    whiskers = [e for e in root.iter("line") if "whisker" in e.get("class")]
    grid = {e.text: float(e.get("y")) - 4 for e in root.iter("text") if e.text in ("25", "75")}
    assert len(whiskers) == 1
    assert math.isclose(float(whiskers[0].get("y1")), grid["25"], abs_tol=0.02)
    assert float(whiskers[0].get("y2")) == pytest.approx(grid["75"], abs=0.02)


def test_a_crowded_figure_has_markers_without_labels():
    traces = [Trace(str(i), f"n{i}", ((1.0 + i, 0.5),)) for i in range(25)]
    root = tree(cost_figure(traces, None, "t"))
    assert len(markers(root)) == 25
    assert not [e for e in root.iter("text") if e.get("class") == "halo"]
