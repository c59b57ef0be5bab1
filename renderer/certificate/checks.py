"""The invariants of a certificate, in the order in which they are printed.

Numbers count what a split must prove: 1 no leak, 2 permutation closure, 3 coverage, 4 balance,
5 order of novelty, 6 connectivity and additive rank, 7 exposure, 8 separation, 9 accounting,
10 nuisance independence, 11 interaction, 12 integrity, 13 stability under growth.
"""

from __future__ import annotations

from collections.abc import Callable

from recombine.renderer.certificate import cells as checks_cells
from recombine.renderer.certificate import images as checks_images
from recombine.renderer.certificate.checks_base import Check
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.certificate.files import integrity

TRAINING: tuple[Callable[[Evidence], Check], ...] = (
    checks_cells.coverage,
    checks_cells.novelty,
    checks_cells.additive_rank,
    checks_images.exposure,
)
"""Invariants about training images, which a hidden test set has none of."""
CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    checks_cells.no_leak,
    checks_cells.closure,
    checks_cells.coverage,
    checks_cells.balance,
    checks_images.nuisances,
    checks_cells.novelty,
    checks_cells.additive_rank,
    checks_images.exposure,
    checks_images.separation,
    checks_images.accounting,
    checks_images.interaction,
    checks_cells.stability,
)


def run_checks(e: Evidence) -> list[Check]:
    """Run every invariant; those whose images are not there are "not run".

    Parameters
    ----------
    e : Evidence
        What was read from the shards.

    Returns
    -------
    list of Check
        Integrity first.
    """
    checks = integrity(e)
    if e.file_faults and len(e.leaves) != e.manifest["n_images"]:
        return checks + [_not_run(c, "files are incomplete") for c in CHECKS]
    hidden = e.config.get("hidden_test", {}).get("part") == "hidden"
    public = "a hidden test set; training images are in the public dataset"
    return checks + [_not_run(c, public) if hidden and c in TRAINING else c(e) for c in CHECKS]


def _not_run(check: Callable[[Evidence], Check], why: str) -> Check:
    return Check(check.__name__.replace("_", "-"), "not run", "", why)
