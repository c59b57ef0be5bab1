"""The SVG builder: escaping, percentages, line segments."""

import xml.etree.ElementTree as ET
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recombine.leaderboard.drawing import charts as svg

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
