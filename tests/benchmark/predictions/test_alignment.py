"""Exchangeable slots: matched on masks, never on what is scored."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import FakeDataset, Segmenter, halves

from recombine.benchmark.predictions.alignment import (
    align_predictions,
    exchangeable,
    matching_floors,
    on_masks,
    readable_steps,
)
from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.running.harness import RunOptions, run_seed
from recombine.benchmark.scoring.score import score_submission
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.presets.table import load_preset
from recombine.renderer.scenes.factors import Factor, Slot

OPTIONS = RunOptions(readout_labels=60)
LIGHT = (Factor("azimuth", "periodic"),)


class Shuffled(Segmenter):
    """Slots in an order that depends on the image, with masks that tell which is which."""

    card = MethodCard(id="shuffled", name="Shuffled", data="open", slots="exchangeable")

    def encode(self, images):
        honest = super().encode(images)
        turn = (images.sum(dim=(1, 2, 3)) * 1e3).long() % 2
        order = torch.stack([turn, 1 - turn], dim=1)
        return SlotOutput(
            slots=honest.slots.take_along_dim(order[:, :, None], 1),
            masks=honest.masks.take_along_dim(order[:, :, None, None], 1),
        )


class Fixed(Shuffled):
    card = MethodCard(id="fixed", name="Fixed", data="open")


class Constant(Shuffled):
    """Knows nothing, but has masks."""

    card = MethodCard(id="constant", name="Constant", data="open", slots="exchangeable")

    def encode(self, images):
        return replace(super().encode(images), slots=torch.ones_like(halves(images)))


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=10, val=3, test=4)


def scored(method, dataset, tmp_path):
    (result,) = score_submission(method, dataset, seeds=[0], out_dir=tmp_path, options=OPTIONS)
    return result


def test_matched_slots_are_as_good_as_fixed_ones(dataset, tmp_path):
    result = scored(Shuffled(), dataset, tmp_path / "a")
    assert result.scores.ooc_test.estimate == 1.0
    assert result.readout.slot_match == ((0, 1),)
    assert result.further.matching.on == "masks"
    assert result.further.masks.ooc_test["mean_iou"].estimate == 1.0
    assert scored(Fixed(), dataset, tmp_path / "b").scores.ooc_test.estimate < 0.7


def test_constants_score_chance_after_matching(dataset, tmp_path):
    result = scored(Constant(), dataset, tmp_path)
    score = result.scores.ooc_test
    assert score.estimate <= 2 * score.chance
    for key in ("object.shape", "background.environment"):
        assert score.per_factor[key].estimate < 0.05, key
    assert score.per_factor["object.x"].estimate < 0.3  # four blocks lie near the mean by chance
    assert set(result.further.matching.floors) == set(dataset.schema.keys)


def test_the_floor_sees_what_a_matching_gives_away(dataset, tmp_path):
    path = run_seed(Shuffled(), dataset, seed=0, out_dir=tmp_path, options=OPTIONS).path
    view = align_predictions(read_predictions(path), dataset, 0)
    tests = dataset.indices("ooc_test")
    honest = matching_floors(view, tests)
    assert honest["object.shape"] < 0.35
    # A matching that follows the shape gives it away.
    rows = view.run.rows(tests)
    view.matching.index[rows, 0] = dataset.cells[tests, 0]
    assert matching_floors(view, tests)["object.shape"] == 1.0


def test_without_masks_there_is_nothing_to_match_on(dataset, tmp_path):
    path = run_seed(Shuffled(), dataset, seed=0, out_dir=tmp_path, options=OPTIONS).path
    run = replace(read_predictions(path), extras={})
    assert exchangeable(run)
    assert readable_steps(run, dataset) == (0,)
    with pytest.raises(InvalidInputError, match=r"return SlotOutput\.masks"):
        align_predictions(run, dataset, 0)


def test_factors_play_no_part(dataset, tmp_path):
    path = run_seed(Shuffled(), dataset, seed=0, out_dir=tmp_path, options=OPTIONS).path
    run = read_predictions(path)
    other = FakeDataset(train=10, val=3, test=4)
    other.latents = {k: np.zeros_like(v) for k, v in other.latents.items()}
    one, two = (align_predictions(run, d, 0).matching.index for d in (dataset, other))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("preset", "slots", "masks", "expected"),
    [
        ("smoke", "fixed", True, False),
        ("smoke", "exchangeable", True, True),
        ("object-object", "fixed", True, True),
        ("object-object", "fixed", False, False),
    ],
)
def test_roles_mean_nothing_where_objects_have_none(preset, slots, masks, expected):
    facts = SimpleNamespace(card={"slots": slots}, steps=(0, 3))
    run = SimpleNamespace(facts=facts, extras={"segments/0": 0} if masks else {})
    data = SimpleNamespace(schema=load_preset(preset).schema)
    assert on_masks(run, data, 0) is expected
    assert readable_steps(run, data) == ((0,) if expected else (0, 3))


def test_light_and_scene_are_read_with_the_background(dataset, tmp_path):
    path = run_seed(Shuffled(), dataset, seed=0, out_dir=tmp_path, options=OPTIONS).path
    lit = replace(dataset.schema, slots=(*dataset.schema.slots, Slot("light", LIGHT)))
    with_light = FakeDataset(train=10, val=3, test=4, schema=lit)
    index = align_predictions(read_predictions(path), with_light, 0).matching.index
    assert np.array_equal(index[:, 2], index[:, 1])
    assert not np.array_equal(index[:, 2], index[:, 0])
