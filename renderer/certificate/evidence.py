"""What the certificate is decided on: everything re-read from the shards of a dataset.

Nothing here asks the planner. The schema says how to read the latents; what is held out is
read off the images themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recombine.renderer.certificate.pixels import (
    COMPARED,
    STATISTICS,
    Picture,
    compare,
    image_statistics,
    label_counts,
)
from recombine.renderer.core.errors import IntegrityError, RecombineError, ResourceError
from recombine.renderer.core.hdf5 import (
    Column,
    attribute,
    column,
    open_checked,
    read_columns,
    reading,
    stored,
)
from recombine.renderer.core.provenance import Build
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.strict import inside
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import IMPORTED, Plan, annotations_of, spec_hash
from recombine.renderer.scenes.arrangements import stage_camera
from recombine.renderer.scenes.factors import LAYOUTS, Schema
from recombine.renderer.scenes.placement import Stand
from recombine.renderer.scenes.scene import LABELS, Rendered, RenderSettings
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.agreement import Agreement, agreement
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.records import read_manifest
from recombine.renderer.store.reference import find_reference, load_reference
from recombine.renderer.store.seal import LABEL_COLUMNS, file_sha256, image_leaf
from recombine.renderer.store.shards import (
    label_hash,
    open_shard,
    pixel_hash,
    plan_columns,
    read_build,
    read_plan,
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
    # columns over all readable images: latents as ``latents/slot.factor``; what was measured on the
    # pixels as ``measured/labels`` (N, K, 8), ``measured/statistics`` (N, 10) and
    # ``measured/compared`` (N, 5), see `pixels`, the last two NaN outside of the test parts. Those
    # are absent where pixels were not read
    columns: dict[str, Array] = field(default_factory=dict)
    manifest_sha256: str = ""  # of the manifest's file
    # sha256 (hex) of what plan.h5 holds, and the one it claims
    plan_digests: tuple[str, str] = ("", "")
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
    def imported(self) -> bool:
        """Return whether the images are someone else's."""
        return self.config.get("source") == IMPORTED

    @property
    def cells(self) -> Array:
        """Return the value codes of the recombined factors, (N, F), from the latents."""
        return np.stack([self.columns[f"latents/{k}"] for k in self.schema.recombined], axis=1)


def gather(
    folder: Path,
    *,
    pixels: bool = True,
    reference: Path | None = None,
    redraw: Redraw | None = None,
) -> Evidence:
    """Read and re-hash every shard of a dataset; compare with a reference and draw again.

    Without pixels, its small columns only.
    """
    manifest, (plan, claimed) = read_manifest(folder), read_plan(folder)
    evidence = Evidence(manifest, dict(plan.config), plan.schema)
    evidence.manifest_sha256 = file_sha256(folder / "manifest.json")
    evidence.plan_digests = (plan.digest(), claimed)
    parts: list[dict[str, Array]] = []
    for entry in manifest["shards"]:
        part = _read_shard(folder, entry, plan, evidence, pixels=pixels)
        if part:
            parts.append(part)
    if parts:
        evidence.columns = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    _count_images(evidence)
    _compare_plan(plan, evidence)
    if pixels and not evidence.file_faults and not evidence.imported:
        evidence.columns["measured/compared"] = _compared(folder, evidence)
        evidence.reference = _reference(folder, evidence, reference)
        if redraw:
            evidence.redraw = _redraw(folder, evidence, redraw)
    evidence.interaction = _interaction(inside(folder, "interaction.h5"), manifest)
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
    folder: Path, entry: dict[str, Any], plan: Plan, evidence: Evidence, *, pixels: bool
) -> dict[str, Array] | None:
    path, name = inside(folder, entry["file"]), entry["file"]
    if not path.is_file():
        evidence.file_faults.append(f"{name} is missing")
        return None
    if path.stat().st_size < entry["bytes"]:
        evidence.file_faults.append(f"{name} is truncated ({path.stat().st_size} bytes)")
    elif pixels and file_sha256(path) != entry["sha256"]:
        evidence.file_faults.append(f"{name} does not match its sha256")
    sealed, indices = evidence.manifest["plan_sha256"], range(entry["start"], entry["stop"])
    try:
        with open_shard(path, sealed, plan, indices) as handle:
            build = read_build(attribute(handle, "build"), path)
            evidence.builds.append(Drawn(name, entry["stop"] - entry["start"], build))
            return _rehash(handle, evidence, pixels=pixels)
    except ResourceError:
        raise  # what the system refuses is no fault of the file
    except RecombineError as error:
        evidence.file_faults.append(f"{name}: {str(error).removeprefix(f'{path}: ')}")
        return None


