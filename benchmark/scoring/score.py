"""Scoring: predictions of all seeds of one submission become results.

An encoder gives one result. An inverter gives two: read before any search step, and after the
last; both carry the whole curve of accuracy against test-time compute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recombine.benchmark.metrics.readout import KIND, Readout, fit_readout
from recombine.benchmark.predictions.alignment import (
    AlignedPredictions,
    align_predictions,
    blind_answers,
    readable_steps,
)
from recombine.benchmark.predictions.file import Predictions, read_predictions
from recombine.benchmark.protocol.contract import MethodCard, TrainBudget
from recombine.benchmark.results.extra_parts import Further
from recombine.benchmark.results.levels import levels_of, with_levels
from recombine.benchmark.results.parts import ComputeCurve, Score, Scores
from recombine.benchmark.results.parts import Readout as ReadoutPart
from recombine.benchmark.results.result import Result
from recombine.benchmark.running.grid import GridEvent, Job, run_grid
from recombine.benchmark.running.harness import (
    RunOptions,
    readout_indices,
    refuse_many_slots,
    refuse_placed,
    scored_indices,
    trains,
)
from recombine.benchmark.sandbox.isolation import IsolatedSubmission
from recombine.benchmark.scoring import aggregate, extra
from recombine.benchmark.scoring import facts as run_facts
from recombine.benchmark.scoring.collapse import collapse_part
from recombine.benchmark.scoring.controls import random_network_part, slot_match_part
from recombine.benchmark.scoring.examples import keep_examples
from recombine.benchmark.scoring.extra import decoder_part, identifiability_part, readout_variants
from recombine.benchmark.serving.data import has_pixels, refuse_unfit, require_sound
from recombine.benchmark.serving.relations import canonical_relations
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import scores_of
from recombine.benchmark.submissions.loading import card_of
from recombine.benchmark.submissions.modules import submission_of
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jaxtyping import Bool, Int

    from recombine.benchmark.predictions.file import RunFacts
    from recombine.benchmark.results.artifacts import Artifacts
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

SAME = ("steps", "card", "kind", "trained", "code", "settings", "dataset", "options", "n_train")


@dataclass(frozen=True)
class _Evidence:
    """All that is known at one step count."""

    aligned_runs: tuple[AlignedPredictions, ...]
    readouts: tuple[Readout, ...]
    id_predicted: tuple[Mapping[str, Array], ...]
    ooc_predicted: tuple[Mapping[str, Array], ...]
    id_test: Score
    ooc_test: Score
    floors: Mapping[str, Score]  # of matched slots, per split; empty for fixed roles


@dataclass(frozen=True)
class _Made:
    """What the results of one submission share."""

    files: Sequence[Path]
    curve: ComputeCurve
    options: RunOptions
    trust: str
    examples: Path | None
    distinct: tuple[int, ...]  # runs with answers of their own, see `facts.distinct_rows`


def score_submission(
    submission: object,
    dataset: DatasetLike,
    *,
    seeds: Sequence[int],
    out_dir: Path,
    options: RunOptions | None = None,
    workers: int = 1,
    progress: Callable[[GridEvent], None] | None = None,
    examples: Path | None = None,
) -> list[Result]:
    """Train a submission with every seed, ask it blindly, and score it.

    Parameters
    ----------
    submission : Encoder, Inverter, Learner, torch.nn.Module or IsolatedSubmission
        What `isolation.isolate` returned for foreign code, or an object or class of one's own,
        which runs in this process. A text is refused: it stands for foreign code.
    dataset : DatasetLike
        The data; its certificate is checked before anything is spent.
    seeds : sequence of int
        Training seeds; 5 for an unmarked entry. One seed gives no intervals.
    out_dir : Path
        Predictions and logs; finished runs in it are found again.
    options : RunOptions, optional
        How runs are made.
    workers : int
        Parallel processes.
    progress : callable, optional
        Called after every run.
    examples : Path, optional
        As for `score_predictions`.

    Returns
    -------
    list of Result
        One for an encoder, two for an inverter (before any search step, after the last).

    Raises
    ------
    IntegrityError
        When the dataset's certificate fails or does not match.
    UsageError, InvalidInputError, ResourceError
        When the submission does not exist, fails, or exceeds its budget.
    """
    require_sound(dataset)
    if not isinstance(submission, IsolatedSubmission):
        submission = submission_of(submission)
    how, where = options or RunOptions(), Path(out_dir)
    refuse_unfit(card_of(submission), dataset, trains=trains(submission))
    jobs = [Job(submission, dataset, seed, where, how) for seed in seeds]
    runs = run_grid(jobs, workers=workers, progress=progress)
    return score_predictions(
        [run.path for run in runs], dataset, trust="witnessed", examples=examples
    )


def score_predictions(
    paths: Sequence[Path],
    dataset: DatasetLike,
    *,
    trust: Literal["rescored", "witnessed"] = "rescored",
    examples: Path | None = None,
) -> list[Result]:
    """Score the predictions of all seeds of one submission.

    Parameters
    ----------
    paths : sequence of Path
        Predictions files, one per seed, made with equal code, settings and options.
    dataset : DatasetLike
        The data they were made on.
    trust : {"rescored", "witnessed"}
        "witnessed" only for files that this harness made itself: the results are then marked
        *retrained* (a learner) or *rerun*. For any other file only the scores are known to be
        right, not how the slots came about: its costs and machine are marked self-reported, no
        check is passed, and its test compute is unknown.
    examples : Path, optional
        Folder in which the results will be saved: gets a picture of the worst images of each.
        Without it, or for data bound to a hidden test set, none is kept.

    Returns
    -------
    list of Result
        One for an encoder, two for an inverter.

    Raises
    ------
    IntegrityError
        When the dataset's certificate fails or does not match.
    InvalidInputError
        When files are damaged, incomplete, of other data, or do not belong together.
    """
    require_sound(dataset)
    if trust == "witnessed":
        return _score(paths, dataset, trust, examples)
    with run_facts.of_others():
        results = _score(paths, dataset, trust, examples)
        return [run_facts.as_reported(result) for result in results]


def _score(
    paths: Sequence[Path], dataset: DatasetLike, trust: str, examples: Path | None
) -> list[Result]:
    dataset = canonical_relations(dataset)
    read = [(Path(path), read_predictions(Path(path))) for path in paths]
    read.sort(key=lambda pair: pair[1].facts.seed)
    files, runs = [path for path, _ in read], [run for _, run in read]
    if trust == "rescored":  # decodings cannot be recomputed, and nothing else is believed
        runs = [replace(run, decoded=None) for run in runs]
    options = _check_runs(runs, dataset)
    steps = readable_steps(runs[0], dataset)
    reported = tuple(dict.fromkeys((steps[0], steps[-1])))
    images = readout_indices(dataset, options)
    seen = shown_cells(dataset, options)
    distinct = run_facts.distinct_rows(runs)
    # A single run that nothing trained is the method itself, not a draw from its training.
    drawn = runs[0].facts.trained or len(runs) > 1
    kept = distinct if len(distinct) < len(runs) or not drawn else ()
    evidence = {
        step: _evidence(runs, dataset, step, images, seen, kept, full=step in reported)
        for step in steps
    }
    curve = _curve(runs, evidence)
    made = _Made(files, curve, options, trust, examples, distinct)
    return [_result(dataset, evidence[step], made) for step in reported]


def _check_runs(runs: Sequence[Predictions], dataset: DatasetLike) -> RunOptions:
    """Return the common options of runs that belong together and to these data."""
    if not runs:
        raise InvalidInputError("score: expected at least one predictions file, got none")
    first = runs[0].facts
    for run in runs[1:]:
        other = [name for name in SAME if getattr(run.facts, name) != getattr(first, name)]
        if other or run.facts.seed == first.seed:
            raise InvalidInputError(
                f"score: all seeds of one submission need equal {', '.join(other) or 'settings'} "
                f"and different seeds; seeds {first.seed} and {run.facts.seed} do not belong "
                "together, score them apart"
            )
    if len({run.facts.seed for run in runs}) != len(runs):
        raise InvalidInputError("score: a seed is given twice; give every predictions file once")
    asked = str(first.dataset.get("identity", "of version 1"))
    if asked != dataset.identity:
        raise InvalidInputError(
            f"score: the predictions are for data {asked[:12]}, got "
            f"{dataset.identity[:12]}; give the dataset they were made on"
        )
    refuse_placed(first.card["id"], first.card.get("slots", "fixed"), dataset.schema)
    # A card may forget that its method has a decoder; what was trained into one shows it.
    card: dict[str, Any] = {**first.card, "generative": _draws(first)}
    refuse_unfit(MethodCard(**card), dataset, trains=first.trained)
    options = stored_options(first.options)
    expected = scored_indices(dataset, options)
    for run in runs:
        if not np.array_equal(run.image_index, expected):
            raise InvalidInputError(
                f"score: seed {run.facts.seed} must answer exactly the {len(expected)} scored "
                f"images, got {len(run.image_index)} others; run the submission again"
            )
        refuse_many_slots(run, dataset)
    return options


def _draws(facts: RunFacts) -> bool:
    """Return whether a run's method draws images, as its card or its kind says."""
    return bool(facts.card.get("generative")) or facts.kind == "inverter"


