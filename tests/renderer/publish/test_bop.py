"""The BOP export, read by what the format of bop_toolkit says and by nothing of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.publish import bop as module
from recombine.renderer.publish.bop import write
from recombine.renderer.scenes.geometry import unproject
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import UNIT, drawn_dataset
from tests.renderer.two_objects import one_behind_the_other


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "data"
    drawn_dataset(folder, preset=one_behind_the_other())
    return folder


@pytest.fixture(scope="module")
def exported(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_models", lambda *_: [])  # Blender has a test of its own
        patch.setattr(module, "PER_SCENE", 10)
        write(Dataset(many), out, lambda: None)
    return out


class Scene:
    """One scene folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.camera, self.gt, self.info = (
            {int(i): v for i, v in json.loads((place / f"scene_{name}.json").read_text()).items()}
            for name in ("camera", "gt", "gt_info")
        )

    def picture(self, kind: str, name: str) -> np.ndarray:
        return np.asarray(Image.open(self.place / kind / f"{name}.png"))

    def project(self, i: int, points: np.ndarray, number: int) -> np.ndarray:
        """Return where points of a model (mm) appear: K [R | t], then divided by the last."""
        k = np.reshape(self.camera[i]["cam_K"], (3, 3))
        pose = self.gt[i][number]
        turn = np.reshape(pose["cam_R_m2c"], (3, 3))
        seen = k @ (turn @ points.T + np.reshape(pose["cam_t_m2c"], (3, 1)))
        return (seen[:2] / seen[2]).T


def scenes(exported: Path) -> dict[str, list[Scene]]:
    folders = ("train_id", "val_id", "test_id", "test_ooc")
    return {f: [Scene(p) for p in sorted((exported / f).iterdir())] for f in folders}


def test_every_image_is_in_one_scene_of_its_split(many: Path, exported: Path) -> None:
    data, found = Dataset(many), scenes(exported)
    for folder, split in (("train_id", "id_train"), ("test_ooc", "ooc_test"), ("val_id", "id_val")):
        images = [i for scene in found[folder] for i in scene.camera]
        assert images == data.indices(split).tolist()
        assert all(len(scene.camera) <= 10 for scene in found[folder])
        assert all(scene.camera.keys() == scene.gt.keys() == scene.info.keys()
                   for scene in found[folder])  # fmt: skip
    assert [s.place.name for s in found["train_id"]] == ["000000", "000001"]


def test_pictures_masks_and_counts_are_those_of_the_store(many: Path, exported: Path) -> None:
    data, absent = Dataset(many), 0
    for scene in (s for group in scenes(exported).values() for s in group):
        for i, poses in scene.gt.items():
            assert np.array_equal(scene.picture("rgb", f"{i:06d}"), data.image(i))
            whole = data.annotation("amodal_mask", [i])[0]
            absent += 2 - len(poses)
            for number, (pose, info) in enumerate(zip(poses, scene.info[i], strict=True)):
                k = data.schema.objects.index(pose["slot"])
                amodal, visible = (
                    scene.picture(kind, f"{i:06d}_{number:06d}") for kind in ("mask", "mask_visib")
                )
                assert np.array_equal(amodal, 255 * (whole >> k & 1))
                assert np.array_equal(visible, 255 * (data.masks([i])[0] == k + 1))
                assert info["px_count_all"] == (amodal > 0).sum()
                assert info["px_count_visib"] == (visible > 0).sum()
                assert info["px_count_valid"] == info["px_count_all"]
                share = info["px_count_visib"] / info["px_count_all"]
                assert info["visib_fract"] == pytest.approx(share)
                for box, mask in (("bbox_obj", amodal), ("bbox_visib", visible)):
                    x, y, width, height = info[box]
                    inside = mask[y : y + height, x : x + width]
                    assert inside.sum() == mask.sum()
                    assert inside.any(0).all()
                    assert inside.any(1).all()
    assert absent


