"""The parts of a result file, as strict models: unknown keys, NaN and infinity are refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from recombine.renderer.core.strict import Count as Count
from recombine.renderer.core.strict import Positive as Positive
from recombine.renderer.core.strict import Sha256 as Sha256
from recombine.renderer.core.text import legible, named

if TYPE_CHECKING:
    from recombine.renderer.core.types import Array

LARGEST_REAL = 1e30
"""Of any number in a result: sums of squares of such numbers are finite."""
LEAST_GFLOP, LARGEST_GFLOP = 1e-6, 1e12


def _counted(gflop: float) -> float:
    if 0 < gflop < LEAST_GFLOP:
        raise ValueError(f"0, or {LEAST_GFLOP:g} to {LARGEST_GFLOP:g}, in 1e9 operations")
    return gflop


Fraction: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Real: TypeAlias = Annotated[float, Field(ge=-LARGEST_REAL, le=LARGEST_REAL)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0.0, le=LARGEST_REAL)]
Gflop: TypeAlias = Annotated[float, Field(ge=0.0, le=LARGEST_GFLOP), AfterValidator(_counted)]
"""1e9 operations: none, or so many that a logarithm of them is a number to draw."""
Text: TypeAlias = Annotated[str, StringConstraints(max_length=2000), AfterValidator(legible)]
Name: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(named)
]
Key: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^/]{1,200}$"), AfterValidator(named)]
"""A name within a path such as ``scores/ooc_test/per_factor/object.shape``."""
Slug: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
Interval: TypeAlias = tuple[Real, Real]
Scalar: TypeAlias = (
    Annotated[str, AfterValidator(legible)]
    | Annotated[int, Field(ge=-(2**64), le=2**64)]
    | float
    | bool
    | None
)
Table: TypeAlias = tuple[tuple[Count, ...], ...]
Digits: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]+$", max_length=100_000)]


class Strict(BaseModel):
    """Immutable, exact types, no unknown keys, finite numbers."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Method(Strict):
    """Who answers."""

    id: Slug
    """The method, for example ``autoencoder``."""
    entry: Slug
    """The row on the board: ``id``, with ``-search`` added for results read after search steps."""
    name: Name
    inference: Literal["direct", "replay", "search", "replay+search"]
    kind: Literal["encoder", "inverter"]
    role: Literal["method", "control", "floor", "bound"] = "method"
    """What the entry is there for, as its card says: to compete, as a control, as a floor that
    knows nothing, or as an upper bound that is out of competition."""
    source: Text = ""
    note: Text = ""
    code: Text = ""
    """``module:Class`` of the submission."""
    settings: dict[Name, Scalar] = {}
    """The submission's settings, one level deep."""

    @property
    def is_baseline(self) -> bool:
        """Return whether the method is one of this project's own."""
        return self.code.startswith("recombine.baselines.")


class Track(Strict):
    """Which entries this one may be compared with."""

    data: Literal["scratch", "pretrained", "open"]
    supervision: Literal["unsupervised", "weak", "supervised"]
    test_compute: Literal["T1", "T10", "T100", "unbounded", "unknown"]
    """At most 3, 30, 300 times the reference encoder's operations per image, or more."""


class _Recipe(Strict):
    """What pages and commands read of a recipe; a plan may record more."""

    model_config = ConfigDict(extra="ignore")

    preset: Key
    scale: Annotated[float, Field(gt=0, le=1000)] = 1.0
    values: Positive | None = None
    rung: Annotated[int, Field(ge=0, le=1000)] = 0
    ooc_val: bool = False
    hidden_test: Literal["public", "hidden"] | None = None


