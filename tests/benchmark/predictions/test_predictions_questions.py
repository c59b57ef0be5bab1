"""The images to answer hold no label, no split and no order."""

from __future__ import annotations

import json
import stat

import numpy as np
import pytest
from fakes import FakeDataset
from safetensors import safe_open

from recombine.benchmark.predictions.external import image_ids, load_key, write_questions
from recombine.benchmark.running.harness import RunOptions, scored_indices
from recombine.renderer.core.errors import InvalidInputError


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=6, val=2, test=3)


@pytest.fixture
def indices(dataset):
    return scored_indices(dataset, RunOptions(readout_labels=20))


def read(path):
    with safe_open(path, "np") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118


def test_every_image_is_there_once_and_nothing_else(dataset, indices, tmp_path):
    write_questions(tmp_path / "q.safetensors", dataset, indices, load_key(None, dataset))
    tensors, metadata = read(tmp_path / "q.safetensors")
    assert tensors.keys() == {"image_id", "images"}
    assert metadata.keys() == {"format", "identity", "spec"}
    assert json.loads(metadata["spec"])["max_slots"] == 2
    ids = image_ids(dataset, indices, load_key(None, dataset))
    assert len(set(ids.tolist())) == len(indices)
    assert sorted(ids) == tensors["image_id"].tolist()
    first = indices[np.argsort(ids)[0]]
    assert np.array_equal(tensors["images"][0], dataset.images([first])[0])


def test_the_order_says_nothing_about_splits(dataset, indices):
    ids = image_ids(dataset, indices, load_key(None, dataset))
    inside = np.isin(indices[np.argsort(ids)], dataset.indices("id_test"))
    rank = np.flatnonzero(inside) / len(inside)
    assert abs(rank.mean() - 0.5) < 0.15
    assert (np.diff(ids) < 0).mean() > 0.3


def test_a_key_stays_with_its_owner_and_changes_every_number(dataset, indices, tmp_path):
    path = tmp_path / "keys" / "season.key"
    key = load_key(path, dataset)
    assert load_key(path, dataset) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = image_ids(dataset, indices, load_key(None, dataset))
    assert not np.isin(image_ids(dataset, indices, key), public).any()
    assert load_key(tmp_path / "other.key", dataset) != key


def test_a_file_that_holds_no_key(dataset, tmp_path):
    for text in ("", "not a key", "ab" * 16):
        (tmp_path / "k").write_text(text)
        with pytest.raises(InvalidInputError, match="64 hexadecimal digits"):
            load_key(tmp_path / "k", dataset)
