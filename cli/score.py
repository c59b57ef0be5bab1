"""`score`: train methods on a dataset, ask them blindly, write result files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.errors import RecombineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from recombine.benchmark.results.parts import Score as ScorePart
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.running.grid import GridEvent, Job
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.sandbox.isolation import AnySubmission
    from recombine.benchmark.sandbox.process import Limits
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.store.dataset import Dataset

COLUMNS = (
    "method", "inference", "ID", "OOC", "lift", "oracle", "gap", "GFLOP/image", "images seen",
    "seeds",
)  # fmt: skip
# Options that some baselines have: one of these, and why others do not.
OF_SOME = {
    "patience": ("supervised", "has no validation loss to stop on"),
    "weights": ("dinov2-lora", "trains from scratch"),
    "tangents": ("tangent-penalty-oracle", "needs no rendered tangents"),
}
LISTED = 4  # more result files than these are named by their folder


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only, and so make one result."""

    name: str
    n: int | None
    data: DatasetLike
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Score(Command):
    """Train methods with several seeds, ask them blindly, and write their result files.

    A method is `file.py:Class`, `package.module:Class`, the name of a baseline (`recombine score
    list` prints all), a model of a public library (`timm:resnet18`, `hf:OWNER/NAME`,
    `open_clip:NAME`, with `?weights=FILE` offline) under the standard slot head, or predictions
    made elsewhere: a .safetensors file, or a folder with one per seed (see `recombine submission
    inputs`). A class with `fit` is trained here; `recombine submission new` writes one to start
    from.

    In- and out-of-combination images come interleaved, without labels; readouts are fitted on ID
    images. A method that searches is read at several step counts of one run and gives two results:
    without search and with it. Training sets are nested: the first N images of the ID training
    split. --full adds what takes longer: label budgets of 100, 1,000 and 10,000, a readout by a
    network, a control with permuted labels, identifiability, and what the decoder does.

    Every run is a process of its own; finished ones are kept and found again, so the command can
    be stopped and repeated. Results go to OUT; predictions, logs and every search setting that was
    compared to OUT/runs/NAME.

    Code that is not a baseline or of a public library runs under bubblewrap: no network, no files
    of this machine but its own folder, no labels but those of its track.

    Example: recombine score my_model.py:MyLearner --data runs/smoke

    Example: recombine score supervised autoencoder leak --data runs/smoke --n 128,512 --seeds 5
    """

    methods: Annotated[tuple[str, ...], tyro.conf.Positional]
    """What to score, or `list`."""
    data: Path = Path("runs/smoke")
    """Dataset folder, rendered and verified."""
    out: Path = Path("runs/results")
    """Folder for result files."""
    seeds: int = 5
    """Training seeds; fewer than 5 mark the entry as a sketch."""
    size: str = "cpu"
    """Size of a baseline: tiny (seconds), cpu (minutes) or gpu (hours of one CUDA GPU)."""
    n: str = "all"
    """Training-set sizes, for example 1000,4000,all; each gives results of its own."""
    rung: int = 0
    """Rung of the training ladder: 0 sees the fewest combinations; see `recombine dataset plan`."""
    steps: tuple[int, ...] = (0, 1, 3, 10, 30, 100)
    """Search steps at which a searching method is read, from 0."""
    readout_labels: int = 1000
    """ID training images on which the readout is fitted."""
    full: bool = False
    """Also compute the slower parts of a result: more readouts, controls, decoder diagnostics."""
    longer: float = 1.0
    """Multiply the steps of every training schedule of a baseline, for data on which a size learns
    too little (object-object needs about 10 at size cpu)."""
    patience: int = 0
    """Supervised rows: stop when the loss on ID validation images has not fallen for so many
    looks, and keep the best weights; 0 trains to the end."""
    weights: str = ""
    """Local weights of a pretrained baseline: a .safetensors file, or `random`."""
    tangents: Path | None = None
    """Tangents for tangent-penalty-oracle: DATA/tangents.h5 of `recombine measure tangents`."""
    key: Path | None = None
    """Key file of `recombine submission inputs --key`, for predictions made elsewhere."""
    workers: int = 2
    """Parallel processes, one thread each."""
    tensorboard: Path | None = None
    """Folder for TensorBoard event files of the training curves, live; needs tensorboard.
    Curves are kept anyway: recombine results plot training OUT/runs --out curves.png"""
    trust_local: bool = False
    """Run a submission without bubblewrap. Only for code that you trust like your own."""
    max_memory_gb: float = 16.0
    """Memory that one run of an isolated submission may use, in GiB."""
    max_hours: float = 24.0
    """Wall-clock time of one run of an isolated submission."""

    def run(self) -> int:
        """Train, score, save and print."""
        from recombine.baselines.registry import BASELINES
        from recombine.benchmark.running.grid import run_grid
        from recombine.benchmark.serving.data import require_sound
        from recombine.renderer.core.files import require_writable
        from recombine.renderer.store.dataset import Dataset

        if self.methods == ("list",):
            self.reply(list(BASELINES), *BASELINES)
            return 0
        dataset = Dataset(self.data)
        given, groups = self._given(), self._groups(dataset)
        require_sound(dataset)
        require_writable(self.out)
        results = [r for files in given for r in self._score_given(files, dataset)]
        jobs = [job for group in groups for job in group.jobs]
        failure: RecombineError | None = None
        if jobs:
            what = groups[0].name if len(groups) == 1 else f"{len(groups)} settings"
            with (
                self.progress(f"score {what}, runs") as progress,
                self._curves(jobs),
            ):
                ended = Ended(progress, len(jobs))
                try:
                    run_grid(jobs, workers=self.workers, progress=ended)
                except RecombineError as error:
                    failure = error  # what has all its seeds is scored all the same
            if not self.json:
                ended.say_found()
            results += self._score(groups, ended.paths)
        if results:
            self._show(results, dataset)
        if failure is not None:
            raise failure
        return 0

    def _given(self) -> list[list[Path]]:
        """Return the predictions files of every method that consists of such."""
        if not self.methods:
            raise UsageError(
                "score: expected at least one method; got none. See: recombine score list"
            )
        given = [files for name in self.methods if (files := given_files(name))]
        if given and self.n != "all":
            raise UsageError(
                "--n: expected none with predictions made elsewhere, which say themselves on how "
                f"many images they were trained; got {self.n!r}. Leave --n out."
            )
        return given

    def _score_given(self, files: Sequence[Path], dataset: Dataset) -> list[Result]:
        """Check predictions made elsewhere, keep them in our form, and score them."""
        from recombine.benchmark.predictions.external import is_given, load_key, read_given
        from recombine.benchmark.predictions.file import write_predictions
        from recombine.benchmark.running.harness import given_folder, scored_indices
        from recombine.benchmark.scoring.score import score_predictions

        options, kept = self._options(), []
        for path in files:
            if not is_given(path):
                kept.append(path)  # of an earlier run here: checked when it is read
                continue
            indices, secret = scored_indices(dataset, options), load_key(self.key, dataset)
            found = read_given(path, dataset, indices, options=options, key=secret)
            folder = given_folder(self.out / "runs" / found.facts.card["id"], found.facts)
            kept.append(folder / f"seed-{found.facts.seed}.safetensors")
            write_predictions(kept[-1], found)
        results = score_predictions(kept, dataset, examples=self.out)
        save_results(results, self.out)
        return results

    def _options(self) -> RunOptions:
        return run_options(
            readout_labels=self.readout_labels, full=self.full, steps=self.steps, rung=self.rung
        )

    def _groups(self, dataset: Dataset) -> list[Group]:
        """Return what is to be trained: every method on every training set."""
        from recombine.baselines.registry import BASELINES, data_for
        from recombine.benchmark.running.grid import Job
        from recombine.benchmark.running.harness import run_folder, trains
        from recombine.benchmark.serving.data import refuse_unfit
        from recombine.benchmark.submissions.loading import card_of

        trained = [name for name in self.methods if not given_files(name)]
        submissions = [self._submission(name) for name in trained]
        seeds, common = seed_list(self.seeds), self._options()
        available = len(dataset.indices("id_train", rung=self.rung)) if trained else 0
        groups = []
        for n in training_sets(self.n, available) if trained else ():
            for spec, submission in zip(trained, submissions, strict=True):
                device = device_name(spec, self.size)
                options = replace(common, n_train=n, device=device)
                ours = spec in BASELINES
                name = spec if ours else card_of(submission).id
                data = data_for(submission, dataset) if ours else dataset
                refuse_unfit(card_of(submission), data, trains=trains(submission))
                usual = self._folder(name, n, self.size if ours else "")
                folder = run_folder(usual, submission, data)
                jobs = tuple(Job(submission, data, seed, folder, options) for seed in seeds)
                groups.append(Group(spec, n, data, jobs))
        return groups

    def _folder(self, name: str, n: int | None, size: str) -> Path:
        """Return the folder of runs that differ in their seed only."""
        first = f"{size}-n{n or 'all'}" if size else f"n{n}" if n else ""
        longer = f"x{self.longer:g}" if self.longer != 1 else ""
        parts = [first, f"rung{self.rung}" if self.rung else "", longer]
        return self.out.joinpath("runs", name, "-".join(filter(None, parts)))

    def _submission(self, spec: str) -> AnySubmission:
        """Return a baseline or a model of a library as an object, and anything else shut in."""
        from recombine.baselines.registry import (
            BASELINES,
            lengthened,
            load_baseline,
            submission_of,
        )
        from recombine.renderer.core.errors import UsageError

        device_name(spec, self.size)  # a missing GPU is found before anything is spent
        wanted = {name: value for name in OF_SOME if (value := getattr(self, name))}
        if spec in BASELINES:
            cache = self.out / "runs" / "cache"
            learner: Any = load_baseline(spec, self.size, cache_dir=cache)
            for option, value in wanted.items():
                example, why = OF_SOME[option]
                if not hasattr(learner, option):
                    raise UsageError(
                        f"--{option}: expected a baseline such as {example}; got {spec!r}, which "
                        f"{why}. Leave --{option} out."
                    )
                learner = replace(learner, **{option: value})
            return cast("AnySubmission", lengthened(learner, self.longer))
        if wanted or self.longer != 1:
            option = next(iter(wanted), "longer")
            raise UsageError(
                f"--{option}: expected baselines only, whose training it sets; got {spec!r}. "
                f"Leave --{option} out."
            )
        return submission_of(
            spec,
            trust_local=self.trust_local,
            limits=limits(self.max_memory_gb, self.max_hours),
            avoid=(self.data, self.out),
        )

    def _curves(self, jobs: Sequence[Job]) -> AbstractContextManager[object]:
        """Return what copies the training curves to TensorBoard, if that is wanted."""
        if self.tensorboard is None:
            return nullcontext()
        from recombine.benchmark.running.tensorboard import TensorBoard

        logs = {}
        for job in jobs:
            run = f"{job.out_dir.relative_to(self.out / 'runs')}/seed-{job.seed}"
            logs[run] = job.out_dir / f"seed-{job.seed}.log.jsonl"
        return TensorBoard(logs, self.tensorboard)

    def _score(
        self, groups: Sequence[Group], paths: Mapping[tuple[Path, int], Path]
    ) -> list[Result]:
        """Score every group whose runs have all ended well, and write its results and log."""
        from recombine.baselines.registry import BASELINES
        from recombine.benchmark.scoring.score import score_predictions
        from recombine.renderer.core.files import write_bytes

        results: list[Result] = []
        for group in groups:
            found = [paths.get((job.out_dir, job.seed)) for job in group.jobs]
            finished = [path for path in found if path is not None]
            if group.name in BASELINES:
                lines = [f"{line}\n" for line in _configurations(group, finished, self.size)]
                log = group.jobs[0].out_dir / "configurations.jsonl"
                write_bytes(log, "".join(lines).encode())
            if len(finished) == len(group.jobs):
                part = score_predictions(finished, group.data, trust="witnessed", examples=self.out)
                save_results(part, self.out)
                results += part
        return results

    def _show(self, results: Sequence[Result], dataset: Dataset) -> None:
        paths = [str(result.path_in(self.out)) for result in results]
        if self.json:
            console.emit(paths)
            return
        show(results, f"{dataset.name}, {len(dataset)} images, identity {dataset.identity[:16]}")
        sizes = sorted({result.data.n_train for result in results})
        for line in dict.fromkeys(self._bound(results, n) for n in sizes):
            if line:
                console.line(line)
        few = len(paths) <= LISTED
        for line in [f"result: {path}" for path in paths] if few else [f"results in {self.out}"]:
            console.line(line)
        console.line(f"compare: recombine board build --results {self.out} --data {self.data}")

    def _bound(self, results: Sequence[Result], n: int) -> str:
        """Say what an encoder reaches that saw all combinations, in as many images."""
        from recombine.benchmark.results.result import Result
        from recombine.renderer.core.files import visible

        replayed = [r for r in results if r.data.n_train == n and "replay" in r.method.inference]
        if not replayed:
            return ""
        for path in sorted(visible(self.out, "oracle--*.json")):
            bound = Result.load(path)
            sizes = {result.method.settings.get("size") for result in (bound, replayed[0])}
            if bound.data == replayed[0].data and len(sizes) == 1:
                return (
                    f"beside replay on {n:,} images, the oracle (trained on all combinations): "
                    f"OOC {estimate(bound.scores.ooc_test)}"
                )
        return f"to read beside replay: recombine score oracle --data {self.data} --out {self.out}"


