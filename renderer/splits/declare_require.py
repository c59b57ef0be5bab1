"""What a declared split promises about itself, checked when it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.cells import CellSet, ShiftReport, report
from recombine.renderer.splits.declare_grid import Grid
from recombine.renderer.splits.declare_nodes import Node

# A judge returns what was expected and what came, or nothing when the promise holds.
Verdict = tuple[str, str] | None
Judge = Callable[[Node, ShiftReport], Verdict]


def _least(figure: str) -> Judge:
    def judge(node: Node, found: ShiftReport) -> Verdict:
        wanted, value = _exact(node), Fraction(getattr(found, figure))
        return _verdict(figure, "at least", wanted, value, wanted - value, "little")

    return judge


def _most(figure: str) -> Judge:
    def judge(node: Node, found: ShiftReport) -> Verdict:
        wanted, value = _exact(node), Fraction(getattr(found, figure))
        return _verdict(figure, "at most", wanted, value, value - wanted, "much")

    return judge


def _verdict(
    figure: str, bound: str, wanted: Fraction, value: Fraction, excess: Fraction, word: str
) -> Verdict:
    if excess <= 0:
        return None
    name = figure.replace("_", " ")
    return f"{name} {bound} {_shown(wanted)}", f"{_shown(value)}, {_shown(excess)} too {word}"


def _rank(node: Node, found: ShiftReport) -> Verdict:
    if isinstance(node.value, str):
        node.choice(("full",))
        wanted = found.full_rank
    else:
        wanted = node.integer(1, found.full_rank)
    if found.rank >= wanted:
        return None
    return f"additive rank {wanted}", f"{found.rank}, {wanted - found.rank} too little"


def _connected(node: Node, found: ShiftReport) -> Verdict:
    node.true()
    return None if found.components == 1 else ("one component", f"{found.components} components")


def _novelty(node: Node, found: ShiftReport) -> Verdict:
    # A cell's order cannot exceed the number of factors, which the cells of the grid know.
    wanted = node.integer(1, 64)
    others = ", ".join(f"{n} of order {order}" for order, n in found.novelty if order != wanted)
    return (f"every OOC cell novel at order {wanted}", others) if others else None


def _hamming(node: Node, found: ShiftReport) -> Verdict:
    wanted = node.integer(1, 64)
    if found.hamming_max <= wanted:
        return None
    return (
        f"an ID cell within {wanted} factors of every OOC cell",
        f"a distance of {found.hamming_max}, {found.hamming_max - wanted} too much",
    )


JUDGES: dict[str, Judge] = {
    "coverage": _least("coverage"),
    "pair_coverage": _least("pair_coverage"),
    "marginal_tv": _most("total_variation"),
    "atom_divergence": _most("atom_divergence"),
    "rank": _rank,
    "connected": _connected,
    "novelty": _novelty,
    "hamming": _hamming,
}


def check_requirements(node: Node, grid: Grid, rungs: Sequence[CellSet], ooc: CellSet) -> None:
    """Refuse a split that does not keep its declared promises."""
    fields = node.table(optional=(*JUDGES, "symmetric"))
    broken = []
    if "symmetric" in fields:
        broken += _asymmetric(fields.pop("symmetric"), grid, rungs, ooc)
    reports = [report(ids, ooc) for ids in rungs] if fields else []
    for key, promise in fields.items():
        for rung, found in enumerate(reports):
            verdict = JUDGES[key](promise, found)
            if verdict:
                expected, got = verdict
                broken.append(promise.refuse(expected, "", got=f"{got}, at rung {rung}"))
    if broken:
        faults = " ".join(str(e).strip() for e in broken)
        raise InvalidInputError(f"{faults} Change the split, or the promise.")


def _asymmetric(
    node: Node, grid: Grid, rungs: Sequence[CellSet], ooc: CellSet
) -> list[InvalidInputError]:
    factors = grid.factors(node, 2)

    def lacking(cells: CellSet) -> int:
        return len(cells.permutation_closure(factors)) - len(cells)

    named = {f"rung {rung}": cells for rung, cells in enumerate(rungs)} | {"OOC": ooc}
    counts = node.call(lambda: {name: lacking(cells) for name, cells in named.items()})
    keys = [grid.keys[f] for f in factors]
    return [
        node.refuse(f"exchange of {keys} to map {name} to itself", "", got=f"{n} cells missing")
        for name, n in counts.items()
        if n
    ]


def _exact(node: Node) -> Fraction:
    # Through the shortest decimal, so that a promised 0.1 means one tenth.
    return Fraction(repr(node.number(0, 1)))


def _shown(value: Fraction) -> str:
    decimal = f"{float(value):.3g}"
    short = 1 < value.denominator < 1000
    return f"{value} ({decimal})" if short else decimal
