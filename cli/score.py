"""`score`: train a submission on a dataset, ask it blindly, write result files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import console

if TYPE_CHECKING:
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.sandbox.isolate import AnySubmission
    from recombine.renderer.store.dataset import Dataset


@dataclass(frozen=True)
class Score:
    """Train a submission with several seeds, ask it blindly, and write its result files.

    A submission is `file.py:Class`, `package.module:Class`, the name of a baseline (supervised,
    autoencoder, autoencoder-replay), a model of a public library (`timm:resnet18`, `hf:OWNER/NAME`,
    with `?weights=FILE` offline) under the standard slot head, or predictions made elsewhere: a
    .safetensors file, or a folder with one per seed (see `recombine questions`). A class with
    `fit` is trained here; see the docstring of `recombine.benchmark.protocol.contract` for the few methods
    it needs. In- and
    out-of-combination images come interleaved, without labels; readouts are fitted on ID images.
    A method that searches is read at several step counts of one run and gives two results:
    without search and with it. Finished seeds are kept and found again.

    --full adds what takes longer: label budgets of 100, 1,000 and 10,000, a readout by a network,
    two controls (permuted labels, oracle), identifiability, and what the decoder does.

    Code that is not a baseline or of a public library runs under bubblewrap: no network, no files
    of this machine but its own folder, no labels but those of its track.

    Example: recombine score supervised --data runs/smoke --seeds 5
    """

    submission: Annotated[str, tyro.conf.Positional]
    """What to score."""
    data: Path = Path("runs/smoke")
    """Dataset folder, rendered and verified."""
    out: Path = Path("runs/results")
    """Folder for result files; predictions and logs go to its subfolder `runs`."""
    seeds: int = 5
    """Training seeds; fewer than 5 mark the entry as a sketch."""
    size: str = "cpu"
    """Size of a baseline: tiny (seconds), cpu (minutes) or gpu (hours of one CUDA GPU)."""
    n: str = "all"
    """Training-set sizes, for example 1000,4000,all; each gives results of its own."""
    rung: int = 0
    """Rung of the training ladder: 0 sees the fewest combinations; see `recombine plan`."""
    steps: tuple[int, ...] = (0, 1, 3, 10, 30, 100)
    """Search steps at which a searching method is read, from 0."""
    readout_labels: int = 1000
    """ID training images on which the readout is fitted."""
    full: bool = False
    """Also compute the slower parts of a result: more readouts, controls, decoder diagnostics."""
    key: Path | None = None
    """Key file of `recombine questions --key`, for predictions made elsewhere."""
    workers: int = 2
    """Parallel processes, one thread each."""
    trust_local: bool = False
    """Run a submission without bubblewrap. Only for code that you trust like your own."""
    max_memory_gb: float = 16.0
    """Memory that one run of an isolated submission may use, in GiB."""
    max_hours: float = 24.0
    """Wall-clock time of one run of an isolated submission."""
    json: bool = False
    """Print the result files' paths as JSON instead of a table."""

    def run(self) -> int:
        """Score, save and print."""
        from recombine.cli.submissions import device_name, run_options, save_results, show
        from recombine.renderer.store.dataset import Dataset

        dataset = Dataset(self.data)
        options = run_options(
            readout_labels=self.readout_labels, full=self.full, steps=self.steps, rung=self.rung
        )
        options = replace(options, device=device_name(self.submission, self.size))
        results = self._given(dataset, options) or self._run(dataset, options)
        paths = save_results(results, self.out)
        if self.json:
            console.emit([str(p) for p in paths])
            return 0
        show(results, f"{dataset.name}, {len(dataset)} images, root {dataset.root[:16]}")
        for path in paths:
            console.line(f"result: {path}")
        console.line(f"compare: recombine board build --results {self.out} --data {self.data}")
        return 0

    def _given(self, dataset: Dataset, options: RunOptions) -> list[Result]:
        """Score predictions files, if that is what the submission is."""
        from recombine.cli.submissions import given_files, score_given
        from recombine.renderer.core.errors import UsageError

        files = given_files(self.submission)
        if not files:
            return []
        if self.n != "all":
            raise UsageError(
                "--n: expected none with predictions made elsewhere, which say themselves on how "
                f"many images they were trained; got {self.n!r}. Leave --n out."
            )
        return score_given(files, dataset, options, key=self.key, out=self.out)

    def _run(self, dataset: Dataset, options: RunOptions) -> list[Result]:
        """Train with every seed and training set, ask, and score."""
        from recombine.benchmark.scoring.score import score_submission
        from recombine.benchmark.submissions.loading import card_of
        from recombine.cli.submissions import seed_list, training_sets, watch

        seeds = seed_list(self.seeds)
        sizes = training_sets(self.n, len(dataset.indices("id_train", rung=self.rung)))
        submission = self._submission()
        name = card_of(submission).id
        results: list[Result] = []
        for n in sizes:
            about = f", {n:,} images" if n else ""
            with console.progress(f"score {name}{about}, runs", quiet=self.json) as progress:
                results += score_submission(
                    submission,
                    dataset,
                    seeds=seeds,
                    out_dir=self._folder(name, n),
                    options=replace(options, n_train=n),
                    workers=self.workers,
                    progress=watch(progress, len(seeds), quiet=self.json),
                    examples=self.out,
                )
        return results

    def _folder(self, name: str, n: int | None) -> Path:
        """Return the folder of runs that differ in their seed only."""
        parts = [f"n{n}" if n else "", f"rung{self.rung}" if self.rung else ""]
        return self.out.joinpath("runs", name, "-".join(filter(None, parts)))

    def _submission(self) -> AnySubmission:
        """Return a baseline as an object, and anything else shut in."""
        from recombine.baselines.registry import BASELINES
        from recombine.benchmark.submissions.hub import is_hub
        from recombine.cli.check import limits
        from recombine.cli.submissions import resolve

        if self.submission in BASELINES or is_hub(self.submission):
            return resolve(self.submission, self.size, self.out / "runs" / "cache")
        from recombine.benchmark.sandbox.isolate import isolate

        return isolate(
            self.submission,
            trust_local=self.trust_local,
            limits=limits(self.max_memory_gb, self.max_hours),
            names=BASELINES,
            avoid=(self.data, self.out),
        )
