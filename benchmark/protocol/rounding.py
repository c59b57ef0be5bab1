"""How far the numbers of slots lie apart, and what rounding leaves of them.

A readout standardises every number, so it could read one that is a millionth of those beside it,
where a change between two answers cannot be told from their rounding. What is below that rounding
is therefore neither compared nor read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array

MOST = 2048
"""Images from which the spread is estimated."""
RARE = 0.02
"""Share of the images at either end whose values do not stretch the spread."""
HEARD = 1.0
"""Of what several rounding errors add up to; above it a number is read."""


def spread_of(
    slots: Float[Array, "images slots dim"], read: Int[Array, " n"] | None = None
) -> tuple[Float[Array, "slots dim"], Float[Array, "slots dim"]]:
    """Return the standard deviation of every number and what several rounding errors add up to.

    ``read`` are the rows on which readouts are fitted: numbers that lie closer together there are
    standardised by that, however far apart they lie elsewhere.
    """
    if read is not None and len(read) > 1:
        whole, among = spread_of(slots), spread_of(slots[read])
        closer = (among[0] > 0) & (among[0] < whole[0])
        return tuple(np.where(closer, b, a) for a, b in zip(whole, among, strict=True))  # type: ignore[return-value]
    few = slots[:: max(1, len(slots) // MOST)].astype(np.float64)
    plain = few.std(axis=0)
    # A few images with huge numbers would make every other difference look small.
    low, high = np.quantile(few, (RARE, 1 - RARE), axis=0)
    inner = np.clip(few, low, high).std(axis=0)
    spread = np.where(inner > 0, inner, plain)
    biggest = np.abs(np.clip(few, low, high)).max(axis=0)
    middle = np.median(spread[spread > 0]) if (spread > 0).any() else 0.0
    return spread, _rounding(slots) * np.maximum(biggest, middle)


def audible(
    slots: Float[Array, "images slots dim"], read: Int[Array, " n"] | None = None
) -> Float[Array, "images slots dim"]:
    """Return slots without the numbers that are below the rounding of those beside them."""
    spread, noise = spread_of(slots, read)
    lost = spread <= HEARD * noise
    if not (lost & (spread > 0)).any():
        return slots
    return np.where(lost, np.float32(0), slots)


def _rounding(slots: Float[Array, "images slots dim"]) -> float:
    """Return what several rounding errors add up to, relative to the number that is rounded."""
    # Answers in 16 bits are told by their digits: more cannot be hidden in the digits they lack.
    few = np.ascontiguousarray(slots[:MOST])
    if not (few.view(np.uint32) & 0xFFFF).any():
        return 4 * 2.0**-8
    with np.errstate(over="ignore"):
        half = few.astype(np.float16).astype(np.float32)
    return 4 * 2.0**-11 if np.array_equal(half, few) else 16 * 2.0**-24
