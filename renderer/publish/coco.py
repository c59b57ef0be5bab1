"""COCO: one file of instances per split for what is seen of the objects, one for all of them.

Source: the data format of cocodataset.org. Masks are run lengths, column by column, beginning
with a run of zeros; pycocotools reads them as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.project import AUTHORS
from recombine.renderer.core.types import Array
from recombine.renderer.publish.columns import Record, png
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset, SplitView

if TYPE_CHECKING:
    from jaxtyping import Bool

LICENCE_URL = "https://creativecommons.org/licenses/by/4.0/"
FILES = {"instances": "what is seen of each object", "amodal": "each object as if it stood alone"}


def write(
    data: Dataset,
    out: Path,
    rows: Callable[[Dataset, list[int]], Iterable[Record]],
    tell: Callable[[], None],
) -> None:
    """Write pictures and annotations of every split."""
    (out / "annotations").mkdir()
    for split in SPLITS:
        index = members(data, split)
        if not index:
            continue
        place = out / "images" / split
        place.mkdir(parents=True)
        files: dict[str, dict[str, Any]] = {name: _head(data, split, name) for name in FILES}
        for i, record in zip(index, rows(data, index), strict=True):
            (place / f"{i:08d}.png").write_bytes(png(data.image(i)))
            image = _image(data, record)
            for name, listed in annotated(data, i).items():
                files[name]["images"].append(image)
                files[name]["annotations"] += listed
            tell()
        for name, content in files.items():
            path = out / "annotations" / f"{name}_{split}.json"
            path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def members(data: Dataset, split: str) -> list[int]:
    """Return the images of a split, all rungs together."""
    rungs = range(data.rungs) if split == "id_train" else [0]
    return sorted({int(i) for r in rungs for i in data.indices(split, rung=r)})


def shapes(data: Dataset) -> tuple[str, ...]:
    """Return the names of the categories: the values of the shape of all objects, in order."""
    found: dict[str, None] = {}
    for slot in data.schema.objects:
        key = f"{slot}.shape"
        constant = data.config["constants"].get(key)
        found |= dict.fromkeys([constant] if constant else data.schema.factor(key).values)
    return tuple(found)


def annotated(data: Dataset, i: int) -> dict[str, list[dict[str, Any]]]:
    """Return the annotations of one image for each file; objects without a pixel have none."""
    view = SplitView(data, np.array([i]))
    names, boxes, mask, whole = shapes(data), view.boxes, view.masks[0], view.amodal_masks[0]
    shares, poses = view.visible[0], view.poses[0]
    kinds = {"instances": boxes.visible[0], "amodal": boxes.amodal[0]}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    for k, thing in enumerate(data.plan.scene(i).objects):
        masks = {"instances": mask == k + 1, "amodal": whole[k]}
        for name, box in kinds.items():
            if thing is None or not masks[name].any():
                continue
            found[name].append(
                {
                    "id": i * len(kinds["amodal"]) + k + 1,  # no reader wants a 0
                    "image_id": i,
                    "category_id": names.index(thing.shape) + 1,
                    "segmentation": run_lengths(masks[name]),
                    "area": int(masks[name].sum()),
                    "bbox": box[k].tolist(),
                    "iscrowd": 0,
                    "slot": data.schema.objects[k],
                    "visible": float(shares[k]),
                    "object_to_world": poses[k].tolist(),
                    "box_3d": boxes.corners[0, k].tolist(),
                }
            )
    return found


def run_lengths(mask: Bool[Array, "H W"]) -> dict[str, Any]:
    """Return a mask as COCO's run lengths, not compressed."""
    flat = np.asarray(mask, bool).ravel(order="F")
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def _head(data: Dataset, split: str, name: str) -> dict[str, Any]:
    return {
        "info": {
            "description": f"{data.name}, {split}: {FILES[name]}",
            "version": data.version,
            "contributor": AUTHORS,
            "identity": data.identity,
        },
        "licenses": [{"id": 1, "name": data.manifest["license"], "url": LICENCE_URL}],
        "categories": [
            {"id": number, "name": shape, "supercategory": "object"}
            for number, shape in enumerate(shapes(data), start=1)
        ],
        "images": [],
        "annotations": [],
    }


def _image(data: Dataset, record: Record) -> dict[str, Any]:
    edge = data.resolution
    own = {"id": record["index"], "file_name": f"{record['index']:08d}.png", "license": 1}
    plain = {k: v for k, v in record.items() if not isinstance(v, bytes)}
    arrays = ("visible", "amodal", "object_to_world", "box_3d", "box_2d", "box_2d_amodal")
    return own | {"width": edge, "height": edge} | {k: plain[k] for k in plain if k not in arrays}
