"""`dataset verify`: decide every invariant of a dataset and seal the outcome as its certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from recombine.renderer.certificate import appearance as checks_appearance
from recombine.renderer.certificate import cells as checks_cells
from recombine.renderer.certificate import drawing as checks_drawing
from recombine.renderer.certificate import images as checks_images
from recombine.renderer.certificate.check import Check
from recombine.renderer.certificate.evidence import Evidence, Redraw, gather
from recombine.renderer.certificate.files import integrity
from recombine.renderer.certificate.imported import images_check, imported_check
from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.core.files import write_json
from recombine.renderer.store.certificate import TRAINING_CHECKS
from recombine.renderer.store.records import CERTIFICATE_FORMAT
from recombine.renderer.store.seal import file_sha256

# The invariants of a certificate, in the order in which they are printed.

CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    checks_cells.no_leak,
    checks_cells.closure,
    checks_cells.coverage,
    checks_cells.balance,
    checks_cells.tuples,
    checks_cells.arrangement,
    checks_images.nuisances,
    checks_images.blocks,
    checks_cells.novelty,
    checks_cells.additive_rank,
    checks_images.exposure,
    checks_images.separation,
    checks_images.accounting,
    checks_images.interaction,
    checks_cells.stability,
    checks_appearance.labels,
    checks_appearance.surroundings,
    checks_appearance.statistics,
    checks_drawing.build,
    checks_drawing.reference,
    checks_drawing.redraw,
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
    return checks + [
        _not_run(c, public) if hidden and _name(c) in TRAINING_CHECKS else c(e) for c in CHECKS
    ]


def _name(check: Callable[[Evidence], Check]) -> str:
    return check.__name__.replace("_", "-")


def _not_run(check: Callable[[Evidence], Check], why: str) -> Check:
    return Check(_name(check), "not run", "", why)


PROVES = (
    "Proves, by exact counts over what is recorded, that ID and OOC images show single factors, "
    "tuples below the order of novelty, nuisances and seeds equally often, so that only held-out "
    "combinations tell them apart; and that masks, visibility and depth agree with the latents. "
    "Tests that test images of a block show the same surroundings, and no background where a mask "
    "says object. States by how much image statistics differ within blocks. Cannot see without "
    "drawing again: a change inside the right silhouette, a change of ID-test and OOC-test alike, "
    "or one of training images. Cannot prove that factors are what a viewer would name."
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
    identity : str
        What the data show (hex), whatever machine drew them; see `seal.identity_of`.
    root : str
        Merkle root (hex) of the images that were checked, pixels included.
    manifest_sha256 : str
        Of ``manifest.json``, which lists the files that were checked.
    checks : tuple of Check
        One line per invariant.
    """

    dataset: str
    identity: str
    root: str
    manifest_sha256: str
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
            "identity": self.identity,
            "root": self.root,
            "manifest_sha256": self.manifest_sha256,
            "passed": self.passed,
            "proves": self.proves,
            "checks": [asdict(c) for c in self.checks],
        }


def verify(
    folder: Path,
    *,
    seal: bool = True,
    reference: Path | None = None,
    redraw: Redraw | None = None,
) -> Certificate:
    """Re-derive every invariant from the stored latents, masks and pixels.

    Compared with a reference of the same plan, the one in a folder or else one of the data cards,
    and with images that are drawn again where ``redraw`` says how.
    """
    evidence = gather(folder, reference=reference, redraw=redraw)
    certificate = Certificate(
        dataset=str(evidence.manifest["dataset"]),
        identity=str(evidence.manifest["identity"]),
        root=str(evidence.manifest["root"]),
        manifest_sha256=evidence.manifest_sha256,
        checks=tuple(run_checks(evidence)),
    )
    if seal:
        write_certificate(folder, certificate)
    return certificate


def write_certificate(folder: Path, certificate: Certificate) -> None:
    """Seal a certificate with the data that it is about."""
    write_json(folder / "certificate.json", certificate.to_dict())


def recheck(folder: Path) -> None:
    """Decide again what labels, latents and hashes alone can tell, in a fraction of the time.

    Parameters
    ----------
    folder : Path
        A dataset whose files match its certificate, see `Dataset.check`.

    Raises
    ------
    IntegrityError
        When a check fails now, whatever the certificate says.
    """
    # Files do not change while a process scores them: one look per state of the seal is enough.
    seal = [file_sha256(folder / name) for name in ("manifest.json", "plan.h5")]
    _recheck(folder.resolve(), *seal)


@lru_cache(maxsize=16)
def _recheck(folder: Path, manifest_sha256: str, plan_file_sha256: str) -> None:
    del manifest_sha256, plan_file_sha256
    failed = [c for c in run_checks(gather(folder, pixels=False)) if c.status == "fail"]
    if failed:
        raise IntegrityError(
            f"{folder}: the certificate passes, the data do not: "
            f"{'; '.join(f'{c.name} ({c.found})' for c in failed)}. "
            f"See `recombine dataset verify {folder}`; such data are not scored."
        )
