"""What the invariants mean for imported images: those that need a renderer never apply."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recombine.renderer.certificate.check import Check
from recombine.renderer.certificate.counting import ID_TEST, OOC_TEST
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.factors import Factor

UNDRAWN = "imported images: nothing draws them again"
UNPLACED = "imported images: neither depth nor the place of objects is recorded"
NO_BLOCKS = "no matched blocks: every image is a block of its own"
NEVER = {
    "interaction": UNDRAWN,
    "build": UNDRAWN,
    "redraw": UNDRAWN,
    "reference": UNDRAWN,
    "surroundings": UNDRAWN,
    "arrangement": UNPLACED,
    "labels": UNPLACED,
}
"""Checks that need a renderer, or what only one records."""
GIVEN = ("separation", "accounting")
"""Checks of what the images are, which an import cannot change: a fault is stated."""
BINS = 16
LISTED = 6


def matched(e: Evidence) -> bool:
    """Return whether the images are in matched blocks."""
    return bool(e.config.get("blocks", "matched") == "matched")


def imported_check(e: Evidence, name: str, check: Callable[[Evidence], Check]) -> Check:
    """Run an invariant on imported images, as far as it applies to them."""
    why = NEVER.get(name, "")
    if name == "exposure" and "visible" not in e.columns:
        why = "imported images: nothing says how much of an object is visible"
    if name == "statistics":
        why = UNDRAWN  # the import prints them itself, over all images
    if name == "blocks" and not matched(e):
        why = NO_BLOCKS
    if why:
        return Check(name, "not applicable", "", why)
    if name == "nuisances" and not matched(e):
        return _marginals(e)
    found = check(e)
    return replace(found, status="stated") if found.status == "fail" and name in GIVEN else found


def _marginals(e: Evidence) -> Check:
    # Without blocks equal marginals would prove nothing about nuisances that are not recorded, or
    # about several together, so that this is never a pass.
    inside, outside = e.split(ID_TEST), e.split(OOC_TEST)
    shifts = {}
    for key in e.schema.nuisances:
        column = e.columns[f"latents/{key}"]
        shifts[key] = marginal_shift(e.schema.factor(key), column[inside], column[outside])
    order = sorted(shifts, key=lambda key: -shifts[key])[:LISTED]
    listed = ", ".join(f"{key} {shifts[key]:.3f}" for key in order) or "none is recorded"
    return Check(
        "nuisances",
        "stated",
        "nuisance vectors are the same in ID-test and OOC-test, and independent of every factor",
        f"{NO_BLOCKS}; total variation of nuisances between ID-test and OOC-test: {listed}",
    )


def images_check(e: Evidence) -> Check:
    """Check that the pixels are those whose digest the plan holds."""
    hashes = e.columns["pixel_hash"]
    found = images_digest(hashes)
    promised = str(e.config.get("import", {}).get("images_sha256", ""))
    claim = "the pixels are those that were imported, by the digest in the plan"
    line = f"digest {found[:16]}" + ("" if found == promised else f", imported {promised[:16]}")
    return Check.from_claim("imported", claim, found == promised, line)


def images_digest(hashes: Array) -> str:
    """Return the sha256 (hex) over the pixel hashes of all images, in order."""
    return hashlib.sha256(np.ascontiguousarray(hashes).tobytes()).hexdigest()


def marginal_shift(factor: Factor, a: Array, b: Array) -> float:
    """Return the total variation between two samples of a factor; ranges are cut in `BINS`."""
    if not len(a) or not len(b):
        return 1.0
    if factor.kind == "categorical":
        edges = np.arange(factor.size + 1) - 0.5
    else:
        edges = np.linspace(*factor.bounds, BINS + 1)
        edges[[0, -1]] = -np.inf, np.inf  # rounding never puts a value outside
    shares = [np.histogram(part, edges)[0] / len(part) for part in (a, b)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
