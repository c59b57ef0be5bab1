from __future__ import annotations

import numpy
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.core.provenance import BUILD, combined, other_build, provenance

RECORDS = st.dictionaries(st.sampled_from(BUILD), st.sampled_from(["1", "2"]))


def test_it_names_versions_and_the_machine() -> None:
    found = provenance()
    assert found["numpy"] == numpy.__version__
    assert found["cpu"] not in ("", "unknown")
    assert set(found) >= {"python", "machine", "system", "recombine"}
    assert other_build(found, found) == []


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_equal_records_combine_to_themselves(records: list[dict[str, str]]) -> None:
    assert combined([records[0]] * 3) == records[0]
    joined = combined(records)
    assert combined(reversed(records)) == joined
    for key, value in joined.items():
        assert set(value.split(" | ")) == {r[key] for r in records if key in r}


@given(RECORDS, RECORDS)
def test_a_build_differs_where_any_part_does(a: dict[str, str], b: dict[str, str]) -> None:
    assert (other_build(a, b) == []) == (a == b)
    assert len(other_build(a, b)) == len(other_build(b, a))


def test_what_no_pixel_depends_on_is_no_other_build() -> None:
    assert other_build({"python": "3.11.1"}, {"python": "3.11.9"}) == []
