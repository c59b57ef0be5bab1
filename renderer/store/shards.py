"""A dataset folder: plan.h5, shards/, manifest.json, certificate.json.

Every file is complete or absent. A shard carries a digest of its own content, so resuming asks
what a file holds and never merely whether it exists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from recombine.renderer.core.errors import IntegrityError, RecombineError, ResourceError
from recombine.renderer.core.files import replacing, write_json
from recombine.renderer.core.hdf5 import (
    Column,
    attribute,
    column,
    new_file,
    open_checked,
    read_columns,
    require_only,
    stored,
)
from recombine.renderer.core.provenance import Build
from recombine.renderer.core.strict import inside, parse_json
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import PLAN_FORMAT, Plan
from recombine.renderer.scenes.assets import plan_assets
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.geometry import CONVENTIONS, mask_dtype
from recombine.renderer.scenes.scene import LABELS, Rendered, RenderSettings
from recombine.renderer.store.records import (
    SHARD_FORMAT,
    check_columns,
    plan_attributes,
    shard_attributes,
)

BUILD_FORMAT = "recombine.build/1"
SHARD_SIZE = 64
_PER_IMAGE = ("split", "rungs", "block", "cycles_seed", "tries")
_MEASURED = ("index", "visible", "amodal")


@dataclass(frozen=True)
class Picture:
    """What an imported image has: pixels, and masks where they are known."""

    image: Array  # uint8 (H, W, 3)
    mask: Array | None = None  # uint8 (H, W), as in `Rendered`


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of a shard."""
    return folder / "shards" / f"shard-{number:05d}.h5"


def shard_ranges(n_images: int, size: int = SHARD_SIZE) -> list[range]:
    """Return the contiguous image ranges of the shards."""
    return [range(a, min(a + size, n_images)) for a in range(0, n_images, size)]


def save_plan(folder: Path, plan: Plan, shard_size: int = SHARD_SIZE) -> None:
    """Write ``plan.h5`` atomically, with the number of images per shard."""
    with replacing(folder / "plan.h5") as path, new_file(path) as handle:
        handle.attrs["format"] = PLAN_FORMAT
        handle.attrs["config"] = json.dumps(plan.config, sort_keys=True)
        handle.attrs["plan_sha256"] = plan.digest()
        handle.attrs["shard_size"] = shard_size
        if plan.recipe is not None:
            handle.attrs["recipe"] = json.dumps(dict(plan.recipe), sort_keys=True)
        for name in _PER_IMAGE:
            handle.create_dataset(name, data=getattr(plan, name))
        for key, values in plan.latents.items():
            handle.create_dataset(f"latents/{key}", data=values)


def load_plan(folder: Path) -> Plan:
    """Read ``plan.h5``; every value of it is one that the configuration allows."""
    plan, claimed = read_plan(folder)
    if plan.digest() != claimed:
        raise IntegrityError(
            f"{folder / 'plan.h5'}: the latents do not match their digest; the plan was edited. "
            "Plan again in an empty folder."
        )
    return plan


def read_plan(folder: Path) -> tuple[Plan, str]:
    """Read ``plan.h5`` and the digest that it claims."""
    path = inside(folder, "plan.h5")
    with open_checked(path) as handle:
        said = plan_attributes(handle, path)
        config = said["config"]
        schema = Schema.from_dict(config["schema"])
        columns = plan_columns(schema)
        require_only(handle, path, columns)
        split = stored(handle, "split")
        read_columns(handle, path, columns, split.shape[0] if split.shape else 0)
        arrays = {name: column(handle, name) for name in columns}
    check_columns(arrays, schema, len(config["split"]["ladder"]), str(path))
    plan = Plan(
        config=config,
        schema=schema,
        settings=RenderSettings(**config["settings"]),
        latents={k: arrays[f"latents/{k}"] for k in schema.keys},
        **{name: arrays[name] for name in _PER_IMAGE},
        recipe=said.get("recipe"),
        assets=plan_assets(config, folder),
    )
    return plan, str(said["plan_sha256"])


def stored_shard_size(folder: Path) -> int:
    """Return the number of images per shard that a plan was stored with."""
    path = inside(folder, "plan.h5")
    with open_checked(path) as handle:
        return int(plan_attributes(handle, path)["shard_size"])


