"""Exchangeable slots: matched on masks, never on what is scored."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import FakeDataset, Segmenter, halves

from recombine.benchmark.predictions.alignment import (
    MAX_MATCHED,
    align_predictions,
    blind_answers,
    exchangeable,
    on_masks,
    readable_steps,
)
from recombine.benchmark.predictions.file import read_predictions, write_predictions
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.running.harness import RunOptions, readout_indices, run_seed
from recombine.benchmark.scoring.score import score_predictions, score_submission
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
    for floors in (result.further.matching.floors, result.further.matching.id_floors):
        assert set(floors) == set(dataset.schema.keys)
    assert score.levels.matching <= 2 * score.chance
    assert score.lift < 0


def test_what_a_matching_gives_away_is_learnt_in_training(dataset, tmp_path):
    path = run_seed(Shuffled(), dataset, seed=0, out_dir=tmp_path, options=OPTIONS).path
    view = align_predictions(read_predictions(path), dataset, 0)
    train, tests = readout_indices(dataset, OPTIONS), dataset.indices("ooc_test")

    def right():
        return np.mean(
            blind_answers(view, train, tests, dataset.schema.keys)["object.shape"]
            == dataset.cells[tests, 0]
        )

    assert right() <= 0.5
    # A matching that follows the shape gives it away; on the test images alone it tells nothing.
    view.matching.index[view.run.rows(tests), 0] = dataset.cells[tests, 0]
    assert right() <= 0.5
    view.matching.index[view.run.rows(train), 0] = dataset.cells[train, 0]
    assert right() == 1.0


class ByShape(Shuffled):
    """Blind to what it is asked, but a slot for every shape: its masks show which one is there."""

    slot_dim = 4

    def encode(self, images):
        rows = images[..., :4].mean(dim=(1, 3))
        shape = torch.stack([rows[:, 2 * k] for k in range(4)]).argmax(0)
        masks = torch.zeros(len(images), 5, *images.shape[2:])
        masks[torch.arange(len(images)), shape, :, :4], masks[:, 4, :, 4:] = 1.0, 1.0
        slots = torch.eye(5)[None, :, :4].repeat(len(images), 1, 1)
        return SlotOutput(slots=slots, masks=masks)


def test_a_score_that_the_matching_made_has_no_lift(dataset, tmp_path):
    result = scored(ByShape(), dataset, tmp_path)
    for score in (result.id, result.ooc):
        assert score.per_factor["object.shape"].estimate == 1.0
        assert score.levels.matching == pytest.approx(score.estimate, abs=0.1)
        assert score.above_matching == pytest.approx(0, abs=0.15)
        assert score.lift <= score.above_matching


def by_zone():
    """Return the toy data as if the object's shape were where it stands."""
    data = FakeDataset(train=10, val=3, test=4)
    data.latents["object.zone"] = data.latents.pop("object.shape")
    thing, ground = data.schema.slots
    shape, *others = thing.factors
    thing = replace(thing, factors=(replace(shape, name="zone"), *others))
    keys = ("object.zone", "background.environment")
    data.schema = replace(data.schema, slots=(thing, ground), recombined=keys)
    return data


def test_masks_may_not_tell_what_is_scored(tmp_path):
    data = by_zone()
    with pytest.raises(InvalidInputError, match=r"places-by-masks.*tell object\.zone") as caught:
        scored(Shuffled(), data, tmp_path / "a")
    assert caught.value.reason == "places-by-masks"
    assert not list((tmp_path / "a").glob("*.safetensors"))  # nothing was spent
    # With fixed slots nothing is matched; whoever calls them exchangeable afterwards is refused.
    run = run_seed(Fixed(), data, seed=0, out_dir=tmp_path / "b", options=OPTIONS)
    (fixed,) = score_predictions([run.path], data)
    assert fixed.ooc.levels.matching is None
    predictions = read_predictions(run.path)
    claimed = replace(predictions.facts, card={**predictions.facts.card, "slots": "exchangeable"})
    path = tmp_path / "given.safetensors"
    write_predictions(path, replace(predictions, facts=claimed))
    with pytest.raises(InvalidInputError, match="places-by-masks"):
        score_predictions([path], data)


class Many(Shuffled):
    """More slots than a scene can have."""

    def encode(self, images):
        few, more = super().encode(images), MAX_MATCHED - 1
        return SlotOutput(
            slots=few.slots.repeat(1, 1 + more, 1)[:, : MAX_MATCHED + 1],
            masks=torch.cat([few.masks, few.masks[:, :1].repeat(1, more, 1, 1) * 0], dim=1),
        )


def test_a_code_book_of_slots_is_refused(dataset, tmp_path):
    with pytest.raises(InvalidInputError, match=r"too-many-slots.*17 slots.*at most 16"):
        scored(Many(), dataset, tmp_path)


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
