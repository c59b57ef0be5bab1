"""The task in one picture: two seen combinations and the unseen one that mixes them.

The scenes are cut out of the contact sheet of a dataset, whose frames tell seen from held out.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.leaderboard.board.titles import preset_of
from recombine.leaderboard.drawing.charts import node, percent
from recombine.leaderboard.drawing.formatting import TIMES
from recombine.renderer.store.preview import ID_FRAME, OOC_FRAME, Measures, Panel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from PIL import Image

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.site.data_pages import Card

SHOWN = 2
"""Examples on a page."""
NEAR = 40
"""Difference to a frame's colour, summed over channels, that a JPEG file may make."""

Place = tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """One rendered combination."""

    name: str  # its values
    uri: str  # the image as a data URI, which loads from any place
    edge: int  # its width and height in pixels


@dataclass(frozen=True)
class Example:
    """One held-out combination, and two seen ones that share a value each with it."""

    seen: tuple[Scene, Scene]
    unseen: Scene


def examples(card: Card | None, result: Result) -> tuple[Example, ...]:
    """Cut examples out of a contact sheet; none where its layout is not that of the dataset."""
    preset = preset_of(result)
    if card is None or card.sheet is None or preset is None or len(result.data.recombined) != 2:
        return ()
    factors = [preset.schema.factor(key) for key in result.data.recombined]
    down, across = sorted(factors, key=lambda factor: -factor.size)
    panel = Panel("", down.name, across.name, down.values, across.values, {})
    sizes = Measures.of(panel)
    sheet = card.open_sheet()
    if sheet is None or sheet.size != sizes.size(panel):
        return ()
    places = [(i, j) for i in range(len(panel.rows)) for j in range(len(panel.columns))]
    kinds = {place: _kind(sheet, sizes.corner(*place)) for place in places}
    return tuple(
        Example(
            (_scene(sheet, sizes, panel, one), _scene(sheet, sizes, panel, other)),
            _scene(sheet, sizes, panel, unseen),
        )
        for unseen, one, other in _chosen(kinds)
    )


def grid(result: Result) -> Markup | None:
    """Draw which combinations training showed; None beyond two recombined factors."""
    if len(result.data.recombined) != 2:
        return None
    cells = dict.fromkeys(result.scores.id_test.cells, "seen")
    cells |= dict.fromkeys(result.scores.ooc_test.cells, "held-out")
    rows, columns = (list(dict.fromkeys(cell[i] for cell in cells)) for i in (0, 1))
    step = 1 / max(len(rows), len(columns))
    parts = [node("title", text=f"{len(rows)} {TIMES} {len(columns)} combinations")]
    for cell, css in sorted(cells.items()):
        at = {"x": percent(columns.index(cell[1]) * step), "y": percent(rows.index(cell[0]) * step)}
        side = percent(0.86 * step)
        parts.append(node("rect", class_=css, width=side, height=side, **at))
    return node("svg", *parts, class_="cellgrid", role="img")


def _chosen(kinds: dict[Place, str]) -> list[tuple[Place, Place, Place]]:
    """Choose unseen places and two seen ones each, no row or column of the sheet twice."""
    found: list[tuple[Place, Place, Place]] = []
    used: set[tuple[int, int]] = set()
    for (i, j), kind in kinds.items():
        if kind != "unseen" or len(found) == SHOWN:
            continue
        same_row = [p for p, k in kinds.items() if k == "seen" and p[0] == i]
        same_column = [p for p, k in kinds.items() if k == "seen" and p[1] == j]
        taken = {(0, i), (1, j)}
        if same_row and same_column and not taken & used:
            found.append(((i, j), same_row[0], same_column[0]))
            used |= taken | {(1, same_row[0][1]), (0, same_column[0][0])}
    return found


def _kind(sheet: Image.Image, corner: Place) -> str:
    """Tell what stands at a place by the colour of its frame."""
    # Between the corner and the picture, where a JPEG file keeps the colour best.
    pixel = sheet.getpixel((corner[0] + 2, corner[1] + 2))
    near = {"seen": _off(pixel, ID_FRAME), "unseen": _off(pixel, OOC_FRAME)}
    kind = min(near, key=lambda name: near[name])
    return kind if near[kind] <= NEAR else ""


def _off(pixel: object, colour: Sequence[int]) -> int:
    channels = pixel if isinstance(pixel, tuple) else ()
    return sum(abs(a - b) for a, b in zip(channels, colour, strict=True))


def _scene(sheet: Image.Image, sizes: Measures, panel: Panel, place: Place) -> Scene:
    x, y = sizes.corner(*place)
    edge = sizes.tile - 2 * sizes.frame
    left, top = x + sizes.frame, y + sizes.frame
    buffer = io.BytesIO()
    sheet.crop((left, top, left + edge, top + edge)).save(buffer, "JPEG", quality=88)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    name = f"{panel.rows[place[0]]}, {panel.columns[place[1]]}"
    return Scene(name, f"data:image/jpeg;base64,{text}", edge)
