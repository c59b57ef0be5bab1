"""The worst images are chosen by the stated rule, and the picture shows those and no others."""

import hashlib
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import Approach, FakeDataset, Noisy, Trained
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recombine.benchmark.predictions.failures import RULE, shrink, spread, worst_images
from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.results.result import Result
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring import examples
from recombine.benchmark.scoring.rescore import PredictionStore, rescore_results
from recombine.benchmark.scoring.score import score_predictions, score_submission

QUICK = RunOptions(steps=(0, 4), batch_size=32)


def look(path):
    """Return the pixels of a picture."""
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset()


@pytest.fixture(scope="module")
def scored(dataset, tmp_path_factory):
    """Return two results of a searching method and the folder of their files."""
    folder = tmp_path_factory.mktemp("scored")
    found = score_submission(
        Trained(), dataset, seeds=(0, 1), out_dir=folder / "runs", options=QUICK, examples=folder
    )
    return found, folder


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 12))
def test_no_cell_comes_twice_before_every_cell_came_once(cells, most):
    order = np.arange(len(cells))
    taken = spread(order, np.array(cells)[:, None], most)
    assert len(taken) == min(most, len(cells))
    assert sorted(taken.tolist()) == taken.tolist()
    counts = np.bincount(np.array(cells)[taken], minlength=5)
    for cell, left in enumerate(np.bincount(cells, minlength=5) - counts):
        assert left == 0 or counts[cell] >= counts.max() - 1


def planted(dataset, read, sure):
    """Return a view and a readout that read given codes with given confidence."""
    factors = {
        key: SimpleNamespace(
            predict=lambda slots, i=i: read[:, i], confidence=lambda slots, i=i: sure[:, i]
        )
        for i, key in enumerate(dataset.schema.recombined)
    }
    view = SimpleNamespace(dataset=dataset, at=lambda images: images)
    return view, SimpleNamespace(factors=factors)


def test_more_wrong_factors_come_first_then_the_surer_then_the_lower_index(dataset):
    images = dataset.indices("ooc_test")
    truth = dataset.cells[images]
    read, sure = truth.copy(), np.full(truth.shape, 0.9)
    cells = [tuple(cell) for cell in truth[:8]]
    assert len(set(cells)) == 8  # one block: every held-out cell once
    read[5] = (truth[5] + 1) % 4  # both wrong
    sure[5] = 0.3
    for row, how_sure in ((2, 0.8), (7, 0.8), (1, 0.99)):
        read[row, 0] = (truth[row, 0] + 1) % 4
        sure[row, 0] = how_sure
    sure[3] = 0.4  # right, and least sure
    found = worst_images(*planted(dataset, read, sure), most=5)
    assert found.index.tolist() == images[[5, 1, 2, 7, 3]].tolist()
    assert (found.read == read[[5, 1, 2, 7, 3]]).all()
    assert found.probability[0].tolist() == [0.3, 0.3]


def test_right_images_come_after_all_wrong_ones_whatever_their_cell(dataset):
    images = dataset.indices("ooc_test")
    truth = dataset.cells[images]
    read, sure = truth.copy(), np.full(truth.shape, 0.9)
    same = np.flatnonzero((truth == truth[0]).all(axis=1))[:3]  # three wrong images of one cell
    read[same, 1] = (truth[same, 1] + 1) % 4
    sure[6] = 0.3
    found = worst_images(*planted(dataset, read, sure), most=5)
    assert found.index[:3].tolist() == images[same].tolist()
    assert found.index[3] == images[6]
    cells = dataset.cells[found.index[3:]]
    assert len(np.unique(cells, axis=0)) == 2


