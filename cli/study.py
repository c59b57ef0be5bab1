"""`study`: studies that explain the benchmark's numbers, each with a report and a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from recombine.baselines.studies.study import Claim


@dataclass(frozen=True)
class Study(Command):
    """Run a study that explains scores; it resumes where it was interrupted.

    invertibility: how hard is it to invert a generator, for encoders of growing size trained on
    generated pairs and for search; well and ill conditioned generators, and folded ones.
    variance: what a VAE's decoder variance does to self-consistency, to the orthogonality of its
    decoder and to the latents it identifies. Both run on generators of known difficulty.
    granularity: do more detailed labels buy composition; one trunk trained with a label per image,
    per cluster, per combination, per recombined factor and per factor of a dataset. Each writes
    report.json with every number, claims with the numbers that decide them, and a picture.

    Example: recombine study invertibility --out runs/analysis/invertibility

    Example: recombine study granularity --data runs/smoke --out runs/analysis/granularity
    """

    study: Annotated[Literal["invertibility", "variance", "granularity"], tyro.conf.Positional]
    """Which study."""
    out: Path
    """Folder for units, report and picture."""
    data: Path | None = None
    """Dataset folder; granularity needs one, the others none."""
    size: Literal["tiny", "full"] = "full"
    """tiny runs in seconds and shows nothing but that it runs; full takes minutes."""
    seeds: int | None = None
    """Repetitions; by default those of the size."""
    picture: Literal["svg", "pdf", "png"] = "svg"
    """Format of the picture."""
    workers: int = 2
    """Parallel processes, one thread each."""

    def run(self) -> int:
        """Compute what is missing, judge the claims, draw."""
        from recombine.baselines.studies import plots
        from recombine.baselines.studies import study as analysis
        from recombine.leaderboard.exports.figures import looks, save, styled

        module, settings = self._study()
        work = module.work(settings)
        with self.progress(f"study {self.study}, units") as progress:
            rows = analysis.run(work, self.out, workers=self.workers, progress=progress)
        claims = module.claims(rows, settings)
        report = analysis.write_report(self.out, self.study, settings, rows, claims)
        picture = self.out / f"{self.study}.{self.picture}"
        with styled(plots.INCHES[self.study]) as figure:
            getattr(plots, self.study)(rows, figure, looks)
        save(figure, picture)
        if self.json:
            held = [{"text": claim.text, "holds": claim.holds} for claim in claims]
            console.emit({"report": str(report), "picture": str(picture), "claims": held})
            return 0
        if hasattr(module, "table"):
            console.table(f"{self.study}, means over seeds", *module.table(rows))
        _show(claims)
        console.line(f"report: {report}")
        console.line(f"picture: {picture}")
        return 0

    def _study(self) -> tuple[Any, Any]:
        from recombine.baselines.studies import granularity, invertibility, variance

        modules = {"invertibility": invertibility, "variance": variance, "granularity": granularity}
        module: Any = modules[self.study]
        settings = module.TINY if self.size == "tiny" else module.Settings()
        if (self.data is None) == (self.study == "granularity"):
            got = "none" if self.data is None else str(self.data)
            raise UsageError(
                f"--data: expected a dataset folder for granularity and none for the others; got "
                f"{got} for {self.study}"
            )
        if self.data is not None:
            settings = replace(settings, data=str(self.data))
        if self.seeds is None:
            return module, settings
        if self.seeds < 1:
            raise UsageError(f"--seeds: expected at least 1; got {self.seeds}")
        return module, replace(settings, seeds=self.seeds)


def _show(claims: list[Claim]) -> None:
    for claim in claims:
        console.line(f"{'holds' if claim.holds else 'FAILS'}: {claim.text}")
        console.line(
            "  " + ", ".join(f"{name} {value:.3g}" for name, value in claim.evidence.items())
        )
