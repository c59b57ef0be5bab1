"""A relation read from either object is one scene: closure against a slow account of it."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch
from fakes import FakeDataset

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.aggregate import correct_images, group_by_cell
from recombine.benchmark.scoring.score import score_submission
from recombine.benchmark.serving.data import split_spec
from recombine.benchmark.serving.relations import CanonicalRelations, canonical_relations
from recombine.renderer.certificate.verify import verify
from recombine.renderer.presets.table import load_preset
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

WORDS = ("left-of", "right-of", "in-front-of", "behind")
OTHER = {"left-of": "right-of", "right-of": "left-of", "in-front-of": "behind",
         "behind": "in-front-of"}  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relation") / "data"
    preset = load_preset("relation", values=8, scale=0.002, resolution=16)
    drawn_dataset(folder, preset=preset, shard_size=500)
    assert verify(folder).passed
    return Dataset(folder)


@pytest.fixture(scope="module")
def told(stored):
    return canonical_relations(stored)


def _readings(dataset, i):
    """Return both ways to say what image i shows, in words."""
    codes = [int(dataset.latents[key][i]) for key in dataset.schema.recombined]
    a, word, b = codes[0], dataset.schema.factor("scene.relation").values[codes[1]], codes[2]
    return {(a, word, b), (b, OTHER[word], a)}


def test_every_scene_keeps_its_readings_and_has_one_cell(stored, told):
    cell_of = {}
    for i in range(len(stored)):
        readings = _readings(stored, i)
        assert _readings(told, i) == readings
        cell = tuple(told.cells[i].tolist())
        assert cell_of.setdefault(frozenset(readings), cell) == cell
    assert len(set(cell_of.values())) == len(cell_of)
    assert len({tuple(c) for c in stored.cells.tolist()}) > 1.5 * len(cell_of)


def test_labels_and_masks_are_those_of_the_image(stored, told):
    everything = np.arange(len(stored))
    masks, before = told.masks(everything), stored.masks(everything)
    assert told.exchanged.mean() == pytest.approx(0.5, abs=0.1)
    for i in range(len(stored)):
        x, y = ([float(told.latents[f"object{k}.{a}"][i]) for k in (0, 1)] for a in "xy")
        relation = told.schema.factor("scene.relation").values[told.latents["scene.relation"][i]]
        assert relation in ("left-of", "in-front-of")
        assert (x[0] < x[1]) if relation == "left-of" else (y[0] < y[1])
        number = 2 if told.exchanged[i] else 1
        assert np.array_equal(masks[i] == 1, before[i] == number)
        for name in ("shape", "yaw", "hue", "scale"):
            pair = [stored.latents[f"object{k}.{name}"][i] for k in (0, 1)]
            mine = [told.latents[f"object{k}.{name}"][i] for k in (0, 1)]
            assert mine == (pair[::-1] if told.exchanged[i] else pair)


def test_a_split_that_is_closed_keeps_its_sides(told):
    sides = [
        {tuple(c) for c in told.cells[told.indices(name)].tolist()}
        for name in ("id_train", "ooc_test")
    ]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_the_joint_score_counts_either_reading_once(stored, told):
    """Whoever names objects by what is seen is right everywhere, not in half of the images."""
    rng = np.random.default_rng(0)
    split = group_by_cell(told, "ooc_test")
    keys = told.schema.recombined
    answers = {key: told.latents[key][split.indices].copy() for key in keys}
    wrong = rng.random(len(split.indices)) < 0.3
    answers[keys[0]][wrong] = (answers[keys[0]][wrong] + 1) % 4
    (found,) = correct_images(told, split, [answers])
    values = told.schema.factor("scene.relation").values
    slow = [
        (int(answers[keys[0]][n]), values[answers[keys[1]][n]], int(answers[keys[2]][n]))
        in _readings(stored, int(i))
        for n, i in enumerate(split.indices)
    ]
    assert found.tolist() == slow
    assert 0 < found.mean() < 1
    seen = {key: values for key, values in answers.items() if key != keys[1]}
    seen[keys[1]] = np.array([WORDS.index(values[code]) for code in answers[keys[1]]])
    (naive,) = correct_images(stored, group_by_cell(stored, "ooc_test"), [seen])
    assert naive.tolist() == (found & ~told.exchanged[split.indices]).tolist()
    assert naive.sum() < found.sum()


def test_methods_are_told_the_names_that_are_scored(told):
    assert split_spec(told).factors["scene.relation"] == "categorical[2]"
    assert told.schema.cell_names(told.cells[0])[1] in ("left-of", "in-front-of")


def test_other_data_stay_as_they_are_and_closing_twice_is_closing_once(stored, told):
    plain = FakeDataset()
    assert canonical_relations(plain) is plain
    assert canonical_relations(told) is told
    assert isinstance(told, CanonicalRelations)
    assert (len(told), told.root) == (len(stored), stored.root)
    again = pickle.loads(pickle.dumps(told))  # as it goes to a worker process
    assert np.array_equal(again.cells, told.cells)


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()[:16]


class ByPlace:
    """Reads the truth under the names of what is seen; it cannot know any others."""

    slot_dim = 8
    card = MethodCard(id="by-place", name="By place", data="open")

    def __init__(self, dataset):
        told = canonical_relations(dataset)
        images = told.images(np.arange(len(told)))
        self.truth = {
            digest(image): [int(told.latents[key][i]) for key in told.schema.recombined]
            for i, image in enumerate(images)
        }

    def setup(self, spec, device):
        assert spec.factors["scene.relation"] == "categorical[2]"

    def encode(self, images):
        pixels = (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        unknown = [0, 0, 0]  # of changed images, on which costs are measured
        found = torch.tensor([self.truth.get(digest(image), unknown) for image in pixels])
        slots = torch.zeros(len(images), 4, 8)
        for slot, column in ((0, 0), (1, 2), (3, 1)):
            slots[:, slot] = torch.nn.functional.one_hot(found[:, column], 8)
        return SlotOutput(slots=slots)


def test_a_method_that_sees_everything_is_right_everywhere(stored, tmp_path):
    options = RunOptions(readout_labels=100)
    (result,) = score_submission(
        ByPlace(stored), stored, seeds=[0], out_dir=tmp_path, options=options
    )
    assert result.scores.id_test.estimate == 1
    assert result.scores.ooc_test.estimate == 1
