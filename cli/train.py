"""`train`: baselines x training-set sizes x seeds, in parallel, scored, resumable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.running.grid import GridEvent, Job
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.errors import RecombineError
    from recombine.renderer.store.dataset import Dataset


_OF_SOME = {
    "patience": ("supervised", "has no validation loss to stop on"),
    "weights": ("dinov2-lora", "trains from scratch"),
    "tangents": ("tangent-penalty-oracle", "needs no rendered tangents"),
}
"""Options that some baselines have: one of these, and why others do not."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only, and so make one result."""

    name: str
    n: int | None
    data: DatasetLike
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Train:
    """Train baselines on several training-set sizes with several seeds, and score them.

    Every run is a process of its own; finished ones are kept and found again, so the command can
    be stopped and repeated. Predictions, logs and every search setting that was compared go to
    `OUT/runs/NAME/SIZE-nN`, results to OUT. Training sets are nested: the first N images of the
    ID training split. `recombine train list` prints the names of the baselines.

    Example: recombine train supervised autoencoder leak --data runs/smoke --n 128,512 --seeds 5
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Baselines to train, or `list`."""
    data: Path = Path("runs/smoke")
    """Dataset folder, rendered and verified."""
    out: Path = Path("runs/results")
    """Folder for result files."""
    size: str = "cpu"
    """Size of the baselines: tiny (seconds), cpu (minutes) or gpu (hours of one CUDA GPU)."""
    seeds: int = 5
    """Training seeds; fewer than 5 mark the entry as a sketch."""
    n: str = "all"
    """Training-set sizes, for example 1000,4000,all."""
    rung: int = 0
    """Rung of the training ladder: 0 sees the fewest combinations; see `recombine plan`."""
    steps: tuple[int, ...] = (0, 1, 3, 10, 30, 100)
    """Search steps at which a searching method is read, from 0."""
    readout_labels: int = 1000
    """ID training images on which readouts are fitted."""
    full: bool = False
    """Also compute the slower parts of a result: more readouts, controls, decoder diagnostics."""
    longer: float = 1.0
    """Multiply the steps of every training schedule, for data on which a size learns too little
    (object-object needs about 10 at size cpu)."""
    patience: int = 0
    """Supervised rows: stop when the loss on ID validation images has not fallen for so many
    looks, and keep the best weights; 0 trains to the end."""
    weights: str = ""
    """Local weights of a pretrained backbone: a .safetensors file, or `random`."""
    workers: int = 2
    """Parallel processes, one thread each."""
    tangents: Path | None = None
    """Rendered tangents for tangent-penalty-oracle: DATA/tangents.h5 of `recombine tangents`."""
    tensorboard: Path | None = None
    """Folder for TensorBoard event files of the training curves, live; needs tensorboard.
    Curves are kept anyway: recombine plot training OUT/runs --out curves.png"""
    json: bool = False
    """Print the result files' paths as JSON instead of a table."""

    def run(self) -> int:
        """Train, score, save and print."""
        from recombine.baselines.registry import BASELINES

        if self.names == ("list",):
            for name in BASELINES:
                say.line(name)
            return 0
        from recombine.benchmark.running.grid import run_grid
        from recombine.renderer.core.errors import RecombineError
        from recombine.renderer.store.dataset import Dataset

        dataset = Dataset(self.data)
        dataset.check()
        groups = self._groups(dataset)
        jobs = [job for group in groups for job in group.jobs]
        failure: RecombineError | None = None
        with (
            say.progress(f"train {len(groups)} settings, runs", quiet=self.json) as progress,
            self._curves(jobs),
        ):
            done = _Done(progress, len(jobs))
            try:
                run_grid(jobs, workers=self.workers, progress=done)
            except RecombineError as error:
                failure = error  # what has all its seeds is scored all the same
        results = self._score(groups, done.paths)
        if results:
            self._show(results, dataset)
        if failure is not None:
            raise failure
        return 0

    def _groups(self, dataset: Dataset) -> list[Group]:
        from recombine.baselines.training.device import device_of
        from recombine.benchmark.running.grid import Job
        from recombine.cli.submissions import run_options, seed_list, training_sets
        from recombine.renderer.core.errors import UsageError

        if not self.names:
            raise UsageError(
                "train: expected at least one baseline; got none. See: recombine train list"
            )
        learners = {name: self._learner(name) for name in self.names}
        seeds = seed_list(self.seeds)
        device = device_of(self.size).type
        common = run_options(
            readout_labels=self.readout_labels, full=self.full, steps=self.steps, rung=self.rung
        )
        groups = []
        for n in training_sets(self.n, len(dataset.indices("id_train", rung=self.rung))):
            options = replace(common, n_train=n, device=device)
            for name, learner in learners.items():
                folder = self.out / "runs" / name / self._setting(n)
                data = _data_of(learner, dataset)
                jobs = tuple(Job(learner, data, seed, folder, options) for seed in seeds)
                groups.append(Group(name, n, data, jobs))
        return groups

    def _curves(self, jobs: Sequence[Job]) -> AbstractContextManager[object]:
        """Return what copies the training curves to TensorBoard, if that is wanted."""
        if self.tensorboard is None:
            return nullcontext()
        from recombine.benchmark.running.tensorboard import TensorBoard

        runs = self.out / "runs"
        logs = {
            f"{job.out_dir.relative_to(runs)}/seed-{job.seed}": job.out_dir
            / f"seed-{job.seed}.log.jsonl"
            for job in jobs
        }
        return TensorBoard(logs, self.tensorboard)

    def _setting(self, n: int | None) -> str:
        """Return the name of the folder of runs that differ in their seed only."""
        rung = f"-rung{self.rung}" if self.rung else ""
        longer = f"-x{self.longer:g}" if self.longer != 1 else ""
        return f"{self.size}-n{n or 'all'}{rung}{longer}"

    def _learner(self, name: str) -> Any:
        from recombine.baselines.registry import lengthened, load_baseline
        from recombine.renderer.core.errors import UsageError

        learner = load_baseline(name, self.size, cache_dir=self.out / "runs" / "cache")
        learner = lengthened(learner, self.longer)
        for option, (example, why) in _OF_SOME.items():
            value = getattr(self, option)
            if not value:
                continue
            if not hasattr(learner, option):
                raise UsageError(
                    f"--{option}: expected a baseline such as {example}; got {name!r}, which "
                    f"{why}. Leave --{option} out."
                )
            learner = replace(learner, **{option: value})
        return learner

    def _score(
        self, groups: Sequence[Group], paths: Mapping[tuple[Path, int], Path]
    ) -> list[Result]:
        """Score every group whose runs have all ended well, and write its results and log."""
        from recombine.benchmark.scoring.score import score_predictions
        from recombine.cli.submissions import save_results
        from recombine.renderer.core.files import write_bytes

        results: list[Result] = []
        for group in groups:
            found = [paths.get((job.out_dir, job.seed)) for job in group.jobs]
            finished = [path for path in found if path is not None]
            lines = [f"{line}\n" for line in _configurations(group, finished, self.size)]
            folder = group.jobs[0].out_dir
            write_bytes(folder / "configurations.jsonl", "".join(lines).encode())
            if len(finished) == len(group.jobs):
                part = score_predictions(finished, group.data, trust="witnessed", examples=self.out)
                save_results(part, self.out)
                results += part
        return results

    def _show(self, results: Sequence[Result], dataset: Dataset) -> None:
        from recombine.cli.submissions import show

        if self.json:
            say.emit([str(self.out / result.file_name) for result in results])
            return
        for n in sorted({result.data.n_train for result in results}):
            part = [result for result in results if result.data.n_train == n]
            show(part, f"{dataset.name}, {n:,} ID training images, size {self.size}")
            if bound := self._bound(part):
                say.line(bound)
        say.line(f"results in {self.out}")
        say.line(f"compare: recombine board build --results {self.out} --data {self.data}")

    def _bound(self, results: Sequence[Result]) -> str:
        """Say what an encoder reaches that saw all combinations, in as many images."""
        from recombine.benchmark.results.result import Result
        from recombine.cli.submissions import estimate

        replayed = [result for result in results if "replay" in result.method.inference]
        if not replayed:
            return ""
        for path in sorted(self.out.glob("oracle--*.json")):
            bound = Result.load(path)
            sizes = {result.method.settings.get("size") for result in (bound, replayed[0])}
            if bound.data == replayed[0].data and len(sizes) == 1:
                ooc = estimate(bound.scores.ooc_test)
                return f"beside replay, the oracle (trained on all combinations): OOC {ooc}"
        return f"to read beside replay: recombine train oracle --data {self.data} --out {self.out}"


@dataclass
class _Done:
    """Reports finished runs, and remembers where their predictions are."""

    progress: Callable[[int, int], None]
    total: int
    paths: dict[tuple[Path, int], Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.progress(0, self.total)

    def __call__(self, event: GridEvent) -> None:
        if event.run is not None:
            self.paths[event.job.out_dir, event.job.seed] = event.run.path
        self.progress(event.done, event.total)


def _data_of(learner: object, dataset: Dataset) -> DatasetLike:
    """Return the dataset, or for the upper bound one that trains on all combinations."""
    from recombine.baselines.methods.oracle import AllCombinations

    if not getattr(learner, "out_of_combination", False):
        return dataset
    return cast("DatasetLike", AllCombinations(dataset))


def _configurations(group: Group, paths: Sequence[Path], size: str) -> Iterator[str]:
    """Return one JSON line per search setting that a finished run compared."""
    import json

    from recombine.benchmark.running.training_curves import Tail

    for path in paths:
        for event in Tail(path.with_suffix(".log.jsonl")).events()[0]:
            if event.get("event") == "config":
                run = {"method": group.name, "size": size, "n": group.n, "run": path.stem}
                yield json.dumps({**run, **event}, sort_keys=True)