def stored_options(plain: Mapping[str, Any]) -> RunOptions:
    """Return run options from their stored form."""
    try:
        values = {**plain, "steps": tuple(plain["steps"])}
        return RunOptions(**{**values, "budget": TrainBudget(**plain["budget"])})
    except (KeyError, TypeError) as error:
        raise InvalidInputError(
            f"predictions: the stored options do not fit this version ({error}); run again"
        ) from error


def shown_cells(dataset: DatasetLike, options: RunOptions) -> Int[Array, "cells factors"]:
    """Return the combinations that training showed."""
    served = dataset.indices("id_train", rung=options.rung)[: options.n_train]
    if getattr(dataset, "all_combinations", False):  # an upper bound: the levels of its board
        served = dataset.indices("id_val")
    out: Array = np.unique(dataset.cells[served], axis=0)
    return out


def _evidence(
    runs: Sequence[Predictions],
    dataset: DatasetLike,
    step: int,
    images: Int[Array, " labelled"],
    seen: Int[Array, "cells factors"],
    distinct: tuple[int, ...],
    *,
    full: bool,
) -> _Evidence:
    """Fit the readouts of every seed at one step count and score both splits."""
    schema = dataset.schema
    only = None if full else schema.recombined
    val = dataset.indices("id_val")
    aligned_runs = tuple(align_predictions(run, dataset, step, images) for run in runs)
    readouts = tuple(
        fit_readout(
            aligned.known(images), aligned.known(val), schema, only=only, match=aligned.match
        )
        for aligned in aligned_runs
    )
    predicted = []
    scores = []
    for name in ("id_test", "ooc_test"):
        split = aggregate.group_by_cell(dataset, name)
        answers = tuple(
            readout.predict(aligned.at(split.indices))
            for aligned, readout in zip(aligned_runs, readouts, strict=True)
        )
        predicted.append(answers)
        scores.append(aggregate.score_split(dataset, split, answers, distinct))
    floors = _matching_floors(aligned_runs, images, tuple(predicted[0][0]))
    for number, name in enumerate(("id_test", "ooc_test")):
        levels = levels_of(
            seen,
            aggregate.group_by_cell(dataset, name).cells,
            schema.cell_shape,
            schema.recombined,
            held_out=name == "ooc_test",
            matching=floors[name].estimate if floors else None,
        )
        scores[number] = with_levels(scores[number], levels)
    return _Evidence(
        aligned_runs, readouts, predicted[0], predicted[1], scores[0], scores[1], floors
    )


