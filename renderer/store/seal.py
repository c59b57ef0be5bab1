"""Sealing a finished dataset: file checksums, Merkle roots over images, and its identity.

The roots depend on images only, so they are the same whatever the shard size or the number of
workers. Labels are equal to the bit on every processor; path-traced colours are rounded otherwise
on another. So the identity rests on the label root and the render version, and the root over
pixels is information.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import write_json
from recombine.renderer.core.hdf5 import column, open_checked
from recombine.renderer.core.system import system_error
from recombine.renderer.store.records import MANIFEST_FORMAT
from recombine.renderer.store.shards import one_build

LABEL_COLUMNS = ("index", "split", "rungs", "block", "spec_hash", "label_hash")
LEAF_COLUMNS = ("index", "split", "rungs", "block", "spec_hash", "pixel_hash", "label_hash")


LICENCE = "CC-BY-4.0; training generative models is explicitly permitted"
"""Of what this package renders."""


def identity_of(plan_sha256: str, label_root: str, render_version: str) -> str:
    """Return the identity (hex) of a dataset: what it shows, whatever machine drew it."""
    lines = ("recombine.identity/1", plan_sha256, label_root, render_version)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise system_error(path, error) or InvalidInputError(
            f"{path}: expected a file that can be read; got {error.strerror}. Check the path."
        ) from error


def image_leaf(record: Mapping[str, Any], columns: Sequence[str] = LEAF_COLUMNS) -> bytes:
    """Return the Merkle leaf of one image; with `LABEL_COLUMNS` that of its labels."""
    digest = hashlib.sha256(b"\x00")
    for name in columns:
        digest.update(np.ascontiguousarray(record[name]).tobytes())
    return digest.digest()


def merkle_root(leaves: Sequence[bytes]) -> str:
    """Return the Merkle root (hex) of leaves; an odd one out is carried up unchanged."""
    # Leaves and inner nodes are hashed with different prefixes, so neither can pose as the other.
    if not leaves:
        raise InvalidInputError("merkle_root: expected at least one image; got none.")
    level = list(leaves)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in pairs]
        level = above + level[len(above) * 2 :]
    return level[0].hex()


def shard_leaves(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Return the Merkle leaves of the images in one shard, and those of their labels, in order."""
    with open_checked(path) as handle:
        columns = {name: column(handle, name) for name in LEAF_COLUMNS}
    records = [{k: v[i] for k, v in columns.items()} for i in range(len(columns["index"]))]
    return [image_leaf(r) for r in records], [image_leaf(r, LABEL_COLUMNS) for r in records]


def write_manifest(
    folder: Path,
    *,
    dataset: str,
    plan_sha256: str,
    shards: Iterable[tuple[Path, range]],
    provenance: Mapping[str, Any],
    licence: str = LICENCE,
    training_generative_models: bool = True,
) -> dict[str, Any]:
    """Seal a complete set of shards, which must all be of one build."""
    shards = list(shards)
    build = one_build([path for path, _ in shards])
    leaves: list[bytes] = []
    label_leaves: list[bytes] = []
    rows = []
    for path, indices in shards:
        images, labels = shard_leaves(path)
        leaves += images
        label_leaves += labels
        rows.append(
            {
                "file": str(path.relative_to(folder)),
                "sha256": file_sha256(path),
                "bytes": path.stat().st_size,
                "start": indices.start,
                "stop": indices.stop,
            }
        )
    label_root = merkle_root(label_leaves)
    manifest = {
        "format": MANIFEST_FORMAT,
        "dataset": dataset,
        "plan_sha256": plan_sha256,
        "n_images": len(leaves),
        "identity": identity_of(plan_sha256, label_root, build.render_version),
        "label_root": label_root,
        "render_version": build.render_version,
        "root": merkle_root(leaves),
        "shards": rows,
        "build": build.to_dict(),
        "provenance": dict(provenance),
        "license": licence,
        "training_generative_models": training_generative_models,
    }
    write_json(folder / "manifest.json", manifest)
    return manifest
