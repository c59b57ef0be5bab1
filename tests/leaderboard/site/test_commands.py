"""The commands follow from the result file, and nothing in it becomes a command of its own."""

import shlex

import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st
from sample_board import sample

from recombine.cli.render import Render
from recombine.leaderboard.site.entry import Place, reproduce, scale, verify
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.splits.geometry import SPLITS

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
        ("object-background--values-8", Place("object-background", 64, False, 0, 8)),
        ("object-object--values-8--ooc-val", Place("object-object", 64, True, 0, 8)),
    ],
)
def test_a_dataset_name_says_how_it_is_rendered(dataset, place):
    assert Place.of(result(dataset)) == place
    render, _, train = reproduce(result(dataset))
    assert render.startswith(f"recombine render {place.preset} ")
    assert render.endswith("--ooc-val") == place.ooc_val
    assert (f"--rung {place.rung}" in train) == (place.rung > 0)
    assert (f"--values {place.values}" in render) == (place.values > 0)


@pytest.mark.parametrize(
    ("preset", "values", "scale"),
    [("object-background", 8, 1.34), ("object-object", 8, 0.5), ("smoke", None, 1.0)],
)
def test_the_share_of_blocks_follows_from_the_counts(preset, values, scale):
    data = load_preset(preset, values=values, scale=scale)
    plan = make_plan(data)
    n_train = int((plan.split == SPLITS.index("id_train")).sum())
    narrow = data.sizes.train * len(data.split.id_draws(data.schema.cell_shape))
    assert narrow <= n_train
    gap = sample(0).paired_gap.model_dump(mode="json")
    blocks = data.sizes.test
    gap |= {"n_blocks": blocks, "id_counts": [8] * blocks, "ooc_counts": [8] * blocks}
    gap |= {"id_hits": [[8] * blocks] * 5, "ooc_hits": [[0] * blocks] * 5}
    found = RESULT.model_copy(
        update={
            "data": RESULT.data.model_copy(update={"dataset": data.name, "n_train": narrow}),
            "paired_gap": RESULT.paired_gap.model_copy(update=gap),
        }
    )
    render, *_ = reproduce(found)
    one = tyro.cli(Render, args=shlex.split(render)[2:])
    assert (one.preset, one.values) == (preset, values)
    made = load_preset(one.preset, values=one.values, scale=one.scale, resolution=64)
    assert made.sizes == data.sizes


def test_data_of_another_renderer_have_no_share():
    render, *_ = reproduce(result("mine"))
    assert render == "recombine render mine --resolution 64 --out runs/mine-64"


def settled(code, **settings):
    method = RESULT.method.model_copy(update={"code": code, "settings": settings})
    return reproduce(RESULT.model_copy(update={"method": method}))


def test_what_a_row_reads_is_given_to_it():
    ours = "recombine.baselines.methods.pretrained:DinoLora"
    assert settled(ours, weights="vit.safetensors 00")[-1].endswith(" --weights FILE")
    assert "--weights" not in settled(ours, weights="")[-1]
    *_, make, train = settled(
        "recombine.baselines.methods.tangent:Oracle", tangents="tangents.h5 00"
    )
    assert make == "recombine tangents runs/smoke-64"
    assert train.endswith(" --tangents runs/smoke-64/tangents.h5")


def test_a_model_of_a_library_is_scored_by_its_name():
    code = "recombine.benchmark.submissions.hub:HubMethod"
    *_, score = settled(code, model="timm:resnet18", size=64, weights_sha256="0" * 64)
    assert shlex.split(score)[:3] == ["recombine", "score", "timm:resnet18?size=64"]


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