def test_the_picture_is_what_the_result_says_it_is(dataset, scored):
    (direct, search), folder = scored
    for result in (direct, search):
        kept = result.artifacts.examples
        content = (folder / kept.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == kept.sha256
        assert len(content) == kept.bytes <= 100_000
        assert (kept.seed, kept.edge, kept.steps) == (0, 8, (0, 4))
        picture = look(folder / kept.file)
        assert picture.shape == (8 * len(kept.images), 8 * 3, 3)
        for row, one in enumerate(kept.images):
            tile = picture[8 * row : 8 * row + 8]
            assert (tile[:, :8] == dataset.images([one.index])[0]).all()
            assert (tile[:, 8:] == 0).all()  # this decoder draws black
    assert direct.artifacts.examples.file.startswith("approach-")
    assert search.artifacts.examples.file.startswith("approach-search-")


def test_truth_answers_and_seeds_are_those_of_the_image(dataset, scored):
    (direct, search), _ = scored
    for one in direct.artifacts.examples.images:  # a memoriser is wrong on every new combination
        names = dataset.schema.cell_names(dataset.cells[one.index])
        assert dataset.splits[one.index] == "ooc_test"
        assert tuple(r.true for r in one.readings) == names
        assert tuple(r.factor for r in one.readings) == dataset.schema.recombined
        assert one.wrong >= 1
        assert 1 <= one.wrong_seeds <= 2
    for one in search.artifacts.examples.images:  # after the search everything is right
        assert (one.wrong, one.wrong_seeds) == (0, 0)
    cells = [tuple(r.true for r in one.readings) for one in direct.artifacts.examples.images]
    assert len(set(cells)) == len(cells) == 8


def test_what_is_only_scored_again_shows_no_decodings(dataset, scored, tmp_path):
    (direct, _), folder = scored
    files = sorted((folder / "runs").glob("*.safetensors"))
    assert read_predictions(files[0]).decoded is not None
    again, _ = score_predictions(files, dataset, examples=tmp_path)
    assert again.artifacts.examples.steps == ()
    assert again.artifacts.examples.images == direct.artifacts.examples.images
    assert look(tmp_path / again.artifacts.examples.file).shape[1] == 8


def test_scoring_again_keeps_the_pictures(dataset, scored):
    found, folder = scored
    again = list(rescore_results(found, PredictionStore([folder]), [dataset]))
    assert [one.verdict for one in again] == ["identical", "identical"]


def test_results_without_pictures_have_none(dataset, tmp_path):
    (result,) = score_submission(Noisy(), dataset, seeds=[0], out_dir=tmp_path, options=QUICK)
    assert Result.load(result.save(tmp_path)).artifacts.examples is None
    assert not list(tmp_path.glob("*.png"))


@dataclass
class Hidden(FakeDataset):
    config: dict = field(default_factory=lambda: {"hidden_test": {"part": "public"}})


def test_images_of_data_bound_to_a_hidden_test_set_are_never_kept(tmp_path):
    results = score_submission(
        Trained(), Hidden(), seeds=[0], out_dir=tmp_path, options=QUICK, examples=tmp_path
    )
    assert [one.artifacts.examples for one in results] == [None, None]
    assert not list(tmp_path.glob("*.png"))
    assert read_predictions(tmp_path / "seed-0.safetensors").decoded is None


class Shy(Approach):
    def decode(self, slots):
        raise RuntimeError("not today")


class ShyLearner(Trained):
    def fit(self, data, val, *, seed, budget, log):
        return Shy()


def test_a_decoder_that_fails_costs_the_decodings_only(dataset, tmp_path):
    direct, _ = score_submission(
        ShyLearner(), dataset, seeds=[0], out_dir=tmp_path, options=QUICK, examples=tmp_path
    )
    assert direct.artifacts.examples.steps == ()
    assert len(direct.artifacts.examples.images) == 8


def test_a_picture_that_would_be_too_big_has_fewer_rows(dataset, scored, tmp_path, monkeypatch):
    _, folder = scored
    files = sorted((folder / "runs").glob("*.safetensors"))
    monkeypatch.setattr(examples, "MAX_PICTURE", 900)
    direct, _ = score_predictions(files, dataset, examples=tmp_path)
    kept = direct.artifacts.examples
    assert 1 <= len(kept.images) < 8
    assert kept.bytes <= 900
    assert len(look(tmp_path / kept.file)) == 8 * len(kept.images)


def test_big_images_are_averaged_down_to_64_pixels():
    images = np.zeros((2, 128, 128, 3), np.uint8)
    images[:, ::2] = 200
    small = shrink(images)
    assert small.shape == (2, 64, 64, 3)
    assert (small == 100).all()
    assert shrink(small) is small


def test_the_rule_is_stated_in_the_result(scored):
    (direct, _), _ = scored
    assert direct.artifacts.examples.rule == RULE
