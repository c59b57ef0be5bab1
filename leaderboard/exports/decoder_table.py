"""What decoders do, beside what their search reaches, as a Markdown table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recombine.leaderboard.drawing import formatting as numbers
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.result import Result

COLUMNS = {
    "decoder_fidelity_own_slots": "fidelity, own slots",
    "decoder_fidelity_recombined": "recombined slots",
    "decoder_fidelity_twin": "nearest seen image",
    "cross_slot_second_derivative": "cross-slot second derivative",
    "compositional_contrast": "compositional contrast",
}
HEAD = ("decoder", "OOC % after search", *COLUMNS.values())


def table(results: Sequence[Result]) -> str:
    """Write one row per examined decoder, the highest fidelity first.

    Parameters
    ----------
    results : sequence of Result
        Those made with ``--full`` hold what was measured on the decoder. Among all of them, the
        entry of the same method and data that searches, with most seeds, gives the score.

    Returns
    -------
    str
        GitHub-flavoured Markdown. Fidelity is 1 for a perfect picture of the true scene, 0 for
        a mean image; "nearest seen image" is the floor that needs no decoder.

    Raises
    ------
    InvalidInputError
        When no result holds measurements of a decoder, or several datasets are mixed.
    """
    examined = {r.method.id: r for r in results if r.further and r.further.decoder}
    if not examined:
        raise InvalidInputError(
            "plot decoders: no result holds measurements of a decoder; make some with "
            "`recombine score NAME --full`"
        )
    if len({result.data.root for result in results}) > 1:
        raise InvalidInputError("plot decoders: expected results of one dataset, got several")
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    for result in sorted(examined.values(), key=_fidelity, reverse=True):
        cells = [_cell(result, name) for name in COLUMNS]
        lines.append(_line([f"`{result.method.id}`", _searched(result, results), *cells]))
    return "\n".join(lines) + "\n"


def _searched(result: Result, results: Sequence[Result]) -> str:
    found = [
        other
        for other in results
        if other.method.id == result.method.id and other.method.inference.endswith("search")
    ]
    if not found:
        return "not measured"
    return numbers.percent(max(found, key=lambda r: len(r.seeds)).scores.ooc_test.estimate)


def _fidelity(result: Result) -> float:
    value = _value(result, "decoder_fidelity_recombined")
    return -1 if value is None else value


def _value(result: Result, name: str) -> float | None:
    """Return a measure, or the floor of fidelity, which is no measure of its own."""
    measures = (result.further and result.further.decoder) or {}
    if name == "decoder_fidelity_twin":
        fidelity = measures.get("decoder_fidelity_recombined")
        return fidelity.chance if fidelity else None
    return measures[name].estimate if name in measures else None


def _cell(result: Result, name: str) -> str:
    value = _value(result, name)
    return "undefined" if value is None else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
