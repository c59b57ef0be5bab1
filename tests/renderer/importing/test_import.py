"""Importing: what comes in is what was there, every fault has a name, blocks match or are none."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    RecombineError,
    ResourceError,
    UsageError,
)
from recombine.renderer.core.types import Array
from recombine.renderer.importing.pictures import Shaping
from recombine.renderer.importing.run import Imported, import_dataset
from recombine.renderer.publish.export import Form, export_dataset
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.importing import worlds

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images with its table and its split."""
    return worlds.photos(tmp_path_factory.mktemp("photos") / "source")


@pytest.fixture(scope="module")
def imported(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Return what those become."""
    return taken(photos, tmp_path_factory.mktemp("imported") / "data")


def taken(source: Path, out: Path, **changes: str) -> Imported:
    """Import a folder of photos, with lines added to its split."""
    split = source / "split.toml"
    if changes:
        split = out.with_suffix(".toml")
        text = worlds.PHOTOS + "".join(f"{key} = {value}\n" for key, value in changes.items())
        split.write_text(text)
    return import_dataset(source, split, out, labels=source / "labels.csv")


def statuses(made: Imported) -> dict[str, str]:
    return {check.name: check.status for check in made.certificate.checks}


def table_of(source: Path) -> list[dict[str, str]]:
    with (source / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_pixels_and_labels_are_those_of_the_table(photos: Path, imported: Imported) -> None:
    data = Dataset(imported.folder)
    rows = {}
    for row in table_of(photos):
        with Image.open(photos / row["file"]) as image:
            rows[np.asarray(image).tobytes()] = row
    assert len(data) == sum(imported.images.values()) > 60
    for split in ("id_train", "id_val", "id_test", "ooc_test"):
        view = data[split]
        factors = view.factors
        for place, image in enumerate(view.images):
            row = rows.pop(image.tobytes())
            assert factors["object.shape"][place] == row["object.shape"]
            assert factors["background.place"][place] == row["background.place"]
            assert factors["light.rig"][place] == row["light.rig"]
            assert factors["object.x"][place] == pytest.approx(float(row["object.x"]))
    assert len(rows) <= 4  # images of rows that no part of the split takes


def test_types_follow_from_the_table(imported: Imported) -> None:
    schema = Dataset(imported.folder).schema
    assert schema.factor("object.shape").values == ("a", "b", "c", "d")
    assert schema.factor("light.rig").kind == "categorical"  # few whole numbers
    assert schema.factor("object.x").kind == "continuous"
    assert schema.objects == ("object",)
    assert schema.nuisances == ("object.x", "light.rig")


def test_held_out_combinations_are_those_declared(imported: Imported) -> None:
    data = Dataset(imported.folder)
    inside = {tuple(c) for s in ("id_train", "id_val", "id_test") for c in data[s].cells.tolist()}
    outside = {tuple(c) for c in data["ooc_test"].cells.tolist()}
    assert outside == {(a, (a + 3) % 4) for a in range(4)}
    assert not inside & outside
    assert {tuple(c) for c in data["id_test"].cells.tolist()} <= {
        tuple(c) for c in data["id_train"].cells.tolist()
    }


def test_without_blocks_nothing_about_nuisances_passes(imported: Imported) -> None:
    found = statuses(imported)
    assert found["nuisances"] == "stated"
    assert found["interaction"] == found["exposure"] == "not applicable"
    assert found["no-leak"] == found["coverage"] == found["imported"] == "pass"
    assert any("no matched blocks" in note for note in imported.notes)
    data = Dataset(imported.folder)
    assert not data.matched
    assert len(np.unique(data.blocks)) == len(data)
    assert verify(imported.folder).to_dict() == imported.certificate.to_dict()
    assert "nothing can draw these images again" in imported.certificate.proves


def test_a_draw_depends_on_names_and_not_on_the_order_of_the_table(
    photos: Path, imported: Imported, tmp_path: Path
) -> None:
    rows = [list(row.values()) for row in table_of(photos)]
    turned = tmp_path / "turned.csv"
    worlds.write_table(turned, list(table_of(photos)[0]), rows[::-1])
    again = import_dataset(photos, photos / "split.toml", tmp_path / "again", labels=turned)
    assert Dataset(again.folder).root == Dataset(imported.folder).root


def test_masks_are_kept_and_images_without_have_none(imported: Imported, tmp_path: Path) -> None:
    source = worlds.photos(tmp_path / "source", masks=True)
    data = Dataset(taken(source, tmp_path / "data", mask='"mask"').folder)
    assert np.unique(data.masks([0, 1])).tolist() == [0, 1]
    bare = Dataset(imported.folder)
    assert bare.annotations == ()
    assert "mask" not in bare.torch("id_test")[0]
    for ask in (
        lambda: bare.masks([0]),
        lambda: bare.visible,
        lambda: data.annotation("depth", [0]),
    ):
        with pytest.raises(InvalidInputError, match="expected images with"):
            ask()


def test_nothing_draws_an_imported_image_again(imported: Imported) -> None:
    with pytest.raises(UsageError, match="imported"):
        Dataset(imported.folder).plan.scene(0)


def test_a_changed_pixel_is_seen(photos: Path, tmp_path: Path) -> None:
    import h5py

    folder = taken(photos, tmp_path / "data").folder
    with h5py.File(folder / "shards" / "shard-00000.h5", "r+") as handle:
        handle["image"][0, 0, 0, 0] ^= 1
    failed = {check.name for check in verify(folder).checks if check.status == "fail"}
    assert {"files", "pixels"} <= failed


def test_the_licence_is_a_field(photos: Path, tmp_path: Path) -> None:
    made = taken(photos, tmp_path / "data", training_generative_models="false")
    data = Dataset(made.folder)
    assert (data.licence, data.training_generative_models) == ("CC0-1.0", False)
    export_dataset(made.folder, tmp_path / "export", "folder")
    about = json.loads((tmp_path / "export" / "metadata.json").read_text())
    assert about["training_generative_models"] is False


Change = Callable[[list[dict[str, str]], Path], None]


def _without_column(rows: list[dict[str, str]], _: Path) -> None:
    for row in rows:
        del row["object.shape"]


def _set(key: str, value: str) -> Change:
    def change(rows: list[dict[str, str]], _: Path) -> None:
        rows[3][key] = value

    return change


def _twice(rows: list[dict[str, str]], _: Path) -> None:
    rows[3]["file"] = rows[0]["file"]


def _unreadable(rows: list[dict[str, str]], source: Path) -> None:
    for row in rows:
        path = source / row["file"]
        path.write_bytes(path.read_bytes()[:60])


FAULTS: dict[str, tuple[Change, str]] = {
    "missing column": (_without_column, "labels.csv: expected a column 'object.shape'"),
    "NaN": (_set("object.x", "nan"), r"row 5: expected a value of 'object.x'; got nan"),
    "infinite": (_set("object.x", "inf"), r"row 5: expected a finite number"),
    "empty entry": (_set("object.shape", ""), "row 5: expected a value of 'object.shape'"),
    "duplicate file": (_twice, r"row 5: expected every file once; .* row 2"),
    "image missing": (_set("file", "pictures/none.png"), "row 5: expected the file"),
    "path outside": (_set("file", "../other.png"), "row 5: expected a path inside"),
    "unreadable image": (_unreadable, "expected an image that can be read"),
    "unknown value": (_set("object.shape", "q"), "row 5: expected a value of 'object.shape' from"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_table_is_refused_by_row_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    change, message = FAULTS[name]
    source = worlds.photos(tmp_path / "source", each=4)
    rows = table_of(source)
    change(rows, source)
    worlds.write_table(source / "labels.csv", list(rows[0]), [list(r.values()) for r in rows])
    listed = {"object.shape": {"column": "object.shape", "values": list("abcd")}}
    with pytest.raises(InvalidInputError, match=message):
        taken(source, tmp_path / "data", factors=_inline(listed))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.toml", "source"]


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{k}" = {_inline(v)}' for k, v in value.items()) + "}"
    return json.dumps(value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('licence = ""', "one line of text"),
        ('name = "smoke"', "a name that no preset has"),
        ('recombine = ["object.shape"]', "two recombined factors"),
        ('recombine = ["object.shape", "object.none"]', "'object.none' is not among"),
        ('blocks = "nuisances"', "three blocks or more"),
        ("size = 8", "16..1024"),
        ("surprise = 1", "one of the keys"),
        ('where = {"object.shape" = "q"}', "expected rows that `where` and `drop` keep"),
        ('labels = {array = "x"}', "the keys"),
    ],
)
def test_a_bad_recipe_is_refused_by_key(
    line: str, message: str, photos: Path, tmp_path: Path
) -> None:
    key = line.partition(" ")[0]
    kept = [text for text in worlds.PHOTOS.splitlines() if not text.startswith(f"{key} =")]
    (tmp_path / "split.toml").write_text("\n".join([*kept, line]))
    with pytest.raises(InvalidInputError, match=message):
        import_dataset(
            photos, tmp_path / "split.toml", tmp_path / "data", labels=photos / "labels.csv"
        )


def test_a_value_that_the_split_names_must_be_in_the_table(photos: Path, tmp_path: Path) -> None:
    text = worlds.PHOTOS.replace(
        'geometry = "orbit"\nresidues = [0, 1, 2]\nrequire = {coverage = 1, novelty = 2}',
        'geometry = "leave-one-out"\ncell = ["e", "w"]',
    )
    (tmp_path / "split.toml").write_text(text)
    with pytest.raises(InvalidInputError, match=r"a value of 'object.shape'"):
        import_dataset(
            photos, tmp_path / "split.toml", tmp_path / "data", labels=photos / "labels.csv"
        )


def test_a_promise_that_the_images_do_not_keep_is_refused(photos: Path, tmp_path: Path) -> None:
    text = worlds.PHOTOS.replace("coverage = 1,", "coverage = 1, marginal_tv = 0,")
    (tmp_path / "split.toml").write_text(text)
    with pytest.raises(IntegrityError, match=r"balance .*Nothing was written"):
        import_dataset(
            photos, tmp_path / "split.toml", tmp_path / "data", labels=photos / "labels.csv"
        )
    assert not (tmp_path / "data").exists()


def test_existing_folders_and_missing_sources_are_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must not exist yet"):
        taken(photos, photos)
    with pytest.raises(UsageError, match="a folder of images"):
        import_dataset(
            photos / "none", photos / "split.toml", tmp_path / "x", labels=photos / "labels.csv"
        )
    with pytest.raises(UsageError, match="a table of labels"):
        import_dataset(photos, photos / "split.toml", tmp_path / "x")


def test_a_disk_that_is_full_is_found_before_it_is_mapped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        taken(photos, tmp_path / "data")
    assert not list(tmp_path.glob("*data*"))


def test_per_cell_makes_combinations_equally_frequent(photos: Path, tmp_path: Path) -> None:
    made = taken(photos, tmp_path / "data", per_cell="5")
    data = Dataset(made.folder)
    cells = np.concatenate([data[s].cells for s in ("id_train", "id_val", "id_test", "ooc_test")])
    assert np.unique(cells, axis=0, return_counts=True)[1].tolist() == [5] * 16
    assert statuses(made)["balance"] == "pass"
    assert made.shift.factors["object.shape"] == 0


SHAPES = [
    ((10, 10), 0.0, 0, None, ""),
    ((10, 10, 1), 0.0, 0, None, ""),
    ((3, 10, 10), 0.0, 0, None, ""),
    ((10, 14, 3), 0.0, 0, None, "`size`"),
    ((10, 14, 3), 0.0, 16, None, "`fit`"),
    ((10, 14, 3), 0.0, 16, "crop", ""),
    ((10, 14, 3), 0.0, 16, "pad", ""),
    ((10, 14, 3), 0.0, 16, "stretch", ""),
    ((10, 10, 2), 0.0, 0, None, "expected an image"),
]


@pytest.mark.parametrize(("shape", "white", "size", "fit", "message"), SHAPES)
def test_shapes_of_images(
    shape: tuple[int, ...], white: float, size: int, fit: Any, message: str
) -> None:
    shaping = Shaping(white, size, fit)
    array: Array = np.full(shape, 7, np.uint8)
    if message:
        with pytest.raises(InvalidInputError, match=message):
            shaping.image(array, "image")
        return
    image = shaping.image(array, "image")
    assert image.shape == ((size or 10),) * 2 + (3,)
    assert image.max() == 7
    assert (image.min() == 0) == (fit == "pad")


@pytest.mark.parametrize(
    ("array", "white", "value"),
    [
        (np.ones((4, 4), bool), 0.0, 255),
        (np.ones((4, 4), np.uint8), 1.0, 255),
        (np.full((4, 4), 0.5), 1.0, 128),
        (np.full((4, 4), 65535, np.uint16), 65535.0, 255),
        (np.full((4, 4), 0.5), 0.0, None),
        (np.full((4, 4), np.nan), 1.0, None),
        (np.full((4, 4), 2, np.uint8), 1.0, None),
        (np.full((4, 4, 4), 9, np.uint8), 0.0, None),  # transparent
    ],
)
def test_values_of_pixels(array: Array, white: float, value: int | None) -> None:
    shaping = Shaping(white, 0, None)
    if value is None:
        with pytest.raises(InvalidInputError):
            shaping.image(array, "image")
    else:
        assert np.unique(shaping.image(array, "image")).tolist() == [value]


@pytest.mark.parametrize("form", ["folder", "webdataset", "parquet"])
def test_an_export_comes_back_with_equal_labels(form: Form, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("mlcroissant")
    drawn_dataset(tmp_path / "data")
    verify(tmp_path / "data")
    data = Dataset(tmp_path / "data")
    export_dataset(tmp_path / "data", tmp_path / "export", form)
    split = tmp_path / "split.toml"
    split.write_text('geometry = "orbit"\nresidues = [0, 1]\n[import]\nname = "again"\n')
    back = Dataset(import_dataset(tmp_path / "export", split, tmp_path / "back").folder)
    assert back.schema.keys == data.schema.keys
    assert [back.schema.factor(k) for k in back.schema.keys] == [
        data.schema.factor(k) for k in data.schema.keys
    ]
    assert back.licence == data.licence
    place = {image.tobytes(): n for n, image in enumerate(data.images(range(len(data))))}
    found = [place[image.tobytes()] for image in back.images(range(len(back)))]
    assert len(set(found)) == len(back) > len(data) // 2
    for key, values in data.latents.items():
        assert np.array_equal(back.latents[key], values[found]), key
    assert np.array_equal(back.masks(range(len(back))), data.masks(found))


def test_a_damaged_export_is_refused(tmp_path: Path) -> None:
    drawn_dataset(tmp_path / "data")
    verify(tmp_path / "data")
    export_dataset(tmp_path / "data", tmp_path / "export", "folder")
    split = tmp_path / "split.toml"
    split.write_text('geometry = "orbit"\nresidues = [0, 1]\n[import]\nname = "again"\n')
    for line in ('{"file_name": "x.png"}', "no JSON"):
        (tmp_path / "export" / "id_test" / "metadata.jsonl").write_text(line)
        with pytest.raises(RecombineError, match="damaged"):
            import_dataset(tmp_path / "export", split, tmp_path / "back")


def test_a_shard_of_another_kind_is_incomplete(imported: Imported) -> None:
    from recombine.renderer.store.shards import shard_is_complete

    plan = Dataset(imported.folder).plan
    assert shard_is_complete(imported.folder, 0, plan, range(64))
    other = replace(plan, config={**plan.config, "annotations": ["mask"]})
    assert not shard_is_complete(imported.folder, 0, other, range(64))
