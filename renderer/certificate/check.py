"""What a line of a certificate is, and how a split's promises bear on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from recombine.renderer.certificate.evidence import Evidence

Status = Literal["pass", "stated", "fail", "not run", "not applicable"]


@dataclass(frozen=True)
class Check:
    """One line of a certificate."""

    name: str  # stable name of the invariant
    # outcome. "stated" where a declared split does not have the property and does not promise it: a
    # confound that readers must know. "not run" where what it needs is not there; "not applicable"
    # where imported images never have it
    status: Status
    claim: str  # what the invariant says
    found: str  # what was measured

    @classmethod
    def from_claim(
        cls, name: str, claim: str, met: bool, found: str, *, promised: bool = True
    ) -> Check:
        """Return a check that fails only where the split promised what is not met."""
        return cls(name, "pass" if met else "fail" if promised else "stated", claim, found)


def required(e: Evidence, key: str, strict: Any) -> Any:
    """Return what the split must keep: all of it, unless its declaration says what."""
    declaration = e.config["split"].get("declaration")
    return strict if declaration is None else declaration.get("require", {}).get(key)


def listed(faults: list[str]) -> str:
    """Return the first faults and how many more there are."""
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(faults[:3]) + more
