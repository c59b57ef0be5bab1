"""What the certificate is decided on: everything re-read from the shards of a dataset.

Nothing here asks the planner. The schema says how to read the latents; what is held out is
read off the images themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recombine.renderer.core.errors import IntegrityError, RecombineError
from recombine.renderer.core.hdf5 import (
    Column,
    attribute,
    column,
    open_checked,
    read_columns,
    reading,
    stored,
)
from recombine.renderer.core.strict import inside
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import Plan
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import LABELS, RenderSettings, scene_hash, scene_of
from recombine.renderer.store.records import read_manifest
from recombine.renderer.store.seal import file_sha256, image_leaf
from recombine.renderer.store.shards import (
    label_hash,
    open_shard,
    pixel_hash,
    plan_columns,
    read_plan,
)

_SMALL = ("index", "split", "rungs", "block", "cycles_seed", "tries", "visible", "amodal")
_HASHES = ("spec_hash", "pixel_hash", "label_hash")


@dataclass
class Evidence:
    """All small columns of a dataset and what reading it brought to light."""

    manifest: dict[str, Any]  # sealed
    config: dict[str, Any]  # of the plan
    schema: Schema  # slots and factors
    # columns over all readable images, latents as ``latents/slot.factor``
    columns: dict[str, Array] = field(default_factory=dict)
    # merkle leaves recomputed from what the shards hold
    leaves: list[bytes] = field(default_factory=list)
    # one line per fault found while reading
    file_faults: list[str] = field(default_factory=list)
    spec_faults: list[str] = field(default_factory=list)
    pixel_faults: list[str] = field(default_factory=list)
    label_faults: list[str] = field(default_factory=list)
    # ``index`` (n,), ``energy`` (n, 3) and ``floor`` (n, 3) of the measured scenes; empty where
    # interaction was not measured
    interaction: dict[str, Array] = field(default_factory=dict)

    def split(self, code: int) -> Array:
        """Return a boolean array of the images in one split."""
        return np.asarray(self.columns["split"] == code)

    @property
    def cells(self) -> Array:
        """Return the value codes of the recombined factors, (N, F), from the latents."""
        return np.stack([self.columns[f"latents/{k}"] for k in self.schema.recombined], axis=1)


def gather(folder: Path) -> Evidence:
    """Read and re-hash every shard of a dataset."""
    manifest, (plan, _) = read_manifest(folder), read_plan(folder)
    evidence = Evidence(manifest, dict(plan.config), plan.schema)
    parts: list[dict[str, Array]] = []
    for entry in manifest["shards"]:
        part = _read_shard(folder, entry, plan, evidence)
        if part:
            parts.append(part)
    if parts:
        evidence.columns = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    _count_images(evidence)
    _compare_plan(plan, evidence)
    evidence.interaction = _interaction(inside(folder, "interaction.h5"), manifest)
    return evidence


def _interaction(path: Path, manifest: dict[str, Any]) -> dict[str, Array]:
    if not path.is_file():
        return {}
    with open_checked(path) as handle:
        if attribute(handle, "plan_sha256") not in ("", manifest["plan_sha256"]):
            return {}
        with reading(path):
            n = len(stored(handle, "index"))
        columns = {"index": Column("i8"), "energy": Column("f8", (3,)), "floor": Column("f8", (3,))}
        read_columns(handle, path, columns, n)
        found = {name: column(handle, name) for name in columns}
    rows = found["index"]
    sound = all(np.isfinite(found[name]).all() for name in ("energy", "floor"))
    if not sound or not np.all((rows >= 0) & (rows < manifest["n_images"])):
        raise IntegrityError(
            f"{path}: expected finite energies of the images 0..{manifest['n_images'] - 1}; got "
            "others. Remove it, and run `recombine measure interaction` again."
        )
    return found


def _read_shard(
    folder: Path, entry: dict[str, Any], plan: Plan, evidence: Evidence
) -> dict[str, Array] | None:
    path, name = inside(folder, entry["file"]), entry["file"]
    if not path.is_file():
        evidence.file_faults.append(f"{name} is missing")
        return None
    if path.stat().st_size < entry["bytes"]:
        evidence.file_faults.append(f"{name} is truncated ({path.stat().st_size} bytes)")
    elif file_sha256(path) != entry["sha256"]:
        evidence.file_faults.append(f"{name} does not match its sha256")
    sealed, indices = evidence.manifest["plan_sha256"], range(entry["start"], entry["stop"])
    try:
        with open_shard(path, sealed, plan, indices) as handle:
            return _rehash(handle, evidence)
    except RecombineError as error:
        evidence.file_faults.append(f"{name}: {str(error).removeprefix(f'{path}: ')}")
        return None


def _rehash(handle: h5py.File, evidence: Evidence) -> dict[str, Array]:
    keys = evidence.schema.keys
    small = {n: column(handle, n) for n in (*_SMALL, *_HASHES)}
    small |= {f"latents/{k}": column(handle, f"latents/{k}") for k in keys}
    settings = RenderSettings(**evidence.config["settings"])
    for row, image in enumerate(_images(handle, len(small["index"]))):
        i = int(small["index"][row])
        latents = {k: small[f"latents/{k}"][row] for k in keys}
        seed = int(small["cycles_seed"][row])
        scene = scene_of(evidence.schema, evidence.config["constants"], latents, seed)
        if scene_hash(scene, settings) != small["spec_hash"][row].tobytes().hex():
            evidence.spec_faults.append(f"image {i}: latents do not match their spec hash")
        if pixel_hash(image["image"]) != small["pixel_hash"][row].tobytes():
            evidence.pixel_faults.append(f"image {i}: pixels do not match their hash")
        if label_hash(image) != small["label_hash"][row].tobytes():
            evidence.label_faults.append(f"image {i}: annotations do not match their hash")
        evidence.leaves.append(image_leaf({k: v[row] for k, v in small.items()}))
    return small


def _images(handle: h5py.File, n: int) -> Iterator[dict[str, Array]]:
    names = ("image", *LABELS)
    columns = {name: stored(handle, name) for name in names}  # a look-up costs more than a row
    for row in range(n):
        with reading(handle.filename):
            image = {name: np.asarray(values[row]) for name, values in columns.items()}
        yield image


def _count_images(evidence: Evidence) -> None:
    index = evidence.columns.get("index", np.array([], np.int64))
    expected = evidence.manifest["n_images"]
    if not evidence.file_faults and list(index) != list(range(expected)):
        evidence.file_faults.append(f"images 0..{expected - 1} are not each present once")


def _compare_plan(plan: Plan, evidence: Evidence) -> None:
    """Readers take splits and latents from the plan, so it must say what the shards say."""
    if evidence.file_faults:
        return
    for name in plan_columns(plan.schema):
        key = name.removeprefix("latents/")
        planned = plan.latents[key] if key in plan.latents else getattr(plan, name)
        if not np.array_equal(planned, evidence.columns[name]):
            evidence.file_faults.append(f"plan.h5 and the shards differ in {name}")
