"""Malformed datasets: verify and the reader name file, key and value, and never break."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, RecombineError
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.scenes.scene import RenderSettings
from recombine.renderer.splits.geometry import Sizes
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.records import SettingsRecord, SizesRecord
from recombine.renderer.store.seal import file_sha256
from recombine.renderer.store.shards import load_plan, save_plan
from tests.renderer.evidence_fixture import SMALL, small

SHARD = "shards/shard-00001.h5"


@pytest.mark.parametrize("name", SMALL)
def test_plans_of_every_preset_are_read(name: str, tmp_path: Path) -> None:
    plan = make_plan(small(name))
    save_plan(tmp_path, plan)
    assert load_plan(tmp_path).digest() == plan.digest()


def test_records_have_the_fields_of_what_they_describe() -> None:
    assert set(SettingsRecord.model_fields) == {f.name for f in fields(RenderSettings)}
    assert set(SizesRecord.model_fields) == {f.name for f in fields(Sizes)}


def configured(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        with h5py.File(folder / "plan.h5", "r+") as handle:
            config = json.loads(handle.attrs["config"])
            change(config)
            handle.attrs["config"] = json.dumps(config)

    return plant


def sealed_with(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return plant


def attribute(name: str, value: object) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        with h5py.File(folder / "plan.h5", "r+") as handle:
            handle.attrs[name] = value

    return plant


def moved_out(folder: Path) -> None:
    shutil.copy(folder / SHARD, folder.parent / "out.h5")
    sealed_with(lambda m: m["shards"][1].update(file="../out.h5"))(folder)


def linked_out(folder: Path) -> None:
    (folder / SHARD).rename(folder.parent / "out.h5")
    (folder / SHARD).symlink_to(folder.parent / "out.h5")


def linked_plan(folder: Path) -> None:
    (folder / "plan.h5").rename(folder.parent / "plan.h5")
    (folder / "plan.h5").symlink_to(folder.parent / "plan.h5")


def plan_with_a_column(folder: Path) -> None:
    with h5py.File(folder / "plan.h5", "r+") as handle:
        handle["secret"] = handle["split"][:]


BOTH: dict[str, tuple[Callable[[Path], object], str]] = {
    "no JSON": (attribute("config", "{"), "attribute 'config': expected JSON"),
    "a list": (attribute("config", "[]"), "key 'config': expected a valid dictionary"),
    "bytes": (attribute("config", np.arange(3)), "attribute 'config'; got ndarray"),
    "another attribute": (attribute("secret", "x"), "key 'secret': expected no such key"),
    "shard size": (attribute("shard_size", 0), "key 'shard_size'"),
    "old format": (attribute("format", "recombine.plan/0"), "got 'recombine.plan/0'"),
    "no split": (configured(lambda c: c.pop("split")), "key 'split': expected a value"),
    "setting": (configured(lambda c: c["settings"].update(gpu=True)), "key 'settings.gpu'"),
    "resolution": (configured(lambda c: c["settings"].update(resolution="16")), "got '16'"),
    "ladder": (configured(lambda c: c["split"].update(ladder="abc")), "key 'ladder'"),
    "factors": (configured(lambda c: c["split"].update(factors=[0, 7])), "expected a split"),
    "geometry": (configured(lambda c: c["split"].update(geometry={})), "split.geometry"),
    "one slot": (configured(lambda c: c["schema"].update(slots=c["schema"]["slots"][:1])), "once"),
    "no slots": (configured(lambda c: c["schema"].update(slots=[])), "schema.slots"),
    "list": (sealed_with(lambda m: m.pop("format")), "expected the format"),
    "no root": (sealed_with(lambda m: m.pop("root")), "key 'root': expected a value"),
    "text": (sealed_with(lambda m: m.update(n_images="152")), "key 'n_images'"),
    "no bytes": (sealed_with(lambda m: m["shards"][0].pop("bytes")), "key 'shards.0.bytes'"),
    "a hole": (sealed_with(lambda m: m["shards"].pop(1)), "shards that follow one another"),
    "two ends": (sealed_with(lambda m: m["shards"][0].update(stop=19)), "follow one another"),
    "short": (sealed_with(lambda m: m.update(n_images=m["n_images"] + 1)), "follow one another"),
    "repeated": (sealed_with(lambda m: m["shards"][1].update(m["shards"][0])), "shards"),
    "cut": (lambda d: (d / "manifest.json").write_bytes(b""), "manifest.json: expected JSON"),
    "no plan": (lambda d: (d / "plan.h5").write_bytes(b""), "plan.h5: expected a complete HDF5"),
    "moved out": (moved_out, "leads out of it"),
    "linked out": (linked_out, "leads out of it"),
    "linked plan": (linked_plan, "leads out of it"),
    "a column": (plan_with_a_column, "got 'secret'"),
}


@pytest.mark.parametrize("case", BOTH)
def test_verify_and_the_reader_refuse_the_same(case: str, sealed: Path) -> None:
    plant, words = BOTH[case]
    plant(sealed)
    for read in (lambda: verify(sealed, seal=False), lambda: Dataset(sealed).latents):
        with pytest.raises(RecombineError) as caught:
            read()
        assert isinstance(caught.value, IntegrityError | InvalidInputError)
        assert words in str(caught.value)
        assert str(sealed) in str(caught.value)


def planted(name: str, row: int, value: object) -> Callable[[h5py.File], None]:
    def plant(handle: h5py.File) -> None:
        handle[name][row] = value

    return plant


def renamed(handle: h5py.File) -> None:
    handle.move("mask", "masks")


def retyped(handle: h5py.File) -> None:
    values = handle["depth"][:].astype("f8")
    del handle["depth"]
    handle["depth"] = values


def secret(handle: h5py.File) -> None:
    handle["latents/secret"] = handle["split"][:]


def noted(handle: h5py.File) -> None:
    handle["image"].attrs["split"] = handle["split"][:]


SHARDS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "code": (planted("latents/object.shape", 3, 99), "'latents/object.shape' in 0..3; got 99"),
    "negative": (planted("latents/object.shape", 3, -1), "got -1 in row 3"),
    "nan": (planted("latents/object.x", 3, np.nan), "got nan in row 3"),
    "inf": (planted("latents/object.x", 3, np.inf), "got inf in row 3"),
    "outside": (planted("latents/object.yaw", 3, 7.0), "got 7.0 in row 3"),
    "split": (planted("split", 0, 77), "'split' in 0..4; got 77"),
    "rungs": (planted("rungs", 0, 255), "'rungs' in 0..1; got 255"),
    "tries": (planted("tries", 0, 0), "'tries' in 1"),
    "seed": (planted("cycles_seed", 0, -1), "'cycles_seed' in 0"),
    "visible": (planted("visible", 0, np.nan), "'visible' in 0..1; got [nan]"),
    "index": (planted("index", 0, 1), "expected the images 20..39 in order"),
    "renamed": (renamed, "'masks'"),
    "retyped": (retyped, "dataset 'depth' must be f2"),
    "secret": (secret, "got 'latents/secret'"),
    "noted": (noted, "of the format only; got 'image'"),
}


@pytest.mark.parametrize("case", SHARDS)
def test_values_that_no_reader_could_use_are_named(case: str, sealed: Path) -> None:
    plant, words = SHARDS[case]
    with h5py.File(sealed / SHARD, "r+") as handle:
        plant(handle)
    manifest = json.loads((sealed / "manifest.json").read_text())
    changed = {"sha256": file_sha256(sealed / SHARD), "bytes": (sealed / SHARD).stat().st_size}
    manifest["shards"][1] |= changed
    (sealed / "manifest.json").write_text(json.dumps(manifest))
    (files,) = [c for c in verify(sealed, seal=False).checks if c.name == "files"]
    assert files.status == "fail"
    assert words in files.found
    assert SHARD in files.found
    with pytest.raises(IntegrityError, match=r"shard-00001\.h5"):
        Dataset(sealed).images([25])


def test_a_reader_that_believes_the_plan_wants_the_shards_to_agree(sealed: Path) -> None:
    with h5py.File(sealed / SHARD, "r+") as handle:
        handle["latents/object.x"][3] += 1e-6
    with pytest.raises(IntegrityError, match=r"'latents/object\.x' as in plan\.h5"):
        Dataset(sealed).images([25])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(checks=[]), "key 'checks'"),
        (lambda c: c.update(checks={}), "key 'checks': expected a valid list"),
        (lambda c: c["checks"][0].update(status="maybe"), "key 'checks.0.status'"),
        (lambda c: c["checks"].append(c["checks"][0]), "every check once"),
        (lambda c: c.pop("root"), "key 'root': expected a value"),
    ],
)
def test_a_malformed_certificate_is_refused(
    change: Callable[[dict[str, Any]], object], words: str, sealed: Path
) -> None:
    verify(sealed)
    certificate = json.loads((sealed / "certificate.json").read_text())
    change(certificate)
    (sealed / "certificate.json").write_text(json.dumps(certificate))
    with pytest.raises(IntegrityError, match=r"certificate\.json") as caught:
        Dataset(sealed).check()
    assert words in str(caught.value)


def test_a_measurement_of_other_images_is_refused(sealed: Path) -> None:
    def write(index: list[int], energy: float) -> None:
        with h5py.File(sealed / "interaction.h5", "w") as handle:
            handle["index"] = np.array(index)
            for name in ("energy", "floor"):
                handle[name] = np.full((len(index), 3), energy)

    write([0, 1], 0.5)
    assert verify(sealed, seal=False).passed
    for index, energy in (([0, -1], 0.5), ([0, 10_000], 0.5), ([0, 1], np.nan)):
        write(index, energy)
        with pytest.raises(IntegrityError, match=r"interaction\.h5: expected finite energies"):
            verify(sealed, seal=False)
