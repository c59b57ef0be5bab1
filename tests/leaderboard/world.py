"""Real predictions of a fast method on made-up data, for tests of the submission flow."""

from functools import cache
from pathlib import Path

from fakes import FakeDataset, Noisy

from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.leaderboard.submissions.bundle import MethodFile, write_bundle
from recombine.renderer.store.seal import file_sha256

METHOD = MethodFile(authors=("A. Person",), licence="Apache-2.0", code="https://example.org/x")


@cache
def dataset():
    """Return the data."""
    return FakeDataset()


def score_once(folder: Path):
    """Score a method with three seeds; return its result files and the folder of predictions."""
    results = score_submission(
        Noisy(), dataset(), seeds=(0, 1, 2), out_dir=folder / "runs",
        options=RunOptions(steps=(0, 1, 4), batch_size=32), examples=folder / "results",
    )  # fmt: skip
    return [result.save(folder / "results") for result in results], folder / "runs"


def found(folder: Path):
    """Return predictions by hash."""
    return {file_sha256(path): path for path in folder.rglob("*.safetensors")}


def bundle_in(out: Path, scored, method=METHOD):
    """Write a bundle of what ``score_once`` returned."""
    results, runs = scored
    return write_bundle(out, results, found(runs), method)
