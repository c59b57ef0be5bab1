"""Bands for two continuous latents whose marginals are exactly uniform in ID and in OOC.

Latents are in [0, 1) and drawn on a lattice of cell centres so fine (2**-32) that the rounding
of floats never decides on which side a pair lies. The same code on a coarse lattice can be
enumerated, which is how the tests prove that the marginals are uniform.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.factors import Factor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

LATTICE = 2**32


@dataclass(frozen=True)
class Band:
    """Pairs whose second latent is the first plus a uniform step, folded back into range.

    For every first value the steps ``low..high`` are equally likely. Reflection at the ends (steps
    symmetric about 0) and rotation both leave the uniform law unchanged, so both marginals are
    exactly uniform on the lattice.
    """

    lattice: int  # number K of lattice cells of each latent
    low: int  # smallest and largest step, in lattice cells; ``high - low < K``
    high: int  # smallest and largest step, in lattice cells; ``high - low < K``
    reflects: bool  # true folds by reflection at the ends, False by rotation (``mod K``)

    def __post_init__(self) -> None:
        fits = 0 <= self.high - self.low < self.lattice and abs(self.high) < self.lattice
        if not fits or (self.reflects and self.low != -self.high):
            raise InvalidInputError(
                f"Band: steps must be in order, inside the range and symmetric when reflected; got "
                f"{self.low}..{self.high} on {self.lattice} cells. Choose another width."
            )

    def fold(self, steps: Int64[Array, " n"]) -> Int64[Array, " n"]:
        """Return positions brought back to 0..K-1 by reflection or rotation."""
        if not self.reflects:
            return np.asarray(steps % self.lattice)
        around = steps % (2 * self.lattice)
        return np.asarray(np.minimum(around, 2 * self.lattice - 1 - around))

    def sample(self, rng: np.random.Generator, n: int) -> Float64[Array, "n 2"]:
        """Draw pairs in [0, 1)."""
        first = rng.integers(0, self.lattice, n, dtype=np.int64)
        steps = rng.integers(self.low, self.high, n, dtype=np.int64, endpoint=True)
        pairs = np.stack([first, self.fold(first + steps)], axis=1)
        return np.asarray((pairs + 0.5) / self.lattice)

    def contains(self, z1: Float64[Array, " n"], z2: Float64[Array, " n"]) -> Bool[Array, " n"]:
        """Return which pairs the band can produce, exact on lattice cells."""
        z1, z2 = np.asarray(z1, float), np.asarray(z2, float)
        inside = (z1 >= 0) & (z1 < 1) & (z2 >= 0) & (z2 < 1)
        i, j = (np.floor(np.where(inside, z, 0) * self.lattice).astype(np.int64) for z in (z1, z2))
        if self.reflects:
            return np.asarray(inside & (np.abs(j - i) <= self.high))
        return np.asarray(inside & ((j - i - self.low) % self.lattice <= self.high - self.low))

    def law(self) -> dict[tuple[int, int], Fraction]:
        """Return the exact probability of every pair of lattice cells; for coarse lattices."""
        if self.lattice > 1024:
            raise InvalidInputError(
                f"Band.law: expected a lattice of at most 1024 cells; got {self.lattice}. "
                "Use a coarse band to enumerate."
            )
        steps = np.arange(self.low, self.high + 1)
        pairs = Counter((i, j) for i in range(self.lattice) for j in self.fold(i + steps).tolist())
        return {p: Fraction(n, self.lattice * len(steps)) for p, n in pairs.items()}


@dataclass(frozen=True)
class ContinuousGeometry:
    """The ID and the OOC band of two continuous latents."""

    name: str  # key in `CONTINUOUS`
    id_band: Band  # disjoint supports with uniform marginals
    ooc_band: Band  # disjoint supports with uniform marginals
    source: str  # where the geometry was published


def reflected_band(
    width: float, *, beyond: float | None = None, lattice: int = LATTICE
) -> ContinuousGeometry:
    """Return the band of two non-periodic latents."""
    # ID is ``z2 = reflect(z1 + u)`` with u uniform in [-width, width], a convex band around the
    # diagonal. OOC is ``z2 = (z1 + s) mod 1`` with s uniform in (beyond, 1 - beyond). Both have
    # exactly uniform marginals and the supports are disjoint. Not tested are the two corners ``|z2
    # - z1| >= 1 - beyond``. Uniform marginals rest on this law: cells of the ID support taken with
    # equal weight would over-represent the middle.
    inner, outer = _steps("reflected-band", width, beyond, lattice)
    return ContinuousGeometry(
        "reflected-band",
        Band(lattice, -inner, inner, reflects=True),
        Band(lattice, outer + 1, lattice - outer - 1, reflects=False),
        "orbit design for non-periodic latents",
    )


def torus_band(
    width: float, *, beyond: float | None = None, lattice: int = LATTICE
) -> ContinuousGeometry:
    """Return the band of two periodic latents."""
    # ID is ``z2 = (z1 + u) mod 1`` with u uniform in [-width, width], OOC the same with the
    # remaining turns. Both are connected and have exactly uniform marginals.
    inner, outer = _steps("torus-band", width, beyond, lattice)
    return ContinuousGeometry(
        "torus-band",
        Band(lattice, -inner, inner, reflects=False),
        Band(lattice, outer + 1, lattice - outer - 1, reflects=False),
        "orbit design for periodic latents",
    )


CONTINUOUS = {"reflected-band": reflected_band, "torus-band": torus_band}


def to_factor(factor: Factor, z: Float64[Array, " n"]) -> Float64[Array, " n"]:
    """Return latents in [0, 1) in the unit of a continuous or periodic factor."""
    if factor.kind == "categorical":
        raise InvalidInputError(
            f"continuous band: expected a continuous or periodic factor; got {factor.name!r}, "
            "which is categorical. Use a geometry of cells instead."
        )
    low, high = factor.bounds
    return low + np.asarray(z, float) * (high - low)


def _steps(name: str, width: float, beyond: float | None, lattice: int) -> tuple[int, int]:
    outer = width if beyond is None else beyond
    # A NaN fails the comparison.
    if not 0 < width <= outer < 0.5 or 2 * round(outer * lattice) + 1 >= lattice:
        raise InvalidInputError(
            f"geometry {name!r}: expected 0 < width <= beyond < 1/2 that leave room for OOC; got "
            f"width {width} and beyond {outer}. Narrow the band."
        )
    return round(width * lattice), round(outer * lattice)
