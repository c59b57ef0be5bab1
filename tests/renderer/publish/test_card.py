from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, UsageError
from recombine.renderer.planning.planner import image_counts, make_plan
from recombine.renderer.publish.card import write_card
from recombine.renderer.publish.card_files import CARD_FILES, LARGEST_SHEET, _squeeze, add_card
from recombine.renderer.publish.export import export
from recombine.renderer.publish.facts import Publication
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.evidence_fixture import SMALL, small

DAY = Publication(date(2026, 11, 21))


def test_card_is_what_an_export_carries_beside_the_data(sealed: Path, tmp_path: Path) -> None:
    readme = write_card(sealed, tmp_path / "card", publication=DAY)
    assert readme == tmp_path / "card" / "README.md"
    out = export(sealed, tmp_path / "out", publication=DAY)
    assert {p.name for p in (tmp_path / "card").iterdir()} == set(CARD_FILES)
    for name in CARD_FILES:
        assert (tmp_path / "card" / name).read_bytes() == (out / name).read_bytes()
    assert json.loads((out / "certificate.json").read_text())["passed"]
    with Image.open(out / "contact_sheet.jpg") as sheet:
        assert min(sheet.size) > 300


def test_one_number_of_the_certificate_changes_the_card(sealed: Path, tmp_path: Path) -> None:
    verify(sealed)
    for name, change in (("before", "112 images"), ("after", "113 images")):
        content = (sealed / "certificate.json").read_text()
        (sealed / "certificate.json").write_text(content.replace("112 images", change))
        (tmp_path / name / "data").mkdir(parents=True)
        for split in ("id_train", "id_val", "id_test", "ooc_test"):
            (tmp_path / name / "data" / f"{split}-00000.parquet").touch()
        add_card(Dataset(sealed), tmp_path / name, DAY)
    for file in ("README.md", "croissant.json", "certificate.json"):
        before, after = (tmp_path / name / file for name in ("before", "after"))
        assert before.read_bytes() != after.read_bytes(), file
    assert "| pixels | pass | 113 images |" in (tmp_path / "after" / "README.md").read_text()


def test_foreign_data_get_no_card_of_a_preset_but_an_export(tmp_path: Path) -> None:
    drawn_dataset(tmp_path / "data", preset=replace(small("smoke"), name="mine"))
    with pytest.raises(UsageError, match="got 'mine'"):
        write_card(tmp_path / "data", tmp_path / "card")
    out = export(tmp_path / "data", tmp_path / "out")
    assert "# mine\n" in (out / "README.md").read_text()
    assert "It is of no preset." in (out / "datasheet.md").read_text()


def test_failed_certificate_gets_no_card(sealed: Path, tmp_path: Path) -> None:
    shard = sealed / "shards" / "shard-00000.h5"
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(IntegrityError, match="fails on files"):
        write_card(sealed, tmp_path / "card")
    assert not (tmp_path / "card").exists()


@pytest.mark.parametrize("name", SMALL)
def test_counts_without_drawing_are_those_of_the_plan(name: str) -> None:
    preset = small(name)
    plan = make_plan(preset)
    found = {SPLITS[s]: int((plan.split == s).sum()) for s in sorted(set(plan.split.tolist()))}
    assert image_counts(preset) == found


def test_large_sheet_is_encoded_again_until_it_is_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    path = tmp_path / "sheet.jpg"
    Image.fromarray(noise).save(path, quality=98, subsampling=0)
    before = path.stat().st_size
    _squeeze(path)
    assert path.stat().st_size < min(before, LARGEST_SHEET)
