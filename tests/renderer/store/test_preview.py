from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.store import preview
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.preview import Panel, panels


def test_held_out_cells_are_framed_and_no_other(sealed: Path) -> None:
    sheet = np.asarray(Image.open(preview.contact_sheet(sealed, sealed / "sheet.png")))
    data = Dataset(sealed)
    panel = panels(data)[0]
    sizes = preview.Measures.of(panel)
    held_out = {tuple(c) for c in data.cells[data.indices("ooc_test")]}
    for row in range(4):
        for column in range(4):
            x, y = sizes.corner(row, column)
            wanted = preview.OOC_FRAME if (row, column) in held_out else preview.ID_FRAME
            assert tuple(sheet[y + 1, x + 1]) == wanted
            middle = sheet[y + sizes.tile // 2, x + sizes.tile // 2]
            assert tuple(middle) not in (preview.OOC_FRAME, preview.ID_FRAME)


@pytest.mark.parametrize(("values", "tile", "upright"), [(4, 144, False), (16, 88, True)])
def test_large_grids_have_small_tiles_and_upright_names(
    values: int, tile: int, upright: bool
) -> None:
    names = tuple(f"long-value-{n:02d}" for n in range(values))
    images = {(r, c): 0 for r in range(values) for c in range(values)}
    panel = Panel("", "a", "b", names, names, images)
    sizes = preview.Measures.of(panel)
    assert (sizes.tile, sizes.upright) == (tile, upright)
    last = sizes.corner(values - 1, values - 1)
    assert all(a + sizes.tile < b for a, b in zip(last, sizes.size(panel), strict=True))


def test_suffix_decides_the_format(sealed: Path) -> None:
    for name, form in (("a.jpg", "JPEG"), ("a.png", "PNG")):
        with Image.open(preview.contact_sheet(sealed, sealed / name)) as picture:
            assert picture.format == form


def test_small_enough_to_commit(sealed: Path) -> None:
    assert preview.contact_sheet(sealed, sealed / "sheet.png").stat().st_size < 300_000
