"""Users' ledgers: free licences, whole files and known names only; and presets declared by them."""

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.planning.ledger import (
    LICENCES,
    declare,
    keep_assets,
    load_ledger,
)
from recombine.renderer.planning.planner import config_of, make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.scenes.assets import plan_assets
from recombine.renderer.store.shards import load_plan, save_plan
from tests.renderer.own_assets import CUBE, files, glb

DECLARED = """
[preset]
name = "mine"
base = "object-background"
values = 4
[replace]
"object.shape" = ["box", "cube", "vase", "teapot"]
"object.material" = "own"
"background.environment" = ["sky", "parlour", "hall", "studio"]
"""
FILES = {"box": ("mesh", "box.glb"), "sky": ("hdri", "sky.hdr"), "tiles": ("texture", "tiles.png")}

DOCS = Path(__file__).parents[3] / "docs" / "assets.md"


def write(folder, declared=DECLARED, **changes):
    """Write three files and their ledger; changes are of the fields of a row, by its name."""
    digest = files(folder)
    lines = []
    for name, (kind, file) in FILES.items():
        row = {"name": name, "kind": kind, "file": file, "licence": "CC0-1.0"}
        row |= {"source": f"https://example.org/{name}", "sha256": digest[file]}
        row |= {"floor": "tiles"} if name == "sky" else {}
        row |= changes.get(name, {})
        lines += ["[[asset]]", *(f"{k} = {json.dumps(v)}" for k, v in row.items() if v is not None)]
    path = folder / "my.toml"
    path.write_text("\n".join([*lines, declared]))
    return path


def put(folder, name, data):
    """Replace a file and return what its row then says."""
    (folder / name).write_bytes(data)
    return {"file": name, "sha256": hashlib.sha256(data).hexdigest()}


def test_a_good_ledger_is_read(tmp_path):
    ledger = load_ledger(write(tmp_path))
    assert [(a.name, a.kind, a.licence) for a in ledger.assets] == [
        ("box", "mesh", "CC0-1.0"),
        ("sky", "hdri", "CC0-1.0"),
        ("tiles", "texture", "CC0-1.0"),
    ]
    assert ledger.assets[1].floor == "tiles"
    assert (ledger.name, ledger.base, ledger.values) == ("mine", "object-background", 4)


@pytest.mark.parametrize("licence", LICENCES)
def test_free_licences_pass(tmp_path, licence):
    path = write(tmp_path, box={"licence": licence})
    assert load_ledger(path).assets[0].licence == licence


@settings(max_examples=20, deadline=None)
@given(st.text("ABCNDSY-.0123 ", max_size=14).filter(lambda text: text not in LICENCES))
def test_any_other_licence_is_refused(tmp_path_factory, licence):
    path = write(tmp_path_factory.mktemp("ledger"), sky={"licence": licence})
    with pytest.raises(InvalidInputError, match="the licence of asset 'sky' to be one of CC0"):
        load_ledger(path)


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC-BY-ND-4.0", "GPL-3.0"])
def test_the_refusal_names_asset_licence_and_key(tmp_path, licence):
    with pytest.raises(InvalidInputError) as caught:
        load_ledger(write(tmp_path, box={"licence": licence}))
    for part in ("my.toml, key 'asset.0.licence'", "'box'", licence, "CC-BY-4.0"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": None}, "expected the keys"),
        ({"kind": None}, "expected the keys"),
        ({"colour": "red"}, "one of the keys"),
        ({"metres": 2.0}, "one of the keys"),  # a box has no tiles
        ({"kind": "model"}, "expected one of"),
        ({"file": "none.glb"}, "a file that exists"),
        ({"file": "my.toml"}, "ends in .glb or .obj"),
        ({"name": "cube"}, "no name of the library"),
        ({"name": "../box"}, "lower-case letters"),
    ],
)
def test_faults_are_located(tmp_path, changes, message):
    write(tmp_path)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_ledger(write(tmp_path, box=changes))
    assert "my.toml, key 'asset.0" in str(caught.value)


