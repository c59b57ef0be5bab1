"""From the interaction of scenes to that of a dataset."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Bool

CLEAR = 3.0
"""Standard errors above 0 from which an energy counts as measured."""


def summary(arrays: Mapping[str, Array], groups: Mapping[str, Bool[Array, " n"]]) -> dict[str, Any]:
    """Return the interaction of groups of scenes as plain data.

    Parameters
    ----------
    arrays : mapping of str to array
        Rows as in ``interaction.h5``.
    groups : mapping of str to bool array of shape (n,)
        Which rows belong to which group; empty groups are left out.

    Returns
    -------
    dict
        ``{"scenes", "all": GROUP, "groups": {name: GROUP}, "contrasts": {name: CONTRAST}}``; see
        `group`. A contrast is the relative second-order energy of a group less that of the one
        before it: ``difference``, ``se`` over Monte-Carlo noise, ``spread`` over scenes.
    """
    everything = np.ones(len(arrays["index"]), bool)
    found = {name: group(arrays, rows) for name, rows in groups.items() if rows.any()}
    return {
        "scenes": len(everything),
        "all": group(arrays, everything),
        "groups": found,
        "contrasts": {
            f"{b} - {a}": _contrast(found[a], found[b])
            for a, b in itertools.pairwise(found)
            if a.split()[0] == b.split()[0] or a == "id_test"
        },
    }


def _contrast(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, float]:
    noise, spread = (math.hypot(a[k][0], b[k][0]) for k in ("relative_se", "relative_spread"))
    return {"difference": b["relative"][0] - a["relative"][0], "se": noise, "spread": spread}


def group(arrays: Mapping[str, Array], rows: Bool[Array, " n"]) -> dict[str, Any]:
    """Return the interaction of one group of scenes.

    Parameters
    ----------
    arrays : mapping of str to array
        Rows as in ``interaction.h5``.
    rows : bool array of shape (n,)
        The group, not empty.

    Returns
    -------
    dict
        ``energy`` (radiance squared, mean over scenes) of order 1, 2, 3; ``relative``,
        ``relative_se`` and ``relative_floor``: energies of order 2 and 3 over that of order 1
        (ratio of means), their standard error over Monte-Carlo noise, and what noise alone
        would add to the energy of the mean map; ``relative_spread``: the standard error of
        the ratio over scenes (jackknife), for comparing groups; ``verdict`` on each of the two:
        "no such order" (too few objects), "zero" (every pixel exactly 0), "at the floor"
        (within 3 standard errors of 0) or "measured"; means of ``share``, ``share_floor``,
        ``zero`` and ``outside``.
    """
    n = int(rows.sum())
    energy, floor = arrays["energy"][rows], arrays["floor"][rows]
    error = np.sqrt((arrays["energy_se"][rows] ** 2).sum(0)) / n
    mean = energy.mean(0)
    first = mean[0] if mean[0] > 0 else math.inf
    verdicts = [
        _verdict(mean[n], error[n], floor[:, n].max(), bool((arrays["objects"][rows] > n).any()))
        for n in (1, 2)
    ]
    means = {k: float(arrays[k][rows].mean()) for k in ("share", "share_floor", "zero", "outside")}
    return {
        "scenes": n,
        "energy": mean.tolist(),
        "relative": (mean[1:] / first).tolist(),
        "relative_se": (error[1:] / first).tolist(),
        "relative_floor": (floor.mean(0)[1:] / first).tolist(),
        "relative_spread": _jackknife(energy).tolist(),
        "verdict": verdicts,
        **means,
    }


def _jackknife(energy: Array) -> Array:
    """Return the standard error over scenes of the ratios of order 2 and 3 to order 1."""
    n = len(energy)
    if n < 2:
        return np.zeros(2)
    without = energy.sum(0) - energy
    ratio = without[:, 1:] / np.maximum(without[:, :1], np.finfo(float).tiny)
    return np.asarray(np.sqrt((n - 1) / n * ((ratio - ratio.mean(0)) ** 2).sum(0)))


def _verdict(energy: float, error: float, floor: float, exists: bool) -> str:
    if not exists:
        return "no such order"
    if energy == error == floor == 0:
        return "zero"
    return "measured" if energy > CLEAR * error else "at the floor"