def open_shard(
    path: Path, plan_sha256: str, plan: Plan, indices: range, *, planned: bool = False
) -> h5py.File:
    """Open a shard of a plan: the attributes and columns of its format, values in range.

    With ``planned`` it must say of its images what the plan says, for readers that believe the
    plan; a certificate names the first image that differs instead.
    """
    handle = open_checked(path)
    try:
        _check_shard(handle, path, plan_sha256, plan, indices)
        names = (*plan_columns(plan.schema), *_MEASURED)
        kept = (n for n in names if n not in LABELS or n in plan.annotations)
        small = {name: column(handle, name) for name in kept}
        if planned:
            _require_planned(small, path, plan, indices)
        check_columns(
            small, plan.schema, len(plan.config["split"]["ladder"]), str(path), indices.start
        )
    except BaseException:
        handle.close()
        raise
    return handle


def _check_shard(
    handle: h5py.File, path: Path, plan_sha256: str, plan: Plan, indices: range
) -> None:
    if shard_attributes(handle, path)["plan_sha256"] != plan_sha256:
        raise IntegrityError(
            f"{path}: belongs to another dataset; expected the plan {plan_sha256[:16]}. "
            "Render it again."
        )
    columns = shard_columns(plan.schema, plan.settings.resolution, plan.annotations)
    require_only(handle, path, columns, CONVENTIONS)
    read_columns(handle, path, columns, len(indices))


def _require_planned(columns: Mapping[str, Array], path: Path, plan: Plan, indices: range) -> None:
    stored_plan = {n: getattr(plan, n) for n in _PER_IMAGE}
    stored_plan |= {f"latents/{k}": v for k, v in plan.latents.items()}
    for name, values in stored_plan.items():
        if not np.array_equal(columns[name], values[indices.start : indices.stop]):
            raise IntegrityError(
                f"{path}: expected {name!r} as in plan.h5; it differs. Render it again."
            )


def plan_columns(schema: Schema) -> dict[str, Column]:
    """Return the datasets that describe images, in plans and shards alike."""
    columns = {
        "split": Column("u1"),
        "rungs": Column("u1"),
        "block": Column("i8"),
        "cycles_seed": Column("i8"),
        "tries": Column("i8"),
    }
    for key in schema.keys:
        kind = schema.factor(key).kind
        columns[f"latents/{key}"] = Column("i8" if kind == "categorical" else "f8")
    return columns


def shard_columns(
    schema: Schema, resolution: int, annotations: Sequence[str] = LABELS
) -> dict[str, Column]:
    """Return every dataset of a shard."""
    n_objects = len(schema.objects)
    hw = (resolution, resolution)
    whole = mask_dtype(n_objects)
    columns = plan_columns(schema) | {
        "index": Column("i8"),
        "image": Column("u1", (*hw, 3)),
        "mask": Column("u1", hw),
        "depth": Column("f2", hw),
        "normal": Column("i1", (*hw, 3)),
        "visible": Column("f2", (n_objects,)),
        "amodal": Column("f2", (n_objects,)),
        "amodal_mask": Column(whole, hw),
        "intrinsics": Column("f8", (3, 3)),
        "camera_to_world": Column("f8", (4, 4)),
        "object_to_world": Column("f8", (n_objects, 4, 4)),
        "box_3d": Column("f8", (n_objects, 8, 3)),
        "box_2d": Column("i4", (n_objects, 4)),
        "box_2d_amodal": Column("i4", (n_objects, 4)),
        "spec_hash": Column("u1", (32,)),
        "pixel_hash": Column("u1", (32,)),
        "label_hash": Column("u1", (32,)),
    }
    return {k: c for k, c in columns.items() if k not in LABELS or k in annotations}


def pixel_hash(image: Array) -> bytes:
    """Return the sha256 of one image's colour array."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()


def label_hash(rendered: Mapping[str, Array]) -> bytes:
    """Return the sha256 of one image's annotations."""
    digest = hashlib.sha256()
    for name in LABELS:
        if name in rendered:
            digest.update(np.ascontiguousarray(rendered[name]).tobytes())
    return digest.digest()


def save_shard(
    folder: Path,
    number: int,
    plan: Plan,
    indices: range,
    rendered: Sequence[Rendered] | Sequence[Picture],
    provenance: Mapping[str, str] | None = None,
    build: Build | None = None,
) -> None:
    """Write one finished shard atomically, with a digest of its content and the build here."""
    arrays = _shard_arrays(plan, indices, rendered)
    target = shard_path(folder, number)
    with replacing(target) as path, new_file(path) as handle:
        handle.attrs["format"] = SHARD_FORMAT
        handle.attrs["plan_sha256"] = plan.digest()
        handle.attrs["content_sha256"] = content_digest(arrays)
        handle.attrs["build"] = json.dumps((build or Build.here()).to_dict(), sort_keys=True)
        handle.attrs["provenance"] = json.dumps(dict(provenance or {}), sort_keys=True)
        for name, array in arrays.items():
            write_column(handle, name, array)