def _rehash(handle: h5py.File, evidence: Evidence, *, pixels: bool) -> dict[str, Array]:
    keys = evidence.schema.keys
    known = annotations_of(evidence.config)
    kept = (n for n in (*_SMALL, *_HASHES) if n not in LABELS or n in known)
    small = {n: column(handle, n) for n in kept}
    small |= {f"latents/{k}": column(handle, f"latents/{k}") for k in keys}
    settings = RenderSettings(**evidence.config["settings"])
    n = len(small["index"])
    images: Iterable[dict[str, Array]] = itertools.repeat({}, n)
    if pixels:
        images = _images(handle, n, known)
    # What imported images lack cannot be measured on them.
    measured = pixels and not evidence.imported
    labels, statistics = [], []
    for row, image in enumerate(images):
        i = int(small["index"][row])
        latents = {k: small[f"latents/{k}"][row] for k in keys}
        seed = int(small["cycles_seed"][row])
        spec = spec_hash(evidence.config, evidence.schema, settings, latents, seed)
        if spec != small["spec_hash"][row].tobytes().hex():
            evidence.spec_faults.append(f"image {i}: latents do not match their spec hash")
        record = {k: v[row] for k, v in small.items()}
        evidence.leaves.append(image_leaf(record))
        evidence.label_leaves.append(image_leaf(record, LABEL_COLUMNS))
        if not pixels:
            continue
        if pixel_hash(image["image"]) != small["pixel_hash"][row].tobytes():
            evidence.pixel_faults.append(f"image {i}: pixels do not match their hash")
        if label_hash(image) != small["label_hash"][row].tobytes():
            evidence.label_faults.append(f"image {i}: annotations do not match their hash")
        if not measured:
            continue
        stands = _stands(evidence, latents)
        labels.append(label_counts(image, stands, stage_camera(latents)))
        tested = small["split"][row] in TESTED
        statistics.append(image_statistics(image["image"], image["mask"]) if tested else UNTESTED)
    if measured:
        small["measured/labels"] = np.array(labels)
        small["measured/statistics"] = np.array(statistics)
    return small


TESTED = [SPLITS.index(name) for name in ("id_test", "ooc_test")]
UNTESTED = np.full(len(STATISTICS), np.nan)


def _stands(evidence: Evidence, latents: Mapping[str, Any]) -> list[Stand | None]:
    """Return where each object stands, None where its place is not recorded or it is absent."""
    known = {**evidence.config["constants"], **latents}
    places: list[Stand | None] = []
    for slot in evidence.schema.objects:
        keys = [f"{slot}.{name}" for name in ("x", "y", "scale")]
        there = known.get(f"{slot}.present", 1) and all(key in known for key in keys)
        places.append(Stand(*(float(known[key]) for key in keys)) if there else None)
    return places


def _images(handle: h5py.File, n: int, known: Sequence[str]) -> Iterator[dict[str, Array]]:
    names = ("image", *known)
    columns = {name: stored(handle, name) for name in names}  # a look-up costs more than a row
    for row in range(n):
        with reading(handle.filename):
            image = {name: np.asarray(values[row]) for name, values in columns.items()}
        yield image


def _compared(folder: Path, evidence: Evidence) -> Array:
    """Compare every test image with up to two ID-test images of its block and surroundings."""
    columns = evidence.columns
    found = np.full((len(columns["split"]), len(COMPARED)), np.nan)
    tests = np.flatnonzero(np.isin(columns["split"], TESTED))
    keys = [f"latents/{key}" for key in surroundings_of(evidence.schema)]
    for block in np.unique(columns["block"][tests]):
        rows = tests[columns["block"][tests] == block]
        arrays = _pictures(folder, evidence, rows)
        table = np.stack([columns["block"][rows], *(columns[key][rows] for key in keys)], axis=1)
        group = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
        for members in (rows[group == g].tolist() for g in range(group.max() + 1)):
            pictures = {row: Picture.of(*arrays[row]) for row in members}
            mates = [row for row in members if columns["split"][row] == TESTED[0]]
            for place, row in enumerate(members):
                # Others than itself, each about equally often.
                others = [m for m in np.roll(mates, -place).tolist() if m != row][:2]
                pairs = np.array([compare(pictures[row], pictures[mate]) for mate in others])
                for k in range(len(COMPARED) if others else 0):
                    told = pairs[~np.isnan(pairs[:, k]), k]
                    found[row, k] = told.mean() if len(told) else np.nan
    return found


def _pictures(folder: Path, evidence: Evidence, rows: Array) -> dict[int, tuple[Array, Array]]:
    """Return image and mask of some rows, opening every shard once."""
    entries = evidence.manifest["shards"]
    firsts = np.cumsum([0, *(entry["stop"] - entry["start"] for entry in entries)])
    numbers = np.searchsorted(firsts, rows, "right") - 1
    found = {}
    for number in np.unique(numbers):
        with open_checked(inside(folder, entries[number]["file"])) as handle:
            image, mask = stored(handle, "image"), stored(handle, "mask")
            for row in rows[numbers == number].tolist():
                found[row] = image[row - firsts[number]], mask[row - firsts[number]]
    return found


def surroundings_of(schema: Schema) -> list[str]:
    """Return the factors that say what stands around the objects, and under which light."""
    return [
        f"{slot.name}.{factor.name}"
        for slot in schema.slots
        if slot.name not in schema.objects
        for factor in slot.factors
        if factor.name not in LAYOUTS
    ]


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
