"""Further parts of a result, beside the headline: strict models like the rest."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from recombine.benchmark.results.parts import (
    Count,
    Estimate,
    Interval,
    Key,
    Name,
    Positive,
    Real,
    Strict,
    Table,
)


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
    floors: dict[Name, Real]
    """Per factor, the OOC score of knowing only which slot was matched: constants per slot, fitted
    on ID training images (mean over seeds). The floor of the headline is ``Levels.matching``."""
    id_floors: dict[Name, Real] = Field(default_factory=dict)
    """The same for the ID score."""


class Measure(Strict):
    """One more metric of one split."""

    metric: Name
    metric_version: Name
    direction: Literal["higher", "lower"]
    chance: Real | None
    """What a method without information scores on these images."""
    estimate: Real | None
    """Mean over seeds."""
    ci95: Interval | None = None
    per_seed: tuple[Real | None, ...]
    n_images: Count
    """Images (or points) per seed behind it."""


class SplitMeasures(Strict):
    """Metrics of the two test splits, by name."""

    id_test: dict[Key, Measure]
    ooc_test: dict[Key, Measure]


class Bins(Strict):
    """Joint slot accuracy against a property of the images."""

    property: Literal["visible_share", "interaction_share"]
    """Least visible share of an object; energy of second order over that of first order."""
    edges: tuple[Real, ...]
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


class SlotCollapse(Strict):
    """How many of its dimensions one slot uses: nothing that is better higher or lower.

    ``direction`` of these measures says where there is less collapse.
    """

    width: Positive
    """Numbers of the slot."""
    id_train: dict[Key, Measure]
    """On labelled training images, as the readout saw them."""
    id_test: dict[Key, Measure]


class Further(Strict):
    """Everything beside the headline."""

    readouts: tuple[ReadoutScores, ...] = ()
    gap_parts: GapParts | None = None
    selectivity: Estimate | None = None
    """ID score minus that of the same readout fitted on permuted labels."""
    matching: MatchingPart | None = None
    masks: SplitMeasures | None = None
    sets: SplitMeasures | None = None
    identifiability: dict[Key, Measure] | None = None
    """On ID-test and OOC-test together, which hold all combinations."""
    decoder: dict[Key, Measure] | None = None
    """Of the method's decoder, read before any search step."""
    by_visibility: Bins | None = None
    by_interaction: Bins | None = None
    collapse: dict[Key, SlotCollapse] | None = None
    """By slot of the scene; None in results that were written before it was measured."""

    @model_serializer(mode="wrap")
    def _as_written(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = rest(self)
        if self.collapse is None:  # files without it keep their id, which is their content's hash
            plain.pop("collapse", None)
        return plain
