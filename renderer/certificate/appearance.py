"""Invariants of what images show: labels against pixels, surroundings, statistics."""

from __future__ import annotations

import numpy as np

from recombine.renderer.certificate.check import Check, listed, required
from recombine.renderer.certificate.counting import ID_TEST, OOC_TEST
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.certificate.pixels import COMPARED, LABEL_COUNTS, STATISTICS
from recombine.renderer.core.types import Array
from recombine.renderer.splits.geometry import SPLITS

UNREAD = "pixels were not read"


def labels(e: Evidence) -> Check:
    """14: masks, visibility and depth agree with each other, and with where the latents say."""
    claim = "a mask has visible x amodal pixels, lies where its object stands, with depth there"
    if "measured/labels" not in e.columns:
        return Check("labels", "not run", claim, UNREAD)
    counts = {name: e.columns["measured/labels"][..., k] for k, name in enumerate(LABEL_COUNTS)}
    frame = int(e.config["settings"]["resolution"]) ** 2
    agree = _areas_agree(counts, e.columns["visible"], e.columns["amodal"], frame)
    wrong = {
        "has another area than visible x amodal": ~agree,
        "reaches beyond its amodal mask": counts["uncovered"] > 0,
        "lies where its object cannot be": counts["outside"] > 0,
        "has depth where its object cannot be": counts["beyond"] > 0,
        "has no finite depth": counts["depthless"] > 0,
        "has normals that are no unit vectors": counts["crooked"] > 0,
        "has boxes that are not around it": counts["unboxed"] > 0,
    }
    faults = [
        f"the mask of {e.schema.objects[k]} in image {e.columns['index'][row]} {what}"
        for what, where in wrong.items()
        for row, k in np.argwhere(where)
    ]
    found = f"{np.count_nonzero(counts['area'])} masks"
    return Check.from_claim("labels", claim, not faults, listed(faults) or found)


def _areas_agree(counts: dict[str, Array], visible: Array, amodal: Array, frame: int) -> Array:
    """Tell where the areas of two masks round to the stored shares."""
    area, full = counts["area"], counts["full"]
    shares = (area / np.maximum(full, 1), visible), (full / frame, amodal)
    agree: Array = np.logical_and(
        *(a.astype(np.float16) == b.astype(np.float16) for a, b in shares)
    )
    return agree


FOREIGN = {"offset": 8.0, "hole": 0.5}
"""An image with more is another's: levels of 255 away from objects; a share of its objects."""
SPARE = {"shift": 0.5, "grain": 0.5, "spike": 0.25, "hole": 0.02}
"""How far the mean over OOC-test may exceed `TIMES` that over ID-test: levels, or a share."""
TIMES = {"shift": 1, "grain": 1.4, "spike": 1, "hole": 3}
SPIKE = 96
"""A pixel that differs by so many levels, when its neighbours do not, stands alone."""
SAID = {
    "shift": "are brighter or darker by {1:+.2f} levels ({0:+.2f} in ID)",
    "grain": "differ in grain by {1:.2f} levels ({0:.2f} in ID)",
    "spike": "have a pixel that stands alone in {1:.0%} of images ({0:.0%} in ID)",
    "hole": "show background in {1:.1%} of their objects' masks ({0:.1%} in ID)",
}


def surroundings(e: Evidence) -> Check:
    """15: away from objects, test images of a block and surroundings are one picture."""
    # They have the same nuisances, light and noise. ID-test images among themselves tell how far
    # objects reach beyond their masks, by shadows and by bounces.
    claim = "away from objects, OOC-test images equal ID-test images of their block"
    if "measured/compared" not in e.columns:
        return Check("surroundings", "not run", claim, UNREAD)
    compared = {name: e.columns["measured/compared"][:, k] for k, name in enumerate(COMPARED)}
    faults, lines = [], []
    for name, words in SAID.items():
        values = compared[name] > SPIKE if name == "spike" else compared[name]
        told = ~np.isnan(compared[name])
        inside, outside = (values[e.split(s) & told] for s in (ID_TEST, OOC_TEST))
        if not len(outside):
            continue
        # An ID-test image may be alone in its surroundings: then there is nothing to compare.
        mine = float(inside.mean()) if len(inside) else 0.0
        others = float(outside.mean())
        lines.append(words.format(mine, others))
        if abs(others) > TIMES[name] * abs(mine) + SPARE[name]:
            faults.append(f"OOC-test images {lines[-1]}")
    for name, limit in FOREIGN.items():
        faults += [
            f"image {e.columns['index'][row]} of {SPLITS[int(e.columns['split'][row])]} shows "
            + ("other surroundings" if name == "offset" else "background where its objects are")
            for row in np.flatnonzero(np.nan_to_num(compared[name]) > limit)
        ]
    n = int(np.sum(~np.isnan(compared["shift"]) & e.split(OOC_TEST)))
    if not n:
        return Check("surroundings", "stated", claim, "no two images share block and surroundings")
    found = f"{n} of {int(e.split(OOC_TEST).sum())} OOC-test images compared: " + "; ".join(lines)
    # Where ID and OOC differ by declaration, in the number of objects say, so may their shadows.
    promised = required(e, "marginal_tv", 0) is not None
    return Check.from_claim(
        "surroundings", claim, not faults, listed(faults) or found, promised=promised
    )


