"""Files that belong to a result: what it was computed from, and pictures of where it is wrong."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from recombine.benchmark.results.parts import (
    Count,
    Fraction,
    Name,
    Positive,
    Real,
    Scalar,
    Sha256,
    Strict,
    Text,
)

MAX_PICTURE = 100_000
MOST_IMAGES = 8
MAX_TRIED = 200
CURVE_POINTS = 60
MAX_CURVES = 200


class Prediction(Strict):
    """A predictions file."""

    seed: Count
    file: Name
    sha256: Sha256
    bytes: Positive


class Reading(Strict):
    """What the readout said about one recombined factor of one image."""

    factor: Name
    true: Name
    read: Name
    probability: Fraction
    """That the readout gives to the value it read."""


class Example(Strict):
    """One out-of-combination image."""

    index: Count
    """In the dataset."""
    readings: Annotated[tuple[Reading, ...], Field(min_length=1)]
    """In the order of ``Data.recombined``."""
    wrong_seeds: Count
    """Training seeds that got at least one recombined factor of it wrong."""

    @property
    def wrong(self) -> int:
        """Return how many factors were read wrong."""
        return sum(one.true != one.read for one in self.readings)


class Examples(Strict):
    """The worst images of one training seed, in a picture beside the result file.

    One row per image, one column for the image and one per decoding, square tiles.
    """

    file: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,120}\.examples\.png$")]
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1, le=MAX_PICTURE)]
    rule: Text
    """How the images were chosen."""
    seed: Count
    edge: Positive
    """Pixels of a tile."""
    steps: tuple[Count, ...]
    """Search steps before each decoding; empty where nothing was decoded."""
    images: Annotated[tuple[Example, ...], Field(min_length=1, max_length=MOST_IMAGES)]


class Tried(Strict):
    """One configuration that a training run compared on in-combination validation images."""

    seed: Count
    settings: dict[Name, Scalar]
    score: Real | None
    """The method's own selection score; higher is better."""


class TrainingCurve(Strict):
    """What one training run recorded of itself under one name, thinned.

    ``name`` is for example the stage's, for its training loss, or ``id-val``. Every point is the
    mean of neighbouring records, all of which count in one point.
    """

    seed: Count
    name: Name
    steps: Annotated[tuple[Count, ...], Field(min_length=1, max_length=CURVE_POINTS)]
    """Optimiser steps, not descending."""
    values: Annotated[tuple[Real, ...], Field(min_length=1, max_length=CURVE_POINTS)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.steps) != len(self.values) or list(self.steps) != sorted(self.steps):
            raise ValueError("a curve needs one value per step, and steps that do not descend")
        return self


class Artifacts(Strict):
    """Files from which the result can be recomputed, and what was kept of their making."""

    predictions: tuple[Prediction, ...]
    examples: Examples | None = None
    configurations: Annotated[tuple[Tried, ...], Field(max_length=MAX_TRIED)] = ()
    """The first ones that the training logs list; ``Training.configs_tried`` counts them all."""
    curves: Annotated[
        tuple[TrainingCurve, ...], Field(max_length=MAX_CURVES, exclude_if=lambda one: not one)
    ] = ()
    """Training curves, from the logs of runs that this harness made. Left out of a file that has
    none, so that the identity of files from before is that of their content still."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seeds = {one.seed for one in self.predictions}
        if self.examples is not None and self.examples.seed not in seeds:
            raise ValueError("examples must be of a seed that has predictions")
        if {one.seed for one in self.curves} - seeds:
            raise ValueError("curves must be of seeds that have predictions")
        return self
