"""From the words of a command line to submissions, jobs and printed results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.running.grid import GridEvent
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.submissions.loading import Submission
    from recombine.renderer.store.dataset import Dataset

COLUMNS = ("method", "inference", "ID", "OOC", "gap", "GFLOP/image", "images seen", "seeds")


def resolve(spec: str, size: str, cache: Path | None) -> Submission:
    """Return a baseline by name and size, or load ``file.py:Class``."""
    from recombine.baselines.registry import BASELINES, load_baseline
    from recombine.benchmark.submissions.loading import load_learner

    if spec in BASELINES:
        baseline: Submission = load_baseline(spec, size, cache_dir=cache)
        return baseline
    return load_learner(spec, names=BASELINES)


def device_name(spec: str, size: str) -> str:
    """Return where a submission answers: a GPU for a baseline of size ``gpu``, else ``"cpu"``."""
    from recombine.baselines.registry import BASELINES
    from recombine.baselines.training.device import device_of

    return device_of(size).type if spec in BASELINES else "cpu"


def seed_list(count: int) -> range:
    """Return the training seeds 0..count-1."""
    from recombine.renderer.core.errors import UsageError

    if not 1 <= count <= 100:
        raise UsageError(f"--seeds: expected 1 to 100; got {count}. 5 make an unmarked entry.")
    return range(count)


def training_sets(text: str, available: int) -> list[int | None]:
    """Return the training-set sizes that a text stands for."""
    from recombine.renderer.core.errors import UsageError

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


def given_files(submission: str) -> list[Path]:
    """Return the predictions files that a text names: one, or all of a folder; none otherwise."""
    from recombine.benchmark.submissions.hub import is_hub

    path = Path(submission)
    if is_hub(submission):  # its weights may be called so, too
        return []
    if path.suffix == ".safetensors":
        return [path]
    return sorted(path.glob("*.safetensors")) if path.is_dir() else []


def score_given(
    files: Sequence[Path], dataset: Dataset, options: RunOptions, *, key: Path | None, out: Path
) -> list[Result]:
    """Check predictions made elsewhere, keep them in our form, and score them."""
    from recombine.benchmark.predictions.external import is_given, load_key, read_given
    from recombine.benchmark.predictions.file import write_predictions
    from recombine.benchmark.running.harness import scored_indices
    from recombine.benchmark.scoring.score import score_predictions

    dataset.check()
    kept = []
    for path in files:
        if not is_given(path):
            kept.append(path)  # of an earlier run here: checked when it is read
            continue
        indices, secret = scored_indices(dataset, options), load_key(key, dataset)
        found = read_given(path, dataset, indices, options=options, key=secret)
        kept.append(out / "runs" / found.facts.card["id"] / f"seed-{found.facts.seed}.safetensors")
        write_predictions(kept[-1], found)
    return score_predictions(kept, dataset, examples=out)


def watch(progress: say.Progress, total: int, *, quiet: bool) -> Any:
    """Return a callback that reports finished runs."""
    progress(0, total)

    def ended(event: GridEvent) -> None:
        progress(event.done, event.total)
        if not quiet and event.run is not None and event.run.skipped:
            say.note(f"found {event.run.path.name} of an earlier run, kept")

    return ended


def save_results(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write result files and return their paths."""
    paths = [folder / result.file_name for result in results]
    for result, path in zip(results, paths, strict=True):
        result.save(path)
    return paths


def show(results: Sequence[Result], title: str) -> None:
    """Print one row per result, with what a reader needs to doubt it."""
    say.table(title, COLUMNS, [_row(r) for r in results])
    chance = {f"{r.scores.ooc_test.chance:.3f}" for r in results}
    few = min(len(r.seeds) for r in results)
    say.line(
        "joint slot accuracy (all recombined factors right), 95 % intervals over seeds x cells; "
        f"chance {' or '.join(sorted(chance))}."
        + (f" {few} seeds: a sketch, use 5 for a claim." if few < 5 else "")
    )


def _row(result: Result) -> tuple[str, ...]:
    gflop, training = result.compute.gflop_per_image, result.training
    return (
        result.method.name,
        result.method.inference,
        estimate(result.scores.id_test),
        estimate(result.scores.ooc_test),
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
