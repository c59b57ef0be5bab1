"""The additivity of edits for scored methods, from their stored predictions."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.additivity import Additivity, additivity
from recombine.benchmark.metrics.identifiability import standardiser
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.measure.influence import EDIT, choose_pairs
from recombine.renderer.splits.geometry import SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float, Int

    from recombine.renderer.core.types import Array
    from recombine.renderer.planning.plan import Plan

    # Representations of images by number.
    Represent = Callable[[Int[Array, " n"]], Float[Array, "n ..."]]


def additivity_of_edits(represent: Represent, plan: Plan) -> dict[str, Additivity]:
    """Return how far every kind of edit is one vector, for any trained encoder.

    Parameters
    ----------
    represent : callable
        From numbers of images ``(n,)`` to representations ``(n, ...)``; slots are laid side by
        side. Every column is divided by its standard deviation over the ID pairs, as a readout
        would, and constant ones are left as they are.
    plan : Plan
        Of data with pairs of scenes that differ in one thing, such as the preset
        ``counterfactual``; see `recombine.renderer.measure.influence.find_pairs`.

    Returns
    -------
    dict of str to Additivity
        By kind: ``object0`` (another shape), ``without-object0``, ``background``, ``light``, ...
        An edit is one change of values, such as one environment in place of another one; its
        contexts are all else in the scene, the object's own pose among it.

    Raises
    ------
    InvalidInputError
        When the data have no such pairs, or the representations are not finite.
    """
    pairs = choose_pairs(plan, 0)
    first, second = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    before, after = (
        np.asarray(represent(one), np.float64).reshape(len(pairs), -1) for one in (first, second)
    )
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise InvalidInputError("additivity: expected finite representations; got NaN or infinity")
    ooc = SPLITS.index("ooc_test")
    outside = (plan.split[first] == ooc) | (plan.split[second] == ooc)
    seen = np.concatenate([before[~outside], after[~outside]])
    deltas = after - before
    if len(seen):
        deltas = deltas / standardiser(seen).scale
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for number, (_, _, kind) in enumerate(pairs):
        rows[kind].append(number)
    numbers = _edit_numbers(plan, first, second)
    return {
        kind: additivity(deltas[some], numbers[some], outside[some])
        for kind, some in sorted(rows.items())
    }


def mean_over_runs(found: Sequence[dict[str, Additivity]]) -> dict[str, dict[str, float | None]]:
    """Return every number as its mean over seeds."""
    names = ("inside", "outside", "across", "inside_chance", "outside_chance", "across_chance")
    out: dict[str, dict[str, float | None]] = {}
    for kind, one in found[0].items():
        values = {name: [getattr(run[kind], name) for run in found] for name in names}
        out[kind] = {
            name: None if None in some else float(np.mean(some)) for name, some in values.items()
        } | {"edits": one.edits, "contexts": one.contexts}
    return out


def _edit_numbers(
    plan: Plan, first: Int[Array, " pairs"], second: Int[Array, " pairs"]
) -> Int[Array, " pairs"]:
    """Return a number per change of values; equal changes share it."""
    changed = []
    for key, values in plan.latents.items():
        if key == EDIT:
            continue
        old, new = values[first], values[second]
        codes = np.unique(np.concatenate([old, new]), return_inverse=True)[1].reshape(2, -1)
        size = codes.max() + 1
        changed.append(np.where(codes[0] == codes[1], -1, codes[0] * size + codes[1]))
        # What is removed is part of the edit, not of its context.
        name, _, factor = key.partition(".")
        gone = plan.latents.get(f"{name}.present")
        if factor == "shape" and gone is not None:
            changed.append(np.where(gone[first] != gone[second], codes[0], -1))
    rows = np.stack(changed, axis=1)
    number: Array = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return number