def test_a_floor_must_be_a_texture_of_the_ledger(tmp_path):
    for floor in ("tile", "box"):
        with pytest.raises(InvalidInputError, match=r"asset\.1\.floor.*a texture of this ledger"):
            load_ledger(write(tmp_path, sky={"floor": floor}))


def test_a_changed_file_is_an_integrity_error(tmp_path):
    path = write(tmp_path)
    (tmp_path / "sky.hdr").write_bytes((tmp_path / "sky.hdr").read_bytes() + b"x")
    with pytest.raises(IntegrityError, match="asset 'sky': expected a file with sha256"):
        load_ledger(path)


OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"
BROKEN = {
    "cut.glb": glb()[:-9],
    "old.glb": b"glTF\x01\0\0\0" + glb()[8:],
    "text.glb": b"not a mesh",
    "elsewhere.glb": glb(buffers=[{"byteLength": 4, "uri": "box.bin"}]),
    "picture.glb": glb(images=[{"uri": "wood.png"}]),
    "noaccessor.glb": glb(accessors=[]),
    "faceless.glb": glb(meshes=[]),
    "dense.glb": glb(accessors=[{"count": 900_000, "type": "SCALAR", "componentType": 5125}] * 2),
    "letters.obj": OBJ + b"f 1 two 3\n",
    "beyond.obj": OBJ + b"f 1 2 4\n",
    "line.obj": OBJ + b"f 1 2\n",
    "faceless.obj": OBJ,
    "bytes.obj": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_meshes_are_named_before_anything_is_rendered(tmp_path, name):
    write(tmp_path)
    with pytest.raises(InvalidInputError, match=r"asset\.0\.file.*asset 'box' to"):
        load_ledger(write(tmp_path, box=put(tmp_path, name, BROKEN[name])))


@pytest.mark.parametrize(("row", "file"), [("sky", "fake.exr"), ("tiles", "fake.jpg")])
def test_pictures_of_another_format_are_named(tmp_path, row, file):
    with pytest.raises(InvalidInputError, match=f"asset '{row}' to be a"):
        load_ledger(write(tmp_path, **{row: put(tmp_path, file, b"GIF89a")}))


def test_names_occur_once(tmp_path):
    path = write(tmp_path, "", sky={"name": "box"})
    with pytest.raises(InvalidInputError, match="'box' again"):
        load_ledger(path)


@pytest.mark.parametrize("text", ["asset = 3", "[[asset]", "", "other = 1"])
def test_what_is_no_ledger_is_refused(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"my\.toml"):
        load_ledger(path)


def test_a_missing_ledger_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="expected a file"):
        load_ledger(tmp_path / "nowhere.toml")


# Presets declared with a ledger.


def mine(folder, declared=DECLARED, **changes):
    ledger = load_ledger(write(folder, declared, **changes))
    return declare(load_preset("object-background", values=4, scale=0.001), ledger)


def test_a_declared_preset_keeps_seeds_and_split(tmp_path):
    preset, base = mine(tmp_path), load_preset("object-background", values=4, scale=0.001)
    assert preset.name == "object-background--values-4--mine"
    assert preset.identity == base.identity
    assert preset.split == base.split
    assert preset.schema.factor("object.shape").values == ("box", "cube", "vase", "teapot")
    assert ("object.material", "own") in preset.constants
    old, new = make_plan(base), make_plan(preset)
    assert (old.cycles_seed == new.cycles_seed).all()
    assert all((old.latents[k] == new.latents[k]).all() for k in old.latents)


def test_the_plan_holds_what_is_used_and_no_path(tmp_path):
    preset = mine(tmp_path)
    config = config_of(preset)
    assert [a["name"] for a in config["assets"]] == ["box", "sky", "tiles"]
    assert {"name", "kind", "sha256", "licence"} <= set(config["assets"][0])
    assert str(tmp_path) not in json.dumps(config)
    fewer = mine(tmp_path, DECLARED.replace('["sky", "parlour"', '["city", "parlour"'))
    assert [a.name for a in fewer.assets] == ["box"]
    assert "assets" not in config_of(load_preset("object-background"))


