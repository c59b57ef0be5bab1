from __future__ import annotations

import io
import json
import sys
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, ResourceError, UsageError
from recombine.renderer.publish import export as module
from recombine.renderer.publish.columns import columns, depth_pixels, normal_pixels, png
from recombine.renderer.publish.export import export_dataset, rows
from recombine.renderer.store.dataset import Dataset


@pytest.fixture
def certified(sealed: Path) -> Path:
    verify(sealed)
    return sealed


def test_tar_holds_the_same_pixels_and_latents(certified: Path, tmp_path: Path) -> None:
    data = Dataset(certified)
    out = export_dataset(certified, tmp_path / "tar", "webdataset")
    with tarfile.open(out / "ooc_test-00000.tar") as archive:
        names = archive.getnames()
        for i in data.indices("ooc_test"):
            image = np.asarray(Image.open(archive.extractfile(f"{i:08d}.png")))  # type: ignore[arg-type]
            labels = json.load(archive.extractfile(f"{i:08d}.json"))  # type: ignore[arg-type]
            assert np.array_equal(image, data.image(i))
            assert labels["object.x"] == data.latents["object.x"][i]
            code = data.latents["object.shape"][i]
            assert labels["object.shape"] == data.schema.factor("object.shape").values[code]
    assert len(names) == 6 * len(data.indices("ooc_test"))


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def require_annotations(data: Dataset, i: int, files: dict[str, bytes], plain: dict) -> None:
    """Check what an export says of an image against the store."""
    depth = data.annotation("depth", [i])[0].astype(float)
    assert np.array_equal(decoded(files["depth"]) / 1024, np.where(depth < 64, depth, 0))
    normal = decoded(files["normal"]).astype(int) - 128
    assert np.array_equal(normal, data.annotation("normal", [i])[0])
    assert np.array_equal(decoded(files["amodal_mask"]), data.annotation("amodal_mask", [i])[0])
    for column in columns(data):
        if column.shape:
            assert np.shape(plain[column.name]) == column.shape
            assert np.array_equal(plain[column.name], data.annotation(column.name, [i])[0])
    assert plain["seed"] == data.plan.cycles_seed[i]


def test_tar_and_folder_hold_every_annotation(certified: Path, tmp_path: Path) -> None:
    data = Dataset(certified)
    i = int(data.indices("ooc_test")[1])
    names = ("depth", "normal", "amodal_mask")
    out = export_dataset(certified, tmp_path / "tar", "webdataset")
    with tarfile.open(out / "ooc_test-00000.tar") as archive:
        read = lambda name: archive.extractfile(f"{i:08d}.{name}").read()  # type: ignore[union-attr] # noqa: E731
        files = {name: read(f"{name}.png") for name in names}
        require_annotations(data, i, files, json.loads(read("json")))
    out = export_dataset(certified, tmp_path / "folder", "folder")
    places = dict(zip(names, ("depth", "normals", "amodal-masks"), strict=True))
    files = {n: (out / f"ooc_test-{p}" / f"{i:08d}.png").read_bytes() for n, p in places.items()}
    lines = (out / "ooc_test" / "metadata.jsonl").read_text().splitlines()
    require_annotations(data, i, files, json.loads(lines[1]))
    meanings = json.loads((out / "metadata.json").read_text())["columns"]
    assert "y down, z forward" in meanings["camera_to_world"]


def test_depth_and_normals_are_whole_steps_of_a_png() -> None:
    """Every stored depth of 1 m to 64 m survives; what is nowhere or farther is 0."""
    stored = np.arange(2**16).astype(np.uint16).view(np.float16)
    stored = stored[(stored >= 1) & (stored < 64)]
    assert np.array_equal(depth_pixels(stored[None])[0] / 1024, stored)
    assert depth_pixels(np.array([[np.inf, 64, 1e4]], np.float16)).tolist() == [[0, 0, 0]]
    every = np.arange(-127, 128, dtype=np.int8)
    assert np.array_equal(normal_pixels(every).astype(int) - 128, every)


def test_folder_lists_every_image_once(certified: Path, tmp_path: Path) -> None:
    data = Dataset(certified)
    out = export_dataset(certified, tmp_path / "folder", "folder")
    for split in ("id_train", "id_val", "id_test", "ooc_test"):
        lines = (out / split / "metadata.jsonl").read_text().splitlines()
        files = [json.loads(line)["file_name"] for line in lines]
        assert files == [f"{i:08d}.png" for i in data.indices(split)]
        assert all((out / split / f).is_file() for f in files)
    assert json.loads((out / "metadata.json").read_text())["root"] == data.root


def test_parquet_loads_with_datasets(
    certified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(module.ROWS_PER_FILE, "parquet", 40)
    out = export_dataset(certified, tmp_path / "parquet", "parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        datasets = pytest.importorskip("datasets")
        # The folder as it would lie on the Hub: its README names the files of every split.
        loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "c"))
        first = loaded["id_train"][0]
    data = Dataset(certified)
    indices = data.indices("id_train")
    assert {s: d.num_rows for s, d in loaded.items()} == {
        s: len(data.indices(s)) for s in ("id_train", "id_val", "id_test", "ooc_test")
    }
    assert np.array_equal(np.asarray(first["image"]), data.image(int(indices[0])))
    assert np.array_equal(np.asarray(first["mask"]), data.masks([int(indices[0])])[0])
    files = {n: png(np.asarray(first[n])) for n in ("depth", "normal", "amodal_mask")}
    require_annotations(data, int(indices[0]), files, first)
    for key, column in data.latents.items():
        names = data.schema.factor(key).values
        assert first[key] == (names[int(column[indices[0]])] if names else column[indices[0]])
    assert (first["split"], first["part"], first["rung_0"]) == ("id_train", "ID", True)
    assert first["cell"] == ", ".join(data.schema.cell_names(data.cells[indices[0]]))
    assert loaded["ooc_test"][0]["part"] == "OOC"
    assert loaded["ooc_test"][0]["rung_0"] is False


def test_columns_are_those_of_the_records(certified: Path) -> None:
    data = Dataset(certified)
    (record,) = rows(data, [0])
    listed = columns(data)
    assert [c.name for c in listed if c.name in record] == [c.name for c in listed]
    assert set(record) == {c.name for c in listed}
    assert {c.name for c in listed if c.label} == set(data.schema.recombined)
    assert listed[1].feature == {"_type": "Image"}
    assert all(c.meaning for c in listed)


def test_progress_counts_every_image(certified: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export_dataset(certified, tmp_path / "out", "folder", progress=lambda *n: told.append(n))
    assert told == [(n, 112) for n in range(1, 113)]


def test_existing_folder_and_changed_data_are_refused(certified: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="must not exist"):
        export_dataset(certified, tmp_path / "there", "folder")
    shard = certified / "shards" / "shard-00000.h5"
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(IntegrityError):
        export_dataset(certified, tmp_path / "new", "folder")
    assert not (tmp_path / "new").exists()


def test_what_a_card_needs_is_asked_for_before_anything_is_written(
    certified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    with pytest.raises(ResourceError, match=r"pip install 'recombine\[export\]'"):
        export_dataset(certified, tmp_path / "parquet")
    assert not list(tmp_path.glob("*parquet*"))
    export_dataset(certified, tmp_path / "tar", "webdataset")


def test_interrupted_export_leaves_nothing(
    certified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_dataset(certified, tmp_path / "new", "webdataset", progress=interrupt)
    assert not list(tmp_path.glob("*new*"))


def test_png_is_lossless() -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(array)))), array)
