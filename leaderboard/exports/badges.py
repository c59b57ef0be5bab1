"""A badge per entry: a small SVG picture with its score, for a README or a project page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import node
from recombine.leaderboard.drawing.formatting import DASH

if TYPE_CHECKING:
    from markupsafe import Markup

    from recombine.leaderboard.board.board import Row

LETTER = 6.6
"""Width of a letter of the badge's type in pixels; the text is stretched to it."""
LABEL = "recombine OOC"


def badge(row: Row) -> bytes:
    """Draw the badge of an entry."""
    score = row.entry.result.scores.ooc_test
    value = f"{numbers.percent(score.estimate)} %"
    if score.ci95 is not None:
        value += f" ({DASH.join(map(numbers.percent, score.ci95))})"
    widths = [LETTER * len(text) + 12 for text in (LABEL, value)]
    total = sum(widths)
    parts = [
        node("title", text=f"{LABEL}: {value}"),
        node("rect", width=total, height=20, rx=3, fill="#3a4048"),
        node("rect", x=widths[0], width=widths[1], height=20, rx=3, fill="#b5420a"),
        _text(LABEL, 6.0),
        _text(value, widths[0] + 6),
    ]
    drawn = node(
        "svg", *parts, xmlns="http://www.w3.org/2000/svg", width=total, height=20, role="img"
    )
    return f"{drawn}\n".encode()


def _text(text: str, x: float) -> Markup:
    length = LETTER * len(text)
    return node(
        "text", text=text, x=x, y=14, fill="#fff", font_family="Verdana,DejaVu Sans,sans-serif",
        font_size=11, textLength=length,
    )  # fmt: skip
