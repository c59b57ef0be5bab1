"""Invariants of the images; each is a pure function of the evidence."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from recombine.renderer.certificate.check import Check, listed
from recombine.renderer.certificate.counting import (
    ID_TEST,
    ID_TRAIN,
    ID_VAL,
    OOC_TEST,
    OOC_VAL,
    by_cell,
    independent,
    joint,
    nearest,
    nuisance_vectors,
    rungs,
    total_variation,
)
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.certificate.membership import law
from recombine.renderer.core.types import Array
from recombine.renderer.splits.geometry import SPLITS

UNOCCLUDED = 0.95
EXPOSED_IMAGES = 8
OVERLAP = (0.1, 0.9)
TESTS = (ID_TEST, OOC_TEST)


def exposure(e: Evidence) -> Check:
    """7: every value of every recombined factor is seen unoccluded often enough."""
    # A value of an object needs that object visible, any other value some object.
    claim = f"every value has {EXPOSED_IMAGES} training images with its object {UNOCCLUDED} visible"
    weak, least = [], None
    for rung, rows in rungs(e):
        for f, (key, size) in enumerate(zip(e.schema.recombined, e.schema.cell_shape, strict=True)):
            clear = rows[_visible(e, key)[rows] >= UNOCCLUDED]
            counts = np.bincount(e.cells[clear, f], minlength=size)
            seen = e.cells[rows, f]  # what is never seen is the business of `coverage`
            least = counts.min() if least is None else min(least, counts.min())
            names = e.schema.factor(key).values
            weak += [
                f"rung {rung}: {key}={names[v]} unoccluded in {counts[v]} images"
                for v in np.flatnonzero((counts < EXPOSED_IMAGES) & np.isin(range(size), seen))
            ]
    return Check.from_claim("exposure", claim, not weak, listed(weak) or f"least: {least} images")


def _visible(e: Evidence, key: str) -> Array:
    slot = key.partition(".")[0]
    shares = e.columns["visible"].astype(float)
    if slot in e.schema.objects:
        return np.asarray(shares[:, e.schema.objects.index(slot)])
    return np.asarray(shares.max(axis=1, initial=0.0))


def separation(e: Evidence) -> Check:
    """8: equal pixels occur only where one block shows one scene twice, never across training."""
    # An edit may lead to a scene that the block shows anyway. Training and test images have no
    # nuisance vector in common.
    claim = "no two scenes have equal pixels; training and test share no nuisance vector"
    seen: dict[bytes, int] = {}
    equal, twins = [], 0
    for row, digest in enumerate(e.columns["pixel_hash"]):
        first = seen.setdefault(digest.tobytes(), row)
        if first == row:
            continue
        same_scene = np.array_equal(e.columns["spec_hash"][first], e.columns["spec_hash"][row])
        if same_scene and e.columns["block"][first] == e.columns["block"][row]:
            twins += 1
        else:
            pair = (e.columns["index"][first], e.columns["index"][row])
            equal.append(f"images {pair[0]} and {pair[1]} are equal")
    found = f"{len(seen)} distinct images" + (f", {twins} shown twice by edits" if twins else "")
    sides = {name: np.isin(e.columns["split"], codes) for name, codes in SIDES.items()}
    for (name, some), (other, others) in itertools.combinations(sides.items(), 2):
        near = nearest(e, some, others)
        if near is None:
            continue
        if near.chance < CHANCE:
            equal.append(
                f"{name} and {other} share a nuisance vector, or nearly: {near.gap:.1g} of the "
                "range apart"
            )
        if (name, other) == ("train", "test"):
            found += f"; nearest nuisances of train and test {near.gap:.3f} of the range"
    return Check.from_claim("separation", claim, not equal, listed(equal) or found)


SIDES = {"train": (ID_TRAIN,), "val": (ID_VAL, OOC_VAL), "test": TESTS}
"""Splits whose nuisances were drawn apart from the others'."""
CHANCE = 1e-6
"""Vectors that come closer than so rare a chance were not drawn apart."""


def blocks(e: Evidence) -> Check:
    """19: a block is one nuisance vector, of training, of validation or of the test parts."""
    # Paired differences and intervals resample blocks, so their numbers must say what they mean.
    claim = "images of a block, and no others, share a nuisance vector; no block is of two parts"
    vectors, names = nuisance_vectors(e), e.columns["block"]
    first = np.unique(vectors, return_index=True)[1]
    block_of = names[first][vectors]
    faults = [
        f"image {e.columns['index'][row]} of block {names[row]} has the nuisances of block "
        f"{block_of[row]}"
        for row in np.flatnonzero(block_of != names)
    ]
    # An edit may change a nuisance of its block; within an edit there is one vector.
    edits = [e.columns[f"latents/{k}"] for k in e.schema.crossed]
    scenes = joint([names, *edits])
    first = np.unique(scenes, return_index=True)[1]
    faults += [
        f"image {e.columns['index'][row]} of block {names[row]} has nuisances of its own"
        for row in np.flatnonzero(vectors[first][scenes] != vectors)
    ]
    homes = {name: np.unique(names[np.isin(e.columns["split"], c)]) for name, c in SIDES.items()}
    for (name, some), (other, others) in itertools.combinations(homes.items(), 2):
        faults += [f"block {b} is of {name} and of {other}" for b in np.intersect1d(some, others)]
    inside, outside = (np.unique(names[e.split(s)]) for s in TESTS)
    faults += [f"block {b} has one test part only" for b in np.setxor1d(inside, outside)]
    found = f"{sum(map(len, homes.values()))} blocks, {len(inside)} of them matched"
    return Check.from_claim("blocks", claim, not faults, listed(faults) or found)


