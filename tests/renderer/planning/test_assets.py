"""A row for every asset of the library, with licence, source and hash."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.planning import assets
from recombine.renderer.planning.assets import check_file, find, photographs, procedural
from recombine.renderer.scenes import library


def test_every_asset_of_the_library_has_a_row():
    rows = procedural()
    for kind, names in (
        ("shape", library.SHAPES),
        ("material", library.MATERIALS),
        ("environment", library.ENVIRONMENTS),
        ("light", library.LIGHTS),
    ):
        assert tuple(row.name for row in rows if row.kind == kind) == names


def test_rows_name_the_module_and_hash_its_text():
    folder = Path(assets.__file__).parents[1] / "blender"
    for row in procedural():
        text = (folder.joinpath(*row.source.split(".")[3:]).with_suffix(".py")).read_bytes()
        assert row.sha256 == hashlib.sha256(text).hexdigest()
        assert row.name in text.decode()
        assert row.file is None


def test_photographs_of_the_wheel_are_pinned_and_free():
    rows = photographs()
    assert len({row.sha256 for row in rows}) == len(rows) == 8
    for row in rows:
        assert (row.kind, row.licence) == ("hdri", "CC0-1.0")
        assert row.file is None or check_file(row) is None
        assert find("hdri", row.name) == row


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [("shape", "teapott", "teapot"), ("light", "moon-light", "moonlight"), ("hdri", "cty", "city")],
)
def test_unknown_assets_get_the_nearest_name(kind, name, near):
    assert find(kind, near).name == near
    with pytest.raises(InvalidInputError, match=f"Did you mean '{near}'"):
        find(kind, name)


def test_a_missing_file_is_named(tmp_path):
    row = replace(photographs()[0], file=tmp_path / "gone.exr")
    with pytest.raises(InvalidInputError, match=r"expected its file .*gone\.exr"):
        check_file(row)
