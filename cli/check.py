"""`check`: does a submission keep the contract? Seconds, without a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from recombine.cli import console

if TYPE_CHECKING:
    from recombine.benchmark.sandbox.process import Limits

MINUTES = 5.0


@dataclass(frozen=True)
class Check:
    """Try a submission on built-in images and say what it breaks, why, and what to do.

    Loads it, fits a learner for some seconds, and checks shapes, types, range, determinism,
    independence of batch and order, that the images stay as they are, memory and the counting of
    operations; of a searching method also its state, its steps and its decoder. The images are
    drawn by code and say nothing about how good the method is.

    The code runs under bubblewrap, without network and without files of this machine. Exit code
    3 when a check fails.

    Example: recombine check my_model.py:MyLearner
    """

    submission: Annotated[str, tyro.conf.Positional]
    """`file.py:Class`, `package.module:Class` or the name of a baseline."""
    trust_local: bool = False
    """Run without bubblewrap. Only for code that you trust like your own."""
    max_memory_gb: float = 16.0
    """Memory that it may use, in GiB."""
    size: str = "cpu"
    """Size of a baseline: tiny (seconds), cpu (minutes) or gpu (hours of one CUDA GPU)."""
    json: bool = False
    """Print the checks as JSON instead of a table."""

    def run(self) -> int:
        """Check and print."""
        import time

        begin = time.monotonic()
        kind, name, checks = self._checks()
        failed = [one["name"] for one in checks if one["status"] == "fail"]
        seconds = time.monotonic() - begin
        if self.json:
            console.emit(
                {
                    "submission": self.submission,
                    "kind": kind,
                    "id": name,
                    "passed": not failed,
                    "seconds": round(seconds, 1),
                    "checks": checks,
                }
            )
        else:
            self._show(checks, failed, seconds)
        return 3 if failed else 0

    def _checks(self) -> tuple[str | None, str | None, list[dict[str, Any]]]:
        """Return kind, id and checks."""
        from recombine.baselines.registry import BASELINES
        from recombine.benchmark.submissions.hub import is_hub

        if self.submission in BASELINES or is_hub(self.submission):
            from recombine.benchmark.check.checker import run_checks
            from recombine.cli.submissions import device_name, resolve

            device_name(self.submission, self.size)  # a missing one is no fault of the row
            report = run_checks(resolve(self.submission, self.size, None))
            checks = [asdict(one) for one in report.checks]
            return report.kind, report.card.id if report.card else None, checks
        from recombine.benchmark.sandbox.isolate import check_isolated

        found = check_isolated(
            self.submission,
            trust_local=self.trust_local,
            limits=limits(self.max_memory_gb, MINUTES / 60),
            names=BASELINES,
        )
        checks = [one.model_dump() for one in found.checks]
        return found.kind, found.card.id if found.card else None, checks

    def _show(self, checks: list[dict[str, Any]], failed: list[str], seconds: float) -> None:
        rows = [(one["name"], one["status"], one["why"]) for one in checks]
        title = f"{self.submission}, on built-in images (drawn by code, never scored)"
        console.table(title, ("check", "result", "why"), rows)
        for one in checks:
            if one["todo"]:
                console.line(f"{one['name']}: {one['todo']}")
        if failed:
            console.line(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
            return
        console.line(f"no check failed, {seconds:.0f} s. Next:")
        console.line(f"  recombine score {self.submission} --data runs/smoke")


def limits(memory_gb: float, hours: float) -> Limits:
    """Return limits from the words of a command line."""
    from recombine.benchmark.sandbox.process import GIB, Limits
    from recombine.renderer.core.errors import UsageError

    if not (memory_gb > 0 and hours > 0):
        raise UsageError(
            "--max-memory-gb and --max-hours: expected more than 0; "
            f"got {memory_gb:g} and {hours:g}. Leave them out for the defaults."
        )
    return Limits(memory_bytes=int(memory_gb * GIB), seconds=hours * 3600)
