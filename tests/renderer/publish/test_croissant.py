from __future__ import annotations

import itertools
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.publish import export as module
from recombine.renderer.publish.croissant import File, croissant
from recombine.renderer.publish.export import export_dataset
from recombine.renderer.publish.facts import Facts, Publication
from recombine.renderer.store.certificate import KNOWN_CHECKS
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

pytestmark = [
    # rdflib, below mlcroissant.
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
]
CARDS = sorted((Path(__file__).parents[3] / "data_cards").glob("*/croissant.json"))
DAY = Publication(date(2026, 11, 21))


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified") / "data"
    drawn_dataset(folder)
    verify(folder)
    return folder


@pytest.fixture(scope="module")
def exported(certified: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_dataset(certified, tmp_path_factory.mktemp("exported") / "out", publication=DAY)


def opened(path: Path) -> Any:
    mlcroissant = pytest.importorskip("mlcroissant")
    return mlcroissant.Dataset(path)


def described(data: Path, *sizes: int) -> dict[str, Any]:
    """Return the metadata of a dataset whose splits have so many files each."""
    facts = Facts(Dataset(data), DAY)
    files = [
        File(f"data/{split}-{n:05d}.parquet", 1, "0" * 64)
        for split, size in zip(facts.counts, sizes, strict=True)
        for n in range(size)
    ]
    return croissant(facts, files, File("certificate.json", 1, "0" * 64))


@pytest.mark.skipif(not CARDS, reason="only a checkout has the cards")
def test_every_preset_of_a_checkout_has_a_card() -> None:
    assert {p.parent.name for p in CARDS} >= {
        "smoke",
        "object-background",
        "object-object",
        "interaction-ladder",
    }
    assert {p.parent.name for p in CARDS} == {
        p.name for p in CARDS[0].parents[1].iterdir() if p.is_dir()
    }


@pytest.mark.parametrize("path", CARDS, ids=lambda p: p.parent.name)
def test_committed_card_validates_without_a_warning(path: Path) -> None:
    issues = opened(path).metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    content = json.loads(path.read_text())
    assert content["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("path", CARDS, ids=lambda p: p.parent.name)
def test_committed_card_names_the_certificate_beside_it(path: Path) -> None:
    listed = {f["@id"]: f for f in json.loads(path.read_text())["distribution"]}
    found = File.of(path.parent, path.parent / "certificate.json")
    assert listed["certificate.json"]["sha256"] == found.sha256
    certificate = json.loads((path.parent / "certificate.json").read_text())
    assert {certificate["root"], certificate.get("identity", certificate["root"])} <= set(
        re.findall("[0-9a-f]{64}", (path.parent / "README.md").read_text())
    )
    assert (path.parent / "datasheet.md").read_text().count("**\n") > 30


@pytest.mark.parametrize("split", ["id_train", "ooc_test"])
def test_records_stream_with_the_pixels_and_latents_of_the_store(
    split: str, certified: Path, exported: Path
) -> None:
    data, metadata = Dataset(certified), opened(exported / "croissant.json")

    def stored(name: str, i: int) -> np.ndarray:
        return np.asarray(data.annotation(name, [i])[0])

    records = list(itertools.islice(metadata.records(split), 4))
    assert [r[f"{split}/index"] for r in records] == data.indices(split)[:4].tolist()
    for record in records:
        plain = {key.removeprefix(f"{split}/"): value for key, value in record.items()}
        i = plain["index"]
        assert np.array_equal(np.asarray(plain["image"]), data.image(i))
        assert np.array_equal(np.asarray(plain["mask"]), data.masks([i])[0])
        assert plain["split"].decode() == split
        assert plain["part"].decode() == ("OOC" if split == "ooc_test" else "ID")
        assert plain["cell"].decode() == ", ".join(data.schema.cell_names(data.cells[i]))
        assert plain["block"] == data.blocks[i]
        assert plain["seed"] == data.plan.cycles_seed[i]
        assert np.array_equal(np.asarray(plain["normal"]).astype(int) - 128, stored("normal", i))
        assert np.array_equal(np.asarray(plain["depth"]) / 1024, stored("depth", i))
        for name in ("visible", "intrinsics", "camera_to_world", "box_3d", "box_2d_amodal"):
            assert np.array_equal(np.stack(plain[name]), stored(name, i))
        assert plain["rung_0"] is (split == "id_train")
        for key, column in data.latents.items():
            names = data.schema.factor(key).values
            if names:
                assert plain[key].decode() == names[int(column[i])]
            else:
                assert plain[key] == column[i]


def test_splits_are_named_with_their_kind_and_size(certified: Path, exported: Path) -> None:
    rows = list(opened(exported / "croissant.json").records("splits"))
    sizes = {row["splits/name"]: row["splits/images"] for row in rows}
    assert sizes == {s: len(Dataset(certified).indices(s)) for s in sizes}
    assert rows[-1]["splits/url"] == "cr:TestSplit"


def test_changed_parquet_is_refused(exported: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    for name in ("croissant.json", "data/ooc_test-00000.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    path = tmp_path / "data" / "ooc_test-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(mlcroissant.GenerationError) as refused:
        next(iter(opened(tmp_path / "croissant.json").records("ooc_test")))
    assert "is not identical" in str(refused.value.__cause__)


def test_split_of_several_files_is_streamed_whole(
    certified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.ROWS_PER_FILE, "parquet", 30)
    out = export_dataset(certified, tmp_path / "out")
    assert len(list((out / "data").glob("id_train-*.parquet"))) > 1
    found = [r["id_train/index"] for r in opened(out / "croissant.json").records("id_train")]
    assert sorted(found) == Dataset(certified).indices("id_train").tolist()


def test_types_labels_and_sources_of_fields(certified: Path) -> None:
    content = described(certified, 1, 1, 1, 2)
    sets = {r["@id"]: r for r in content["recordSet"]}
    fields = {f["name"]: f for f in sets["id_train"]["field"]}
    assert fields["index"]["dataType"] == "sc:Integer"
    assert fields["image"]["dataType"] == "sc:ImageObject"
    assert fields["mask"]["dataType"] == ["cr:SegmentationMask", "sc:ImageObject"]
    assert fields["amodal_mask"]["dataType"] == ["cr:SegmentationMask", "sc:ImageObject"]
    assert (fields["box_3d"]["isArray"], fields["box_3d"]["arrayShape"]) == (True, "1,8,3")
    assert fields["box_2d"]["dataType"] == "sc:Integer"
    assert "isArray" not in fields["index"]
    assert fields["object.shape"]["dataType"] == ["sc:Text", "cr:Label"]
    assert fields["object.x"]["dataType"] == "sc:Float"
    assert fields["rung_0"]["dataType"] == "sc:Boolean"
    assert fields["object.x"]["source"]["fileObject"] == {"@id": "data/id_train-00000.parquet"}
    several = sets["ooc_test"]["field"][0]["source"]
    assert several["fileSet"] == {"@id": "ooc_test-files"}


def test_responsible_part_says_what_is_held_and_what_differs(certified: Path) -> None:
    content = described(certified, 1, 1, 1, 1)
    assert content["rai:hasSyntheticData"] is True
    assert content["license"].endswith("/by/4.0/")
    assert "generative" in content["usageInfo"]
    assert content["rai:dataLimitations"] == Facts(Dataset(certified), DAY).limits
    assert len(content["rai:dataBiases"]) == 2  # only statistics of drawn images are stated
    agents = content["prov:wasGeneratedBy"]["prov:wasAssociatedWith"]
    assert agents == []  # the fixture was not rendered
    assert "url" not in content


def test_stated_differences_are_listed_as_biases(certified: Path) -> None:
    facts = Facts(Dataset(certified), DAY)
    (balance,) = [c for c in facts.data.certificate["checks"] if c["name"] == "balance"]
    balance["status"] = "stated"
    files = [File(f"data/{split}-00000.parquet", 1, "0" * 64) for split in facts.counts]
    content = croissant(facts, files, File("certificate.json", 1, "0" * 64))
    assert any("balance: worst total variation 0" in b for b in content["rai:dataBiases"])
    # Interaction was not measured, nothing compared or drawn again; statistics are stated.
    n = len(KNOWN_CHECKS)
    assert f"{n - 5} of {n} checks passed" in content["description"]


def test_record_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert File.of(tmp_path, tmp_path / "a") == File("a", 0, empty)
