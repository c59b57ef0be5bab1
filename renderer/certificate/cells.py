"""Invariants of the cells; each is a pure function of the evidence."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from recombine.renderer.certificate.check import Check, listed, required
from recombine.renderer.certificate.counting import (
    HELD_OUT,
    ID_PARTS,
    ID_TEST,
    ID_VAL,
    OOC_TEST,
    bags,
    cells_of,
    components,
    dependent,
    exchanges,
    joint,
    largest_seen,
    rungs,
    seen_tuples,
    smallest_unseen,
    total_variation,
)
from recombine.renderer.certificate.evidence import Evidence
from recombine.renderer.certificate.membership import RULES, combinations
from recombine.renderer.core.types import Array
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


def tuples(e: Evidence) -> Check:
    """17: no tuple of factors tells ID from OOC, but for those that hold what is novel."""
    # Tuples are those of the slots as they are named. Where objects are exchangeable a viewer sees
    # less, the objects without their names; frequencies of that follow from these, since both sides
    # are closed under exchange. Only a relation gives more to see below its order than any tuple of
    # two factors: which two objects stand along which axis, whoever is first.
    claim = "tuples of recombined factors are as frequent in ID as in OOC, unless they are novel"
    limit = required(e, "tuple_tv", 0)
    reference = np.flatnonzero(e.split(OOC_TEST))
    partly = _takes_some_cells(e, reference)
    worst, where, names = Fraction(0), "", set[str]()
    for name, rows in _parts(e).items():
        partly |= _takes_some_cells(e, rows)
        for what, codes in _tuple_codes(e, matched=name == SPLITS[ID_TEST]):
            names.add(what)
            shift = total_variation(codes[rows], codes[reference])
            if shift > worst:
                worst, where = shift, f" ({what}, {name} against ooc_test)"
    size = str(worst) if worst.denominator < 1000 else f"{float(worst):.4f}"
    found = f"worst total variation {size}{where} of {len(names)} tuples"
    promised = limit is not None and not partly
    return Check.from_claim("tuples", claim, not worst, found, promised=promised)


def _parts(e: Evidence) -> dict[str, Array]:
    parts = {f"id_train rung {r}": rows for r, rows in rungs(e)}
    parts |= {SPLITS[s]: np.flatnonzero(e.split(s)) for s in (ID_VAL, ID_TEST)}
    return {name: rows for name, rows in parts.items() if len(rows)}


def _takes_some_cells(e: Evidence, rows: Array) -> bool:
    """Tell whether blocks take some cells only, by the plan's design: then tuples are a sample."""
    if not e.config["sizes"].get("cells"):
        return False
    blocks = e.columns["block"][rows]
    everything = len(cells_of(e, rows))
    return any(len(cells_of(e, rows[blocks == b])) < everything for b in np.unique(blocks))


def _tuple_codes(e: Evidence, *, matched: bool) -> Iterator[tuple[str, Array]]:
    """Yield the tuples that should tell nothing, as one code per image.

    They are all below the order of novelty, and larger ones of which OOC shows nothing unseen;
    between matched parts also what is derived from the cell, which depends on the block.
    """
    order = _order(e)[0]
    recombined = [f"latents/{k}" for k in e.schema.recombined]
    inside, outside = e.split(ID_TEST), e.split(OOC_TEST)
    for size in range(2, len(recombined)):
        for chosen in itertools.combinations(recombined, size):
            codes = joint([e.columns[k] for k in chosen])
            if size < order or np.isin(codes[outside], codes[inside]).all():
                yield _called(chosen), codes
    if not matched:
        return
    yield from ((f"{what}, whoever is first", codes) for what, codes in bags(e))
    blocks = e.columns["block"][inside]
    for key in (*e.schema.derived, *e.schema.crossed):
        column = e.columns[f"latents/{key}"]
        parents = {k for k in recombined if dependent(e.columns[k][inside], column[inside], blocks)}
        for k in recombined:
            # A derived factor stands for those that it follows from.
            if len(parents | {k}) < order:
                yield _called((k, f"latents/{key}")), joint([e.columns[k], column])


