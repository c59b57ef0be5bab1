"""The invariants of a certificate. Each is a pure function of the evidence.

Invariant numbers in the docstrings count what a split must prove: 1 no leak, 3 coverage,
4 balance, 5 order of novelty, 6 connectivity and additive rank, 7 exposure, 8 separation,
9 accounting, 10 nuisance independence, 12 integrity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from recombine.renderer.evidence import Evidence
from recombine.renderer.seal import merkle_root
from recombine.renderer.splits import SPLITS
from recombine.renderer.tallies import (
    ID_TEST,
    ID_TRAIN,
    ID_VAL,
    OOC_TEST,
    by_cell,
    components,
    rungs,
    seen_tuples,
    smallest_unseen,
    total_variation,
)

UNOCCLUDED = 0.95
EXPOSED_IMAGES = 8
Status = Literal["pass", "stated", "fail", "not run"]


@dataclass(frozen=True)
class Check:
    """One line of a certificate.

    Attributes
    ----------
    name : str
        Stable name of the invariant.
    status : {"pass", "stated", "fail", "not run"}
        Outcome. "stated" where a declared split does not have the property and does not promise
        it: a confound that readers must know. "not run" where the files could not be read.
    claim : str
        What the invariant says.
    found : str
        What was measured.
    """

    name: str
    status: Status
    claim: str
    found: str


def _check(name: str, claim: str, passed: bool, found: str) -> Check:
    return Check(name, "pass" if passed else "fail", claim, found)


def _promise(e: Evidence, key: str, strict: Any) -> Any:
    """Return what the split promises: all of it, unless its declaration says what."""
    declaration = e.config["split"].get("declaration")
    return strict if declaration is None else declaration.get("require", {}).get(key)


def _judged(name: str, claim: str, *, met: bool, promised: bool, found: str) -> Check:
    return Check(name, "pass" if met else "fail" if promised else "stated", claim, found)


def _listed(faults: list[str]) -> str:
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(faults[:3]) + more


def integrity(e: Evidence) -> list[Check]:
    """12: files, pixels, annotations, latents and the Merkle root are what was sealed."""
    checks = [
        _check(
            "files",
            "every shard is present, whole and of this dataset",
            not e.file_faults,
            _listed(e.file_faults) or f"{len(e.manifest['shards'])} shards",
        ),
        _check(
            "pixels",
            "every image matches its pixel hash",
            not e.pixel_faults,
            _listed(e.pixel_faults) or f"{len(e.leaves)} images",
        ),
        _check(
            "annotations",
            "masks, depth, normals and visibility match their hash",
            not e.label_faults,
            _listed(e.label_faults) or f"{len(e.leaves)} images",
        ),
        _check(
            "latents",
            "every image's latents match the spec hash it was rendered from",
            not e.spec_faults,
            _listed(e.spec_faults) or f"{len(e.leaves)} images",
        ),
    ]
    root = merkle_root(e.leaves) if e.leaves else "no images"
    same = root == e.manifest["root"]
    found = (
        f"root {root[:16]}" if same else f"root is {root[:16]}, sealed {e.manifest['root'][:16]}"
    )
    return [
        *checks,
        _check("seal", "the Merkle root over all images is the sealed one", same, found),
    ]


def no_leak(e: Evidence) -> Check:
    """1: no image of ID-train, ID-val or ID-test shows a held-out combination.

    Held out is every combination that a test image of the OOC split shows.
    """
    held_out = {tuple(c) for c in e.cells[e.split(OOC_TEST)]}
    for rows in np.flatnonzero(e.columns["split"] != OOC_TEST):
        cell = tuple(e.cells[rows])
        if cell in held_out:
            names = " x ".join(e.schema.cell_names(cell))
            split = SPLITS[int(e.columns["split"][rows])]
            found = f"image {e.columns['index'][rows]} of {split} shows the held-out {names}"
            return _check("no-leak", _LEAK_CLAIM, False, found)
    found = f"{len(held_out)} held-out combinations, none in ID splits"
    return _check("no-leak", _LEAK_CLAIM, bool(held_out), found)


_LEAK_CLAIM = "no ID image shows a combination that OOC-test holds out"


def coverage(e: Evidence) -> Check:
    """3: every value of every recombined factor is seen in every rung of ID-train."""
    claim = "every value of every recombined factor is seen in training, at every rung"
    missing = []
    for rung, rows in rungs(e):
        for f, (key, size) in enumerate(zip(e.schema.recombined, e.schema.cell_shape, strict=True)):
            unseen = set(range(size)) - set(e.cells[rows, f].tolist())
            names = [e.schema.factor(key).values[v] for v in sorted(unseen)]
            missing += [f"rung {rung}: {key}={n} never seen" for n in names]
    promised = _promise(e, "coverage", 1) is not None
    found = _listed(missing) or "coverage 1"
    return _judged("coverage", claim, met=not missing, promised=promised, found=found)


def balance(e: Evidence) -> Check:
    """4: single-factor marginals are exactly equal in ID-train, ID-test and OOC-test."""
    claim = "every recombined factor has the same marginal in train, ID-test and OOC-test"
    worst, where = Fraction(0), "all factors"
    parts = {f"id_train rung {r}": rows for r, rows in rungs(e)}
    parts |= {SPLITS[s]: np.flatnonzero(e.split(s)) for s in (ID_VAL, ID_TEST)}
    reference = np.flatnonzero(e.split(OOC_TEST))
    for name, rows in parts.items():
        for f, key in enumerate(e.schema.recombined):
            shift = total_variation(e.cells[rows, f], e.cells[reference, f])
            if shift > worst:
                worst, where = shift, f"{key}, {name} against ooc_test"
    limit = _promise(e, "marginal_tv", 0)
    met = worst <= (Fraction(0) if limit is None else Fraction(str(limit)))
    found = f"worst total variation {worst} ({where})"
    return _judged("balance", claim, met=met, promised=limit is not None, found=found)


def nuisances(e: Evidence) -> Check:
    """4 and 10: nuisances are identical multisets in ID-test and OOC-test, and per cell."""
    claim = "every test cell, ID or OOC, has exactly the same nuisance vectors and seeds"
    keys = [f"latents/{k}" for k in e.schema.nuisances]
    table = np.stack([e.columns[k].astype(float) for k in keys] + [e.columns["cycles_seed"]], 1)
    found = []
    for group in ((ID_TRAIN,), (ID_VAL,), (ID_TEST, OOC_TEST)):
        rows = np.isin(e.columns["split"], group)
        if group == (ID_TRAIN,) and len(list(rungs(e))) > 1:
            continue  # wider rungs share blocks by design, see `accounting`
        per_cell = by_cell(e, rows)
        multisets = {tuple(sorted(map(tuple, table[r].tolist()))) for r in per_cell.values()}
        if len(multisets) != 1:
            found.append(f"{'+'.join(SPLITS[g] for g in group)}: nuisances differ between cells")
    n = len(set(e.columns["block"][np.isin(e.columns["split"], (ID_TEST, OOC_TEST))].tolist()))
    return _check("nuisances", claim, not found, _listed(found) or f"{n} matched test blocks")


def novelty(e: Evidence) -> Check:
    """5: every OOC image is novel at the declared order, and exactly there."""
    promised = _promise(e, "novelty", len(e.schema.recombined))
    order = promised or len(e.schema.recombined)
    claim = f"every OOC cell is novel at order {order}, all smaller tuples are seen in training"
    orders: Counter[int] = Counter()
    for _, rows in rungs(e):
        seen = seen_tuples(e.cells[rows])
        for cell in e.cells[e.split(OOC_TEST)]:
            orders[smallest_unseen(tuple(cell.tolist()), seen)] += 1
    found = ", ".join(f"order {k}: {v} images" for k, v in sorted(orders.items()))
    met = set(orders) == {order}
    known = 0 in orders  # an OOC cell that training shows is never a matter of declaration
    return _judged(
        "novelty", claim, met=met, promised=known or promised is not None, found=found or "none"
    )


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
    promised = _promise(e, "rank", "full") or _promise(e, "connected", True)
    met = passed and bool(found)
    line = "; ".join(found)
    return _judged("additive-rank", claim, met=met, promised=bool(promised), found=line)


def exposure(e: Evidence) -> Check:
    """7: every value of every recombined factor is seen unoccluded often enough."""
    claim = f"every value has {EXPOSED_IMAGES} training images with objects {UNOCCLUDED} visible"
    weak, least = [], None
    for rung, rows in rungs(e):
        clear = rows[e.columns["exposure"][rows] >= UNOCCLUDED]
        for f, (key, size) in enumerate(zip(e.schema.recombined, e.schema.cell_shape, strict=True)):
            counts = np.bincount(e.cells[clear, f], minlength=size)
            seen = e.cells[rows, f]  # what is never seen is the business of `coverage`
            least = counts.min() if least is None else min(least, counts.min())
            names = e.schema.factor(key).values
            weak += [
                f"rung {rung}: {key}={names[v]} unoccluded in {counts[v]} images"
                for v in np.flatnonzero((counts < EXPOSED_IMAGES) & np.isin(range(size), seen))
            ]
    return _check("exposure", claim, not weak, _listed(weak) or f"least: {least} images")


def separation(e: Evidence) -> Check:
    """8: no two images are equal in pixels, in particular not across splits."""
    claim = "no two images have equal pixels"
    seen: dict[bytes, int] = {}
    equal = []
    for row, digest in enumerate(e.columns["pixel_hash"]):
        first = seen.setdefault(digest.tobytes(), row)
        if first != row:
            pair = (e.columns["index"][first], e.columns["index"][row])
            equal.append(f"images {pair[0]} and {pair[1]} are equal")
    return _check("separation", claim, not equal, _listed(equal) or f"{len(seen)} distinct images")


def accounting(e: Evidence) -> Check:
    """9: every planned image was rendered; every cell of a split has equally many."""
    claim = "every cell of a split has equally many images; placements are rejected by block only"
    found = []
    groups = [(f"id_train rung {r}", rows) for r, rows in rungs(e)]
    groups += [(SPLITS[s], np.flatnonzero(e.split(s))) for s in (ID_VAL, ID_TEST, OOC_TEST)]
    uneven = []
    for name, rows in groups:
        sizes = {len(r) for r in by_cell(e, rows).values()}
        found.append(f"{name}: {len(rows)}")
        if len(sizes) != 1:
            uneven.append(f"{name}: {min(sizes, default=0)} to {max(sizes, default=0)} per cell")
    first = np.unique(e.columns["block"], return_index=True)[1]
    drawn = int(e.columns["tries"][first].sum())
    found.append(f"{len(first)} of {drawn} placements kept")
    return _check("accounting", claim, not uneven, _listed(uneven) or ", ".join(found))


CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    no_leak,
    coverage,
    balance,
    nuisances,
    novelty,
    additive_rank,
    exposure,
    separation,
    accounting,
)


def run_checks(e: Evidence) -> list[Check]:
    """Run every invariant; those on images are "not run" when files are missing."""
    checks = integrity(e)
    if e.file_faults and len(e.leaves) != e.manifest["n_images"]:
        names = [c.__name__.replace("_", "-") for c in CHECKS]
        return checks + [Check(n, "not run", "", "files are incomplete") for n in names]
    return checks + [check(e) for check in CHECKS]