@dataclass
class Ended:
    """Reports runs that have ended, and remembers where their predictions are."""

    progress: console.Progress
    total: int
    paths: dict[tuple[Path, int], Path] = field(default_factory=dict)
    found: int = 0

    def __post_init__(self) -> None:
        self.progress(0, self.total)

    def __call__(self, event: GridEvent) -> None:
        """Take note of a run."""
        if event.run is not None:
            self.paths[event.job.out_dir, event.job.seed] = event.run.path
            self.found += event.run.skipped
        self.progress(event.done, event.total)

    def say_found(self) -> None:
        """Say how many runs were there already."""
        if self.found:
            console.note(f"{self.found} of {self.total} runs found of an earlier call, kept")


def is_ours(spec: str) -> bool:
    """Tell whether a text names code that needs no sandbox: a baseline or a library's model."""
    from recombine.baselines.registry import BASELINES
    from recombine.benchmark.submissions.hub import is_hub

    return spec in BASELINES or is_hub(spec)


def device_name(spec: str, size: str) -> str:
    """Return where a submission answers: a GPU for a baseline of size ``gpu``, else ``"cpu"``."""
    from recombine.baselines.registry import BASELINES
    from recombine.baselines.training.device import device_of

    return device_of(size).type if spec in BASELINES else "cpu"


