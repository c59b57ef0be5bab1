from __future__ import annotations

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.scenes.geometry import CONVENTIONS
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_fixture


def test_reads_back_exactly_what_was_drawn(sealed: Path) -> None:
    data = Dataset(sealed)
    plan = make_plan(load_preset("smoke", scale=0.07, resolution=16))
    assert len(data) == len(plan)
    for i in (0, 19, 20, 41, len(plan) - 1):  # both sides of shard borders
        drawn = drawn_fixture(plan.scene(i), plan.settings)
        assert np.array_equal(data.image(i), drawn.image)
        assert np.array_equal(data.masks([i])[0], drawn.mask)
    assert np.array_equal(data.latents["object.x"], plan.latents["object.x"])


def test_recipe_is_stored_with_the_plan_and_older_data_have_none(sealed: Path) -> None:
    asked = load_preset("smoke", scale=0.07, resolution=16).recipe
    assert asked is not None
    assert Dataset(sealed).recipe == asked
    with h5py.File(sealed / "plan.h5", "r+") as handle:
        del handle.attrs["recipe"]
    assert Dataset(sealed).recipe is None
    assert verify(sealed).passed


def test_views_give_cameras_boxes_and_annotations(sealed_once: Path) -> None:
    data = Dataset(sealed_once)
    view = data["ooc_test"][2:5]
    drawn = [drawn_fixture(data.plan.scene(i), data.plan.settings) for i in view.index]
    for row, one in enumerate(drawn):
        assert np.array_equal(view.depth[row], one.depth)
        assert np.array_equal(view.normals[row] * 127, one.normal)
        assert np.array_equal(view.visible[row], one.visible)
        assert np.array_equal(view.amodal[row], one.amodal)
        assert np.array_equal(view.amodal_masks[row, 0], one.amodal_mask == 1)
        assert np.array_equal(view.poses[row], one.object_to_world)
        assert np.array_equal(view.boxes.visible[row], one.box_2d)
        assert np.array_equal(view.boxes.amodal[row], one.box_2d_amodal)
        assert np.array_equal(view.boxes.corners[row], one.box_3d)
        assert np.array_equal(view.cameras.intrinsics[row], one.intrinsics)
        assert np.array_equal(view.cameras.camera_to_world[row], one.camera_to_world)
    assert view.seeds.tolist() == [data.plan.scene(i).cycles_seed for i in view.index]
    assert view.boxes.visible.any()
    poses = data.camera(range(len(data))).camera_to_world
    assert len(np.unique(poses, axis=0)) > 1  # blocks have cameras of their own
    assert len(data.camera([3])) == 1


def test_shards_say_what_their_arrays_mean(sealed_once: Path) -> None:
    with h5py.File(sealed_once / "shards" / "shard-00000.h5") as handle:
        assert handle.attrs["format"] == "recombine.shard/2"
        assert {n: handle[n].attrs["convention"] for n in CONVENTIONS} == CONVENTIONS
        assert "along the ray" in handle["depth"].attrs["convention"]


def test_shards_without_cameras_are_refused(sealed: Path) -> None:
    with h5py.File(sealed / "shards" / "shard-00000.h5", "r+") as handle:
        del handle["camera_to_world"]
    with pytest.raises(IntegrityError, match="camera_to_world"):
        Dataset(sealed).image(0)


def test_torch_items_have_the_keys_they_had(sealed_once: Path) -> None:
    data = Dataset(sealed_once)
    assert set(data.torch("id_val")[0]) == {"image", "mask", *data.schema.keys}


def test_order_of_indices_is_kept(sealed: Path) -> None:
    data = Dataset(sealed)
    indices = [25, 3, 25, 60]
    together = data.images(indices)
    assert all(np.array_equal(together[k], data.image(i)) for k, i in enumerate(indices))


def test_splits_partition_the_images(sealed: Path) -> None:
    data = Dataset(sealed)
    parts = [data.indices(s) for s in ("id_train", "id_val", "id_test", "ooc_test")]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(data)))
    held_out = {tuple(c) for c in data.cells[parts[3]]}
    assert not held_out & {tuple(c) for c in data.cells[parts[0]]}
    assert set(data.splits[parts[2]]) == {"id_test"}


def test_pickles_without_open_files(sealed: Path) -> None:
    data = Dataset(sealed)
    first = data.image(0)
    copy = pickle.loads(pickle.dumps(data))
    assert np.array_equal(copy.image(0), first)


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_loader_with_workers_reads_the_same(sealed: Path, workers: int) -> None:
    dataset = Dataset(sealed).torch("id_val")
    # spawn: forking a process that has torch threads running is not safe
    context = "spawn" if workers else None
    loader = DataLoader(dataset, 4, num_workers=workers, multiprocessing_context=context)
    images = np.concatenate([b["image"].numpy() for b in loader])
    plain = Dataset(sealed)
    expected = plain.images(plain.indices("id_val")).transpose(0, 3, 1, 2) / np.float32(255)
    assert np.allclose(images, expected)


def test_bad_requests(sealed: Path, tmp_path: Path) -> None:
    data = Dataset(sealed)
    with pytest.raises(UsageError, match="expected one of"):
        data.indices("test")
    with pytest.raises(UsageError, match=r"rungs 0\.\.0"):
        data.indices("id_train", rung=3)
    with pytest.raises(InvalidInputError, match="image indices"):
        data.image(len(data))
    with pytest.raises(InvalidInputError, match="image indices"):
        data.image(-1)
    with pytest.raises(InvalidInputError, match="at least one"):
        data.images([])
    with pytest.raises(InvalidInputError, match="sealed dataset"):
        Dataset(tmp_path / "nowhere")


def test_check_needs_a_passing_certificate_of_these_files(sealed: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"certificate\.json"):
        Dataset(sealed).check()
    verify(sealed)
    Dataset(sealed).check()
    certificate = json.loads((sealed / "certificate.json").read_text())
    certificate["checks"][3]["status"] = "fail"
    (sealed / "certificate.json").write_text(json.dumps(certificate))
    with pytest.raises(IntegrityError, match="certificate fails on latents"):
        Dataset(sealed).check()


def test_check_notices_a_changed_shard(sealed: Path) -> None:
    verify(sealed)
    shard = sealed / "shards" / "shard-00002.h5"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(IntegrityError, match="shard-00002"):
        Dataset(sealed).check()


def test_batches_across_shards_keep_the_order_of_the_indices(sealed_once: Path) -> None:
    data = Dataset(sealed_once)
    order = np.random.default_rng(0).permutation(len(data))
    for name, read in (("image", data.images), ("mask", data.masks)):
        one_by_one = np.stack([data.annotation(name, [i])[0] for i in order])
        assert np.array_equal(read(order), one_by_one)
    twice = data.images([3, 3, 25])
    assert np.array_equal(twice[0], twice[1])
    twice[0] = 0  # a copy: nobody else sees it
    assert data.images([3]).any()
    assert data.image(3).flags.writeable


def test_a_loader_gets_the_same_items_in_batches(sealed_once: Path) -> None:
    dataset = Dataset(sealed_once).torch("id_train")
    loader = DataLoader(dataset, batch_size=5, sampler=[7, 3, 3, 60, 0])
    (batch,) = loader
    for place, item in enumerate([7, 3, 3, 60, 0]):
        for key, value in dataset[item].items():
            assert torch.equal(batch[key][place], value), key
