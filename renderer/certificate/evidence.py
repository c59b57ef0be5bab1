"""What the certificate is decided on: everything re-read from the shards of a dataset.

Nothing here asks the planner. The schema says how to read the latents; what is held out is
read off the images themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from recombine.renderer.core.provenance import Build
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import Rendered, RenderSettings, scene_hash, scene_of
from recombine.renderer.store.agreement import Agreement, agreement
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.reference import find_reference, load_reference
from recombine.renderer.store.seal import (
    LABEL_COLUMNS,
    MANIFEST_FORMAT,
    file_sha256,
    image_leaf,
    read_json,
)
from recombine.renderer.store.shards import (
    label_hash,
    pixel_hash,
    plan_columns,
    read_build,
    shard_columns,
)

_SMALL = ("index", "split", "rungs", "block", "cycles_seed", "tries", "visible", "amodal")
_HASHES = ("spec_hash", "pixel_hash", "label_hash")


@dataclass(frozen=True)
class Drawn:
    """Which build drew a shard."""

    file: str
    images: int
    build: Build


@dataclass(frozen=True)
class Redraw:
    """How to draw images of a dataset again, and how many of each split."""

    per_split: int
    draw: Callable[[Sequence[int]], Iterable[Rendered]]


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
    label_leaves: list[bytes] = field(default_factory=list)
    # one row per readable shard, in the order of the images
    builds: list[Drawn] = field(default_factory=list)
    # how the images compare with their published reference, and drawn again; or why they were not
    reference: Agreement | str = "no reference of this plan is at hand"
    redraw: Agreement | str = "not asked for (--redraw)"
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


def gather(
    folder: Path, *, reference: Path | None = None, redraw: Redraw | None = None
) -> Evidence:
    """Read and re-hash every shard of a dataset; compare with a reference and draw again."""
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
    if not evidence.file_faults:
        evidence.reference = _reference(folder, evidence, reference)
        if redraw:
            evidence.redraw = _redraw(folder, evidence, redraw)
    return evidence


def _reference(folder: Path, evidence: Evidence, given: Path | None) -> Agreement | str:
    plan_sha256 = evidence.manifest["plan_sha256"]
    found = load_reference(given) if given else find_reference(plan_sha256)
    if found is None:
        return evidence.reference
    if found.plan_sha256 != plan_sha256:
        return f"the reference is of another plan ({found.dataset}, {found.plan_sha256[:12]})"
    ours = evidence.manifest["render_version"]
    if found.render_version != ours:
        return f"the reference is of render version {found.render_version}, the images of {ours}"
    data, index = Dataset(folder), found.choice.index
    labels = [row.tobytes() for row in data.annotation("label_hash", index)]
    return found.compare(list(data.images(index)), labels)


def _redraw(folder: Path, evidence: Evidence, redraw: Redraw) -> Agreement:
    # Chosen by the identity: whoever made the data could not know which, before all was drawn.
    chosen: list[int] = []
    for split in np.unique(evidence.columns["split"]):
        rng = keyed_rng(evidence.manifest["identity"], "redraw", str(split), 0)
        members = np.flatnonzero(evidence.split(split))
        chosen += sorted(rng.permutation(members)[: redraw.per_split].tolist())
    data = Dataset(folder)
    hashes = [row.tobytes() for row in data.annotation("label_hash", chosen)]
    drawn = list(redraw.draw(chosen))
    return agreement(
        ((data.image(i), again.image) for i, again in zip(chosen, drawn, strict=True)),
        [a == label_hash(vars(again)) for a, again in zip(hashes, drawn, strict=True)],
    )


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
            columns = shard_columns(evidence.schema, evidence.config["settings"]["resolution"])
            read_columns(handle, path, columns, entry["stop"] - entry["start"])
            build = read_build(attribute(handle, "build"), path)
            evidence.builds.append(Drawn(name, entry["stop"] - entry["start"], build))
            return _rehash(handle, evidence)
    except (RecombineError, OSError) as error:
        evidence.file_faults.append(f"{name} cannot be read: {str(error).split(':')[0]}")
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
        record = {k: v[row] for k, v in small.items()}
        evidence.leaves.append(image_leaf(record))
        evidence.label_leaves.append(image_leaf(record, LABEL_COLUMNS))
    return small


def _images(handle: h5py.File, n: int) -> Iterator[dict[str, Array]]:
    for row in range(n):
        names = ("image", "mask", "depth", "normal", "visible", "amodal")
        yield {name: np.asarray(stored(handle, name)[row]) for name in names}


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
