"""A picture of measured interaction: scenes, sums of their parts, and the difference."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recombine.renderer.arrays import Array

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

ROWS = 12
TILE, GAP, MARGIN, HEAD, FOOT = 144, 6, 92, 34, 58
INK, PAPER = (38, 40, 44), (255, 255, 255)
COLD, MIDDLE, WARM = (33, 102, 172), (247, 247, 247), (178, 24, 43)  # told apart by every eye
HEADINGS = ("scene", "sum of parts", "second order")


def picture(arrays: Mapping[str, Array], titles: Sequence[str]) -> bytes:
    """Draw a sheet of up to `ROWS` scenes, spread evenly over those measured.

    Parameters
    ----------
    arrays : mapping of str to array
        Rows ``scene``, ``parts`` and ``second`` as in ``interaction.h5``.
    titles : sequence of str
        What to write beside each row.

    Returns
    -------
    bytes
        PNG: per scene the picture, the sum of its parts, and the signed second-order term in
        colours whose scale is drawn below.
    """
    n = len(titles)
    shown = np.unique(np.linspace(0, n - 1, min(n, ROWS)).round().astype(int))
    limit = round_up(float(np.quantile(np.abs(arrays["second"][shown].astype(float)), 0.998)))
    step = TILE + GAP
    size = (MARGIN + 3 * step + GAP, HEAD + len(shown) * step + FOOT)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for column, heading in enumerate(HEADINGS):
        draw.text((MARGIN + column * step + TILE // 2, HEAD - 10), heading, INK, font, anchor="ms")
    for place, row in enumerate(shown):
        top = HEAD + place * step
        draw.multiline_text((GAP, top + TILE // 2), str(titles[row]), INK, font, anchor="lm")
        second = colours(arrays["second"][row].astype(float), limit)
        for column, tile in enumerate((arrays["scene"][row], arrays["parts"][row], second)):
            resized = Image.fromarray(tile).resize((TILE, TILE), Image.Resampling.NEAREST)
            sheet.paste(resized, (MARGIN + column * step, top))
    _scale(sheet, draw, limit, HEAD + len(shown) * step)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def round_up(value: float) -> float:
    """Return the next number of the form 1, 2 or 5 times a power of ten; 1 for 0.

    Examples
    --------
    >>> round_up(0.013)
    0.02
    """
    if not value > 0:
        return 1.0
    power = math.floor(math.log10(value))
    for step in (1, 2, 5, 10):
        candidate = float(f"{step}e{power}")
        if value <= candidate:
            return candidate
    return candidate


def colours(values: Float[Array, "H W"], limit: float) -> UInt8[Array, "H W 3"]:
    """Return signed values as colours: blue below 0, white at 0, red above.

    Parameters
    ----------
    values : float array of shape (H, W)
        Values; beyond plus or minus ``limit`` the colour stays.
    limit : float
        End of the scale, above 0.

    Returns
    -------
    uint8 array of shape (H, W, 3)
        sRGB.
    """
    at = np.clip(values / limit, -1, 1)[..., None]
    ends = np.where(at < 0, COLD, WARM)
    return np.asarray(np.rint(MIDDLE + (ends - np.array(MIDDLE)) * np.abs(at)).astype(np.uint8))


def _scale(sheet: Image.Image, draw: ImageDraw.ImageDraw, limit: float, top: int) -> None:
    """Draw the colour bar and its numbers."""
    width = 3 * TILE + 2 * GAP
    bar = colours(np.tile(np.linspace(-limit, limit, width), (12, 1)), limit)
    sheet.paste(Image.fromarray(bar), (MARGIN, top + 4))
    font = ImageFont.load_default(12)
    texts = (f"-{limit:g}", "0", f"+{limit:g}")
    for text, at, anchor in zip(texts, (0, width // 2, width), ("la", "ma", "ra"), strict=True):
        draw.text((MARGIN + at, top + 18), text, INK, font, anchor=anchor)
    note = "scene - sum of parts: second-order terms, luminance, linear radiance"
    draw.text((MARGIN + width // 2, top + 36), note, INK, font, anchor="ma")