def _matching_floors(
    aligned_runs: Sequence[AlignedPredictions], images: Int[Array, " labelled"], keys: Sequence[str]
) -> dict[str, Score]:
    """Score both splits for whoever knows only which slots were matched; empty for fixed roles."""
    if aligned_runs[0].matching is None:
        return {}
    dataset = aligned_runs[0].dataset
    splits = [aggregate.group_by_cell(dataset, name) for name in ("id_test", "ooc_test")]
    return {
        split.name: aggregate.score_split(
            dataset,
            split,
            [blind_answers(one, images, split.indices, keys) for one in aligned_runs],
        )
        for split in splits
    }


def _curve(runs: Sequence[Predictions], evidence: Mapping[int, _Evidence]) -> ComputeCurve:
    facts = [run.facts for run in runs]
    points = list(evidence.values())
    return ComputeCurve(
        steps=tuple(evidence),
        gflop_per_image=tuple(run_facts.gflop_at(facts, step) for step in evidence),
        id=tuple(point.id_test.estimate for point in points),
        id_ci95=tuple(point.id_test.ci95 for point in points),
        ooc=tuple(point.ooc_test.estimate for point in points),
        ooc_ci95=tuple(point.ooc_test.ci95 for point in points),
    )


def _result(dataset: DatasetLike, evidence: _Evidence, made: _Made) -> Result:
    facts = [aligned.run.facts for aligned in evidence.aligned_runs]
    step, options = evidence.aligned_runs[0].step, made.options
    method = run_facts.method_part(facts[0], step)
    inside, outside = (aggregate.group_by_cell(dataset, name) for name in ("id_test", "ooc_test"))
    correct = {
        "id_test": aggregate.correct_images(dataset, inside, evidence.id_predicted),
        "ooc_test": aggregate.correct_images(dataset, outside, evidence.ooc_predicted),
    }
    return Result.sealed(
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        trust=run_facts.trust_tier(facts[0]) if made.trust == "witnessed" else made.trust,
        method=method,
        credit=run_facts.credit_part(facts[0], method),
        track=run_facts.track_part(facts[0], run_facts.gflop_at(facts, step)),
        data=run_facts.data_part(dataset, facts[0]),
        training=run_facts.training_part(facts, len(made.distinct)),
        seeds=[one.seed for one in facts],
        readout=_readout_part(evidence, dataset, options),
        scores=Scores(id_test=evidence.id_test, ooc_test=evidence.ooc_test),
        gap=aggregate.gap_part(evidence.id_test, evidence.ooc_test),
        paired_gap=aggregate.paired_gap_part(evidence.id_test, evidence.ooc_test),
        worst_cells=aggregate.worst_cells_part(evidence.ooc_test),
        smallest_detectable_difference=stats.smallest_detectable_difference(
            scores_of(evidence.ooc_test)
        ),
        compute_curve=made.curve,
        compute=run_facts.compute_part(facts, step),
        environment=dict(facts[0].environment),
        checks=run_facts.checks_part(facts, step),
        artifacts=_artifacts(evidence, made, method.entry, correct["ooc_test"]),
        sources=run_facts.sources_part(facts),
        further=_further(evidence, dataset, correct, options),
    )