def accounting(e: Evidence) -> Check:
    """9: every planned image was rendered; every cell of a split has its share of images."""
    # Cells of a split have equally many images per crossed value, or as many as the split's law
    # gives them; where blocks take some cells only, a cell may be one block ahead.
    claim = "every cell of a split has its share of images, and every rung equally many"
    found, uneven = [], []
    slack = 1 if e.config["sizes"].get("cells") else 0
    groups: list[tuple[str, int | str, Array]] = [
        (f"id_train rung {r}", r, rows) for r, rows in rungs(e)
    ]
    parts: tuple[tuple[int, int | str], ...] = (
        (ID_VAL, 0),
        (ID_TEST, 0),
        (OOC_TEST, "ooc"),
        (OOC_VAL, "ooc"),
    )
    groups += [(SPLITS[s], side, np.flatnonzero(e.split(s))) for s, side in parts]
    for name, side, rows in groups:
        if not len(rows):
            continue
        split = e.config["split"]
        sizes = {
            Fraction(len(r), law(cell, side, split)) for (cell, _), r in by_cell(e, rows).items()
        }
        found.append(f"{name}: {len(rows)}")
        if max(sizes) - min(sizes) > slack:
            uneven.append(f"{name}: {min(sizes)} to {max(sizes)} per cell")
    totals = {r: len(rows) for r, rows in rungs(e)}
    if len(set(totals.values())) > 1:
        uneven.append("images per rung: " + ", ".join(f"{r}: {n}" for r, n in totals.items()))
    first = np.unique(e.columns["block"], return_index=True)[1]
    drawn = int(e.columns["tries"][first].sum())
    found.append(f"{len(first)} of {drawn} placements kept")
    return Check.from_claim("accounting", claim, not uneven, listed(uneven) or ", ".join(found))


def nuisances(e: Evidence) -> Check:
    """10: nuisances tell nothing about the cell, and nothing about ID or OOC."""
    # In every part each recombined factor is exactly independent of the nuisance vector, and the
    # vectors of ID-test and OOC-test are the same, equally often.
    claim = "nuisance vectors are the same in ID-test and OOC-test, and independent of every factor"
    vectors = nuisance_vectors(e)
    shift = total_variation(vectors[e.split(ID_TEST)], vectors[e.split(OOC_TEST)])
    found = [f"ID-test against OOC-test: total variation {shift}"] if shift else []
    parts = [(f"id_train rung {r}", rows) for r, rows in rungs(e)]
    parts += [(SPLITS[s], np.flatnonzero(e.split(s))) for s in (ID_VAL, *TESTS, OOC_VAL)]
    for name, rows in parts:
        for f, key in enumerate(e.schema.recombined):
            if not independent(e.cells[rows, f], vectors[rows]):
                found.append(f"{name}: nuisances depend on {key}")
    n = len(set(e.columns["block"][np.isin(e.columns["split"], TESTS)].tolist()))
    sound = f"total variation 0 over {n} matched test blocks"
    return Check.from_claim("nuisances", claim, not found, listed(found) or sound)


def interaction(e: Evidence) -> Check:
    """11: where interaction was measured, ID-test and OOC-test interact alike."""
    # The figure is the chance that an OOC scene has more second-order energy than an ID scene: 0.5
    # where both are alike, near 0 or 1 where one side is harder for that reason alone. Where both
    # medians are within the noise there is nothing to compare.
    claim = "measured interaction between objects overlaps in ID-test and OOC-test"
    if not e.interaction:
        advice = "not measured; run `recombine measure interaction`"
        return Check("interaction", "not run", claim, advice)
    rows = e.interaction["index"].astype(np.int64)
    if rows.max(initial=0) >= len(e.columns["split"]):
        return Check.from_claim(
            "interaction", claim, False, "measures images that the dataset lacks"
        )
    energy, splits = e.interaction["energy"][:, 1], e.columns["split"][rows]
    inside, outside = energy[splits == ID_TEST], energy[splits == OOC_TEST]
    if not len(inside) or not len(outside):
        return Check("interaction", "not run", claim, "measured on one side only")
    above = _above(outside, inside)
    floor = float(np.median(e.interaction["floor"][:, 1]))
    middle = [float(np.median(side)) for side in (inside, outside)]
    found = f"second order: median {middle[0]:.2e} ID, {middle[1]:.2e} OOC, noise {floor:.2e}; "
    found += f"OOC above ID in {above:.0%} of {len(inside)} x {len(outside)} pairs"
    alike = OVERLAP[0] <= above <= OVERLAP[1] or max(middle) <= floor
    return Check.from_claim("interaction", claim, alike, found)


def _above(a: Array, b: Array) -> float:
    """Return the share of pairs in which a exceeds b, ties counted half."""
    difference: Any = a[:, None] - b[None, :]
    return float(np.mean(np.sign(difference)) / 2 + 0.5)