def test_the_identity_is_that_of_the_files_and_not_of_their_place(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    first, second = make_plan(mine(one)), make_plan(mine(two))
    assert first.digest() == second.digest()
    other = make_plan(mine(two, box=put(two, "low.glb", glb(CUBE * [1, 0.5, 1]))))
    assert other.digest() != first.digest()
    code = first.schema.factor("object.shape").values
    for index in range(len(first)):
        shape = code[int(first.latents["object.shape"][index])]
        same = first.spec_hash(index) == other.spec_hash(index)
        assert same == (shape != "box")  # only the images that show the file are others


def test_a_dataset_carries_the_files(tmp_path):
    plan, data = make_plan(mine(tmp_path)), tmp_path / "data"
    save_plan(data, plan)
    keep_assets(data, plan.assets)
    for path in tmp_path.glob("*.*"):
        path.unlink()
    again = load_plan(data)
    assert again.digest() == plan.digest()
    assert [a.record() for a in again.assets] == [a.record() for a in plan.assets]
    assert {a.file.parent for a in again.assets} == {data / "assets"}
    keep_assets(data, again.assets)
    assert again.spec_hash(0) == plan.spec_hash(0)
    next((data / "assets").glob("*.glb")).write_bytes(b"other")
    with pytest.raises(IntegrityError, match="asset 'box'"):
        keep_assets(data, again.assets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"object.shape" = ["box", ', '"object.shape" = ["bax", '), "Did you mean 'box'"),
        (('"sky", "parlour"', '"sky", "parlor"'), "Did you mean 'parlour'"),
        (('"sky", "parlour"', '"box", "parlour"'), "an asset of the library or of a ledger"),
        (('"box", "cube", ', '"box", '), "expected 4 values"),
        (('"box", "cube"', '"cube", "cube"'), "distinct values"),
        (('"object.material" = "own"', '"object.material" = ["own"]'), "a name for one of"),
        (('"object.shape"', '"thing.shape"'), "expected a list for one of object.shape"),
        (('"object.shape"', '"object.hue"'), "a factor whose values are assets"),
        (('name = "mine"', 'name = "My things"'), "lower-case letters"),
        (("values = 4", "values = 400"), "a whole number"),
    ],
)
def test_faults_of_a_declaration_are_named(tmp_path, change, message):
    assert change[0] in DECLARED
    with pytest.raises(InvalidInputError, match=message):
        mine(tmp_path, DECLARED.replace(*change))


def test_the_base_is_the_preset_that_is_named(tmp_path):
    ledger = load_ledger(write(tmp_path))
    with pytest.raises(UsageError, match="expected the preset 'object-background'"):
        declare(load_preset("object-texture"), ledger)
    with pytest.raises(UsageError, match="to declare a preset"):
        declare(load_preset("object-background"), replace(ledger, name=""))


@pytest.mark.parametrize(
    "assets",
    [
        3,
        [3],
        [{"name": "box"}],
        [{"name": "b", "kind": "mesh", "licence": "", "source": "", "sha256": "../../x" * 9,
          "ending": ".glb"}],
    ],
)  # fmt: skip
def test_a_plan_cannot_name_files_elsewhere(assets):
    with pytest.raises(IntegrityError, match="plan: expected"):
        plan_assets({"assets": assets}, Path("data"))


@pytest.mark.skipif(not DOCS.is_file(), reason="needs a checkout")
def test_the_example_of_the_documentation_is_a_ledger(tmp_path):
    text = DOCS.read_text()
    example = next(b for b in text.split("```") if b.startswith("toml\n") and "[preset]" in b)
    rows = tomllib.loads(example.removeprefix("toml\n"))["asset"]
    assert {(r["name"], r["kind"], r["file"]) for r in rows} == {
        (name, *rest) for name, rest in FILES.items()
    }
