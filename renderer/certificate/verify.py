"""`verify`: decide every invariant of a dataset and seal the outcome as its certificate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recombine.renderer.certificate.checks import run_checks
from recombine.renderer.certificate.checks_base import Check
from recombine.renderer.certificate.evidence import gather
from recombine.renderer.core.atomic import write_json
from recombine.renderer.store.reader import CERTIFICATE_FORMAT

PROVES = (
    "Proves that ID and OOC images differ in the combination of the recombined factors and in "
    "nothing else that is recorded. Cannot prove that the factors are what a viewer would name, "
    "nor that unrecorded properties of the assets are balanced."
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

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain data, as written to ``certificate.json``."""
        return {
            "format": CERTIFICATE_FORMAT,
            "dataset": self.dataset,
            "root": self.root,
            "passed": self.passed,
            "proves": PROVES,
            "checks": [asdict(c) for c in self.checks],
        }


def verify(folder: Path, *, seal: bool = True) -> Certificate:
    """Re-derive every invariant from the stored latents, masks and pixels.

    Parameters
    ----------
    folder : Path
        A rendered dataset.
    seal : bool
        Write ``certificate.json`` beside the data.

    Returns
    -------
    Certificate
        Passed or not; a failed one is sealed as failed, so that scoring refuses the data.

    Raises
    ------
    InvalidInputError
        When the folder holds no finished dataset.
    """
    evidence = gather(folder)
    certificate = Certificate(
        dataset=str(evidence.manifest["dataset"]),
        root=str(evidence.manifest["root"]),
        checks=tuple(run_checks(evidence)),
    )
    if seal:
        write_json(folder / "certificate.json", certificate.to_dict())
    return certificate
