"""Whether a certificate is one: of these files, of every known check, and passed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.core.strict import inside
from recombine.renderer.planning.plan import IMPORTED
from recombine.renderer.store.seal import file_sha256

TRAINING_CHECKS = ("coverage", "novelty", "additive-rank", "exposure")
"""Checks of training images, which a hidden test set has none of."""
KNOWN_CHECKS = (
    "files",
    "pixels",
    "annotations",
    "latents",
    "plan",
    "seal",
    "no-leak",
    "closure",
    *TRAINING_CHECKS,
    "balance",
    "tuples",
    "arrangement",
    "nuisances",
    "blocks",
    "separation",
    "accounting",
    "interaction",
    "stability",
    "labels",
    "surroundings",
    "statistics",
    "build",
    "reference",
    "redraw",
)
"""Names of the checks that every certificate holds."""
ON_REQUEST = ("interaction", "reference", "redraw")
"""Checks of what has to be measured or drawn apart: they may be "not run"."""
STATUSES = ("pass", "stated", "not run")
"""What a check may say of data that are scored."""


def require_certificate(
    folder: Path, manifest: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
    """Refuse a certificate that fails, is incomplete, or is of other files than these."""
    advice = f"Run `recombine dataset verify {folder}`."
    checks = found.get("checks")
    if not isinstance(checks, list) or not all(isinstance(c, Mapping) for c in checks):
        raise IntegrityError(f"{folder}: the certificate must list its checks. {advice}")
    status = {str(c.get("name")): str(c.get("status")) for c in checks}
    # What needs a renderer never applies to images that no build drew.
    allowed = (*STATUSES, "not applicable") if manifest["render_version"] == IMPORTED else STATUSES
    failed = [name for name, outcome in status.items() if outcome not in allowed]
    if failed:
        raise IntegrityError(
            f"{folder}: the certificate fails on {', '.join(failed)}. "
            f"See `recombine dataset verify {folder}`; such data are not scored."
        )
    hidden = [name for name in TRAINING_CHECKS if status.get(name) == "not run"]
    idle = ON_REQUEST + (TRAINING_CHECKS if len(hidden) == len(TRAINING_CHECKS) else ())
    lacking = [name for name in KNOWN_CHECKS if name not in status]
    lacking += [name for name in KNOWN_CHECKS if status.get(name) == "not run" and name not in idle]
    if lacking:
        raise IntegrityError(
            f"{folder}: the certificate must hold every check; it lacks {', '.join(lacking)}. "
            f"{advice}"
        )
    changed = [
        s["file"]
        for s in manifest["shards"]
        if not _is_whole(inside(folder, s["file"]), s["sha256"])
    ]
    sealed = found.get("root"), found.get("manifest_sha256")
    if changed or sealed != (manifest["root"], file_sha256(folder / "manifest.json")):
        raise IntegrityError(
            f"{folder}: the certificate does not match the files "
            f"({', '.join(changed) or 'manifest.json'}). {advice}"
        )


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256
