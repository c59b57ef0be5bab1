"""Contact sheet: one picture that shows what is in, what is held out, and how it looks."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.types import Array
from recombine.renderer.store.dataset import Dataset

# Which image stands where on a contact sheet, for any number of recombined factors.

MOST_PANELS = 4
MOST_ROWS = 6
EDIT = "scene.edit"


@dataclass(frozen=True)
class Panel:
    """A grid of images under one nuisance vector."""

    title: str  # what is equal in the whole panel; empty where there is only one
    row_name: str  # factors along the sides
    column_name: str  # factors along the sides
    rows: tuple[str, ...]  # their values
    columns: tuple[str, ...]  # their values
    images: dict[tuple[int, int], int]  # index of the image there; a place may be empty


def panels(data: Dataset, block: int = 0) -> list[Panel]:
    """Arrange the test cells of one matched block."""
    # The recombined factor with most values runs down, the next across; combinations of further
    # ones make a panel each, four at most, where that fills a quarter of it; else they vary
    # inside. A single recombined factor runs across, and blocks run down. Edits run across from
    # their scenes.
    test = np.concatenate([data.indices("id_test"), data.indices("ooc_test")])
    if not len(test):
        raise InvalidInputError(f"preview: {data.path} must have test images; it has none.")
    shown = sorted(set(data.blocks[test].tolist()))
    if len(data.schema.recombined) == 1:
        return [_across(data, test, [shown[(block + k) % len(shown)] for k in range(MOST_ROWS)])]
    members = test[data.blocks[test] == shown[block % len(shown)]] if data.matched else test
    if EDIT in data.schema.crossed:
        return [_edits(data, members)]
    down, across, *rest = sorted(data.schema.recombined, key=lambda k: -data.schema.factor(k).size)
    further = [*rest, *data.schema.crossed]
    codes = {key: data.latents[key][members] for key in further}
    present = sorted(set(zip(*codes.values(), strict=True)))
    places = data.schema.factor(down).size * data.schema.factor(across).size
    if not further or 4 * len(members) < places * len(present):
        return [_grid(data, members, (down, across), "")]
    some = np.unique(np.linspace(0, len(present) - 1, MOST_PANELS).round().astype(int))
    return [
        _grid(
            data,
            members[np.all([codes[k] == v for k, v in zip(further, values, strict=True)], axis=0)],
            (down, across),
            ", ".join(value_name(data, k, v) for k, v in zip(further, values, strict=True)),
        )
        for values in (present[n] for n in some)
    ]


def value_name(data: Dataset, key: str, value: float) -> str:
    """Return the name of a value of a factor, or the number with its unit."""
    factor = data.schema.factor(key)
    return factor.values[int(value)] if factor.values else f"{value:.2f} {factor.unit}".strip()


def _grid(data: Dataset, members: Array, sides: tuple[str, str], title: str) -> Panel:
    down, across = sides
    found: dict[tuple[int, int], list[int]] = {}
    for index in members.tolist():
        place = int(data.latents[down][index]), int(data.latents[across][index])
        found.setdefault(place, []).append(index)
    return Panel(
        title=title,
        row_name=down,
        column_name=across,
        rows=data.schema.factor(down).values,
        columns=data.schema.factor(across).values,
        # Where several images compete for a place, neighbours show different ones in turn.
        images={place: rivals[sum(place) % len(rivals)] for place, rivals in found.items()},
    )


def _edits(data: Dataset, members: Array) -> Panel:
    """Return unedited scenes, ID and OOC in turn, each with its edits to the right."""
    columns = data.schema.factor(EDIT).values
    bases = [int(i) for i in members if data.latents[EDIT][i] == 0]
    sides = [
        [i for i in bases if (data.splits[i] == "ooc_test") == held_out] for held_out in (0, 1)
    ]
    chosen = [i for pair in zip(*sides, strict=False) for i in pair][:MOST_ROWS]
    return Panel(
        title="",
        row_name="scene",
        column_name=EDIT,
        rows=tuple(", ".join(data.schema.cell_names(data.cells[i])) for i in chosen),
        columns=columns,
        # The plan lists a scene and then its edits.
        images={(r, c): i + c for r, i in enumerate(chosen) for c in range(len(columns))},
    )


def _across(data: Dataset, test: Array, blocks: list[int]) -> Panel:
    across = data.schema.recombined[0]
    rows = list(dict.fromkeys(blocks))
    images: dict[tuple[int, int], int] = {}
    for row, block in enumerate(rows):
        for index in test[data.blocks[test] == block].tolist():
            images.setdefault((row, int(data.cells[index][0])), index)
    return Panel(
        title="",
        row_name="nuisances",
        column_name=across,
        rows=tuple(f"draw {n + 1}" for n in range(len(rows))),
        columns=data.schema.factor(across).values,
        images=images,
    )


ID_FRAME = (222, 224, 228)
OOC_FRAME = (213, 94, 0)  # vermillion: told from grey by every common colour vision
INK = (38, 40, 44)
EMPTY = (246, 247, 248)  # a cell that the dataset does not hold
PAPER = (255, 255, 255)
EDGE = 10  # white border of a panel
TITLE = 34  # height of the line above it
LETTER = 7.6  # width of a letter of a label, pixels, on the safe side


@dataclass(frozen=True)
class Measures:
    """Sizes of a panel in pixels; large grids have small tiles."""

    tile: int  # edge of a framed image, space between two, width of the frame
    gap: int  # edge of a framed image, space between two, width of the frame
    frame: int  # edge of a framed image, space between two, width of the frame
    left: int  # room for the names of rows and columns
    head: int  # room for the names of rows and columns
    upright: bool  # whether the names of columns are turned by 90 degrees

    @classmethod
    def of(cls, panel: Panel) -> Measures:
        """Return the sizes for a panel."""
        longest = max(len(panel.rows), len(panel.columns))
        tile, gap, frame = (
            (144, 6, 5) if longest <= 8 else (88, 4, 4) if longest <= 16 else (60, 3, 3)
        )
        wide = max(map(len, panel.columns)) * LETTER
        upright = wide > tile
        left = 20 + round(max(map(len, panel.rows)) * LETTER)
        return cls(tile, gap, frame, left, round(wide) + 12 if upright else 26, upright)

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return the upper left corner of a tile within its panel."""
        step = self.tile + self.gap
        return EDGE + self.left + column * step, EDGE + TITLE + self.head + row * step

    def size(self, panel: Panel) -> tuple[int, int]:
        """Return the size of a panel."""
        x, y = self.corner(len(panel.rows), len(panel.columns))
        return x - self.gap + EDGE, y - self.gap + EDGE


