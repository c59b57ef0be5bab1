"""Does a code know the true factors: linear readouts with frozen statistics.

Every statistic is fitted on one set, in-combination, and applied frozen to another. A scaler
that is fitted anew on the scored set would hide any drift of the representation, and a variance
taken from it would invent a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import Ridge

from recombine.benchmark.metrics.base import Metric
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.renderer.core.types import Array

LINEAR_R2 = Metric(
    "linear_r2", "1.0", "higher", -np.inf, 1.0, 0.0,
    "1 - MSE / reference variance of ridge regression on standardised codes, all frozen from the "
    "fitting set; informativeness of Eastwood and Williams 2018 with a fixed variance",
)  # fmt: skip


@dataclass(frozen=True)
class Codes:
    """Codes and true factors of the same images.

    Attributes
    ----------
    codes : array
        ``(N, D)``.
    factors : array
        ``(N, F)`` continuous; give a periodic factor as its cosine and sine.
    """

    codes: Float[Array, "images dim"]
    factors: Float[Array, "images factors"]

    def __post_init__(self) -> None:
        """Check that both are matrices over the same images."""
        shapes = self.codes.shape, self.factors.shape
        if self.codes.ndim != 2 or self.factors.ndim != 2 or shapes[0][0] != shapes[1][0]:
            raise InvalidInputError(
                f"Codes: two matrices over the same images are needed, got {shapes}"
            )


@dataclass(frozen=True)
class Standardiser:
    """Mean and spread of a fitting set, frozen.

    Attributes
    ----------
    mean, scale : array
        ``(D,)``; constant dimensions have scale 1.
    """

    mean: Float[Array, " dim"]
    scale: Float[Array, " dim"]

    def __call__(self, values: Float[Array, "images dim"]) -> Float[Array, "images dim"]:
        """Return values in units of the fitting set."""
        return (values - self.mean) / self.scale


def standardiser(values: Float[Array, "images dim"]) -> Standardiser:
    """Fit mean and standard deviation of every dimension."""
    scale = values.std(axis=0)
    # A constant of large size has a spread of rounding errors, not of zero.
    flat = scale <= 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-30)
    return Standardiser(values.mean(axis=0), np.where(flat, 1.0, scale))


def linear_r2(
    fit: Codes, scored: Codes, variance: Float[Array, " factors"], *, alpha: float = 1.0
) -> Float[Array, " factors"]:
    """Return how well a linear readout of the codes predicts every factor.

    Parameters
    ----------
    fit : Codes
        In-combination images: scaler and readout are fitted here.
    scored : Codes
        Other images, in- or out-of-combination.
    variance : array
        ``(F,)`` reference variance of every factor, the same for every split.
    alpha : float
        Ridge penalty on standardised codes.

    Returns
    -------
    array
        ``(F,)``: 1 perfect, 0 the constant mean, no lower bound.
    """
    scale = standardiser(fit.codes)
    model = Ridge(alpha=alpha).fit(scale(fit.codes), fit.factors)
    predicted = model.predict(scale(scored.codes)).reshape(scored.factors.shape)
    error: Array = np.mean((predicted - scored.factors) ** 2, axis=0)
    return 1 - error / variance