def test_poses_cameras_and_depth_describe_the_world_of_the_store(
    many: Path, exported: Path
) -> None:
    data = Dataset(many)
    centred = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    assert (UNIT[1] - UNIT[0]).tolist() == [1, 1, 1]
    for scene in scenes(exported)["test_ooc"]:
        for i, poses in scene.gt.items():
            camera = scene.camera[i]
            turn = np.reshape(camera["cam_R_w2c"], (3, 3))
            to_camera = lambda points: turn @ points.T * 1000 + np.c_[camera["cam_t_w2c"]]  # noqa: B023, E731
            for number, pose in enumerate(poses):
                k = data.schema.objects.index(pose["slot"])
                model = np.reshape(pose["cam_R_m2c"], (3, 3))
                assert np.allclose(model @ model.T, np.eye(3))
                corners = data.annotation("box_3d", [i])[0, k]
                posed = model @ (centred * 1000 * pose["scale"]).T + np.c_[pose["cam_t_m2c"]]
                assert np.allclose(posed, to_camera(corners), atol=1e-6)
                seen = scene.project(i, centred * 1000 * pose["scale"], number)
                expected = data.camera([i]).project(corners[None])[0]
                assert np.allclose(seen, expected, atol=1e-6)
            depth = scene.picture("depth", f"{i:06d}")
            assert depth.dtype == np.uint16
            points = unproject(data.annotation("depth", [i])[0], *each(data.camera([i])))
            z = to_camera(points.reshape(-1, 3))[2].reshape(depth.shape)
            assert np.abs(depth * camera["depth_scale"] - z).max() <= 0.5 * camera["depth_scale"]


def each(cameras: Any) -> tuple[np.ndarray, np.ndarray]:
    return cameras.intrinsics[0], cameras.camera_to_world[0]


def test_what_is_left_out_is_said(many: Path, exported: Path) -> None:
    text = (exported / "dataset_info.md").read_text()
    assert "Without: sphere, cube, vase, cone" in text
    assert "Left out: colours" in text
    assert Dataset(many).identity in text
    camera = json.loads((exported / "camera.json").read_text())
    assert (camera["width"], camera["cx"], camera["depth_scale"]) == (64, 31.5, 1.0)
    assert not (exported / "models").exists()


def ply(path: Path) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    head, _, body = path.read_text().partition("end_header\n")
    sizes = [int(line.split()[2]) for line in head.splitlines() if line.startswith("element")]
    assert head.startswith("ply\nformat ascii 1.0\n")
    lines = body.splitlines()
    table = np.array([[float(v) for v in line.split()] for line in lines[: sizes[0]]])
    faces = [[int(v) for v in line.split()] for line in lines[sizes[0] :]]
    assert len(faces) == sizes[1]
    assert all(face[0] == len(face) - 1 for face in faces)
    return table[:, :3], table[:, 3:], [face[1:] for face in faces]


@pytest.mark.blender
def test_models_are_the_meshes_in_millimetres(tmp_path: Path) -> None:
    names = ("vase", "a-users-own", "gear")
    assert module._models(names, tmp_path / "models") == ["vase", "gear"]
    facts = json.loads((tmp_path / "models" / "models_info.json").read_text())
    assert {number: f["name"] for number, f in facts.items()} == {"1": "vase", "3": "gear"}
    for number, fact in facts.items():
        points, normals, faces = ply(tmp_path / "models" / f"obj_{int(number):06d}.ply")
        assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-4)
        assert max(max(face) for face in faces) == len(points) - 1
        size = np.ptp(points, axis=0)
        assert [fact[f"size_{axis}"] for axis in "xyz"] == pytest.approx(size.tolist(), abs=0.01)
        assert points.min(0) + points.max(0) == pytest.approx(0, abs=0.11)  # about its centre
        assert size.max() <= 1000.01
        spread = points[:, None, :].astype(np.float32)[::7] - points[None, ::7].astype(np.float32)
        reach = np.sqrt((spread**2).sum(-1)).max()
        assert reach <= fact["diameter"] + 0.01
        assert reach > 0.97 * fact["diameter"]
