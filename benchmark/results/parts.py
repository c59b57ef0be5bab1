"""The parts of a result file, as strict models: unknown keys, NaN and infinity are refused."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

Fraction: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0.0)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Text: TypeAlias = Annotated[str, StringConstraints(max_length=2000)]
Name: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Slug: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
Interval: TypeAlias = tuple[float, float]
Scalar: TypeAlias = str | int | float | bool | None
Table: TypeAlias = tuple[tuple[Count, ...], ...]


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
    settings: dict[str, Scalar] = {}
    """The submission's settings, one level deep."""


class Track(Strict):
    """Which entries this one may be compared with."""

    data: Literal["scratch", "pretrained", "open"]
    supervision: Literal["unsupervised", "weak", "supervised"]
    test_compute: Literal["T1", "T10", "T100", "unbounded", "unknown"]
    """At most 3, 30, 300 times the reference encoder's operations per image, or more."""


class Data(Strict):
    """What was asked, down to the bytes."""

    dataset: Slug
    version: Name
    resolution: Positive
    """Image height and width in pixels."""
    root: Name
    """Merkle root over all images, hexadecimal."""
    certificate_sha256: Sha256
    n_train: Positive
    """Different in-combination training images that were served."""
    recombined: tuple[Name, ...]
    """The factors whose combinations the split recombines, in the order of ``Score.cells``."""
    renderer: dict[str, str] = {}
    """Versions of the programs that rendered the data."""
    recipe: dict[str, JsonValue] | None = None
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
    gflop: NonNegative | None = None
    configs_tried: Positive = 1
    selection: Selection


class Readout(Strict):
    """The readout, fitted on in-combination representations and then frozen."""

    kind: Literal["linear"]
    """Ridge for continuous and periodic factors, multinomial logistic for categorical ones."""
    n_train: Positive
    """Labelled in-combination training images used."""
    n_val: Positive
    """In-combination validation images used for regularisation and slot assignment."""
    slot_match: tuple[tuple[Count, ...], ...]
    """Per seed, the method's slot assigned to each scene slot."""
    regularisation: dict[str, tuple[float, ...]] = {}
    """Per factor and seed: the ridge penalty or the inverse penalty C of the logistic readout."""


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
    estimate: Annotated[float, Field(le=1.0)]
    """1 is perfect, 0 is chance; continuous factors can be negative."""
    ci95: Interval | None
    chance: float
    per_seed: tuple[float, ...]
    per_cell: tuple[tuple[float, ...], ...] = ()
    """Per seed and cell of the split, the cell's part: the mean of a row is the seed's score."""


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
    per_factor: dict[str, FactorScore]
    cells: tuple[tuple[Name, ...], ...]
    """Value names of every cell, in the order of ``Data.recombined``."""
    hits: Table
    """Images with every recombined factor right, per seed and cell."""
    counts: Table
    """Images per seed and cell, all at least 1."""

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
    """The gap on these cells, within blocks that share every nuisance.

    Seeds and blocks are resampled, cells are held fixed: it says whether *these* unseen
    combinations are harder, ``Gap`` whether unseen combinations are.
    """

    estimate: Annotated[float, Field(ge=-1.0, le=1.0)]
    ci95: Interval | None
    ci_method: Text
    n_blocks: Positive
    id_hits: Table
    """Per seed and block."""
    ooc_hits: Table
    """Per seed and block."""
    id_counts: tuple[Positive, ...]
    """In-combination images per block."""
    ooc_counts: tuple[Positive, ...]
    """Out-of-combination images per block."""


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
    gflop_per_image: tuple[NonNegative | None, ...]
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
    """Cost of one answer, measured by the harness."""

    gflop_per_image: NonNegative | None
    """1e9 floating-point operations, multiply-add = 2; None when they could not be counted."""
    uncounted_ops: dict[str, int]
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
    """Relative change of the slots of an image, 95th percentile over the repeated images."""
    limit: NonNegative
    passed: bool


