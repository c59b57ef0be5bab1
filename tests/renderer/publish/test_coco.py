from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from recombine.renderer.publish.coco import run_lengths, write
from recombine.renderer.publish.export import rows
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.two_objects import one_behind_the_other

SPLITS = ("id_train", "id_val", "id_test", "ooc_test")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "data"
    drawn_dataset(folder, preset=one_behind_the_other())
    return folder


@pytest.fixture(scope="module")
def exported(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("coco")
    write(Dataset(many), out, rows, lambda: None)
    return out


def opened(path: Path) -> Any:
    coco = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        return coco.COCO(path)


@pytest.mark.parametrize("split", SPLITS)
def test_pycocotools_reads_the_masks_of_the_store(split: str, many: Path, exported: Path) -> None:
    data = Dataset(many)
    found = {
        n: opened(exported / "annotations" / f"{n}_{split}.json") for n in ("instances", "amodal")
    }
    assert sorted(found["instances"].getImgIds()) == data.indices(split).tolist()
    hidden = 0
    for i in data.indices(split).tolist():
        scene, view = data.plan.scene(i), data[split]
        view = view[[int(np.flatnonzero(view.index == i)[0])]]
        ours = {
            "instances": np.stack([view.masks[0] == k + 1 for k in range(2)]),
            "amodal": view.amodal_masks[0],
        }
        for name, coco in found.items():
            listed = coco.loadAnns(coco.getAnnIds(imgIds=[i]))
            slots = [data.schema.objects.index(a["slot"]) for a in listed]
            assert slots == [k for k in range(2) if ours[name][k].any()]
            hidden += 2 - len(slots)
            for k, annotation in zip(slots, listed, strict=True):
                assert np.array_equal(coco.annToMask(annotation), ours[name][k])
                assert annotation["area"] == ours[name][k].sum()
                category = coco.loadCats([annotation["category_id"]])[0]["name"]
                assert category == scene.objects[k].shape
                assert annotation["box_3d"] == view.boxes.corners[0, k].tolist()
            boxes = {"instances": view.boxes.visible, "amodal": view.boxes.amodal}[name]
            assert [a["bbox"] for a in listed] == boxes[0, slots].tolist()
    ids = [a["id"] for a in found["amodal"].dataset["annotations"]]
    assert len(set(ids)) == len(ids)
    assert 0 not in ids
    if split == "id_test":
        areas = [
            {a["id"]: a["area"] for a in coco.dataset["annotations"]} for coco in found.values()
        ]
        assert areas[0] != areas[1]  # one object hides part of the other
        assert hidden  # and where that is absent there is no annotation


def test_pictures_and_what_is_said_of_them(many: Path, exported: Path) -> None:
    data = Dataset(many)
    content = json.loads((exported / "annotations" / "instances_ooc_test.json").read_text())
    for image in content["images"]:
        picture = Image.open(exported / "images" / "ooc_test" / image["file_name"])
        assert np.array_equal(np.asarray(picture), data.image(image["id"]))
        assert (image["width"], image["height"]) == picture.size
        assert image["part"] == "OOC"
        assert image["cell"] == ", ".join(data.schema.cell_names(data.cells[image["id"]]))
        pose = data.camera([image["id"]]).camera_to_world[0]
        assert image["camera_to_world"] == pose.tolist()
    assert content["info"]["identity"] == data.identity
    names = [c["name"] for c in content["categories"]]
    assert names == list(data.schema.factor("object_a.shape").values)


def test_perfect_answers_score_one(exported: Path) -> None:
    """The evaluation of pycocotools runs on the files as they are."""
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    truth = opened(exported / "annotations" / "amodal_id_val.json")
    answers = [{**a, "score": 1.0} for a in truth.dataset["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        encoded = [{**a, "segmentation": truth.annToRLE(a)} for a in answers]
        done = evaluation.COCOeval(truth, truth.loadRes(encoded), "segm")
        done.evaluate()
        done.accumulate()
        done.summarize()
    assert done.stats[0] == pytest.approx(1.0)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_run_lengths_are_those_of_pycocotools(mask: np.ndarray) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    found = run_lengths(mask)
    assert sum(found["counts"]) == mask.size
    assert np.array_equal(tools.decode(tools.frPyObjects(found, *mask.shape)), mask)
    theirs = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert tools.frPyObjects(found, *mask.shape) == theirs
