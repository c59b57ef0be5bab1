"""The toy dataset: the same on every machine, balanced, labelled, and readable from its pixels."""

import hashlib
import pickle

import numpy as np
import pytest

from recombine.benchmark.serving.data import TrainData, split_spec
from recombine.benchmark.serving.toy_data import CELLS, ID_CELLS, SCHEMA, ToyDataset
from recombine.renderer.core.errors import UsageError


def test_they_are_the_same_every_time():
    first, second = ToyDataset(32), pickle.loads(pickle.dumps(ToyDataset(32)))
    rows = np.arange(len(first))
    images = first.images(rows)
    assert images.shape == (8 * 25 + 16 * 6, 32, 32, 3)
    assert np.array_equal(images, second.images(rows))
    assert len({hashlib.sha256(image.tobytes()).digest() for image in images}) == len(images)


def test_every_shown_cell_is_in_combination_and_balanced():
    data = ToyDataset()
    outside = set(CELLS) - set(ID_CELLS)
    for split in ("id_train", "id_val", "id_test", "ooc_test"):
        cells = [tuple(cell) for cell in data.cells[data.indices(split)]]
        assert set(cells) == (outside if split == "ooc_test" else set(ID_CELLS))
        assert len({cells.count(cell) for cell in set(cells)}) == 1
    for column in range(2):
        values, counts = np.unique(np.array(ID_CELLS)[:, column], return_counts=True)
        assert len(values) == 4
        assert len(set(counts)) == 1


def test_a_block_differs_in_its_cell_only():
    data = ToyDataset(train=3, val=1, test=2)
    for block in range(6):
        rows = np.flatnonzero(data.blocks == block)
        assert len({tuple(cell) for cell in data.cells[rows]}) == len(rows)
        for key in ("object.x", "object.hue"):
            assert len(set(data.latents[key][rows])) == 1


@pytest.mark.parametrize("resolution", [8, 20, 64])
def test_labels_fit_the_schema_and_the_pixels(resolution):
    data = ToyDataset(resolution)
    rows = np.arange(len(data))
    for key in SCHEMA.keys:
        low, high = SCHEMA.factor(key).bounds
        values = data.latents[key]
        assert values.shape == (len(data),)
        assert low <= values.min() <= values.max() <= high
    masks = data.masks(rows).astype(bool)
    assert masks.shape == (len(data), resolution, resolution)
    assert masks.mean() == 0.5
    images = data.images(rows).astype(float)
    thing = images[masks].reshape(len(data), -1, 3)
    lowest = thing[:, -(resolution // 8) * (resolution // 2) // 2 :, 0].mean(1)
    assert np.corrcoef(lowest, data.latents["object.x"])[0, 1] > 0.9
    grounds = images[~masks].reshape(len(data), -1, 3).mean(1)
    for ground in range(4):
        same = data.latents["background.environment"] == ground
        centre = grounds[same].mean(0)
        distance = np.abs(grounds - centre).max(1)
        assert distance[same].max() < 5 < distance[~same].min()
    for shape in range(4):
        same = data.latents["object.shape"] == shape
        rows_of = images[same][:, :, 0].mean(-1)[:, np.arange(8) * resolution // 8][:, [0, 2, 4, 6]]
        assert set(rows_of.argmax(1)) == {shape}


def test_a_learner_can_be_served():
    data = ToyDataset(16, train=1, val=1, test=0)
    served = TrainData(data, "id_train", fields=("factors", "masks"))
    (batch,) = served.batches(8, seed=0)
    assert batch.images.shape == (8, 3, 16, 16)
    assert set(batch.factors) == set(split_spec(data).factors)


def test_too_small_is_refused():
    with pytest.raises(UsageError, match="at least 8, got 7"):
        ToyDataset(7)
