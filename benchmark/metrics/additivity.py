"""Is an edit the same vector in every context: a test of linear representation.

For one edit, such as another shape in one slot, and contexts c (all else in the scene), the
difference of a representation h is ``D(c) = h(edited) - h(base)``. Where h adds up what the slots
hold, D(c) does not depend on c. That is what a readout fitted in some contexts needs in others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from recombine.renderer.core.types import Array

DRAWS = 20
"""Permutations of the edits behind a chance level."""
LEAST = 2
"""Contexts that an edit needs on one side; with one, its difference is its mean."""


@dataclass(frozen=True)
class Additivity:
    """How far edits are one vector each; means over edits, None where no edit has the contexts.

    Attributes
    ----------
    inside, outside : float, optional
        `consistency` over in-combination and over out-of-combination contexts.
    across : float, optional
        `agreement` of the edit's mean vector in one with that in the other.
    inside_chance, outside_chance, across_chance : float, optional
        The same with the edits permuted among all pairs: what any edit of the kind has in common,
        and, for the first two, the 1/n that n contexts give by themselves.
    edits, contexts : int
        Different edits, and pairs of images in all.
    """

    inside: float | None
    outside: float | None
    across: float | None
    inside_chance: float | None
    outside_chance: float | None
    across_chance: float | None
    edits: int
    contexts: int


def consistency(deltas: Float[Array, "contexts dim"]) -> float | None:
    """Return the share of an edit's squared length that its mean vector explains.

    Parameters
    ----------
    deltas : array
        ``(C, D)`` differences of one edit in C contexts.

    Returns
    -------
    float or None
        ``|mean_c D|^2 / mean_c |D|^2``: 1 when the edit is one vector, about 1/C when its
        differences are unrelated. None when nothing changes in any context, or without contexts.
        It does not change when the representation is shifted, scaled or rotated.
    """
    size = float(np.mean(np.sum(deltas**2, axis=1))) if len(deltas) else 0.0
    return float(np.sum(deltas.mean(axis=0) ** 2)) / size if size > 0 else None


def agreement(
    first: Float[Array, "contexts dim"], second: Float[Array, "others dim"]
) -> float | None:
    """Return how far an edit's mean vector in some contexts is that in others.

    Parameters
    ----------
    first, second : array
        ``(C, D)`` and ``(E, D)`` differences of one edit in two sets of contexts.

    Returns
    -------
    float or None
        ``<mean D, mean D'> / sqrt(mean |D|^2 mean |D'|^2)``, in [-1, 1]: 1 when the edit is the
        same vector in all of both, 0 in expectation for unrelated differences, whatever the numbers
        of contexts. None when nothing changes in one of the two.
    """
    sizes = [float(np.mean(np.sum(one**2, axis=1))) if len(one) else 0.0 for one in (first, second)]
    if min(sizes) <= 0:
        return None
    return float(first.mean(axis=0) @ second.mean(axis=0)) / float(np.sqrt(sizes[0] * sizes[1]))


def additivity(
    deltas: Float[Array, "pairs dim"],
    edits: Int[Array, " pairs"],
    outside: Bool[Array, " pairs"],
    *,
    draws: int = DRAWS,
) -> Additivity:
    """Return how far edits of one kind are one vector each, in- and out-of-combination.

    Parameters
    ----------
    deltas : array
        ``(P, D)`` differences of pairs of images.
    edits : array
        ``(P,)`` number of the edit, such as "cube becomes cone".
    outside : array
        ``(P,)`` whether the pair shows a combination that training did not.
    draws : int
        Permutations behind the chance levels; edits are permuted within both kinds of contexts.

    Returns
    -------
    Additivity
        Means over edits that have at least two contexts on the side that is asked about.

    Raises
    ------
    InvalidInputError
        When the three do not belong to the same pairs, or there are none.
    """
    if len({len(deltas), len(edits), len(outside)}) != 1 or len(deltas) == 0:
        raise InvalidInputError(
            f"additivity: expected one edit and one side per pair; got {len(deltas)} differences, "
            f"{len(edits)} edits and {len(outside)} sides"
        )
    deltas = np.asarray(deltas, np.float64)
    found = _scores(deltas, edits, outside)
    rng = np.random.default_rng(0)
    by_chance = []
    for _ in range(draws):
        shuffled = edits.copy()
        for side in (outside, ~outside):
            shuffled[side] = rng.permutation(edits[side])
        by_chance.append(_scores(deltas, shuffled, outside))
    inside, across = _mean([one[0] for one in by_chance]), _mean([one[2] for one in by_chance])
    return Additivity(
        inside=found[0],
        outside=found[1],
        across=found[2],
        inside_chance=inside,
        outside_chance=_mean([one[1] for one in by_chance]),
        across_chance=across,
        edits=len(np.unique(edits)),
        contexts=len(deltas),
    )


def _scores(
    deltas: Array, edits: Array, outside: Array
) -> tuple[float | None, float | None, float | None]:
    """Return the means over edits: inside, outside and across."""
    inner, outer, both = [], [], []
    for edit in np.unique(edits):
        here, there = (deltas[(edits == edit) & side] for side in (~outside, outside))
        inner.append(consistency(here) if len(here) >= LEAST else None)
        outer.append(consistency(there) if len(there) >= LEAST else None)
        enough = min(len(here), len(there)) >= LEAST
        both.append(agreement(here, there) if enough else None)
    return _mean(inner), _mean(outer), _mean(both)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
