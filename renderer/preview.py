"""Contact sheet: one picture that shows what is in, what is held out, and how it looks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recombine.renderer.atomic import write_bytes
from recombine.renderer.reader import Dataset

ID_FRAME = (222, 224, 228)
OOC_FRAME = (213, 94, 0)  # vermillion: told from grey by every common colour vision
INK = (38, 40, 44)
PAPER = (255, 255, 255)
TILE, GAP, FRAME = 144, 6, 5
MARGIN, HEAD = 92, 64


def contact_sheet(folder: Path, out: Path, *, block: int = 0) -> Path:
    """Write the grid of all test cells under one nuisance vector, held-out cells framed.

    Rows are values of the first recombined factor, columns of the second. Everything that is
    not recombined is equal in all tiles, because they are one matched block.

    Parameters
    ----------
    folder : Path
        A sealed dataset.
    out : Path
        Picture to write; ``.jpg`` is smaller, anything else becomes PNG.
    block : int
        Which matched test block to show.

    Returns
    -------
    Path
        ``out``.
    """
    data = Dataset(folder)
    rows, columns = data.schema.cell_shape[:2]
    test = np.concatenate([data.indices("id_test"), data.indices("ooc_test")])
    shown = sorted(set(data.blocks[test].tolist()))
    members = test[data.blocks[test] == shown[block % len(shown)]]
    step = TILE + GAP
    size = (MARGIN + columns * step + GAP, HEAD + rows * step + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    _labels(draw, data, step)
    for index in members:
        row, column = data.cells[index][:2]
        corner = (MARGIN + int(column) * step, HEAD + int(row) * step)
        _tile(sheet, draw, data, int(index), corner)
    buffer = io.BytesIO()
    if out.suffix == ".jpg":
        sheet.save(buffer, "JPEG", quality=92, subsampling=0)
    else:
        sheet.save(buffer, "PNG", optimize=True)
    write_bytes(out, buffer.getvalue())
    return out


def _tile(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, data: Dataset, index: int, at: tuple[int, int]
) -> None:
    held_out = data.splits[index] == "ooc_test"
    x, y = at
    frame = OOC_FRAME if held_out else ID_FRAME
    draw.rectangle((x, y, x + TILE - 1, y + TILE - 1), fill=frame)
    inner = TILE - 2 * FRAME
    picture = Image.fromarray(data.image(index)).resize((inner, inner), Image.Resampling.LANCZOS)
    sheet.paste(picture, (x + FRAME, y + FRAME))


def _labels(draw: ImageDraw.ImageDraw, data: Dataset, step: int) -> None:
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    draw.text((GAP, 8), f"{data.name}  {data.resolution} px", fill=INK, font=font)
    right = MARGIN + data.schema.cell_shape[1] * step
    draw.text((right, 8), "framed: held out (OOC)", fill=OOC_FRAME, font=small, anchor="ra")
    row_key, column_key = data.schema.recombined[:2]
    for i, name in enumerate(data.schema.factor(row_key).values):
        at = (MARGIN - 10, HEAD + i * step + TILE // 2)
        draw.text(at, name, fill=INK, font=font, anchor="rm")
    for j, name in enumerate(data.schema.factor(column_key).values):
        at = (MARGIN + j * step + TILE // 2, HEAD - 8)
        draw.text(at, name, fill=INK, font=font, anchor="ms")
