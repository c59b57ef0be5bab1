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
from typing import Any

import h5py
import numpy as np

from recombine.renderer.core.errors import IntegrityError, RecombineError
from recombine.renderer.core.files import replacing
from recombine.renderer.core.hdf5 import (
    Column,
    attribute,
    column,
    open_checked,
    read_columns,
    stored,
)
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import PLAN_FORMAT, Plan
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import ANNOTATIONS, Rendered, RenderSettings

SHARD_FORMAT = "recombine.shard/1"
SHARD_SIZE = 64
_PER_IMAGE = ("split", "rungs", "block", "cycles_seed", "tries")


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
    with replacing(folder / "plan.h5") as path, h5py.File(path, "w", libver="latest") as handle:
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
    """Read ``plan.h5``."""
    path = folder / "plan.h5"
    with open_checked(path) as handle:
        config = _config(handle, path, PLAN_FORMAT)
        schema = Schema.from_dict(config["schema"])
        read_columns(handle, path, plan_columns(schema), len(stored(handle, "split")))
        plan = Plan(
            config=config,
            schema=schema,
            settings=RenderSettings(**config["settings"]),
            latents={k: column(handle, f"latents/{k}") for k in schema.keys},
            split=column(handle, "split"),
            rungs=column(handle, "rungs"),
            block=column(handle, "block"),
            cycles_seed=column(handle, "cycles_seed"),
            tries=column(handle, "tries"),
            recipe=json.loads(attribute(handle, "recipe") or "null"),
        )
        if plan.digest() != attribute(handle, "plan_sha256"):
            raise IntegrityError(
                f"{path}: the latents do not match their digest; the plan was edited. "
                "Plan again in an empty folder."
            )
    return plan


def stored_shard_size(folder: Path) -> int:
    """Return the number of images per shard that a plan was stored with."""
    with open_checked(folder / "plan.h5") as handle:
        return int(attribute(handle, "shard_size"))


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
    schema: Schema, resolution: int, annotations: Sequence[str] = ANNOTATIONS
) -> dict[str, Column]:
    """Return every dataset of a shard."""
    n_objects = len(schema.objects)
    hw = (resolution, resolution)
    columns = plan_columns(schema) | {
        "index": Column("i8"),
        "image": Column("u1", (*hw, 3)),
        "mask": Column("u1", hw),
        "depth": Column("f2", hw),
        "normal": Column("i1", (*hw, 3)),
        "visible": Column("f2", (n_objects,)),
        "amodal": Column("f2", (n_objects,)),
        "spec_hash": Column("u1", (32,)),
        "pixel_hash": Column("u1", (32,)),
        "label_hash": Column("u1", (32,)),
    }
    return {k: c for k, c in columns.items() if k not in ANNOTATIONS or k in annotations}


def pixel_hash(image: Array) -> bytes:
    """Return the sha256 of one image's colour array."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()


def label_hash(rendered: Mapping[str, Array]) -> bytes:
    """Return the sha256 of one image's annotations."""
    digest = hashlib.sha256()
    for name in ANNOTATIONS:
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
) -> None:
    """Write one finished shard atomically, with a digest of its content."""
    arrays = _shard_arrays(plan, indices, rendered)
    target = shard_path(folder, number)
    with replacing(target) as path, h5py.File(path, "w", libver="latest") as handle:
        handle.attrs["format"] = SHARD_FORMAT
        handle.attrs["plan_sha256"] = plan.digest()
        handle.attrs["content_sha256"] = content_digest(arrays)
        handle.attrs["provenance"] = json.dumps(dict(provenance or {}), sort_keys=True)
        for name, array in arrays.items():
            write_column(handle, name, array)


def write_column(handle: h5py.File, name: str, array: Array) -> h5py.Dataset:
    """Write one column of a shard in the layout that is fastest to read: colours contiguous."""
    options = {}
    if name in ("mask", "depth", "normal"):
        options = {"chunks": (1, *array.shape[1:]), "compression": 1, "shuffle": True}
    return handle.create_dataset(name, data=array, **options)


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
        with open_checked(path) as handle:
            columns = shard_columns(plan.schema, plan.settings.resolution, plan.annotations)
            read_columns(handle, path, columns, len(indices))
            arrays = {name: column(handle, name) for name in columns}
            return bool(
                attribute(handle, "plan_sha256") == plan.digest()
                and attribute(handle, "content_sha256") == content_digest(arrays)
                and list(arrays["index"]) == list(indices)
            )
    except (RecombineError, OSError, KeyError):
        return False


def shard_provenance(path: Path) -> dict[str, str]:
    """Return the versions and the machine that drew a shard; empty when it does not say."""
    with open_checked(path) as handle:
        return dict(json.loads(attribute(handle, "provenance") or "{}"))


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


def _config(handle: h5py.File, path: Path, form: str) -> dict[str, Any]:
    if attribute(handle, "format") != form:
        raise IntegrityError(
            f"{path}: expected the format {form}; got {attribute(handle, 'format')!r}. "
            "Use the version of recombine that wrote it."
        )
    return dict(json.loads(attribute(handle, "config")))