def _called(keys: tuple[str, ...]) -> str:
    return " x ".join(k.removeprefix("latents/") for k in keys)


def _order(e: Evidence) -> tuple[int, bool]:
    """Return the order of novelty, and whether it is promised."""
    strict = len(e.config["split"].get("factors") or e.schema.recombined)
    promised = required(e, "novelty", strict)
    return promised or strict, promised is not None


def novelty(e: Evidence) -> Check:
    """5: every OOC image is novel at the declared order, and exactly there."""
    order, promised = _order(e)
    claim = f"every OOC cell is novel at order {order}, all smaller tuples are seen in training"
    orders: Counter[int] = Counter()
    distances: Counter[int] = Counter()
    ladder = rungs(e)
    ooc = Counter(tuple(c.tolist()) for c in e.cells[e.split(OOC_TEST)])
    for _, rows in ladder:
        seen = seen_tuples(e.cells[rows])
        for cell, images in ooc.items():
            orders[smallest_unseen(cell, seen)] += images
            distances[len(cell) - largest_seen(cell, seen)] += images
    times = f" x {len(ladder)} rungs" if len(ladder) > 1 else ""

    def shown(total: int) -> str:
        return f"{total / len(ladder):.10g} images{times}"

    found = ", ".join(f"order {k}: {shown(v)}" for k, v in sorted(orders.items()))
    found += "; " + ", ".join(f"{shown(v)} at {k} from ID" for k, v in sorted(distances.items()))
    met = set(orders) == {order}
    known = 0 in orders  # an OOC cell that training shows is never a matter of declaration
    return Check.from_claim("novelty", claim, met, found, promised=known or promised)


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


def arrangement(e: Evidence) -> Check:
    """18: where a cell decides places, light or number, the latents say what its names say."""
    claim = "relations, counts, zones and sectors hold in the latents that follow from them"
    told = {key.partition(".")[2]: key for key in e.schema.keys}
    wrong: dict[str, Array] = {}
    first, second = e.schema.objects[:1], e.schema.objects[1:2]
    if "relation" in told and second:
        x, y = (
            e.columns[f"latents/{first[0]}.{axis}"] - e.columns[f"latents/{second[0]}.{axis}"]
            for axis in "xy"
        )
        holds = {"left-of": x < 0, "right-of": x > 0, "in-front-of": y < 0, "behind": y > 0}
        key = told["relation"]
        for code, name in enumerate(e.schema.factor(key).values):
            if name in holds:
                shown = e.columns[f"latents/{key}"] == code
                wrong[f"object {first[0]} is not {name} the other"] = shown & ~holds[name]
    if "count" in told:
        there = np.sum([e.columns[f"latents/{slot}.present"] for slot in e.schema.objects], axis=0)
        wrong["the count is not that of the objects"] = np.not_equal(
            there, e.columns[f"latents/{told['count']}"] + 1
        )
    for part, whole in (("zone", "x"), ("sector", "azimuth")):
        for key in (k for k in e.schema.keys if k.endswith(f".{part}")):
            place = key.removesuffix(part) + whole
            low, high = e.schema.factor(place).bounds
            share = (e.columns[f"latents/{place}"] - low) / (high - low) * e.schema.factor(key).size
            off = share - e.columns[f"latents/{key}"]
            wrong[f"{place} is not in its {part}"] = (off < -EDGE) | (off > 1 + EDGE)
    faults = [
        f"image {e.columns['index'][row]}: {what}"
        for what, where in wrong.items()
        for row in np.flatnonzero(where)
    ]
    found = f"{len(wrong)} rules hold" if wrong else "no factor follows from a cell"
    return Check.from_claim("arrangement", claim, not faults, listed(faults) or found)


EDGE = 1e-9
"""Rounding at the border of two zones."""
