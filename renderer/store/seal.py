"""Sealing a finished dataset: file checksums and a Merkle root over images.

The root depends on images only, so it is the same whatever the shard size, the number of
workers or the machine that wrote the files.
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
from recombine.renderer.store.records import MANIFEST_FORMAT

LEAF_COLUMNS = ("index", "split", "rungs", "block", "spec_hash", "pixel_hash", "label_hash")


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInputError(
            f"{path}: expected a file that can be read; got {error.strerror}. Check the disk."
        ) from error


def image_leaf(record: Mapping[str, Any]) -> bytes:
    """Return the Merkle leaf of one image."""
    digest = hashlib.sha256(b"\x00")
    for name in LEAF_COLUMNS:
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


def shard_leaves(path: Path) -> list[bytes]:
    """Return the Merkle leaves of the images in one shard, in order."""
    with open_checked(path) as handle:
        columns = {name: column(handle, name) for name in LEAF_COLUMNS}
    n = len(columns["index"])
    return [image_leaf({k: v[i] for k, v in columns.items()}) for i in range(n)]


def write_manifest(
    folder: Path,
    *,
    dataset: str,
    plan_sha256: str,
    shards: Iterable[tuple[Path, range]],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Seal a complete set of shards."""
    leaves: list[bytes] = []
    rows = []
    for path, indices in shards:
        leaves += shard_leaves(path)
        rows.append(
            {
                "file": str(path.relative_to(folder)),
                "sha256": file_sha256(path),
                "bytes": path.stat().st_size,
                "start": indices.start,
                "stop": indices.stop,
            }
        )
    manifest = {
        "format": MANIFEST_FORMAT,
        "dataset": dataset,
        "plan_sha256": plan_sha256,
        "n_images": len(leaves),
        "root": merkle_root(leaves),
        "shards": rows,
        "provenance": dict(provenance),
        "license": "CC-BY-4.0; training generative models is explicitly permitted",
    }
    write_json(folder / "manifest.json", manifest)
    return manifest
