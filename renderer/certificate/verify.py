"""`dataset verify`: decide every invariant of a dataset and seal the outcome as its certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recombine.renderer.certificate import cells as checks_cells
from recombine.renderer.certificate import images as checks_images
from recombine.renderer.certificate.check import Check
from recombine.renderer.certificate.evidence import Evidence, gather
from recombine.renderer.certificate.files import integrity
from recombine.renderer.certificate.imported import images_check, imported_check
from recombine.renderer.core.files import write_json
from recombine.renderer.store.dataset import CERTIFICATE_FORMAT

# The invariants of a certificate, in the order in which they are printed.

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

    Imported images have less: what needs a renderer is "not applicable".
    """
    checks = integrity(e)
    if e.file_faults and len(e.leaves) != e.manifest["n_images"]:
        return checks + [_not_run(c, "files are incomplete") for c in CHECKS]
    if e.imported:
        return [*checks, images_check(e), *(imported_check(e, _name(c), c) for c in CHECKS)]
    hidden = e.config.get("hidden_test", {}).get("part") == "hidden"
    public = "a hidden test set; training images are in the public dataset"
    return checks + [_not_run(c, public) if hidden and c in TRAINING else c(e) for c in CHECKS]


def _not_run(check: Callable[[Evidence], Check], why: str) -> Check:
    return Check(_name(check), "not run", "", why)


def _name(check: Callable[[Evidence], Check]) -> str:
    return check.__name__.replace("_", "-")


PROVES = (
    "Proves that ID and OOC images differ in the combination of the recombined factors and in "
    "nothing else that is recorded. Cannot prove that the factors are what a viewer would name, "
    "nor that unrecorded properties of the assets are balanced."
)


PROVES_IMPORTED = (
    "Imported images. Proves, by counts over the labels as they were given: which combinations "
    "training shows and which are held out, and that files, pixels and labels are those that were "
    "imported. States how ID and OOC differ in what is recorded. Cannot prove that the labels are "
    "right, nor that what they leave out is balanced: nothing can draw these images again."
)


@dataclass(frozen=True)
class Certificate:
    """Outcome of all checks on one dataset.

    Attributes
    ----------
    dataset : str
        ``name/version``.
    root : str
        Merkle root (hex) of the images that were checked.
    checks : tuple of Check
        One line per invariant.
    """

    dataset: str
    root: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Tell whether no check failed; confounds that the split declares are stated."""
        return all(c.status != "fail" for c in self.checks)

    @property
    def proves(self) -> str:
        """Return in words what a pass means."""
        return PROVES_IMPORTED if any(c.name == "imported" for c in self.checks) else PROVES

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain data, as written to ``certificate.json``."""
        return {
            "format": CERTIFICATE_FORMAT,
            "dataset": self.dataset,
            "root": self.root,
            "passed": self.passed,
            "proves": self.proves,
            "checks": [asdict(c) for c in self.checks],
        }


def verify(folder: Path, *, seal: bool = True) -> Certificate:
    """Re-derive every invariant from the stored latents, masks and pixels."""
    evidence = gather(folder)
    certificate = Certificate(
        dataset=str(evidence.manifest["dataset"]),
        root=str(evidence.manifest["root"]),
        checks=tuple(run_checks(evidence)),
    )
    if seal:
        write_json(folder / "certificate.json", certificate.to_dict())
    return certificate
