"""Invariants of how the images were drawn: by one build, and like the published ones."""

from __future__ import annotations

import numpy as np

from recombine.renderer.certificate.check import Check, listed
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.agreement import FAR_SHARE, IMAGE_DB, LEVELS, SHARE, Agreement

TOLERANCE = (
    f"every image within {IMAGE_DB:g} dB; at most {SHARE:.0%} of all values differ, and "
    f"{FAR_SHARE:.1%} by more than {LEVELS} levels; labels equal to the bit"
)


def build(e: Evidence) -> Check:
    """Check that one build of the renderer drew every image, ID-test and OOC-test alike."""
    first, *others = e.builds
    faults = [
        f"{part.file} differs from {first.file} in {name}"
        for part in others
        for name in first.build.differences(part.build)
    ]
    # Shards follow one another, so the number of an image tells its shard.
    stops = np.cumsum([part.images for part in e.builds])
    shards = np.searchsorted(stops[:-1], e.columns["index"], "right")
    digests = np.array([part.build.digest for part in e.builds])[shards]
    by = [set(digests[e.split(SPLITS.index(name))]) for name in ("id_test", "ooc_test")]
    if by[0] != by[1]:
        faults.insert(0, "ID-test and OOC-test are not of the same builds")
    if first.build.to_dict() != e.manifest["build"]:
        faults.append("the manifest names another build than the shards")
    versions = ", ".join(f"{k} {v}" for k, v in first.build.versions.items())
    return Check.from_claim(
        "build",
        "one build of the renderer drew every image",
        not faults,
        listed(faults)
        or f"build {first.build.digest[:16]}" + (f", {versions}" if versions else ""),
    )


def reference(e: Evidence) -> Check:
    """Check that the images are the published ones, up to the rounding of another processor."""
    return _compared("reference", f"the reference images are the published ones: {TOLERANCE}", e)


def redraw(e: Evidence) -> Check:
    """Check that images drawn again are the stored ones, up to the same rounding."""
    return _compared("redraw", f"images of every split, drawn again, are the same: {TOLERANCE}", e)


def _compared(name: str, claim: str, e: Evidence) -> Check:
    found: Agreement | str = getattr(e, name)
    if isinstance(found, str):
        return Check(name, "not run", claim, found)
    return Check.from_claim(name, claim, found.close, found.words())