def seed_list(count: int) -> range:
    """Return the training seeds 0..count-1."""
    if not 1 <= count <= 100:
        raise UsageError(f"--seeds: expected 1 to 100; got {count}. 5 make an unmarked entry.")
    return range(count)


def training_sets(text: str, available: int) -> list[int | None]:
    """Return the training-set sizes that a text stands for."""
    words = [word.strip() for word in text.split(",")]
    numbers = sorted({int(word) for word in words if word.isdecimal()})
    wrong = [word for word in words if not word.isdecimal() and word != "all"]
    if wrong or (numbers and not 1 <= numbers[0] <= numbers[-1] <= available):
        raise UsageError(
            f"--n: expected numbers from 1 to {available} or 'all', comma-separated; got {text!r}. "
            f"The dataset holds {available} ID training images."
        )
    return [*numbers, *([None] if "all" in words else [])]


def run_options(
    *, readout_labels: int, full: bool, steps: tuple[int, ...] | None = None, rung: int = 0
) -> RunOptions:
    """Return run options from the words of a command line."""
    from recombine.benchmark.running.harness import DEFAULT_STEPS, RunOptions

    steps = steps or DEFAULT_STEPS
    return RunOptions(steps=steps, rung=rung, readout_labels=readout_labels, full=full)


def limits(memory_gb: float, hours: float) -> Limits:
    """Return limits from the words of a command line."""
    from recombine.benchmark.sandbox.process import GIB, Limits

    if not (memory_gb > 0 and hours > 0):
        raise UsageError(
            "--max-memory-gb and --max-hours: expected more than 0; "
            f"got {memory_gb:g} and {hours:g}. Leave them out for the defaults."
        )
    return Limits(memory_bytes=int(memory_gb * GIB), seconds=hours * 3600)


