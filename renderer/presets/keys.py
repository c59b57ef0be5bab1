"""Parts on request: a held-out orbit for validation, a hidden test set, a whole secret season."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from recombine.renderer.core.errors import UsageError
from recombine.renderer.presets.base import Preset
from recombine.renderer.splits.orbit import OrbitSplit

KEY_BYTES = (16, 4096)


def with_ooc_val(preset: Preset) -> Preset:
    """Return a preset with OOC-val: residues of their own, held out of every rung."""
    # They are those that only the widest rung has; that rung is left out. OOC-test stays the same.
    # Choosing a method on OOC-val is a track of its own: results must say so.
    split = preset.split
    if not isinstance(split, OrbitSplit) or len(split.ladder) < 2:
        raise UsageError(
            f"--ooc-val: {preset.name} must have an orbit split with a rung to spare; it has "
            f"{len(split.ladder)} rung(s). Use a preset with a ladder, such as object-background."
        )
    *rest, widest = split.ladder
    spare = tuple(r for r in widest if r not in rest[-1])
    changed = replace(split, ladder=tuple(rest), ooc_val=spare)
    return replace(preset, name=f"{preset.name}--ooc-val", split=changed)


def read_key(path: Path) -> bytes:
    """Return the key of a hidden test set: the bytes of a file, without white space at the ends."""
    if not path.is_file():
        raise UsageError(f"--hidden-key: expected a file; got {str(path)!r}. Check the path.")
    with path.open("rb") as handle:
        key = handle.read(KEY_BYTES[1] + 1).strip()
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        raise UsageError(
            f"--hidden-key: expected {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes; got {len(key)}. "
            "Make one with `head -c 32 /dev/urandom | base64`."
        )
    return key


def committed(preset: Preset, key: bytes) -> Preset:
    """Return the public preset, bound to a hidden test set by the sha256 of its key."""
    bound = replace(preset, commitment=hashlib.sha256(key).hexdigest())
    return bound.with_recipe(preset.recipe and {**preset.recipe, "hidden_test": "public"})


def hidden_test(preset: Preset, key: bytes) -> Preset:
    """Return the hidden test set of a preset: the design of its test parts under secret seeds."""
    named = replace(committed(preset, key), name=f"{preset.name}--hidden")
    secret = replace(named, secret=key.hex())
    return secret.with_recipe(preset.recipe and {**preset.recipe, "hidden_test": "hidden"})


def season(preset: Preset, key: bytes) -> Preset:
    """Return a preset of which every image is drawn under secret seeds, training images too."""
    named = replace(committed(preset, key), name=f"{preset.name}--season")
    return replace(named, secret=key.hex(), season=True)
