"""How right a readout is: per image, per factor.

Every factor score is 1 for a perfect readout and 0 for one that knows nothing, whatever the kind
of the factor. The headline asks for all recombined factors of an image at once. Squared errors
do not lead: a few images that land far away can reverse the verdict of a mean squared error
while the share of right answers rises.

Every score is a mean of ratios of sums over images, so an interval needs only sums per cell:
`contributions` gives each image's part of the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Factor


@dataclass(frozen=True)
class Metric:
    """What a reader of a number must know.

    Attributes
    ----------
    name, version : str
        Identity; a changed definition gets a new version.
    direction : {"higher", "lower"}
        What is better.
    low, high : float
        Range; ``-inf`` where there is no bound.
    chance : float
        Expected score of a readout that ignores the image; for ``joint_slot_accuracy`` it
        depends on the factors, see `joint_chance`.
    source : str
        Where the definition comes from.
    """

    name: str
    version: str
    direction: Literal["higher", "lower"]
    low: float
    high: float
    chance: float
    source: str


JOINT = Metric(  # 2.0: slots assigned on left-out cells, wider readout grids
    "joint_slot_accuracy", "2.0", "higher", 0.0, 1.0, 0.0,
    "share of images with every recombined factor right (arXiv 2512.08854 scores slots apart)",
)  # fmt: skip
CATEGORICAL = Metric(
    "balanced_accuracy_chance_corrected", "1.0", "higher", -1.0, 1.0, 0.0,
    "(balanced accuracy - 1/C) / (1 - 1/C); Guyon et al. 2015, ChaLearn AutoML, sec. 4.2 (BAC)",
)  # fmt: skip
CONTINUOUS = Metric(
    "one_minus_mse_over_reference_variance", "1.0", "higher", -np.inf, 1.0, 0.0,
    "1 - MSE / ((high - low)^2 / 12): R2 with the variance of the factor's range law held fixed, "
    "so that a split with less spread is not scored lower",
)  # fmt: skip
PERIODIC = Metric(
    "mean_cosine", "1.0", "higher", -1.0, 1.0, 0.0,
    "1 - mean(1 - cos(error)); Mardia and Jupp 2000, Directional Statistics, eq. 2.3.5",
)  # fmt: skip
FACTOR_METRICS = {"categorical": CATEGORICAL, "continuous": CONTINUOUS, "periodic": PERIODIC}


def joint_correct(
    predicted: Int[Array, "images factors"], true: Int[Array, "images factors"]
) -> Bool[Array, " images"]:
    """Return which images have every recombined factor right.

    Parameters
    ----------
    predicted, true : array
        ``(N, F)`` value codes.

    Returns
    -------
    array
        ``(N,)``; its mean is the joint slot accuracy: 1 perfect, `joint_chance` at chance.

    Raises
    ------
    InvalidInputError
        When the shapes differ; nothing is ever broadcast.
    """
    _same(predicted, true)
    return np.asarray((predicted == true).all(axis=1))


def joint_chance(factors: tuple[Factor, ...]) -> float:
    """Return the joint accuracy of guessing each factor uniformly.

    Parameters
    ----------
    factors : tuple of Factor
        The recombined factors.

    Returns
    -------
    float
        Product of 1 / number of values.
    """
    return float(np.prod([1 / len(factor.values) for factor in factors]))


def balanced_accuracy(
    predicted: Int[Array, " images"], true: Int[Array, " images"], classes: int
) -> float:
    """Return chance-corrected balanced accuracy.

    Parameters
    ----------
    predicted, true : array
        ``(N,)`` value codes.
    classes : int
        Number C of values the factor can take, at least 2; chance is 1/C even when a split shows
        fewer of them.

    Returns
    -------
    float
        1 perfect; 0 when each class is right as often as a guess; -1/(C-1) when always wrong.
    """
    _same(predicted, true)
    present = np.unique(true)
    recall = np.mean([np.mean(predicted[true == code] == code) for code in present])
    return float((recall - 1 / classes) / (1 - 1 / classes))


def fixed_variance_score(
    predicted: Float[Array, " images"], true: Float[Array, " images"], low: float, high: float
) -> float:
    """Return 1 - MSE / Var_ref, with Var_ref of a uniform law on [low, high].

    Parameters
    ----------
    predicted, true : array
        ``(N,)`` values in the factor's unit.
    low, high : float
        The factor's declared range, low < high.

    Returns
    -------
    float
        1 perfect; 0 for the constant middle of the range under the uniform law; no lower bound.
    """
    _same(predicted, true)
    return float(1 - np.mean((predicted - true) ** 2) / reference_variance(low, high))


def mean_cosine(predicted: Float[Array, " images"], true: Float[Array, " images"]) -> float:
    """Return the mean cosine of the angular error."""
    _same(predicted, true)
    return float(np.mean(np.cos(predicted - true)))


def reference_variance(low: float, high: float) -> float:
    """Return the variance of the uniform law on [low, high]."""
    return (high - low) ** 2 / 12


def contributions(
    factor: Factor, predicted: Shaped[Array, " images"], true: Shaped[Array, " images"]
) -> tuple[Float[Array, "images groups"], Float[Array, "images groups"]]:
    """Return each image's part of the sums behind a factor's score."""
    _same(predicted, true)
    if factor.kind == "categorical":
        classes = len(factor.values)
        weights = np.equal(true[:, None], np.arange(classes)[None, :]).astype(float)
        right = (predicted == true).astype(float)
        corrected = (right - 1 / classes) / (1 - 1 / classes)
        return weights * corrected[:, None], weights
    if factor.kind == "periodic":
        score = np.cos(predicted - true)
    else:
        score = 1 - (predicted - true) ** 2 / reference_variance(factor.low, factor.high)
    return score[:, None], np.ones((len(true), 1))


def _same(predicted: Array, true: Array) -> None:
    if predicted.shape != true.shape or len(true) == 0:
        raise InvalidInputError(
            f"metrics: predictions and truth must have one shape and be non-empty, got "
            f"{predicted.shape} and {true.shape}; nothing is broadcast"
        )
