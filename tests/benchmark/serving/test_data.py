"""What a learner sees, and what it never sees."""

import numpy as np
import pytest
import torch
from fakes import FakeDataset

from recombine.benchmark.serving.data import FIELDS_OF_TRACK, TrainData, split_spec, to_images
from recombine.benchmark.serving.toy_data import SCHEMA
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset()


def test_spec_names_types_and_hides_splits(dataset):
    spec = split_spec(dataset)
    assert spec.image_hw == (8, 8)
    assert spec.max_slots == 2
    assert dict(spec.factors) == {
        "object.shape": "categorical[4]",
        "object.x": "float[m]",
        "object.hue": "angle[rad]",
        "background.environment": "categorical[4]",
    }
    assert set(vars(spec)) == {"image_hw", "max_slots", "factors"}


def test_images_are_float_channels_first_in_unit_range():
    pixels = np.zeros((2, 4, 5, 3), np.uint8)
    pixels[1, 2, 3] = (255, 0, 51)
    images = to_images(pixels)
    assert images.shape == (2, 3, 4, 5)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert images[1, :, 2, 3].tolist() == pytest.approx([1.0, 0.0, 0.2])


def test_an_epoch_serves_every_image_once_and_counts_it(dataset):
    data = TrainData(dataset, "id_train", fields=("factors",))
    batches = list(data.batches(32, seed=0))
    assert [len(batch.images) for batch in batches] == [32] * 5
    assert data.images_served == len(data) == 160
    served = torch.cat([batch.factors["object.x"] for batch in batches]).numpy()
    stored = dataset.latents["object.x"][dataset.indices("id_train")].astype(np.float32)
    assert sorted(served) == sorted(stored)


def test_images_and_labels_belong_together(dataset):
    data = TrainData(dataset, "id_train", fields=("factors", "masks"))
    batch = next(data.batches(40, seed=3))
    rows = batch.images[:, :, :, :4].mean(dim=(1, 3))[:, [0, 2, 4, 6]]
    assert torch.equal(rows.argmax(1), batch.factors["object.shape"])
    assert batch.masks.dtype == torch.int64
    assert batch.masks[0, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_label_types(dataset):
    factors = TrainData(dataset, "id_val", fields=("factors",)).arrays().factors
    kinds = {key: SCHEMA.factor(key).kind for key in SCHEMA.keys}
    for key, values in factors.items():
        expected = torch.int64 if kinds[key] == "categorical" else torch.float32
        assert values.dtype == expected, key


@pytest.mark.parametrize(
    ("track", "factors", "masks"),
    [("unsupervised", False, False), ("weak", False, True), ("supervised", True, True)],
)
def test_tracks_serve_only_their_labels(dataset, track, factors, masks):
    batch = TrainData(dataset, "id_train", fields=FIELDS_OF_TRACK[track]).arrays()
    assert bool(batch.factors) == factors
    assert (batch.masks is not None) == masks


def test_order_depends_on_the_seed_only(dataset):
    def order(data, seed):
        return torch.cat([b.images.flatten(1).sum(1) for b in data.batches(50, seed=seed)])

    one, two = TrainData(dataset, "id_train"), TrainData(dataset, "id_train")
    assert torch.equal(order(one, 1), order(two, 1))
    assert not torch.equal(order(one, 1), order(one, 2))


@pytest.mark.parametrize("split", ["id_train", "id_val"])
def test_images_served_all_at_once_count_too(dataset, split):
    data = TrainData(dataset, split, max_images=500)
    n = len(data)
    assert len(data.arrays().images) == n
    for _ in data.batches(30, seed=0):
        pass
    assert data.images_served == 2 * n
    data.count_again(500 - 2 * n)
    with pytest.raises(ResourceError, match="may see 500 images"):
        data.arrays()


def test_a_hash_hands_nothing_out(dataset):
    data = TrainData(dataset, "id_train", fields=("masks",))
    assert data.fingerprint() == TrainData(dataset, "id_train", fields=("masks",)).fingerprint()
    assert data.fingerprint() != TrainData(dataset, "id_train").fingerprint()
    assert data.images_served == 0


@pytest.mark.parametrize(("drop", "sizes"), [(False, [60, 60, 40]), (True, [60, 60])])
def test_last_batch(dataset, drop, sizes):
    data = TrainData(dataset, "id_train")
    assert [len(b.images) for b in data.batches(60, seed=0, drop_last=drop)] == sizes
    assert data.images_served == sum(sizes)


def test_one_batch_survives_drop_last_when_the_set_is_smaller(dataset):
    data = TrainData(dataset, "id_train", limit=10)
    assert [len(b.images) for b in data.batches(64, seed=0, drop_last=True)] == [10]


def test_limits_are_nested(dataset):
    small = {i.numpy().tobytes() for i in TrainData(dataset, "id_train", limit=16).arrays().images}
    large = {i.numpy().tobytes() for i in TrainData(dataset, "id_train", limit=48).arrays().images}
    assert len(small) == 16
    assert len(large) == 48
    assert small < large


def test_the_order_of_all_images_hides_the_cells(dataset):
    served = TrainData(dataset, "id_train", fields=("factors",))
    shapes = served.arrays().factors["object.shape"].numpy()
    stored = dataset.cells[dataset.indices("id_train"), 0]
    assert sorted(shapes) == sorted(stored)
    assert np.mean(shapes == stored) < 0.5  # stored order runs through the cells of every block
    again = TrainData(dataset, "id_train", fields=("factors",)).arrays()
    assert np.array_equal(again.factors["object.shape"].numpy(), shapes)


def test_images_seen_again_are_counted(dataset):
    data = TrainData(dataset, "id_train", max_images=100)
    data.count_again(90)
    assert data.images_served == 90
    with pytest.raises(ResourceError, match="may see 100 images"):
        data.count_again(20)
    with pytest.raises(UsageError, match="at least 0"):
        data.count_again(-1)


def test_budget_stops_the_data(dataset):
    data = TrainData(dataset, "id_train", max_images=100)
    batches = data.batches(40, seed=0)
    next(batches)
    next(batches)
    with pytest.raises(ResourceError, match="may see 100 images and has seen 80"):
        next(batches)


@pytest.mark.parametrize("split", ["id_test", "ooc_test", "train"])
def test_test_images_are_never_served(dataset, split):
    with pytest.raises(UsageError, match="id_train"):
        TrainData(dataset, split)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"fields": ("factors", "cells")}, UsageError, "cells"),
        ({"limit": 0}, InvalidInputError, "0 were asked for"),
        ({"limit": 9999}, InvalidInputError, "9999 were asked for"),
    ],
)
def test_wrong_requests_are_refused(dataset, arguments, error, message):
    with pytest.raises(error, match=message):
        TrainData(dataset, "id_train", **arguments)


def test_batch_size_must_be_positive(dataset):
    with pytest.raises(UsageError, match="at least 1"):
        next(TrainData(dataset, "id_train").batches(0, seed=0))


def test_nothing_in_the_data_names_an_index_or_a_cell(dataset):
    public = {name for name in dir(TrainData(dataset, "id_train")) if not name.startswith("_")}
    assert public == {
        "spec", "images_served", "batches", "arrays", "count_again", "fingerprint",
        "all_combinations",
    }  # fmt: skip
