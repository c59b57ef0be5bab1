"""Images and labels cross into isolation unchanged, and without names."""

import numpy as np
import pytest
import torch
from fakes import FakeDataset

from recombine.benchmark.sandbox import data as isolation_data
from recombine.benchmark.sandbox.data import (
    ServedData,
    read_rows,
    write_pixels,
    write_served,
)
from recombine.benchmark.serving.data import (
    FIELDS_OF_TRACK,
    TrainData,
    plain_spec,
    served_order,
    spec_of,
    split_spec,
)
from recombine.renderer.core.errors import ResourceError


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=4, val=2, test=1)


def served(dataset, tmp_path, track, **over):
    indices = served_order(dataset, dataset.indices("id_train"))
    what = write_served(tmp_path / track, dataset, indices, FIELDS_OF_TRACK[track])
    return what, ServedData(tmp_path / track, what, split_spec(dataset), **over)


@pytest.mark.parametrize("track", FIELDS_OF_TRACK)
def test_a_learner_is_served_the_same_inside_and_outside(dataset, tmp_path, track):
    what, inside = served(dataset, tmp_path, track)
    outside = TrainData(dataset, "id_train", fields=FIELDS_OF_TRACK[track])
    assert len(inside) == len(outside)
    assert inside.spec == outside.spec
    pairs = [(inside.arrays(), outside.arrays())]
    batches = (data.batches(10, seed=3) for data in (inside, outside))
    pairs += list(zip(*batches, strict=True))
    assert len(pairs) == 5
    for one, other in pairs:
        assert torch.equal(one.images, other.images)
        assert (one.masks is None) == (other.masks is None) == (track == "unsupervised")
        assert one.masks is None or torch.equal(one.masks, other.masks)
        assert set(one.factors) == set(other.factors)
        for name in one.factors:
            assert one.factors[name].dtype == other.factors[name].dtype
            assert torch.equal(one.factors[name], other.factors[name])
    assert inside.images_served == outside.images_served == 64
    assert what.masks == (track != "unsupervised")
    assert set(what.factors) == (set(dataset.schema.keys) if track == "supervised" else set())
    assert what.bytes == sum(p.stat().st_size for p in (tmp_path / track).iterdir())


def test_only_allowed_labels_are_on_disk(dataset, tmp_path):
    for track, count in {"unsupervised": 1, "weak": 2, "supervised": 6}.items():
        served(dataset, tmp_path, track)
        assert len(list((tmp_path / track).iterdir())) == count


def test_the_image_budget_holds(dataset, tmp_path):
    _, inside = served(dataset, tmp_path, "weak", max_images=20)
    batches = inside.batches(15, seed=0)
    next(batches)
    with pytest.raises(ResourceError, match="may see 20"):
        next(batches)


def test_pixels_keep_their_order_and_carry_no_index(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(isolation_data, "CHUNK", 3)
    order = np.array([5, 0, 7, 5, 30, 2, 1])
    size = write_pixels(tmp_path / "p.npy", dataset, order)
    rows = read_rows(tmp_path / "p.npy")
    assert np.array_equal(rows, dataset.images(order))
    assert rows.dtype == np.uint8
    assert size == (tmp_path / "p.npy").stat().st_size
    assert not rows.flags.writeable


def test_nothing_can_be_written_through_the_map(dataset, tmp_path):
    _, inside = served(dataset, tmp_path, "weak")
    before = (tmp_path / "weak" / "images.npy").read_bytes()
    batch = inside.arrays()
    batch.images.zero_()
    assert (tmp_path / "weak" / "images.npy").read_bytes() == before


def test_the_spec_survives_json(dataset):
    import json

    plain = json.loads(json.dumps(plain_spec(dataset)))
    assert spec_of(plain) == split_spec(dataset)
