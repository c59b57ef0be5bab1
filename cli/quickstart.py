"""`quickstart`: the main job end to end, on real renders."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.machine import usable_cores

if TYPE_CHECKING:
    from recombine.benchmark.results.result import Result
    from recombine.renderer.store.dataset import Dataset

# Replay continues from the autoencoder's trained stage, so it comes last and finds it cached.
METHODS = ("supervised", "autoencoder", "autoencoder-replay")


@dataclass(frozen=True)
class Quickstart(Command):
    """Render a small dataset, train two kinds of model, score them and build the page.

    Five steps, each says what it does and how long it will take: render the preset with
    Blender Cycles; verify it; train a supervised encoder and an autoencoder with several seeds
    and ask them blindly, the autoencoder also with replay and with search; score; build the
    leaderboard page. Run it again after an interruption: finished parts are kept.

    Example: recombine quickstart --out runs/quickstart
    """

    out: Path = Path("runs/quickstart")
    """Folder for everything: data, runs, results, site."""
    scale: float = 1.0
    """Share of the matched blocks to render; 1 is the whole preset."""
    seeds: int = 3
    """Training seeds; 5 for a claim, 3 for a sketch."""
    size: str = "cpu"
    """Size of the baselines: tiny (seconds), cpu (minutes) or gpu (hours of one CUDA GPU)."""
    steps: tuple[int, ...] = (0, 1, 3, 10, 30)
    """Search steps at which the autoencoder is read."""
    readout_labels: int = 512
    """ID training images on which readouts are fitted."""
    workers: int = field(default_factory=usable_cores)
    """Parallel processes, one thread each; the number of cores by default."""

    def run(self) -> int:
        """Run the five steps."""
        from recombine.cli.score import device_name, show

        began = time.monotonic()
        console.note_crowding(self.workers)
        device = device_name(METHODS[0], self.size)  # a missing one is found before rendering
        data = self._render()
        results = self._train_and_score(data, device)
        index = self._board()
        if self.json:
            console.emit({"index": str(index), "results": [r.file_name for r in results]})
            return 0
        show(results, f"{data.name}, {len(data)} images, identity {data.identity[:16]}")
        console.line(f"done in {(time.monotonic() - began) / 60:.1f} min")
        console.line(f"page:          {index.absolute().as_uri()}")
        console.line(f"contact sheet: {(self._folder('data') / 'preview.png').absolute()}")
        console.line(f"results:       {self._folder('results').absolute()}")
        return 0

    def _render(self) -> Dataset:
        from recombine.renderer.presets.table import load_preset
        from recombine.renderer.rendering.render import render_dataset
        from recombine.renderer.store.dataset import Dataset

        preset = load_preset("smoke", scale=self.scale)
        folder = self._folder("data")
        self._say(1, f"render {preset.name} with Blender Cycles into {folder} (about 2 minutes)")
        with self.progress("render") as progress:
            certificate = render_dataset(preset, folder, workers=self.workers, progress=progress)
        run = [c.status for c in certificate.checks if c.status != "not run"]
        self._say(2, f"verify: {run.count('pass')} of {len(run)} checks passed")
        return Dataset(folder)

    def _train_and_score(self, data: Dataset, device: str) -> list[Result]:
        from recombine.baselines.registry import load_baseline
        from recombine.benchmark.running.grid import Job, run_grid
        from recombine.benchmark.running.harness import RunOptions
        from recombine.benchmark.scoring.score import score_predictions
        from recombine.cli.score import Ended, save_results, seed_list

        options = RunOptions(steps=self.steps, readout_labels=self.readout_labels, device=device)
        runs = self._folder("runs")
        groups = [
            [
                Job(
                    load_baseline(name, self.size, cache_dir=runs / "cache"),
                    data,
                    s,
                    runs / name,
                    options,
                )
                for s in seed_list(self.seeds)
            ]
            for name in METHODS
        ]
        jobs = [job for group in groups for job in group]
        self._say(
            3,
            f"train {', '.join(METHODS)} with {self.seeds} seeds and ask them blindly, "
            f"with search up to {self.steps[-1]} steps (about 4 minutes)",
        )
        with self.progress("runs") as progress:
            ended = Ended(progress, len(jobs))
            finished = run_grid(jobs, workers=self.workers, progress=ended)
        if not self.json:
            ended.say_found()
        self._say(4, "score: readouts fitted on ID images, joint slot accuracy (seconds)")
        results: list[Result] = []
        for number in range(len(METHODS)):
            part = finished[number * self.seeds : (number + 1) * self.seeds]
            paths, out = [run.path for run in part], self._folder("results")
            results += score_predictions(paths, data, trust="witnessed", examples=out)
        save_results(results, self._folder("results"))
        return results

    def _board(self) -> Path:
        from recombine.cli.board import build

        self._say(5, "build the leaderboard page (seconds)")
        return build(self._folder("results"), self._folder("site"), (self._folder("data"),))[0]

    def _folder(self, name: str) -> Path:
        return self.out / name

    def _say(self, step: int, text: str) -> None:
        if not self.json:
            console.line(f"{step}/5 {text}")
