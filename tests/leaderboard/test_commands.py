"""The commands follow from the result file, and nothing in it becomes a command of its own."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_board import sample

from recombine.leaderboard.commands import Place, reproduce, scale, verify

RESULT = sample(0)


def result(dataset="smoke", **over):
    return sample(0, data={"dataset": dataset}, **over)


@pytest.mark.parametrize(
    ("dataset", "place"),
    [
        ("smoke", Place("smoke", 64, False, 0)),
        ("object-object--ooc-val", Place("object-object", 64, True, 0)),
        ("smoke--rung-2", Place("smoke", 64, False, 2)),
        ("smoke--ooc-val--rung-1", Place("smoke", 64, True, 1)),
        ("smoke--rung-x", Place("smoke", 64, False, 0)),
    ],
)
def test_a_dataset_name_says_how_it_is_rendered(dataset, place):
    assert Place.of(result(dataset)) == place
    render, _, train = reproduce(result(dataset))
    assert render.startswith(f"recombine render {place.preset} ")
    assert render.endswith("--ooc-val") == place.ooc_val
    assert (f"--rung {place.rung}" in train) == (place.rung > 0)


@given(st.text(min_size=1, max_size=60))
def test_whatever_a_submission_is_called_it_stays_one_argument(code):
    method = RESULT.method.model_copy(update={"code": f"m.py:{code}"})
    line = reproduce(RESULT.model_copy(update={"method": method}))[2]
    assert shlex.split(line)[2] == f"m.py:{code}"


@pytest.mark.parametrize(("n", "sizes"), [(1024, "64,256,1024"), (3, "1,3"), (1, "1")])
def test_the_curve_needs_three_sizes_where_there_are_as_many(n, sizes):
    assert f" --n {sizes} " in scale(sample(0, data={"n_train": n}))


def test_a_file_is_checked_alone_and_against_its_predictions():
    alone, whole = verify(result(), "a-1.json")
    assert alone == "recombine board check a-1.json"
    assert whole == "recombine rescore a-1.json --data runs/smoke-64 --runs FOLDER"
