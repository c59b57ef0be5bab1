"""Run the code that a bundle carries, shut in, and hold what it says against the bundle.

What goes on record is the rerun, so a claim that comes out is not needed for a right number. It is
asked for all the same: who claims what does not come out may not have sent what they ran.

Two runs of one training on two machines are two draws: rounding differs, and training amplifies
it. So not the answers of each seed are compared, but the accuracy on both splits, the mean over all
seeds: with the two-sample t test at 1 %, and two points are always allowed. Given weights do not
differ between seeds, which leaves these two points for the rounding of pixels and of answers. The
spread of the rerun alone would do, but refuses honest methods that seldom learn (22 of 100 where
one seed in five does). Who claims a spread that is not there is asked less, and gains nothing.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.results.result import with_credit
from recombine.benchmark.running.grid import Job, run_grid
from recombine.benchmark.running.harness import made_by
from recombine.benchmark.sandbox.isolation import isolate
from recombine.benchmark.scoring.facts import of_others
from recombine.benchmark.scoring.score import score_predictions, stored_options
from recombine.benchmark.serving.data import refuse_unfit, require_sound
from recombine.leaderboard.board.entries import Entry, load_entry
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recombine.benchmark.predictions.file import RunFacts
    from recombine.benchmark.results.parts import Score
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.running.grid import GridEvent
    from recombine.benchmark.sandbox.code import Located
    from recombine.benchmark.sandbox.isolation import IsolatedSubmission
    from recombine.benchmark.sandbox.process import Limits
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.leaderboard.submissions.review import Rescored

POINTS = 0.02
"""Difference of two accuracies that is always allowed."""
LEVEL = 0.99
"""Share of honest reruns that differ by less than what else is allowed."""


@dataclass(frozen=True)
class Rerun:
    """How runs are made again."""

    folder: Path  # for predictions, logs and results; what is finished in it is kept
    limits: Limits  # of each run
    workers: int = 1  # processes


def rerun_bundle(
    judged: Rescored,
    dataset: DatasetLike,
    how: Rerun,
    progress: Callable[[GridEvent], None] | None = None,
) -> list[Entry]:
    """Train and ask the code of a bundle again, in the sandbox, and score what it answers.

    Parameters
    ----------
    judged : Rescored
        A bundle whose predictions were scored again.
    dataset : DatasetLike
        A rendered copy of its data.
    how : Rerun
        Where, and within which limits.
    progress : callable, optional
        Called after every run.

    Returns
    -------
    list of Entry
        The rerun's own results, with the credit of the bundle.

    Raises
    ------
    ResourceError
        When bubblewrap is missing or cannot work here: such code runs in no other way.
    InvalidInputError
        When the bundle carries no code, the code is refused or fails, or its scores differ.
    """
    bundle = judged.bundle
    located = bundle.code
    if located is None:
        raise InvalidInputError(
            f"{bundle.folder}: expected a bundle that carries its code, got none; ask for one "
            "written with `recombine submission bundle --with-code`, or run the code yourself"
        )
    _refuse_installed(located, bundle.folder)
    require_sound(dataset)
    told = [read_predictions(path).facts for path in bundle.predictions]
    submission = isolate(located, limits=how.limits)
    _require_same(submission, told)
    refuse_unfit(submission.card, dataset, trains=submission.kind == "Learner")
    runs = run_grid(
        [_job(submission, dataset, one, how.folder) for one in told],
        workers=how.workers,
        progress=progress,
    )
    scored = score_predictions(
        [run.path for run in runs], dataset, trust="witnessed", examples=how.folder
    )
    found = {one.method.entry: with_credit(one, bundle.method.credit) for one in scored}
    kept = [found[one.method.entry] for one in judged.results]
    for again, before in zip(kept, judged.results, strict=True):
        require_agreement(again, before)
    return [load_entry(one.save(how.folder)) for one in kept]


def require_agreement(again: Result, before: Result) -> None:
    """Refuse a rerun whose accuracies differ by more than chance from those of the bundle."""
    rows = []
    for split in ("ooc_test", "id_test"):
        mine, theirs = (getattr(one.scores, split) for one in (again, before))
        most = allowed(mine, theirs)
        if abs(mine.estimate - theirs.estimate) > most:
            rows.append(
                f"{split} accuracy {100 * mine.estimate:.1f} % in the rerun and "
                f"{100 * theirs.estimate:.1f} % in the bundle, {100 * most:.1f} points allowed"
            )
    if rows:
        raise InvalidInputError(
            f"review: expected a rerun of {again.method.entry} that agrees with its bundle, got "
            f"{'; '.join(rows)}. It is granted nothing: ask its authors for the code that ran."
        )


def allowed(mine: Score, theirs: Score) -> float:
    """Return by how much two accuracies over equally many seeds may differ."""
    n = len(mine.per_seed)
    if n < 2:
        return POINTS
    spread = np.var([mine.per_seed, theirs.per_seed], axis=1, ddof=1).mean()
    t = float(special.stdtrit(2 * (n - 1), (1 + LEVEL) / 2))
    return max(POINTS, t * math.sqrt(spread * 2 / n))


def _job(submission: IsolatedSubmission, dataset: DatasetLike, told: RunFacts, folder: Path) -> Job:
    with of_others():
        options = stored_options(told.options)
        # How many there are is this machine's business.
        options = replace(options, threads=min(options.threads, os.cpu_count() or 1))
    return Job(submission, dataset, told.seed, folder / "runs", options)


def _require_same(submission: IsolatedSubmission, told: Sequence[RunFacts]) -> None:
    """Check that the code, which has said by now what it is, is what the predictions say it was."""
    if not all(made_by(facts, submission.fingerprint()) for facts in told):
        raise InvalidInputError(
            f"review: expected {submission.located.code} to have the card and the settings that "
            "its predictions name, got others; ask for predictions that this code made"
        )


def _refuse_installed(located: Located, folder: Path) -> None:
    # Isolated code finds the installed packages first, and something else would run.
    top = located.module.partition(".")[0]
    if located.module.endswith(".py"):
        return
    if top in sys.modules or importlib.util.find_spec(top) is not None:
        raise InvalidInputError(
            f"{folder}: expected code under a name of its own, got {located.module}, and {top} is "
            "installed here; ask for another name, or remove that package"
        )
