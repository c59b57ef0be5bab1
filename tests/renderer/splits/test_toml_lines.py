from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.splits.toml_lines import KeyPath, dump, key_lines

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALAR = st.one_of(TEXT, st.integers(-(2**62), 2**62), st.booleans(), st.floats(allow_nan=False))
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=12,
)
DOCUMENT = st.dictionaries(TEXT, VALUE, max_size=4)


def paths(value: Any, at: KeyPath = ()) -> Iterator[KeyPath]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*at, key))


@settings(deadline=None)
@given(DOCUMENT)
def test_what_is_written_reads_back(data: dict[str, Any]) -> None:
    assert tomllib.loads(dump(data)) == data


@settings(deadline=None)
@given(DOCUMENT)
def test_every_key_has_the_line_of_its_top_level_key(data: dict[str, Any]) -> None:
    # A written document has one line per top-level key, so all inner keys share it.
    lines = key_lines(dump(data))
    assert set(lines) == set(paths(data))
    order = list(data)
    assert all(line == order.index(path[0]) + 1 for path, line in lines.items())


@settings(deadline=None)
@given(st.lists(st.sampled_from(["#x\n", "\n", "  ", "\t"]), max_size=4).map("".join), DOCUMENT)
def test_comments_and_blank_lines_only_move_the_lines(gap: str, data: dict[str, Any]) -> None:
    moved = {path: line + gap.count("\n") for path, line in key_lines(dump(data)).items()}
    assert key_lines(gap + dump(data)) == moved


@settings(deadline=None)
@given(st.text("ab.=[]{}\"'\\#,1 \n\r\t", max_size=40))
def test_any_text_is_scanned_without_an_error(text: str) -> None:
    found = key_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
    try:
        data = tomllib.loads(text)
    except ValueError:
        return
    assert set(paths(data)) <= set(found)


DOC = '''
# a comment with [brackets] = {and} "quotes"
geometry = "orbit"      # line 3
ladder = [
  [0, 1],               # line 5, "ladder".0
  [0,
   1, 2],               # line 7 has the second entry
]
"quoted \\u0041.key" = 1
text = """
[not.a.table]
x = 1""\\"""""
raw = \'\'\'
y = [\'\'\'
dotted . inner.leaf = {a = 1, b = [{c = 2}, {c = 3}]}
[require]
coverage = 1
[[rung]]
gap = 1
[[rung]]
gap = 2
[rung.deep]
z = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("geometry",), 3),
        (("ladder",), 4),
        (("ladder", 0), 5),
        (("ladder", 1), 6),
        (("ladder", 1, 1), 7),
        (("quoted A.key",), 9),
        (("text",), 10),
        (("raw",), 13),
        (("dotted",), 15),
        (("dotted", "inner", "leaf", "b", 1, "c"), 15),
        (("require",), 16),
        (("require", "coverage"), 17),
        (("rung", 0), 18),
        (("rung", 0, "gap"), 19),
        (("rung", 1, "gap"), 21),
        (("rung", 1, "deep", "z"), 23),
    ],
)
def test_lines_of_every_form_of_key(path: KeyPath, line: int) -> None:
    assert key_lines(DOC)[path] == line
    assert key_lines(DOC.replace("\n", "\r\n"))[path] == line


def test_the_document_above_has_no_other_keys() -> None:
    assert set(key_lines(DOC)) == set(paths(tomllib.loads(DOC)))


def test_a_key_with_a_wrong_escape_ends_the_scan() -> None:
    assert key_lines('a = 1\n"\\q" = 2\nb = 3') == {("a",): 1}


def test_deep_nesting_ends_quietly() -> None:
    assert key_lines("a = " + "[" * 100_000)[("a",)] == 1
