"""The ledger: a row for every asset, and a gate that lets only free licences through."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.planning import assets
from recombine.renderer.planning.assets import (
    LICENCES,
    check_file,
    find,
    hdri,
    load_ledger,
    photographs,
    procedural,
)
from recombine.renderer.scenes import library

BYTES = b"#?RADIANCE\n"


def write(folder, **changes):
    """Write a ledger of one photograph, some fields changed or left out (None)."""
    (folder / "hall.hdr").write_bytes(BYTES)
    row = {
        "name": "hall",
        "kind": "hdri",
        "file": "hall.hdr",
        "licence": "CC0-1.0",
        "source": "https://example.org/hall",
        "sha256": hashlib.sha256(BYTES).hexdigest(),
    } | changes
    lines = [f'{key} = "{value}"' for key, value in row.items() if value is not None]
    path = folder / "ledger.toml"
    path.write_text("\n".join(["[[asset]]", *lines, ""]))
    return path


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


def test_a_good_ledger_is_read(tmp_path):
    (row,) = load_ledger(write(tmp_path))
    assert (row.name, row.kind, row.licence) == ("hall", "hdri", "CC0-1.0")
    assert row.file == tmp_path / "hall.hdr"
    assert hdri(f"{tmp_path / 'ledger.toml'}#hall") == row


@pytest.mark.parametrize("licence", LICENCES)
def test_free_licences_pass(tmp_path, licence):
    assert load_ledger(write(tmp_path, licence=licence))[0].licence == licence


@settings(max_examples=30, deadline=None)
@given(st.text("ABCNDSY-.0123 ", max_size=14).filter(lambda text: text not in LICENCES))
def test_anything_else_is_refused(tmp_path_factory, licence):
    path = write(tmp_path_factory.mktemp("ledger"), licence=licence)
    with pytest.raises(InvalidInputError, match="the licence of asset 'hall' to be one of CC0"):
        load_ledger(path)


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC-BY-ND-4.0", "GPL-3.0"])
def test_the_refusal_names_asset_licence_and_key(tmp_path, licence):
    with pytest.raises(InvalidInputError) as caught:
        load_ledger(write(tmp_path, licence=licence))
    for part in (
        "ledger.toml, key 'asset.0.licence'",
        "'hall'",
        licence,
        "CC-BY-4.0",
        "BSD-3-Clause",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": None}, "expected the keys"),
        ({"colour": "red"}, "one of the keys"),
        ({"kind": "model"}, "expected one of"),
        ({"file": "none.hdr"}, "a file that exists"),
        ({"file": "ledger.toml"}, "ends in .hdr or .exr"),
    ],
)
def test_faults_are_located(tmp_path, changes, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_ledger(write(tmp_path, **changes))
    assert "ledger.toml, key 'asset.0" in str(caught.value)


def test_a_changed_file_is_an_integrity_error(tmp_path):
    path = write(tmp_path)
    (tmp_path / "hall.hdr").write_bytes(BYTES + b"x")
    with pytest.raises(IntegrityError, match="asset 'hall': expected a file with sha256"):
        load_ledger(path)


def test_names_occur_once(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text() * 2)
    with pytest.raises(InvalidInputError, match="'hall' again"):
        load_ledger(path)


@pytest.mark.parametrize("text", ["asset = 3", "[[asset]", "", "other = 1"])
def test_what_is_no_ledger_is_refused(tmp_path, text):
    path = tmp_path / "ledger.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"ledger\.toml"):
        load_ledger(path)


def test_a_missing_ledger_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="expected a file"):
        load_ledger(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [("shape", "teapott", "teapot"), ("light", "moon-light", "moonlight"), ("hdri", "hal", "hall")],
)
def test_unknown_assets_get_the_nearest_name(tmp_path, kind, name, near):
    ledger = load_ledger(write(tmp_path))
    assert find(kind, near, ledger).name == near
    with pytest.raises(InvalidInputError, match=f"Did you mean '{near}'"):
        find(kind, name, ledger)