class Checks(Strict):
    """What the harness verified about the predictions; the worst seed counts."""

    finite: bool
    coverage_once: bool
    """Every image was answered exactly once."""
    batch_invariance: Check | None
    """The same image among other images."""
    repeatability: Check | None
    """The same batch again."""


# Further parts of a result, beside the headline: strict models like the rest.

Source = Literal["measured", "bounded", "self-reported", "unknown"]


class Sources(Strict):
    """Where the numbers come from that no label can check."""

    sandbox: Literal["none", "subprocess", "bubblewrap", "file"]
    """What stood between the submission and the machine; "file": answers from elsewhere."""
    figures: dict[str, Source]
    """Measured: by the harness, out of the submission's reach. Bounded: reported from inside, and
    within what the harness saw. Self-reported: said by the submission or its author."""


class Estimate(Strict):
    """A mean over seeds and cells."""

    estimate: float
    ci95: Interval | None
    per_seed: tuple[float, ...]


class ReadoutScores(Strict):
    """Joint slot accuracy of one more readout."""

    kind: Literal["linear", "mlp"]
    labels: Positive
    """Labelled in-combination training images."""
    control: Literal["none", "permuted-labels", "oracle"]
    """Permuted labels: must score chance. Oracle: fitted on out-of-combination images as well,
    scored on others of them; an upper bound, never a result."""
    id_test: Estimate | None
    ooc_test: Estimate


class GapParts(Strict):
    """The gap, split by the oracle readout: gap = information lost + readout not transferring."""

    information_lost: Estimate
    """ID score minus the oracle readout's OOC score: what the slots do not hold."""
    readout_not_transferring: Estimate
    """Oracle readout's OOC score minus the OOC score: what a readout fitted on ID misses."""


class MatchingPart(Strict):
    """How exchangeable slots were matched to objects."""

    on: Literal["masks"]
    floors: dict[str, float]
    """Per factor, the score of knowing only which slot was matched (OOC, mean over seeds)."""


class Measure(Strict):
    """One more metric of one split."""

    metric: Name
    metric_version: Name
    direction: Literal["higher", "lower"]
    chance: float | None
    """What a method without information scores on these images."""
    estimate: float | None
    """Mean over seeds."""
    ci95: Interval | None = None
    per_seed: tuple[float | None, ...]
    n_images: Count
    """Images (or points) per seed behind it."""


class SplitMeasures(Strict):
    """Metrics of the two test splits, by name."""

    id_test: dict[str, Measure]
    ooc_test: dict[str, Measure]


class Bins(Strict):
    """Joint slot accuracy against a property of the images."""

    property: Literal["visible_share", "interaction_share"]
    """Least visible share of an object; energy of second order over that of first order."""
    edges: tuple[float, ...]
    """Ascending; bin i holds values in [edges[i], edges[i + 1]), the last one also its end."""
    id_hits: Table
    """Per seed and bin."""
    id_counts: tuple[Count, ...]
    ooc_hits: Table
    ooc_counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        bins = len(self.edges) - 1
        rows = [*self.id_hits, *self.ooc_hits, self.id_counts, self.ooc_counts]
        if bins < 1 or any(len(row) != bins for row in rows):
            raise ValueError("every row needs one number per bin")
        return self


class Further(Strict):
    """Everything beside the headline."""

    readouts: tuple[ReadoutScores, ...] = ()
    gap_parts: GapParts | None = None
    selectivity: Estimate | None = None
    """ID score minus that of the same readout fitted on permuted labels."""
    matching: MatchingPart | None = None
    masks: SplitMeasures | None = None
    sets: SplitMeasures | None = None
    identifiability: dict[str, Measure] | None = None
    """On ID-test and OOC-test together, which hold all combinations."""
    decoder: dict[str, Measure] | None = None
    """Of the method's decoder, read before any search step."""
    by_visibility: Bins | None = None
    by_interaction: Bins | None = None
