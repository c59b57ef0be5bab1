"""What the certificate is decided on: everything re-read from the shards of a dataset.

Nothing here asks the planner. The schema says how to read the latents; what is held out is
read off the images themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recombine.renderer.core.errors import RecombineError
from recombine.renderer.core.hdf5 import (
    Column,
    attribute,
    column,
    open_checked,
    read_columns,
    stored,
)
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import IMPORTED, annotations_of, spec_hash
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import ANNOTATIONS, RenderSettings
from recombine.renderer.store.seal import MANIFEST_FORMAT, file_sha256, image_leaf, read_json
from recombine.renderer.store.shards import label_hash, pixel_hash, plan_columns, shard_columns

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
    def imported(self) -> bool:
        """Return whether the images are someone else's."""
        return self.config.get("source") == IMPORTED

    @property
    def cells(self) -> Array:
        """Return the value codes of the recombined factors, (N, F), from the latents."""
        return np.stack([self.columns[f"latents/{k}"] for k in self.schema.recombined], axis=1)


def gather(folder: Path) -> Evidence:
    """Read and re-hash every shard of a dataset."""
    manifest = read_json(folder / "manifest.json", MANIFEST_FORMAT)
    with open_checked(folder / "plan.h5") as handle:
        config = json.loads(attribute(handle, "config"))
    evidence = Evidence(manifest, config, Schema.from_dict(config["schema"]))
    parts: list[dict[str, Array]] = []
    for entry in manifest["shards"]:
        part = _read_shard(folder, entry, evidence)
        if part:
            parts.append(part)
    if parts:
        evidence.columns = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    _count_images(evidence)
    _compare_plan(folder / "plan.h5", evidence)
    evidence.interaction = _interaction(folder / "interaction.h5", manifest["plan_sha256"])
    return evidence


def _interaction(path: Path, plan_sha256: str) -> dict[str, Array]:
    if not path.is_file():
        return {}
    with open_checked(path) as handle:
        if attribute(handle, "plan_sha256") not in ("", plan_sha256):
            return {}
        n = len(stored(handle, "index"))
        read_columns(handle, path, {"energy": Column("f8", (3,)), "floor": Column("f8", (3,))}, n)
        return {name: column(handle, name) for name in ("index", "energy", "floor")}


def _read_shard(folder: Path, entry: dict[str, Any], evidence: Evidence) -> dict[str, Array] | None:
    path, name = folder / entry["file"], entry["file"]
    if not path.is_file():
        evidence.file_faults.append(f"{name} is missing")
        return None
    if path.stat().st_size < entry["bytes"]:
        evidence.file_faults.append(f"{name} is truncated ({path.stat().st_size} bytes)")
    elif file_sha256(path) != entry["sha256"]:
        evidence.file_faults.append(f"{name} does not match its sha256")
    try:
        with open_checked(path) as handle:
            if attribute(handle, "plan_sha256") != evidence.manifest["plan_sha256"]:
                evidence.file_faults.append(f"{name} belongs to another dataset")
                return None
            columns = shard_columns(
                evidence.schema,
                evidence.config["settings"]["resolution"],
                annotations_of(evidence.config),
            )
            read_columns(handle, path, columns, entry["stop"] - entry["start"])
            return _rehash(handle, evidence)
    except (RecombineError, OSError) as error:
        evidence.file_faults.append(f"{name} cannot be read: {str(error).split(':')[0]}")
        return None


def _rehash(handle: h5py.File, evidence: Evidence) -> dict[str, Array]:
    keys = evidence.schema.keys
    known = annotations_of(evidence.config)
    kept = (n for n in (*_SMALL, *_HASHES) if n not in ANNOTATIONS or n in known)
    small = {n: column(handle, n) for n in kept}
    small |= {f"latents/{k}": column(handle, f"latents/{k}") for k in keys}
    settings = RenderSettings(**evidence.config["settings"])
    for row, image in enumerate(_images(handle, len(small["index"]), known)):
        i = int(small["index"][row])
        latents = {k: small[f"latents/{k}"][row] for k in keys}
        seed = int(small["cycles_seed"][row])
        spec = spec_hash(evidence.config, evidence.schema, settings, latents, seed)
        if spec != small["spec_hash"][row].tobytes().hex():
            evidence.spec_faults.append(f"image {i}: latents do not match their spec hash")
        if pixel_hash(image["image"]) != small["pixel_hash"][row].tobytes():
            evidence.pixel_faults.append(f"image {i}: pixels do not match their hash")
        if label_hash(image) != small["label_hash"][row].tobytes():
            evidence.label_faults.append(f"image {i}: annotations do not match their hash")
        evidence.leaves.append(image_leaf({k: v[row] for k, v in small.items()}))
    return small


def _images(handle: h5py.File, n: int, known: Sequence[str]) -> Iterator[dict[str, Array]]:
    for row in range(n):
        yield {name: np.asarray(stored(handle, name)[row]) for name in ("image", *known)}


def _count_images(evidence: Evidence) -> None:
    index = evidence.columns.get("index", np.array([], np.int64))
    expected = evidence.manifest["n_images"]
    if not evidence.file_faults and list(index) != list(range(expected)):
        evidence.file_faults.append(f"images 0..{expected - 1} are not each present once")


def _compare_plan(path: Path, evidence: Evidence) -> None:
    """Readers take splits and latents from the plan, so it must say what the shards say."""
    if evidence.file_faults:
        return
    with open_checked(path) as handle:
        for name in plan_columns(evidence.schema):
            planned = column(handle, name) if name in handle else np.array([])
            if not np.array_equal(planned, evidence.columns[name]):
                evidence.file_faults.append(f"plan.h5 and the shards differ in {name}")
