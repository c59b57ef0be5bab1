"""BOP: scenes of images with camera, rigid poses, masks, depth along the axis, and models.

Source: "Format of BOP datasets", docs/bop_datasets_format.md of thodan/bop_toolkit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.types import Array
from recombine.renderer.publish.coco import members, shapes
from recombine.renderer.publish.columns import depth_pixels, png
from recombine.renderer.rendering.pool import local_pool
from recombine.renderer.rendering.render import require_blender, start_worker
from recombine.renderer.scenes.geometry import mask_boxes, moved
from recombine.renderer.scenes.library import SHAPES
from recombine.renderer.store.dataset import Dataset, SplitView

if TYPE_CHECKING:
    from jaxtyping import Float

    Mesh = tuple[Float[Array, "V 3"], Float[Array, "V 3"], list[tuple[int, ...]]]

FOLDERS = {
    "id_train": "train_id",
    "id_val": "val_id",
    "ooc_val": "val_ooc",
    "id_test": "test_id",
    "ooc_test": "test_ooc",
}
DEPTH_SCALE = 1.0  # millimetres per step of a depth image, so that 16 bits reach 65 m
MM = 1000.0
PER_SCENE = 1000
NOWHERE = [-1, -1, -1, -1]  # the box of an empty mask, as BOP's own scripts write it
INFO = """# {name}

{n} images of the recombine dataset {name}, identity {identity}, in the BOP-scenewise format.
License: {license}.

* Folders: {folders}. A scene is {per_scene} images at most, each of a world of its own; an
  image has the number that it has in the dataset.
* `scene_gt.json`: a pose of BOP is rigid, and our objects have a size of their own. `scale` says by
  how much to multiply the model of `obj_id` before the pose. Absent objects are not listed; `slot`
  says which one of the scene it is.
* Depth images hold the distance along the axis of the camera; multiply by `depth_scale` for
  millimetres. 0 is nowhere, or farther than 65 m.
* The centre of the upper left pixel is (0, 0). Masks are by the ray through a pixel's centre.
* `obj_id` and shape: {objects}.
* Models: {models}
* Left out: colours and materials of models, resampled models (`models_eval`), symmetries, lists of
  test targets.
