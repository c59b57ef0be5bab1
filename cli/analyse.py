"""`analyse`: studies that explain the benchmark's numbers, each with a report and a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.baselines.studies.study import Claim


@dataclass(frozen=True)
class Analyse:
    """Run a study on generators of known difficulty; it resumes where it was interrupted.

    invertibility: how hard is it to invert a generator, for encoders of growing size trained on
    generated pairs and for search; well and ill conditioned generators, and folded ones.
    variance: what a VAE's decoder variance does to self-consistency, to the orthogonality of its
    decoder and to the latents it identifies. No dataset is needed. Each writes report.json with
    every number, claims with the numbers that decide them, and a picture.

    Example: recombine analyse invertibility --out runs/analysis/invertibility
    """

    study: Annotated[Literal["invertibility", "variance"], tyro.conf.Positional]
    """Which study."""
    out: Path
    """Folder for units, report and picture."""
    size: Literal["tiny", "full"] = "full"
    """tiny runs in seconds and shows nothing but that it runs; full takes minutes."""
    seeds: int | None = None
    """Repetitions; by default those of the size."""
    picture: Literal["svg", "pdf", "png"] = "svg"
    """Format of the picture."""
    workers: int = 2
    """Parallel processes, one thread each."""
    json: bool = False
    """Print JSON instead of lines."""

    def run(self) -> int:
        """Compute what is missing, judge the claims, draw."""
        from recombine.baselines.studies import plots
        from recombine.baselines.studies import study as analysis
        from recombine.leaderboard.exports.figures import looks, save, styled

        module, settings = self._study()
        work = module.work(settings)
        with say.progress(f"analyse {self.study}, units", quiet=self.json) as progress:
            rows = analysis.run(work, self.out, workers=self.workers, progress=progress)
        claims = module.claims(rows, settings)
        report = analysis.write_report(self.out, self.study, settings, rows, claims)
        picture = self.out / f"{self.study}.{self.picture}"
        with styled(plots.INCHES[self.study]) as figure:
            getattr(plots, self.study)(rows, figure, looks)
        save(figure, picture)
        if self.json:
            held = [{"text": claim.text, "holds": claim.holds} for claim in claims]
            say.emit({"report": str(report), "picture": str(picture), "claims": held})
            return 0
        _show(claims)
        say.line(f"report: {report}")
        say.line(f"picture: {picture}")
        return 0

    def _study(self) -> tuple[Any, Any]:
        from recombine.baselines.studies import invertibility as analysis_invertibility
        from recombine.baselines.studies import variance as analysis_variance
        from recombine.renderer.core.errors import UsageError

        modules = {"invertibility": analysis_invertibility, "variance": analysis_variance}
        module: Any = modules[self.study]
        settings = module.TINY if self.size == "tiny" else module.Settings()
        if self.seeds is None:
            return module, settings
        if self.seeds < 1:
            raise UsageError(f"--seeds: expected at least 1; got {self.seeds}")
        return module, replace(settings, seeds=self.seeds)


def _show(claims: list[Claim]) -> None:
    for claim in claims:
        say.line(f"{'holds' if claim.holds else 'FAILS'}: {claim.text}")
        say.line("  " + ", ".join(f"{name} {value:.3g}" for name, value in claim.evidence.items()))
