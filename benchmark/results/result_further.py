"""Further parts of a result, beside the headline: strict models like the rest.

Every part is None where a method does not offer what it needs, or where the slower parts were not
asked for. Numbers that do not apply are None, never 0.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from recombine.benchmark.results.result_parts import Count, Interval, Name, Positive, Strict, Table

Source = Literal["measured", "bounded", "self-reported", "unknown"]


class Sources(Strict):
    """Who vouches for the numbers that no label can check."""

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
