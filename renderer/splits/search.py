"""Split geometries found by search: covering arrays and maximal compound divergence."""

from __future__ import annotations

import itertools

import numpy as np

from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.types import Array
from recombine.renderer.splits.cells import ATOM_ALPHA, COMPOUND_ALPHA, CellSet
from recombine.renderer.splits.geometry import Shape, Sides, geometry, refuse, rest_is_ooc
from recombine.renderer.splits.parameters import seed, share, whole

ATOM_LIMIT = 0.02


@geometry("covering-array", dial="strength", strength=whole())
def covering_array(shape: Shape, *, strength: int) -> Sides:
    """Train on few cells that together show every tuple of ``strength`` values."""
    # Greedy: the cell with most unseen tuples comes next, the first of equals. Guarantees full
    # t-way coverage, hence novelty above order t, with close to the fewest ID cells. Gives no
    # balance by itself.
    if not 1 <= strength < len(shape):
        expected = f"a strength in 1..{len(shape) - 1}"
        raise refuse("covering-array", expected, strength, "Use fewer factors per tuple.")
    cells = _grid(shape)
    codes = _tuple_codes(cells, shape, strength)
    unseen = [np.ones(int(c.max()) + 1, bool) for c in codes]
    chosen = []
    while any(u.any() for u in unseen):
        gain = np.sum([u[c] for u, c in zip(unseen, codes, strict=True)], axis=0)
        best = int(np.argmax(gain))
        chosen.append(tuple(cells[best].tolist()))
        for u, c in zip(unseen, codes, strict=True):
            u[c[best]] = False
    return rest_is_ooc("covering-array", CellSet.of(shape, chosen), "combinatorial testing, NIST")


@geometry("compound-divergence", dial="fraction", fraction=share, seed=seed, steps=whole(20_000))
def compound_divergence(
    shape: Shape, *, fraction: float, seed: int = 0, steps: int = 4000
) -> Sides:
    """Train on cells chosen so that pairs of values differ most at nearly equal single values."""
    # Hill climbing by exchange of one ID and one OOC cell: the compound divergence must not fall
    # while the atom divergence stays at or below 0.02. Guarantees that limit only; there is no
    # statement about support, and another seed finds another split.
    if not 0 < fraction < 1:
        raise refuse("compound-divergence", "a fraction between 0 and 1", fraction, "Use 0.5.")
    cells = _grid(shape)
    inside = np.arange(len(cells)) < round(fraction * len(cells))
    rng = keyed_rng("compound-divergence", str(seed), "search", 0)
    rng.shuffle(inside)
    if inside.all() or not inside.any():
        raise refuse("compound-divergence", "a cell on both sides", fraction, "Change the share.")
    atoms, inside = _climb(cells, shape, inside, rng, steps)
    if atoms > ATOM_LIMIT:
        raise refuse(
            "compound-divergence",
            f"an atom divergence of at most {ATOM_LIMIT} after {steps} steps",
            f"{atoms:.3f}",
            "Try more steps, another seed or a share nearer to 0.5.",
        )
    chosen = CellSet.of(shape, cells[inside].tolist())
    return rest_is_ooc("compound-divergence", chosen, "Keysers et al. 2020, arXiv 1912.09713")


def _climb(
    cells: Array, shape: Shape, inside: Array, rng: np.random.Generator, steps: int
) -> tuple[float, Array]:
    singles, pairs = _tuple_codes(cells, shape, 1), _tuple_codes(cells, shape, 2)
    rank = (-np.inf, -np.inf)
    for step in range(steps + 1):
        trial = inside.copy()
        if step:
            trial[rng.choice(np.flatnonzero(inside))] = False
            trial[rng.choice(np.flatnonzero(~inside))] = True
        atoms = _divergence(singles, trial, ATOM_ALPHA)
        # First come inside the limit, then widen the divergence of the pairs.
        new = (-max(atoms, ATOM_LIMIT), _divergence(pairs, trial, COMPOUND_ALPHA))
        if new >= rank:
            rank, inside = new, trial
    return _divergence(singles, inside, ATOM_ALPHA), inside


def _divergence(codes: list[Array], inside: Array, alpha: float) -> float:
    similar = []
    for code in codes:
        size = int(code.max()) + 1
        p = np.bincount(code[inside], minlength=size) / inside.sum()
        q = np.bincount(code[~inside], minlength=size) / (~inside).sum()
        similar.append(np.sum(p**alpha * q ** (1 - alpha)))
    return float(1 - np.mean(similar))


def _grid(shape: Shape) -> Array:
    return np.array(list(itertools.product(*map(range, shape))), np.int64)


def _tuple_codes(cells: Array, shape: Shape, order: int) -> list[Array]:
    choices = itertools.combinations(range(len(shape)), min(order, len(shape)))
    return [
        np.ravel_multi_index(tuple(cells[:, p] for p in chosen), tuple(shape[p] for p in chosen))
        for chosen in choices
    ]
