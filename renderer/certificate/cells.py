"""Invariants of the cells, 1 to 6 and 13; each is a pure function of the evidence."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np

from recombine.renderer.certificate.check import Check, listed, required
from recombine.renderer.certificate.counting import (
    HELD_OUT,
    ID_PARTS,
    ID_TEST,
    ID_VAL,
    OOC_TEST,
    cells_of,
    components,
    exchanges,
    largest_seen,
    rungs,
    seen_tuples,
    smallest_unseen,
    total_variation,
)
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.certificate.membership import RULES, combinations
from recombine.renderer.splits.geometry import SPLITS


def no_leak(e: Evidence) -> Check:
    """1: no image of ID-train, ID-val or ID-test shows a held-out combination."""
    # Held out is every combination that an image of OOC-test or OOC-val shows.
    claim = "no ID image shows a combination that is held out"
    held_out, cells = cells_of(e, np.isin(e.columns["split"], HELD_OUT)), e.cells
    for row in np.flatnonzero(np.isin(e.columns["split"], ID_PARTS)):
        cell = tuple(cells[row].tolist())
        if cell in held_out:
            names = " x ".join(e.schema.cell_names(cell))
            split = SPLITS[int(e.columns["split"][row])]
            found = f"image {e.columns['index'][row]} of {split} shows the held-out {names}"
            return Check.from_claim("no-leak", claim, False, found)
    found = f"{len(held_out)} held-out combinations, none in ID splits"
    return Check.from_claim("no-leak", claim, bool(held_out), found)


def closure(e: Evidence) -> Check:
    """2: with exchangeable objects exchanged, a held-out combination is still held out."""
    claim = "no ID image shows a held-out combination with its objects exchanged"
    swaps = exchanges(e)
    if not swaps:
        return Check.from_claim("closure", claim, True, "no exchangeable objects")
    seen = cells_of(e, np.isin(e.columns["split"], ID_PARTS))
    held_out = cells_of(e, np.isin(e.columns["split"], HELD_OUT))
    leaks = [
        f"{' x '.join(e.schema.cell_names(cell))} is held out, exchanged it is in ID"
        for swap in swaps
        for cell in sorted(held_out)
        if swap(cell) in seen
    ]
    promised = bool(required(e, "symmetric", True))
    found = listed(leaks) or f"{len(held_out)} combinations closed under {len(swaps)} exchange(s)"
    return Check.from_claim("closure", claim, not leaks, found, promised=promised)


def coverage(e: Evidence) -> Check:
    """3: every value of every recombined factor is seen in every rung of ID-train."""
    claim = "every value of every recombined factor is seen in training, at every rung"
    missing = []
    for rung, rows in rungs(e):
        for f, (key, size) in enumerate(zip(e.schema.recombined, e.schema.cell_shape, strict=True)):
            unseen = set(range(size)) - set(e.cells[rows, f].tolist())
            names = [e.schema.factor(key).values[v] for v in sorted(unseen)]
            missing += [f"rung {rung}: {key}={n} never seen" for n in names]
    promised = required(e, "coverage", 1) is not None
    found = listed(missing) or "coverage 1"
    return Check.from_claim("coverage", claim, not missing, found, promised=promised)


def balance(e: Evidence) -> Check:
    """4: single-factor marginals are exactly equal in ID-train, ID-test and OOC-test."""
    # Recombined and crossed factors are compared in all parts; derived ones, which depend on the
    # nuisances of a block, between the two matched parts.
    claim = "every recombined, crossed and derived factor has the same marginal in ID and OOC"
    worst, where = Fraction(0), "all factors"
    parts = {f"id_train rung {r}": rows for r, rows in rungs(e)}
    parts |= {SPLITS[s]: np.flatnonzero(e.split(s)) for s in (ID_VAL, ID_TEST)}
    reference = np.flatnonzero(e.split(OOC_TEST))
    everywhere = (*e.schema.recombined, *e.schema.crossed)
    for name, rows in parts.items():
        if not len(rows):
            continue
        for key in (*everywhere, *(e.schema.derived if name == SPLITS[ID_TEST] else ())):
            column = e.columns[f"latents/{key}"]
            shift = total_variation(column[rows], column[reference])
            if shift > worst:
                worst, where = shift, f"{key}, {name} against ooc_test"
    limit = required(e, "marginal_tv", 0)
    met = worst <= (Fraction(0) if limit is None else Fraction(str(limit)))
    found = f"worst total variation {worst} ({where})"
    return Check.from_claim("balance", claim, met, found, promised=limit is not None)


def novelty(e: Evidence) -> Check:
    """5: every OOC image is novel at the declared order, and exactly there."""
    strict = len(e.config["split"].get("factors") or e.schema.recombined)
    promised = required(e, "novelty", strict)
    order = promised or strict
    claim = f"every OOC cell is novel at order {order}, all smaller tuples are seen in training"
    orders: Counter[int] = Counter()
    distances: Counter[int] = Counter()
    ooc = Counter(tuple(c.tolist()) for c in e.cells[e.split(OOC_TEST)])
    for _, rows in rungs(e):
        seen = seen_tuples(e.cells[rows])
        for cell, images in ooc.items():
            orders[smallest_unseen(cell, seen)] += images
            distances[len(cell) - largest_seen(cell, seen)] += images
    found = ", ".join(f"order {k}: {v} images" for k, v in sorted(orders.items()))
    found += "; " + ", ".join(f"{v} at {k} from ID" for k, v in sorted(distances.items()))
    met = set(orders) == {order}
    known = 0 in orders  # an OOC cell that training shows is never a matter of declaration
    return Check.from_claim("novelty", claim, met, found, promised=known or promised is not None)


def additive_rank(e: Evidence) -> Check:
    """6: the ID cells are connected and identify an additive model (arXiv 2410.06303)."""
    claim = "ID cells are connected and of full additive rank, at every rung"
    shape, found, passed = e.schema.cell_shape, [], True
    full = sum(shape) - len(shape) + 1
    for rung, rows in rungs(e):
        cells = np.unique(e.cells[rows], axis=0)
        offsets = np.cumsum((0, *shape[:-1]))
        codes = np.zeros((len(cells), sum(shape)))
        np.put_along_axis(codes, (cells + offsets).astype(np.int64), 1, axis=1)
        rank, parts = int(np.linalg.matrix_rank(codes)), components(codes)
        passed &= rank == full and parts == 1
        found.append(f"rung {rung}: rank {rank}/{full}, {parts} component(s), {len(cells)} cells")
    promised = required(e, "rank", "full") or required(e, "connected", True)
    met = passed and bool(found)
    line = "; ".join(found)
    return Check.from_claim("additive-rank", claim, met, line, promised=bool(promised))


def stability(e: Evidence) -> Check:
    """13: which side a cell is on follows from the names of its values, not from their order."""
    claim = "membership is by value names: it outlives another order of the lists, and growth"
    split, keys = e.config["split"], e.schema.recombined
    if split["geometry"] not in RULES or "digest" in split:
        found = f"geometry {split['geometry']!r} is declared on the order of its lists"
        return Check("stability", "stated", claim, found)
    lists = [e.schema.factor(key).values for key in keys]
    # Each list grows by another number, or differences of places could stay what they were.
    changed = [
        (*(f"newcomer {n}" for n in range(2 * k + 1)), *reversed(v)) for k, v in enumerate(lists)
    ]
    sides: dict[int, int | str] = {ID_VAL: 0, ID_TEST: 0, OOC_TEST: "ooc"}
    parts = [(SPLITS[s], side, np.flatnonzero(e.split(s))) for s, side in sides.items()]
    parts += [("id_train", r, rows) for r, rows in rungs(e)]
    members: dict[int | str, set[tuple[str, ...]]] = {}
    faults, count = [], 0
    for side in dict.fromkeys(side for _, side, _ in parts):
        members[side] = combinations(split, keys, lists, side)
        again = combinations(split, keys, changed, side)
        old = {c for c in again if all(v in known for v, known in zip(c, lists, strict=True))}
        moved = sorted(members[side] ^ old)
        faults += [f"{' x '.join(names)} changes side when the lists do" for names in moved]
    for name, side, rows in parts:
        for cell in sorted(cells_of(e, rows)):
            names = e.schema.cell_names(cell)
            count += 1
            if names not in members[side]:
                faults.append(f"{name} shows {' x '.join(names)}, which its labels put elsewhere")
    found = listed(faults) or f"{count} memberships, derived again under reversed, longer lists"
    return Check.from_claim("stability", claim, not faults, found)