"""


def write(data: Dataset, out: Path, tell: Callable[[], None]) -> None:
    """Write images and annotations of every split, and the models."""
    names = shapes(data)
    for split, folder in FOLDERS.items():
        if split in data.splits:
            index = members(data, split)
            for number, start in enumerate(range(0, len(index), PER_SCENE)):
                place = out / folder / f"{number:06d}"
                _scene(data, names, index[start : start + PER_SCENE], place, tell)
    k = data.camera([0]).intrinsics[0]
    camera = {"fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
    edge = data.resolution
    _json(out / "camera.json", camera | {"width": edge, "height": edge, "depth_scale": DEPTH_SCALE})
    written = _models(names, out / "models")
    lacking = ", ".join(n for n in names if n not in written)
    said = f"{len(written)} as PLY in millimetres, about the centre of their box, of edge 1 m."
    text = INFO.format(
        name=data.name,
        n=len(data),
        identity=data.identity,
        license=data.manifest["license"],
        folders=", ".join(f"`{b}` ({a})" for a, b in FOLDERS.items() if (out / b).is_dir()),
        per_scene=PER_SCENE,
        objects=", ".join(f"{n} {name}" for n, name in enumerate(names, start=1)),
        models=said + (f" Without: {lacking} (it takes Blender to build them)." if lacking else ""),
    )
    (out / "dataset_info.md").write_text(text, encoding="utf-8")


def _scene(
    data: Dataset, names: Sequence[str], index: list[int], place: Path, tell: Callable[[], None]
) -> None:
    for kind in ("rgb", "depth", "mask", "mask_visib"):
        (place / kind).mkdir(parents=True)
    files: dict[str, dict[str, Any]] = {n: {} for n in ("camera", "gt", "gt_info")}
    for i in index:
        view = SplitView(data, np.array([i]))
        k, pose = view.cameras.intrinsics[0], view.cameras.world_to_camera[0]
        depth = depth_pixels(view.cameras.z_depth(view.depth)[0], MM / DEPTH_SCALE)
        (place / "rgb" / f"{i:06d}.png").write_bytes(png(data.image(i)))
        (place / "depth" / f"{i:06d}.png").write_bytes(png(depth))
        files["camera"][str(i)] = {
            "cam_K": k.ravel().tolist(),
            "depth_scale": DEPTH_SCALE,
            "cam_R_w2c": pose[:3, :3].ravel().tolist(),
            "cam_t_w2c": (pose[:3, 3] * MM).tolist(),
        }
        found, seen = _objects(data, view, names, depth > 0)
        files["gt"][str(i)] = found
        files["gt_info"][str(i)] = [info for info, _ in seen]
        for number, (_, masks) in enumerate(seen):
            for kind, mask in masks.items():
                path = place / kind / f"{i:06d}_{number:06d}.png"
                path.write_bytes(png(mask.astype(np.uint8) * 255))
        tell()
    for name, content in files.items():
        _json(place / f"scene_{name}.json", content)


def _objects(
    data: Dataset, view: SplitView, names: Sequence[str], measured: Array
) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], dict[str, Array]]]]:
    """Return poses, and facts and masks, of the objects that are present."""
    pose, mask, whole = view.cameras.world_to_camera[0], view.masks[0], view.amodal_masks[0]
    stands, corners = view.poses[0], view.boxes.corners[0]
    poses, seen = [], []
    for k, thing in enumerate(data.plan.scene(int(view.index[0])).objects):
        if thing is None:
            continue
        turn = pose[:3, :3] @ stands[k, :3, :3] / thing.scale
        centre = moved(pose, corners[k].mean(0))
        poses.append(
            {
                "cam_R_m2c": turn.ravel().tolist(),
                "cam_t_m2c": (centre * MM).tolist(),
                "obj_id": names.index(thing.shape) + 1,
                "scale": thing.scale,
                "slot": data.schema.objects[k],
            }
        )
        masks = {"mask": whole[k], "mask_visib": mask == k + 1}
        full, visible = (int(m.sum()) for m in masks.values())
        boxes = mask_boxes(np.stack(list(masks.values()))).tolist()
        info = {
            "bbox_obj": boxes[0] if full else NOWHERE,
            "bbox_visib": boxes[1] if visible else NOWHERE,
            "px_count_all": full,
            "px_count_valid": int((masks["mask"] & measured).sum()),
            "px_count_visib": visible,
            "visib_fract": visible / max(full, 1),
        }
        seen.append((info, masks))
    return poses, seen


def _models(names: Sequence[str], place: Path) -> list[str]:
    """Write the models that our library has, and return their names; none without Blender."""
    try:
        require_blender()
    except ResourceError:
        return []
    known = [name for name in names if name in SHAPES]
    with local_pool(1, start_worker)() as pool:
        meshes = pool.submit(meshes_of, known).result()
    place.mkdir()
    facts = {}
    for name, (vertices, normals, faces) in zip(known, meshes, strict=True):
        low, high = vertices.min(0), vertices.max(0)
        points = (vertices - np.round((low + high) / 2, 4)) * MM
        number = names.index(name) + 1
        _ply(place / f"obj_{number:06d}.ply", points, normals, faces)
        facts[str(number)] = _extent(points) | {"name": name}
    _json(place / "models_info.json", facts)
    return known


def meshes_of(names: Sequence[str]) -> list[Mesh]:
    """Return vertices, normals and faces of shapes; runs in a Blender process."""
    from recombine.renderer.blender.shapes import table

    found: list[Mesh] = []
    for name in names:
        mesh = table.mesh(name)
        vertices = np.array([v.co for v in mesh.vertices], float)
        normals = np.array([v.normal for v in mesh.vertices], float)
        found.append((vertices, normals, [tuple(p.vertices) for p in mesh.polygons]))
    return found


def _extent(points: Array) -> dict[str, float]:
    low, high = points.min(0), points.max(0)
    corners = points[ConvexHull(points).vertices]
    facts = {"diameter": float(pdist(corners).max())}
    facts |= {f"min_{axis}": float(v) for axis, v in zip("xyz", low, strict=True)}
    return facts | {f"size_{axis}": float(v) for axis, v in zip("xyz", high - low, strict=True)}


def _ply(path: Path, points: Array, normals: Array, faces: Sequence[Sequence[int]]) -> None:
    properties = [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    head = ["ply", "format ascii 1.0", f"element vertex {len(points)}", *properties]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = [" ".join(f"{v:.6g}" for v in row) for row in np.hstack([points, normals]).tolist()]
    rows += [" ".join(map(str, (len(face), *face))) for face in faces]
    path.write_text("\n".join([*head, *rows]) + "\n", encoding="ascii")


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
