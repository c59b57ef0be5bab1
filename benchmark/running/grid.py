"""Many runs at once: submissions x seeds in parallel processes, one thread each."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recombine.benchmark.running.harness import RunOptions, SeedRun, fingerprint, run_seed
from recombine.benchmark.submissions.loading import load_learner
from recombine.renderer.core.errors import ResourceError, UsageError
from recombine.renderer.core.surroundings import safe_path
from recombine.renderer.rendering.pool import die_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recombine.benchmark.sandbox.isolation import AnySubmission
    from recombine.benchmark.serving.data import DatasetLike


@dataclass(frozen=True)
class Job:
    """One run to make.

    Attributes
    ----------
    submission : str or AnySubmission
        An object that can be pickled, such as an ``IsolatedSubmission``; or the text
        ``file.py:Class`` or ``package.module:Class``, loaded into the worker, for own code only.
    dataset : DatasetLike
        Must be picklable (a ``Dataset`` is: it opens its files in each process).
    seed : int
        Training seed.
    out_dir : Path
        One folder per submission.
    options : RunOptions
        How the run is made.
    settings : Mapping
        Keyword arguments of the class when ``submission`` is a text.
    """

    submission: str | AnySubmission
    dataset: DatasetLike
    seed: int
    out_dir: Path
    options: RunOptions = field(default_factory=RunOptions)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GridEvent:
    """A run ended.

    Attributes
    ----------
    done, total : int
        Runs ended so far, and of all.
    job : Job
        Which one.
    run : SeedRun, optional
        Its outcome, None when it failed.
    error : Exception, optional
        Why it failed.
    """

    done: int
    total: int
    job: Job
    run: SeedRun | None
    error: Exception | None


def run_grid(
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    progress: Callable[[GridEvent], None] | None = None,
) -> list[SeedRun]:
    """Make many runs; finished ones are found again and skipped.

    Parameters
    ----------
    jobs : sequence of Job
        No two may write the same file.
    workers : int
        Processes, at least 1. With 1, everything happens in this process.
    progress : callable, optional
        Called after every run, in this process.

    Returns
    -------
    list of SeedRun
        In the order of ``jobs``.

    Raises
    ------
    UsageError
        When two jobs would write the same file.
    RecombineError
        The first failure, after every other run has ended; their files stay.
    ResourceError
        When a worker process died, most often for lack of memory.
    """
    targets = [(Path(job.out_dir).absolute(), job.seed) for job in jobs]
    if len(set(targets)) != len(targets):
        raise UsageError("run_grid: two jobs share a folder and a seed; give each its own folder")
    total = len(jobs)
    given = {id(job.submission): job.submission for job in jobs}
    taken = {i: fingerprint(one) for i, one in given.items() if not isinstance(one, str)}
    known = [taken.get(id(job.submission)) for job in jobs]  # as they are before the first run
    outcomes: dict[int, SeedRun | Exception] = {}

    def record(number: int, outcome: SeedRun | Exception) -> None:
        outcomes[number] = outcome
        if progress is not None:
            run = outcome if isinstance(outcome, SeedRun) else None
            error = outcome if isinstance(outcome, Exception) else None
            progress(GridEvent(len(outcomes), total, jobs[number], run, error))

    if workers <= 1 or not jobs:
        for number, job in enumerate(jobs):
            record(number, _outcome(job, known[number]))
    else:
        _run_parallel(jobs, known, workers, record)
    return _ordered(outcomes)


def _run_parallel(
    jobs: Sequence[Job],
    known: Sequence[Mapping[str, Any] | None],
    workers: int,
    record: Callable[[int, SeedRun | Exception], None],
) -> None:
    context = multiprocessing.get_context("spawn")
    # A parent killed with -9 cannot stop its workers; they see to it themselves.
    with (
        safe_path(),
        ProcessPoolExecutor(
            min(workers, len(jobs)), context, initializer=die_with, initargs=(os.getpid(),)
        ) as pool,
    ):
        waiting: dict[Future[SeedRun], int] = {
            pool.submit(run_job, job, known[number]): number for number, job in enumerate(jobs)
        }
        try:
            while waiting:
                ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ended:
                    record(waiting.pop(future), _result(future))
        except BaseException:  # interrupted: else the pool would first make all other runs
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.kill()  # safe: what it writes is whole or absent
            raise


def run_job(job: Job, identity: Mapping[str, Any] | None = None) -> SeedRun:
    """Load a job's submission if it is named by a text, and run it."""
    submission = job.submission
    if isinstance(submission, str):
        submission = load_learner(submission, settings=job.settings)
    return run_seed(
        submission,
        job.dataset,
        seed=job.seed,
        out_dir=Path(job.out_dir),
        options=job.options,
        identity=identity,
    )


def _outcome(job: Job, identity: Mapping[str, Any] | None) -> SeedRun | Exception:
    try:
        return run_job(job, identity)
    except Exception as error:
        return error


def _result(future: Future[SeedRun]) -> SeedRun | Exception:
    try:
        return future.result()
    except BrokenProcessPool:
        return ResourceError(
            "run_grid: a worker process died, most often for lack of memory; use fewer workers "
            "and run the same command again, finished runs are kept. In a script, put what it "
            "does under `if __name__ == '__main__':`, for workers import it"
        )
    except Exception as error:
        return error


def _ordered(outcomes: Mapping[int, SeedRun | Exception]) -> list[SeedRun]:
    runs = []
    for number in sorted(outcomes):
        outcome = outcomes[number]
        if isinstance(outcome, Exception):
            raise outcome
        runs.append(outcome)
    return runs
