from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from recombine.renderer import preview
from recombine.renderer.reader import Dataset


def test_held_out_cells_are_framed_and_no_other(sealed: Path) -> None:
    sheet = np.asarray(Image.open(preview.contact_sheet(sealed, sealed / "sheet.png")))
    data = Dataset(sealed)
    held_out = {tuple(c) for c in data.cells[data.indices("ooc_test")]}
    for row in range(4):
        for column in range(4):
            x = preview.MARGIN + column * (preview.TILE + preview.GAP)
            y = preview.HEAD + row * (preview.TILE + preview.GAP)
            wanted = preview.OOC_FRAME if (row, column) in held_out else preview.ID_FRAME
            assert tuple(sheet[y + 1, x + 1]) == wanted
            middle = sheet[y + preview.TILE // 2, x + preview.TILE // 2]
            assert tuple(middle) not in (preview.OOC_FRAME, preview.ID_FRAME)


def test_suffix_decides_the_format(sealed: Path) -> None:
    for name, form in (("a.jpg", "JPEG"), ("a.png", "PNG")):
        with Image.open(preview.contact_sheet(sealed, sealed / name)) as picture:
            assert picture.format == form


def test_small_enough_to_commit(sealed: Path) -> None:
    assert preview.contact_sheet(sealed, sealed / "sheet.png").stat().st_size < 300_000