SIZE = 0.1
"""Differences from this size on, in sd of the images of a block, are stated."""
GROSS = 1.5
"""Differences from this size on are no chance of the cells."""


def statistics(e: Evidence) -> Check:
    """16: what the statistics of images say about ID and OOC, within blocks."""
    # The single factors cancel, so what is left is what combinations look like: a chance of the
    # fixed cells, the same in every block, which more images do not shrink. Its standard error is
    # that of cells, after the single factors are taken out.
    claim = f"statistics of OOC-test and ID-test images of a block differ by less than {SIZE} sd"
    rows = np.flatnonzero(e.split(ID_TEST) | e.split(OOC_TEST))
    if "measured/statistics" not in e.columns:
        return Check("statistics", "not run", claim, UNREAD)
    values, blocks = e.columns["measured/statistics"][rows], e.columns["block"][rows]
    outside = e.split(OOC_TEST)[rows]
    gaps, centred = [], values.copy()
    for block in np.unique(blocks):
        here = blocks == block
        centred[here] -= values[here].mean(axis=0)
        if (here & outside).any() and (here & ~outside).any():
            gaps.append(values[here & outside].mean(axis=0) - values[here & ~outside].mean(axis=0))
    if not gaps:
        return Check("statistics", "not run", claim, "no block has images of both sides")
    gap, spread = np.mean(gaps, axis=0), centred.std(axis=0)
    size = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 1e-9)
    error = _error(e, rows, centred, outside)
    order = np.argsort(-np.abs(size), kind="stable")
    found = ", ".join(
        f"{STATISTICS[k]} {gap[k]:+.3g} ({size[k]:+.2f} sd{_chance(float(error[k]))})"
        for k in order
    )
    if np.abs(size).max() < SIZE:
        return Check("statistics", "pass", claim, found)
    promised = required(e, "marginal_tv", 0) is not None
    gross = promised and np.abs(size).max() >= GROSS
    return Check("statistics", "fail" if gross else "stated", claim, found)


def _chance(error: float) -> str:
    return "" if np.isnan(error) else f", chance of cells {error:.2g}"


def _error(e: Evidence, rows: Array, centred: Array, outside: Array) -> Array:
    """Return the standard error of each difference over cells, single factors taken out."""
    cells, place = np.unique(e.cells[rows], axis=0, return_inverse=True)
    place, n = place.reshape(-1), len(cells)
    totals = np.stack([np.bincount(place, column, n) for column in centred.T], axis=1)
    means = totals.astype(float) / np.bincount(place, minlength=n)[:, None]
    side = np.zeros(n)
    side[place[outside]] = 1.0
    shape = e.schema.cell_shape
    codes = np.zeros((n, sum(shape) + 1))
    offsets = np.cumsum((0, *shape[:-1]))
    np.put_along_axis(codes, (cells + offsets).astype(np.int64), 1.0, axis=1)
    codes[:, -1] = side
    fit, _, rank, _ = np.linalg.lstsq(codes, means, rcond=None)
    free = n - int(rank)
    if free < 1 or not 0 < side.sum() < n:
        return np.full(means.shape[1], np.nan)
    noise = ((means - codes @ fit) ** 2).sum(axis=0) / free
    return np.asarray(np.sqrt(noise * (1 / side.sum() + 1 / (n - side.sum()))))
