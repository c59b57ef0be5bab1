"""Counterfactual pairs: two scenes that differ in one thing, and the pixels that it influences.

Both pictures are drawn with one Cycles seed, in linear radiance, without denoising. A path that
the change does not touch is then the same to the last bit, so a pixel that is equal in both is
not influenced by any of its paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.scene import Scene

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

    from recombine.renderer.planning.plan import Plan

EDIT = "scene.edit"
"""The key of the schema that says what was edited, code 0 being the unedited scene."""


def influence_mask(
    a: Float[Array, "H W C"], b: Float[Array, "H W C"], *, threshold: float = 0.0
) -> Bool[Array, "H W"]:
    """Return the pixels that a change influences.

    Parameters
    ----------
    a, b : float array of shape (H, W, C)
        Linear radiance before and after, from one seed and undenoised; or both in display
        units, for what can be seen of the influence.
    threshold : float
        Least difference that counts, in the arrays' unit; 0 counts every difference, which is
        exact: equal pixels are equal to the last bit.

    Returns
    -------
    bool array of shape (H, W)
        True where any channel differs by more than the threshold.

    Raises
    ------
    InvalidInputError
        When the shapes differ, or the threshold is negative.
    """
    if a.shape != b.shape or not threshold >= 0:
        raise InvalidInputError(
            f"influence_mask: expected two pictures of one shape and a threshold >= 0; got "
            f"{a.shape}, {b.shape} and {threshold}. Draw both with the same settings."
        )
    difference = np.abs(np.asarray(a, np.float64) - b).max(-1)
    return np.asarray(difference > threshold)


def edit_between(a: Scene, b: Scene) -> str | None:
    """Name the one thing in which two scenes differ.

    Parameters
    ----------
    a, b : Scene
        Two scenes.

    Returns
    -------
    str or None
        ``"objectK"`` (changed in any way), ``"without-objectK"`` (only in one of them),
        ``"background"``, ``"light"`` or ``"interaction"``; None when nothing differs, several
        things do, or the seeds do.
    """
    if a.cycles_seed != b.cycles_seed or len(a.objects) != len(b.objects):
        return None
    found = []
    for k, (one, other) in enumerate(zip(a.objects, b.objects, strict=True)):
        if one != other:
            found.append(f"object{k}" if one and other else f"without-object{k}")
    if a.environment != b.environment:
        found.append("background")
    if (a.light, a.sun_azimuth) != (b.light, b.sun_azimuth):
        found.append("light")
    if a.interaction != b.interaction:
        found.append("interaction")
    return found[0] if len(found) == 1 else None


def find_pairs(plan: Plan, indices: Int64[Array, " n"]) -> list[tuple[int, int, str]]:
    """Pair every image with the nearest image before it that differs in one thing.

    Where the dataset has edits of base scenes, only an unedited scene can come first in a pair.

    Parameters
    ----------
    plan : Plan
        Plan of the dataset.
    indices : int64 array of shape (n,)
        Sorted images to pair among one another; pairs never leave a matched block.

    Returns
    -------
    list of (int, int, str)
        First image, second image, and the edit between them; sorted by the second.
    """
    edits = plan.latents.get(EDIT)
    pairs = []
    for block in np.unique(plan.block[indices]):
        before: list[tuple[int, Scene]] = []
        for index in indices[plan.block[indices] == block].tolist():
            scene = plan.scene(index)
            is_base = edits is None or edits[index] == 0
            if edits is None or not is_base:
                pairs += _nearest(before, index, scene)
            if is_base:
                before.append((index, scene))
    return sorted(pairs, key=lambda pair: pair[1])


def _nearest(
    before: list[tuple[int, Scene]], index: int, scene: Scene
) -> list[tuple[int, int, str]]:
    for other, base in reversed(before):
        edit = edit_between(base, scene)
        if edit is not None:
            return [(other, index, edit)]
    return []