def given_files(submission: str) -> list[Path]:
    """Return the predictions files that a text names: one, or all of a folder; none otherwise."""
    from recombine.benchmark.submissions.hub import is_hub
    from recombine.renderer.core.files import visible

    path = Path(submission)
    if is_hub(submission):  # its weights may be called so, too
        return []
    if path.suffix == ".safetensors":
        return [path]
    return sorted(visible(path, "*.safetensors")) if path.is_dir() else []


def save_results(results: Sequence[Result], folder: Path) -> None:
    """Write result files."""
    for result in results:
        result.save(result.path_in(folder))


def show(results: Sequence[Result], title: str) -> None:
    """Print one row per result, with what a reader needs to doubt it."""
    from recombine.benchmark.results.table import (
        doubts,
        independence,
        level_lines,
        readout_lines,
    )

    several = len({result.data.n_train for result in results}) > 1
    rows = [_row(r) + ((f"{r.data.n_train:,}",) if several else ()) for r in results]
    console.table(title, COLUMNS + (("n",) if several else ()), rows)
    chance = {f"{r.scores.ooc_test.chance:.3f}" for r in results}
    few = min(len(r.seeds) for r in results)
    console.line(
        "joint slot accuracy (all recombined factors right), 95 % intervals over runs, "
        "combinations and blocks; "
        f"chance {' or '.join(sorted(chance))}."
        + (f" {few} seed{'s' * (few > 1)}: a sketch, use 5 for a claim." if few < 5 else "")
    )
    for line in (
        *level_lines(results),
        *readout_lines(results),
        *independence(results),
        *doubts(results),
    ):
        console.line(line)


