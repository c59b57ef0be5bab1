"""Built-in images: the same on every machine, labelled, and never scored."""

import hashlib

import numpy as np
import pytest

from recombine.benchmark.scoring.score import score_predictions
from recombine.benchmark.serving.data import TrainData, split_spec
from recombine.benchmark.serving.toy_data import ID_CELLS, SCHEMA, BuiltinImages
from recombine.renderer.core.errors import InvalidInputError


def test_they_are_the_same_every_time():
    first, second = BuiltinImages(32), BuiltinImages(32)
    rows = np.arange(len(first))
    images = first.images(rows)
    assert images.shape == (96, 32, 32, 3)
    assert np.array_equal(images, second.images(rows))
    assert len({hashlib.sha256(image.tobytes()).digest() for image in images}) == len(images)


def test_every_shown_cell_is_in_combination_and_balanced():
    data = BuiltinImages()
    for split in ("id_train", "id_val"):
        cells = [tuple(cell) for cell in data.cells[data.indices(split)]]
        assert set(cells) == set(ID_CELLS)
        assert len({cells.count(cell) for cell in set(cells)}) == 1
    for column in range(2):
        values, counts = np.unique(np.array(ID_CELLS)[:, column], return_counts=True)
        assert len(values) == 4
        assert len(set(counts)) == 1


def test_labels_fit_the_schema_and_the_pixels():
    data = BuiltinImages(64)
    rows = np.arange(len(data))
    for key in SCHEMA.keys:
        low, high = SCHEMA.factor(key).bounds
        values = data.latents[key]
        assert values.shape == (len(data),)
        assert low <= values.min() <= values.max() <= high
    masks = data.masks(rows)
    assert set(np.unique(masks)) == {0, 1}
    centres = np.array([np.nonzero(mask)[1].mean() for mask in masks])
    assert np.corrcoef(centres, data.latents["object.x"])[0, 1] > 0.99
    corners = data.images(rows)[:, 0, 0].astype(int)
    for ground in range(4):
        same = corners[data.latents["background.environment"] == ground]
        assert np.ptp(same, axis=0).max() == 0


def test_a_learner_can_be_served():
    data = BuiltinImages(16, train=8, val=8)
    served = TrainData(data, "id_train", fields=("factors", "masks"))
    (batch,) = served.batches(8, seed=0)
    assert batch.images.shape == (8, 3, 16, 16)
    assert set(batch.factors) == set(split_spec(data).factors)


def test_they_are_never_scored():
    with pytest.raises(InvalidInputError, match="never scored"):
        score_predictions([], BuiltinImages())
