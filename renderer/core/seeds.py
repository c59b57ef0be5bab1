"""Keyed seeds: every random number of a dataset follows from its name and an index.

No worker draws from shared state, so any image can be made again alone and in any order.
"""

from __future__ import annotations

import hashlib

import numpy as np

SEED_BITS = 63


def keyed_seed(
    dataset: str, version: str, purpose: str, index: int, *, bits: int = SEED_BITS
) -> int:
    """Return the seed of one purpose at one index."""
    # Lengths keep ("ab", "c") and ("a", "bc") apart.
    parts = [dataset, version, purpose, str(index)]
    text = "".join(f"{len(p)}:{p}," for p in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"recombine-seed").digest()
    return int.from_bytes(digest, "big") >> (64 - bits)


def keyed_rng(dataset: str, version: str, purpose: str, index: int) -> np.random.Generator:
    """Return a generator seeded by `keyed_seed`; Philox is counter-based and platform-stable."""
    return np.random.Generator(np.random.Philox(keyed_seed(dataset, version, purpose, index)))