def _artifacts(
    evidence: _Evidence, made: _Made, entry: str, right: Bool[Array, "seeds images"]
) -> Artifacts:
    """Return the files behind a result, and write the picture of its worst images."""
    facts = [aligned.run.facts for aligned in evidence.aligned_runs]
    more: dict[str, Any] = {}
    if made.examples is not None and has_pixels(evidence.aligned_runs[0].dataset):
        first, readout = evidence.aligned_runs[0], evidence.readouts[0]
        more["examples"] = keep_examples(made.examples, entry, first, readout, right)
    if made.trust == "witnessed":
        more["configurations"] = run_facts.tried_configurations(made.files, facts)
        more["curves"] = run_facts.kept_curves(made.files, facts)
    return run_facts.artifacts_part(made.files, facts).model_copy(update=more)


def _further(
    evidence: _Evidence,
    dataset: DatasetLike,
    correct: Mapping[str, Array],
    options: RunOptions,
) -> Further:
    """Compute what the answers allow; the slower parts only for runs with ``RunOptions.full``."""
    aligned_runs, readouts = evidence.aligned_runs, evidence.readouts
    matches = [one.slot_match for one in readouts]
    answers = {"id_test": evidence.id_predicted, "ooc_test": evidence.ooc_predicted}
    rows = range(len(aligned_runs))  # copies of a run included, as in the tables below
    shares = [scores_of(one, rows) for one in (evidence.id_test, evidence.ooc_test)]
    oracle = extra.oracle_readout(aligned_runs, readouts, options, *shares)
    read = () if oracle is None else (oracle.readout,)
    slow: dict[str, Any] = {}
    if options.full:
        found = readout_variants(aligned_runs, readouts, options, shares[0])
        read = (*found.readouts, *read)
        slow = {
            "selectivity": found.selectivity,
            "identifiability": identifiability_part(aligned_runs, options),
            "decoder": decoder_part([aligned.run.facts for aligned in aligned_runs]),
        }
    return Further(
        readouts=read,
        gap_parts=None if oracle is None else oracle.gap_parts,
        matching=extra.matching_part(evidence.floors),
        masks=extra.mask_part(aligned_runs),
        sets=extra.set_part(aligned_runs, matches, answers),
        by_visibility=extra.visibility_bins(dataset, correct),
        by_interaction=extra.interaction_bins(dataset, correct),
        collapse=collapse_part(aligned_runs, readouts, options),
        **slow,
    )


def _readout_part(evidence: _Evidence, dataset: DatasetLike, options: RunOptions) -> ReadoutPart:
    readouts = evidence.readouts
    keys = readouts[0].factors
    images = readout_indices(dataset, options)
    width = evidence.aligned_runs[0].slots.shape[2]
    answers = {"id_test": evidence.id_predicted, "ooc_test": evidence.ooc_predicted}
    return ReadoutPart(
        kind=KIND,
        n_train=len(images),
        n_val=len(dataset.indices("id_val")),
        slot_match=tuple(one.slot_match for one in readouts),
        regularisation={
            key: tuple(one.factors[key].regularisation for one in readouts) for key in keys
        },
        at_edge={key: tuple(one.factors[key].edge for one in readouts) for key in keys},
        converged={key: tuple(one.factors[key].converged for one in readouts) for key in keys},
        width=width,
        random_network=(
            random_network_part(dataset, images, width) if has_pixels(dataset) else None
        ),
        match=slot_match_part(evidence.aligned_runs, readouts, images, answers),
    )
