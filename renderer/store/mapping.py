"""The shards of a dataset, read through maps of which few are open at a time.

HDF5 is needed once per shard: to check it, and to learn where its datasets lie. After that a shard
is one map and one open file, whatever is read from it, and a process that reads a thousand shards
keeps a bounded number of them open. Maps are safe across forks and threads.
"""

from __future__ import annotations

import mmap
import os
import resource
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.core.hdf5 import Layout, layouts, open_unchecked, reading, stored
from recombine.renderer.core.strict import inside
from recombine.renderer.core.system import CROWDED
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import Plan
from recombine.renderer.store.shards import open_shard

if TYPE_CHECKING:
    from jaxtyping import Int64

MOST_OPEN = 256
Stamp = tuple[int, int]  # size, time of the last change


class MappedShards:
    """Rows of the shards of a sealed dataset; each shard is checked when it is first opened."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], plan: Plan) -> None:
        self._folder, self._manifest, self._plan = folder, manifest, plan
        self._paths: dict[int, Path] = {}
        self._known: dict[int, tuple[Stamp, dict[str, Layout]]] = {}
        # Its own lock and its eviction are safe in threads; a map lives while somebody reads it.
        self._mapped = lru_cache(_most_open())(_map)

    def rows(self, number: int, name: str, rows: Int64[Array, " n"]) -> Array:
        """Return rows of one dataset of a shard; a copy."""
        path = self._paths.get(number)
        if path is None:  # following links costs more than reading an image
            path = inside(self._folder, self._manifest["shards"][number]["file"])
            self._paths[number] = path
        content, known = self._content(number, path)
        with reading(path):
            if name in known:
                return known[name].rows(content, rows)
            with open_unchecked(path) as handle:
                values = stored(handle, name)
                # A fancy index of h5py is some 80 times slower than a loop.
                return np.stack([values[row] for row in rows.tolist()])

    def _content(self, number: int, path: Path) -> tuple[Array, dict[str, Layout]]:
        with reading(path):
            try:
                stamp, content = self._mapped(path)
            except OSError as error:
                if error.errno not in CROWDED:
                    raise
                self._mapped.cache_clear()  # ours are the first that others may have
                stamp, content = self._mapped(path)
        known = self._known.get(number)
        if known is None or known[0] != stamp:
            entry, sealed = self._manifest["shards"][number], self._manifest["plan_sha256"]
            indices = range(entry["start"], entry["stop"])
            with open_shard(path, sealed, self._plan, indices, planned=True) as handle:
                known = self._known[number] = stamp, layouts(handle)
            with reading(path):
                after = _stamp(path.stat())
            if after != stamp:
                self._mapped.cache_clear()
                raise IntegrityError(
                    f"{path}: expected a finished dataset; the file changed while it was read. "
                    "Wait until whoever writes it has ended, and open the dataset again."
                )
        return content, known[1]


def _most_open() -> int:
    """Return how many files to keep open: a quarter of what the process may have."""
    return max(8, min(MOST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns


def _map(path: Path) -> tuple[Stamp, Array]:
    """Return the bytes of a file, mapped."""
    with path.open("rb", buffering=0) as stream:
        # Private, since some disks of FUSE map no other way; nobody writes here.
        kind = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ}
        content = mmap.mmap(stream.fileno(), 0, **kind)
        return _stamp(os.fstat(stream.fileno())), np.frombuffer(content, np.uint8)