def contact_sheet(folder: Path, out: Path, *, block: int = 0) -> Path:
    """Write the grid of all test cells under one nuisance vector, held-out cells framed."""
    # Everything that is not recombined is equal in all tiles of a panel, because they are one
    # matched block; see `panels` for what runs where.
    data = Dataset(folder)
    drawn = [_panel(data, panel) for panel in panels(data, block)]
    across = math.ceil(math.sqrt(len(drawn)))
    width, height = drawn[0].size
    size = (min(across, len(drawn)) * width, math.ceil(len(drawn) / across) * height)
    sheet = Image.new("RGB", size, PAPER)
    for n, part in enumerate(drawn):
        sheet.paste(part, (n % across * width, n // across * height))
    buffer = io.BytesIO()
    if out.suffix == ".jpg":
        sheet.save(buffer, "JPEG", quality=92, subsampling=0)
    else:
        sheet.save(buffer, "PNG", optimize=True)
    write_bytes(out, buffer.getvalue())
    return out


def _panel(data: Dataset, panel: Panel) -> Image.Image:
    sizes = Measures.of(panel)
    sheet = Image.new("RGB", sizes.size(panel), PAPER)
    draw = ImageDraw.Draw(sheet)
    _labels(sheet, draw, data, panel, sizes)
    for place in itertools.product(range(len(panel.rows)), range(len(panel.columns))):
        x, y = sizes.corner(*place)
        if place in panel.images:
            _tile(sheet, draw, data, panel.images[place], (x, y), sizes)
        else:
            draw.rectangle((x, y, x + sizes.tile - 1, y + sizes.tile - 1), fill=EMPTY)
    return sheet


def _tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    data: Dataset,
    index: int,
    at: tuple[int, int],
    sizes: Measures,
) -> None:
    x, y = at
    frame = OOC_FRAME if data.splits[index] == "ooc_test" else ID_FRAME
    draw.rectangle((x, y, x + sizes.tile - 1, y + sizes.tile - 1), fill=frame)
    inner = sizes.tile - 2 * sizes.frame
    picture = Image.fromarray(data.image(index)).resize((inner, inner), Image.Resampling.LANCZOS)
    sheet.paste(picture, (x + sizes.frame, y + sizes.frame))


def _labels(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, data: Dataset, panel: Panel, sizes: Measures
) -> None:
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    title = " - ".join(filter(None, (data.name, f"{data.resolution} px", panel.title)))
    draw.text((EDGE, EDGE), title, fill=INK, font=font)
    right = sheet.width - EDGE
    if draw.textlength(title, font) + 180 < right:
        draw.text((right, EDGE), "framed: held out (OOC)", fill=OOC_FRAME, font=small, anchor="ra")
    for row, name in enumerate(panel.rows):
        x, y = sizes.corner(row, 0)
        draw.text((x - 8, y + sizes.tile // 2), name, fill=INK, font=small, anchor="rm")
    for column, name in enumerate(panel.columns):
        x, y = sizes.corner(0, column)
        middle = x + sizes.tile // 2
        if sizes.upright:
            _upright(sheet, name, (middle, y - 6), small)
        else:
            draw.text((middle, y - 6), name, fill=INK, font=small, anchor="ms")


def _upright(
    sheet: Image.Image,
    text: str,
    foot: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    left, top, right, bottom = font.getbbox(text)
    label = Image.new("RGB", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2), PAPER)
    ImageDraw.Draw(label).text((1 - left, 1 - top), text, fill=INK, font=font)
    turned = label.rotate(90, expand=True)
    sheet.paste(turned, (foot[0] - turned.width // 2, foot[1] - turned.height))
