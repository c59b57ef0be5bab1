"""`attack`: bad submissions against this installation; each must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.cli import console

if TYPE_CHECKING:
    from recombine.leaderboard.redteam.attack import Verdict


@dataclass(frozen=True)
class Attack:
    """Run the red-team corpus against this installation and print why each attack is refused.

    Feeds in malicious and cheating submissions: broken predictions, forged results, shards that
    link to labels, changed bundles, proposals that change the scorer, and code that reads labels,
    leaves its sandbox or uses up the machine. Code runs under bubblewrap only; without it those
    attacks are reported as not run. Nothing outside of a temporary folder is touched.

    Exit code 5 when an attack is not refused, or for another reason than the documented one.

    Example: recombine attack --only predictions result
    """

    only: tuple[str, ...] = ()
    """Kinds (predictions, result, data, bundle, proposal, code) or names; all when left out."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Attack and print."""
        from recombine.leaderboard.redteam.attack import run_attacks
        from recombine.leaderboard.redteam.attack_corpus import CORPUS

        total = len([one for one in CORPUS if not self.only or {one.name, one.kind} & {*self.only}])
        verdicts = []
        with console.progress("attacks", quiet=self.json) as progress:
            for verdict in run_attacks(self.only):
                verdicts.append(verdict)
                progress(len(verdicts), total)
        faults = [one for one in verdicts if one.outcome in ("NOT REFUSED", "other reason")]
        if self.json:
            console.emit([_plain(one) for one in verdicts])
        else:
            _show(verdicts, len(faults))
        return 5 if faults else 0


def _plain(verdict: Verdict) -> dict[str, str]:
    attack = verdict.attack
    named = {name: getattr(attack, name) for name in ("kind", "name", "idea", "reason")}
    return {**named, "outcome": verdict.outcome, "message": verdict.message}


def _show(verdicts: list[Verdict], faults: int) -> None:
    rows = [(v.attack.kind, v.attack.name, v.attack.idea, v.outcome) for v in verdicts]
    console.table("attacks on this installation", ("kind", "name", "hopes for", "outcome"), rows)
    for verdict in verdicts:
        if verdict.outcome != "refused":
            console.line(f"{verdict.attack.name}: {verdict.outcome}: {verdict.message}")
    refused = sum(verdict.outcome == "refused" for verdict in verdicts)
    console.line(f"{refused} of {len(verdicts)} refused for the documented reason, {faults} faults")
