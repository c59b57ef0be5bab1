"""Sheets of measured pictures: scenes, sums of their parts, and the difference in colours."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recombine.renderer.core.types import Array

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

ROWS = 12
TILE, GAP, MARGIN, HEAD, FOOT = 144, 6, 92, 34, 58
INK, PAPER = (38, 40, 44), (255, 255, 255)
COLD, MIDDLE, WARM = (33, 102, 172), (247, 247, 247), (178, 24, 43)  # told apart by every eye


def picture(arrays: Mapping[str, Array], titles: Sequence[str]) -> bytes:
    """Draw measured scenes: picture, sum of parts, second-order term."""
    second = arrays["second"].astype(float)
    limit = round_up(float(np.quantile(np.abs(second[spread(len(titles))]), 0.998)))
    coloured = np.stack([colours(values, limit) for values in second])
    tiles = {"scene": arrays["scene"], "sum of parts": arrays["parts"], "second order": coloured}
    note = "scene - sum of parts: second-order terms, luminance, linear radiance"
    return sheet(tiles, titles, note, limit=limit)


def sheet(
    tiles: Mapping[str, UInt8[Array, "n H W 3"]],
    titles: Sequence[str],
    note: str,
    *,
    limit: float = 0.0,
) -> bytes:
    """Draw a sheet of up to `ROWS` rows, spread evenly over those there are."""
    shown = spread(len(titles))
    step = TILE + GAP
    foot = HEAD + len(shown) * step
    canvas = Image.new("RGB", (MARGIN + len(tiles) * step + GAP, foot + FOOT), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    for place, row in enumerate(shown):
        middle = HEAD + place * step + TILE // 2
        draw.multiline_text((GAP, middle), str(titles[row]), INK, font, anchor="lm")
    for column, (heading, rows) in enumerate(tiles.items()):
        left = MARGIN + column * step
        draw.text((left + TILE // 2, HEAD - 10), heading, INK, font, anchor="ms")
        for place, row in enumerate(shown):
            tile = Image.fromarray(rows[row]).resize((TILE, TILE), Image.Resampling.NEAREST)
            canvas.paste(tile, (left, HEAD + place * step))
    if limit > 0:
        _scale(canvas, draw, limit, foot)
    draw.text((canvas.width - 2 * GAP, foot + 36), note, INK, font, anchor="ra")
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def spread(count: int) -> list[int]:
    """Return up to `ROWS` positions spread evenly over ``count``."""
    places = np.linspace(0, count - 1, min(count, ROWS)).round().astype(int)
    return [int(p) for p in np.unique(places)]


def round_up(value: float) -> float:
    """Return the next number of the form 1, 2 or 5 times a power of ten; 1 for 0."""
    if not value > 0:
        return 1.0
    power = math.floor(math.log10(value))
    return next(c for c in (float(f"{s}e{power}") for s in (1, 2, 5, 10, 20)) if value <= c)


def colours(values: Float[Array, "H W"], limit: float) -> UInt8[Array, "H W 3"]:
    """Return signed values as colours: blue below 0, white at 0, red above."""
    at = np.clip(values / limit, -1, 1)[..., None]
    ends = np.where(at < 0, COLD, WARM)
    return np.asarray(np.rint(MIDDLE + (ends - np.array(MIDDLE)) * np.abs(at)).astype(np.uint8))


def _scale(canvas: Image.Image, draw: ImageDraw.ImageDraw, limit: float, top: int) -> None:
    """Draw the colour bar and its numbers."""
    width = canvas.width - MARGIN - 2 * GAP
    bar = colours(np.tile(np.linspace(-limit, limit, width), (12, 1)), limit)
    canvas.paste(Image.fromarray(bar), (MARGIN, top + 4))
    font = ImageFont.load_default(12)
    texts = (f"-{limit:g}", "0", f"+{limit:g}")
    for text, at, anchor in zip(texts, (0, width // 2, width), ("la", "ma", "ra"), strict=True):
        draw.text((MARGIN + at, top + 18), text, INK, font, anchor=anchor)