def write_column(handle: h5py.File, name: str, array: Array) -> h5py.Dataset:
    """Write one column of a shard in the layout that is fastest to read: colours contiguous."""
    options = {}
    if name in ("mask", "depth", "normal", "amodal_mask"):
        options = {"chunks": (1, *array.shape[1:]), "compression": 1, "shuffle": True}
    made = handle.create_dataset(name, data=array, **options)
    if name in CONVENTIONS:
        made.attrs["convention"] = CONVENTIONS[name]
    return made


def content_digest(arrays: Mapping[str, Array]) -> str:
    """Return the sha256 (hex) over named arrays, independent of how HDF5 lays them out."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def shard_is_complete(folder: Path, number: int, plan: Plan, indices: range) -> bool:
    """Tell whether a shard of this very plan is on disk, intact."""
    path = shard_path(folder, number)
    if not path.exists():
        return False
    try:
        digest = plan.digest()
        with open_shard(path, digest, plan, indices) as handle:
            columns = shard_columns(plan.schema, plan.settings.resolution, plan.annotations)
            arrays = {name: column(handle, name) for name in columns}
            return bool(shard_attributes(handle, path)["content_sha256"] == content_digest(arrays))
    except ResourceError:
        raise  # what the system refuses says nothing about the shard, which is not drawn again
    except RecombineError:
        return False


def shard_provenance(path: Path) -> dict[str, str]:
    """Return the versions and the machine that drew a shard; empty when it does not say."""
    with open_checked(path) as handle:
        return dict(shard_attributes(handle, path).get("provenance", {}))


def shard_build(path: Path) -> Build:
    """Return the build that drew a shard."""
    with open_checked(path) as handle:
        return read_build(attribute(handle, "build"), path)


def read_build(text: str, path: Path) -> Build:
    """Read the record of a build."""
    try:
        return Build.from_dict(parse_json(text, str(path)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{path}: expected the record of the build that drew it; got none that can be read. "
            "Use the version of recombine that wrote it, or render again with --existing overwrite."
        ) from error


def one_build(paths: Sequence[Path]) -> Build:
    """Return the build that drew all of some shards."""
    first = shard_build(paths[0])
    for path in paths[1:]:
        if differs := first.differences(shard_build(path)):
            raise IntegrityError(
                f"{path}: expected a shard of the same build as {paths[0]}; they differ in "
                f"{listed_differences(differs)}. Draw all of a dataset with one build: run "
                "`recombine render` with --existing overwrite."
            )
    return first


def listed_differences(differs: Sequence[str]) -> str:
    """Return what differs between two builds as one phrase."""
    more = f" and {len(differs) - 5} more" if len(differs) > 5 else ""
    return ", ".join(differs[:5]) + more


def save_build(folder: Path, build: Build) -> None:
    """Write which build a folder is drawn with."""
    write_json(folder / "build.json", {"format": BUILD_FORMAT, **build.to_dict()})


def load_build(folder: Path) -> Build | None:
    """Return the build that a folder is drawn with; None where nothing was begun."""
    path = folder / "build.json"
    return read_build(path.read_text(encoding="utf-8"), path) if path.is_file() else None


def _shard_arrays(
    plan: Plan, indices: range, rendered: Sequence[Rendered] | Sequence[Picture]
) -> dict[str, Array]:
    pick = slice(indices.start, indices.stop)
    arrays: dict[str, Array] = {
        "index": np.array(indices, np.int64),
        **{n: getattr(plan, n)[pick] for n in _PER_IMAGE},
        **{f"latents/{k}": v[pick] for k, v in plan.latents.items()},
    }
    for name in ("image", *plan.annotations):
        arrays[name] = np.stack([getattr(r, name) for r in rendered])
    arrays["spec_hash"] = _bytes_rows([bytes.fromhex(plan.spec_hash(i)) for i in indices])
    arrays["pixel_hash"] = _bytes_rows([pixel_hash(r.image) for r in rendered])
    labels = [{name: getattr(r, name) for name in plan.annotations} for r in rendered]
    arrays["label_hash"] = _bytes_rows([label_hash(found) for found in labels])
    return arrays


def _bytes_rows(rows: Sequence[bytes]) -> Array:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 32)