def _readable(recipe: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _Recipe.model_validate(recipe)
    return recipe


class Data(Strict):
    """What was asked, down to the bytes."""

    dataset: Slug
    version: Name
    resolution: Positive
    """Image height and width in pixels."""
    identity: Name
    """What the images show, whatever machine drew them: results of one identity are compared. The
    identity of the dataset, hexadecimal; of data of version 1, which had none, the root."""
    root: Name
    """Merkle root over all images, pixels included, hexadecimal: information. A copy that another
    processor drew has other pixels and the same identity."""
    certificate_sha256: Sha256
    n_train: Positive
    """Different in-combination training images that were served."""
    recombined: tuple[Name, ...]
    """The factors whose combinations the split recombines, in the order of ``Score.cells``."""
    renderer: dict[Name, Text] = {}
    """Versions of the programs that rendered the data."""
    recipe: Annotated[dict[str, JsonValue], AfterValidator(_readable)] | None = None
    """How the dataset was made: preset, resolution, scale, values, ooc_val and what else its plan
    records, such as a declared split, and the rung of the training ladder. None when not on
    record."""


class Selection(Strict):
    """How the scored configuration was chosen."""

    rule: Literal["none", "id_val", "oracle"]
    n_candidates: Positive = 1


class Training(Strict):
    """Cost of training, as a mean over seeds."""

    real_images_seen: Count
    """Rendered training images served, with repetition, all at once or in batches."""
    val_images_seen: Count | None = None
    """The same of ID validation images, served to choose settings or to train; None when not on
    record."""
    distinct_runs: Positive | None = None
    """Runs with answers of their own: seeds that answer alike are copies of one run. None when not
    compared."""
    generated_images_seen: Count
    """Images that the method made itself and trained on."""
    wall_s: NonNegative
    """Seconds of ``fit``."""
    cpu_s: Annotated[NonNegative | None, Field(exclude_if=lambda one: one is None)] = None
    """CPU seconds of the process in ``fit``, all threads together; None, and left out of the file,
    when not on record."""
    gflop: NonNegative | None = None
    configs_tried: Positive = 1
    selection: Selection


class Estimate(Strict):
    """A mean over seeds and cells."""

    estimate: Real
    ci95: Interval | None
    per_seed: tuple[Real, ...]


class RandomNetwork(Strict):
    """Joint slot accuracy of a convolutional network with random weights and as many outputs.

    It is read like the method. What it reaches is owed to the width of the readout, not to what
    was learnt.
    """

    width: Positive
    """Its outputs: the numbers that the readout of every factor reads."""
    id_test: Estimate
    """``per_seed`` holds one value per random network."""
    ooc_test: Estimate


class SlotMatch(Strict):
    """How the method's slots were assigned to scene slots, per seed."""

    decided_on: Literal["held-out-cells", "id-val", "masks"]
    """Images of ID cells that the deciding readouts had not seen; ID-val, where every cell holds a
    value of its own and none can be left out; or the masks of each image, for exchangeable slots,
    which leave nothing else to say here."""
    n_images: Count = 0
    """Images that decided, per seed."""
    n_cells: Count = 0
    """Cells that these are of."""
    margin: tuple[Real, ...] = ()
    """Score of the chosen assignment minus that of the runner-up, summed over scene slots."""
    standard_error: tuple[NonNegative | None, ...] = ()
    """Of the margin, leaving out one cell at a time; None with fewer than two cells."""
    clear: tuple[bool, ...] = ()
    """Whether the 95 % interval of the margin (t, ``n_cells`` - 1 degrees of freedom) lies above 0;
    true also where the slots are ``equal``."""
    equal: tuple[bool, ...] = ()
    """Whether there was nothing to decide: both assignments read the same numbers."""
    runner_up: tuple[tuple[Count, ...] | None, ...] = ()
    """The best assignment that takes a recombined factor from another slot; None without one."""
    other_id: Estimate | None = None
    """The ID score with the runner-up in every seed that is not clear; None when all are."""
    other_ooc: Estimate | None = None
    """The OOC score with the runner-up in every seed that is not clear; None when all are."""

    @property
    def unclear(self) -> tuple[int, ...]:
        """Return the positions of the seeds in which the assignment is not clear."""
        return tuple(number for number, clear in enumerate(self.clear) if not clear)


class Readout(Strict):
    """The readout, fitted on in-combination representations and then frozen."""

    kind: Literal["linear"]
    """Ridge for continuous and periodic factors, multinomial logistic for categorical ones."""
    n_train: Positive
    """Labelled in-combination training images used."""
    n_val: Positive
    """In-combination validation images used for regularisation."""
    slot_match: tuple[tuple[Count, ...], ...]
    """Per seed, the method's slot assigned to each scene slot."""
    regularisation: dict[Name, tuple[Real, ...]] = {}
    """Per factor and seed: the ridge penalty or the inverse penalty C of the logistic readout."""
    at_edge: dict[Name, tuple[Literal["weakest", "strongest"] | None, ...]] = {}
    """Per factor and seed: whether that is the weakest or strongest one tried; empty when not
    measured. Among equal ID-val scores the strongest is chosen."""
    converged: dict[Name, tuple[bool, ...]] = {}
    """Per factor and seed: whether the fit ended by itself rather than at its limit of iterations;
    empty when not measured."""
    width: Positive | None = None
    """Numbers that the readout of a factor reads; None when not measured."""
    random_network: RandomNetwork | None = None
    """What the same readout makes of a network that was never trained; None when not measured."""
    match: SlotMatch | None = None
    """How the slot assignment was decided; None when not measured."""


class Variance(Strict):
    """Variance components of one image's score, in squared score units; None when not estimable."""

    seed: NonNegative | None
    """Between training runs."""
    cell: NonNegative | None
    """Between cells (combinations)."""
    residual: NonNegative | None
    """Seed-by-cell interaction together with the noise of a cell's mean."""
    image: NonNegative | None
    """Between images of one cell, for one training run."""


class FactorScore(Strict):
    """How well one factor can be read out."""

    metric: Name
    metric_version: Name
    kind: Literal["categorical", "periodic", "continuous"]
    recombined: bool
    """Whether the split recombines this factor."""
    estimate: Annotated[float, Field(ge=-LARGEST_REAL, le=1.0)]
    """1 is perfect, 0 is chance; continuous factors can be negative."""
    ci95: Interval | None
    chance: Real
    per_seed: tuple[Real, ...]
    per_cell: tuple[tuple[Real, ...], ...] = ()
    """Per seed and cell of the split, the cell's part: the mean of a row is the seed's score."""
    per_block: tuple[tuple[Real, ...], ...] = ()
    """Per seed and matched block, the block's part; empty in results from before 2.1."""


class Blocks(Strict):
    """Right answers per matched block: every cell shows the same nuisance vectors."""

    numbers: tuple[Count, ...]
    """The blocks; equal numbers in two splits share every nuisance."""
    hits: Table
    """Images with every recombined factor right, per seed and block."""
    counts: tuple[Positive, ...]
    """Images per block."""
    images: tuple[Digits, ...] = ()
    """Per cell, one digit (base 36) for every block: how many images show the pair."""
    right: tuple[tuple[Digits, ...], ...] = ()
    """Per seed and cell, one digit (base 36) for every block: right answers. Empty where only
    the sums are on record, or more than 35 images show one pair."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n = len(self.numbers)
        if not n or len(self.counts) != n or any(len(row) != n for row in self.hits):
            raise ValueError("hits and counts need one number per block")
        if (np.array(self.hits) > np.array(self.counts)).any():
            raise ValueError("every block needs hits <= counts")
        tables = [table for table in (self.images, *self.right) if table]
        if any(len(text) != n for table in tables for text in table):
            raise ValueError("images and right need one digit per block")
        if {len(table) for table in self.right} - {len(self.images)}:
            raise ValueError("right needs images, both one row per cell")
        shown = _digits(self.images) if self.images else np.zeros((0, n), int)
        if self.images and tuple(shown.sum(axis=0).tolist()) != self.counts:
            raise ValueError("images must add up to counts")
        if self.right and len(self.right) != len(self.hits):
            raise ValueError("right needs one table per seed")
        for table, hits in zip(self.right, self.hits, strict=bool(self.right)):
            right = _digits(table)
            if tuple(right.sum(axis=0).tolist()) != hits:
                raise ValueError("right must add up to hits")
            if (right > shown).any():
                raise ValueError("right must be at most images")
        return self


def _digits(table: tuple[str, ...]) -> Array:
    """Return the digits (base 36) of every text of a table, one row each."""
    rows = np.frombuffer("".join(table).encode("ascii"), np.uint8).reshape(len(table), -1)
    found: Array = np.where(rows < ord("a"), rows - ord("0"), rows - ord("a") + 10).astype(np.int64)
    return found


class Levels(Strict):
    """What ignorance scores on the cells of a split, exactly; chance stands beside it in `Score`.

    "Others" are the other recombined factors. What training showed are the combinations among the
    in-combination training images of the rung that was served.
    """

    one_known: dict[Name, Fraction] = {}
    """Per recombined factor: it is right, the others are guessed uniformly. Empty where the split
    recombines one factor only."""
    unseen: Fraction
    """A uniform guess among the combinations that training never showed; in combination, among
    those that it showed."""
    one_known_unseen: dict[Name, Fraction] = {}
    """Per recombined factor: it is right, the others are guessed uniformly among what training
    never showed with it; in combination, among what it showed with it."""
    matching: Fraction | None = None
    """What the choice of slots by masks gives away: constants per matched slot, fitted on ID
    training images. None where slots have fixed roles."""

    @property
    def best(self) -> float:
        """Return the highest of them, the floor of the lift."""
        known = (*self.one_known.values(), *self.one_known_unseen.values())
        return max(self.unseen, self.matching or 0.0, *known, 0.0)


class Score(Strict):
    """The headline score of one split, with the counts behind it."""

    metric: Name
    metric_version: Name
    estimate: Fraction
    """Mean over cells of the share of images with every recombined factor right."""
    ci95: Interval | None
    """None when the design does not allow an interval (one seed, one cell, no spread)."""
    ci_method: Text
    n_seeds: Positive
    n_cells: Positive
    n_images: Positive
    """Images per seed."""
    chance: Fraction
    variance: Variance
    per_seed: tuple[Fraction, ...]
    per_factor: dict[Key, FactorScore]
    cells: tuple[tuple[Name, ...], ...]
    """Value names of every cell, in the order of ``Data.recombined``."""
    hits: Table
    """Images with every recombined factor right, per seed and cell."""
    counts: Table
    """Images per seed and cell, all at least 1."""
    blocks: Blocks | None = None
    """The same answers by matched block; None for data without blocks."""
    distinct: tuple[Count, ...] = ()
    """Rows of seeds that differ from every earlier one, where some are copies; empty when all do.
    Intervals are over these."""
    levels: Levels | None = None
    """What ignorance scores on these cells; None for a result from before it was computed."""
    lift: Annotated[float, Field(ge=-LARGEST_REAL, le=1.0)] | None = None
    """(estimate - floor) / (1 - floor), where the floor is the best of ``levels`` and chance: 0 is
    ignorance, 1 perfect, below 0 worse than ignorance. None without levels, or at a floor of 1."""
    lift_ci95: Interval | None = None
    """``ci95`` on the scale of ``lift``."""

    @property
    def floor(self) -> float | None:
        """Return what the lift is over: the best score of ignorance; None when not measured."""
        return None if self.levels is None else max(self.chance, self.levels.best)

    @property
    def above_matching(self) -> float | None:
        """Return (estimate - floor) / (1 - floor) over the floor of the matching alone."""
        found = None if self.levels is None else self.levels.matching
        return None if found is None or found >= 1 else (self.estimate - found) / (1 - found)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shape = (self.n_seeds, self.n_cells)
        for name, table in (("hits", self.hits), ("counts", self.counts)):
            if len(table) != shape[0] or any(len(row) != shape[1] for row in table):
                raise ValueError(f"{name} must have n_seeds x n_cells = {shape} entries")
        if len(self.cells) != self.n_cells or len(self.per_seed) != self.n_seeds:
            raise ValueError("cells and per_seed must have n_cells and n_seeds entries")
        rows = list(zip(self.hits, self.counts, strict=True))
        pairs = [pair for row in rows for pair in zip(*row, strict=True)]
        if any(count < 1 or hit > count for hit, count in pairs):
            raise ValueError("every cell needs 1 <= count and hits <= count")
        tables = [factor.per_cell for factor in self.per_factor.values() if factor.per_cell]
        if any(
            len(table) != shape[0] or {len(row) for row in table} != {shape[1]} for table in tables
        ):
            raise ValueError(f"per_cell must have n_seeds x n_cells = {shape} entries")
        if any(sum(row) != self.n_images for row in self.counts):
            raise ValueError("counts must add up to n_images for every seed")
        mean = sum(hit / count for hit, count in pairs) / len(pairs)
        if abs(mean - self.estimate) > 1e-9:
            raise ValueError(f"estimate {self.estimate} is not the mean {mean} of hits / counts")
        return self

    @model_validator(mode="after")
    def _added_consistent(self) -> Self:
        if self.blocks is not None:
            self._check_blocks(self.blocks)
        if any(row >= self.n_seeds for row in self.distinct) or list(self.distinct) != sorted(
            set(self.distinct)
        ):
            raise ValueError("distinct must name different rows of seeds, ascending")
        floor = self.floor
        if self.lift is not None and (
            floor is None or abs(self.estimate - floor - self.lift * (1 - floor)) > 1e-9
        ):
            raise ValueError(f"lift {self.lift} is not the estimate over the floor {floor}")
        if self.lift is not None and self.ci95 is not None and floor is not None:
            expected = [(end - floor) / (1 - floor) for end in self.ci95]
            given = self.lift_ci95 or (math.inf, math.inf)
            if any(abs(a - b) > 1e-9 for a, b in zip(expected, given, strict=True)):
                raise ValueError(f"lift_ci95 {self.lift_ci95} is not ci95 over the floor {floor}")
        return self

    def _check_blocks(self, blocks: Blocks) -> None:
        if [sum(row) for row in blocks.hits] != [sum(row) for row in self.hits]:
            raise ValueError("blocks must hold as many hits per seed as cells")
        if sum(blocks.counts) != self.n_images:
            raise ValueError("blocks must hold n_images images")
        pairs = [*zip(blocks.right, self.hits, strict=bool(blocks.right))]
        if blocks.images:
            pairs += [(blocks.images, row) for row in self.counts]
        if any(tuple(_digits(table).sum(axis=1).tolist()) != row for table, row in pairs):
            raise ValueError("images and right must add up to the counts and hits of every cell")


class Scores(Strict):
    """Scores of the two test splits."""

    id_test: Score
    """In-combination: combinations that training showed."""
    ooc_test: Score
    """Out-of-combination: combinations that training never showed."""


class Gap(Strict):
    """In-combination minus out-of-combination; positive means new combinations are harder."""

    estimate: Annotated[float, Field(ge=-1.0, le=1.0)]
    ci95: Interval | None
    ci_method: Text


class PairedGap(Strict):
    """The gap on exactly these cells, within blocks that share every nuisance.

    Seeds and blocks are drawn, cells are held fixed: it says whether *these* unseen combinations
    are harder, ``Gap`` whether unseen combinations are. Its counts stand in ``Score.blocks``.
    """

    estimate: Annotated[float, Field(ge=-1.0, le=1.0)]
    ci95: Interval | None
    ci_method: Text
    n_blocks: Positive
    """Blocks that both splits show."""


class WorstCells(Strict):
    """The low end of the out-of-combination cells."""

    quantile: Fraction
    estimate: Fraction
    """This quantile of the cells' accuracies (mean over seeds)."""
    cells: tuple[tuple[Name, ...], ...]
    """Cells at or below it, worst first."""


class ComputeCurve(Strict):
    """Accuracy against test-time compute, all from one run; an encoder has one point."""

    steps: tuple[Count, ...]
    """Search steps, ascending."""
    gflop_per_image: tuple[Gflop | None, ...]
    id: tuple[Fraction, ...]
    id_ci95: tuple[Interval | None, ...]
    ooc: tuple[Fraction, ...]
    ooc_ci95: tuple[Interval | None, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        lists = (self.gflop_per_image, self.id, self.id_ci95, self.ooc, self.ooc_ci95)
        if not self.steps or any(len(values) != len(self.steps) for values in lists):
            raise ValueError("every list of the curve needs one value per step count")
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError("steps must ascend")
        return self


class Latency(Strict):
    """Seconds per image at one batch size."""

    batch: Positive
    median: NonNegative
    p95: NonNegative


class Compute(Strict):
    """Cost of one answer; `Sources` says who measured it."""

    gflop_per_image: Gflop | None
    """1e9 floating-point operations, multiply-add = 2; None when they could not be counted."""
    uncounted_ops: dict[Name, Count]
    """Operators without a known count, and how often they ran."""
    seconds_per_image: tuple[Latency, ...]
    steps: Count
    """Search steps."""
    peak_rss_bytes: Count | None
    """Peak resident memory of the process that answered (VmHWM)."""
    params: Count
    """Numbers in the fitted method, shared storages counted once; 0 when it has no tensors."""
    cpu_seconds_per_image: NonNegative | None = None
    """CPU seconds per image of a whole run, all search steps included, when costs were measured."""
    seen_cpu_seconds_per_image: NonNegative | None = None
    """The same while the scored answers were given, as the harness saw it."""
    agrees: bool | None = None
    """Whether these two differ by less than a factor of 3, for every seed; None when not known."""


class Environment(Strict):
    """Where the numbers were made."""

    harness: Name
    python: Name
    torch: Name
    numpy: Name
    threads: Positive
    cpu: Text
    gpu: Text | None
    platform: Text


class Check(Strict):
    """A measured number against its limit."""

    value: NonNegative
    """Change of the slots of an image in standard deviations, 95th percentile over the images asked
    again; in results from before, relative to their length."""
    limit: NonNegative
    passed: bool
    largest: NonNegative | None = None
    """The greatest change of an image."""
    changed_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the images asked again that change by more than rounding can explain."""
    images: Count | None = None
    """Images asked again, the fewest of a seed."""


class Checks(Strict):
    """What the harness verified about the predictions; the worst seed counts."""

    finite: bool
    coverage_once: bool
    """Every image was answered exactly once."""
    batch_invariance: Check | None
    """The same image among other images."""
    repeatability: Check | None
    """The same batch again."""
    memory: Check | None = None
    """The same image in a twin of the process, forked before the first question."""
    independence: Literal["twin", "declared"] | None = None
    """Whether it was verified that no answer depends on earlier questions, or is only declared."""
    independence_why: Text = ""
    """Why it is only declared."""


Source = Literal["measured", "bounded", "self-reported", "unknown"]


class Sources(Strict):
    """Where the numbers come from that no label can check."""

    sandbox: Literal["none", "subprocess", "bubblewrap", "file"]
    """What stood between the submission and the machine; "file": answers from elsewhere."""
    figures: dict[Name, Source]
    """Measured: by the harness, out of the submission's reach. Bounded: reported from inside, and
    within what the harness saw. Self-reported: said by the submission or its author."""