def _row(result: Result) -> tuple[str, ...]:
    from recombine.benchmark.results.table import oracle_ooc

    oracle = oracle_ooc(result)
    gflop, training = result.compute.gflop_per_image, result.training
    return (
        result.method.name,
        result.method.inference,
        estimate(result.scores.id_test),
        estimate(result.scores.ooc_test),
        lift(result.scores.ooc_test),
        "-" if oracle is None else f"{oracle.estimate:.3f}",
        estimate(result.gap),
        "unknown" if gflop is None else f"{gflop:.3g}",
        f"{training.real_images_seen:,} + {training.generated_images_seen:,} generated",
        str(len(result.seeds)),
    )


def estimate(part: Any) -> str:
    """Return an estimate with its 95 % interval, where it has one."""
    if part.ci95 is None:
        return f"{part.estimate:.3f}"
    low, high = part.ci95
    return f"{part.estimate:.3f} [{low:.3f}, {high:.3f}]"


def lift(score: ScorePart) -> str:
    """Return the lift over ignorance with its 95 % interval; a dash where it is not known."""
    if score.lift is None:
        return "-"
    ends = "" if score.lift_ci95 is None else " [{:.3f}, {:.3f}]".format(*score.lift_ci95)
    return f"{score.lift:.3f}{ends}"


def _configurations(group: Group, paths: Sequence[Path], size: str) -> Iterator[str]:
    """Return one JSON line per search setting that a finished run compared."""
    from recombine.benchmark.running.training_curves import Tail

    for path in paths:
        for event in Tail(path.with_suffix(".log.jsonl")).events()[0]:
            if event.get("event") == "config":
                run = {"method": group.name, "size": size, "n": group.n, "run": path.stem}
                yield json.dumps({**run, **event}, sort_keys=True)
