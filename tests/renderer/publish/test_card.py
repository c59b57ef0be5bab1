from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, UsageError
from recombine.renderer.planning.planner import image_counts, make_plan
from recombine.renderer.publish.card import (
    CARD_FILES,
    LARGEST_SHEET,
    _squeeze,
    add_card,
    datasheet,
    readme,
)
from recombine.renderer.publish.croissant import File
from recombine.renderer.publish.export import export_dataset, write_card
from recombine.renderer.publish.facts import Facts, Publication
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.evidence_fixture import SMALL, small

pytestmark = pytest.mark.long

DAY = Publication(date(2026, 11, 21))
FILE = File("data/id_train-00000.parquet", 1234, "ab" * 32)
SECTIONS = (
    "Motivation",
    "Composition",
    "Collection",
    "Preprocessing",
    "Uses",
    "Distribution",
    "Maintenance",
)


@pytest.fixture
def facts(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    recipe = {"preset": "smoke", "scale": 0.07, "resolution": 16}
    monkeypatch.setattr(Dataset, "recipe", recipe, raising=False)
    verify(sealed)
    return Facts(Dataset(sealed), Publication(date(2026, 11, 21), "https://example.org/x"))


def test_card_is_what_an_export_carries_beside_the_data(sealed: Path, tmp_path: Path) -> None:
    readme = write_card(sealed, tmp_path / "card", publication=DAY)
    assert readme == tmp_path / "card" / "README.md"
    out = export_dataset(sealed, tmp_path / "out", publication=DAY)
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


def test_foreign_data_get_no_card_of_a_preset_but_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "recipe", None, raising=False)
    drawn_dataset(tmp_path / "data", preset=replace(small("smoke"), name="mine"))
    with pytest.raises(UsageError, match="got 'mine'"):
        write_card(tmp_path / "data", tmp_path / "card")
    out = export_dataset(tmp_path / "data", tmp_path / "out")
    assert "# mine\n" in (out / "README.md").read_text()
    for name in ("README.md", "datasheet.md"):
        assert "How it was rendered is not on record" in (out / name).read_text()


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


def front(text: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_front_matter_is_that_of_a_dataset_card(facts: Facts) -> None:
    found = front(readme(facts, [FILE]))
    assert found["license"] == "cc-by-4.0"
    assert found["size_categories"] == ["n<1K"]
    assert "image-classification" in found["task_categories"]
    (config,) = found["configs"]
    listed = {d["split"]: d["path"] for d in config["data_files"]}
    assert listed == {s: f"data/{s}-*.parquet" for s in facts.counts}


def test_card_tells_the_full_preset_from_the_small_version(facts: Facts) -> None:
    text = readme(facts, [FILE])
    (row,) = re.findall(r"^\| images \|.*$", text, re.MULTILINE)
    _, _, full, mine, _ = row.split("|")
    assert "id_train 1,024" in full
    assert "id_train 72" in mine
    assert "a small version of the preset `smoke`" in text


def test_card_has_every_section(facts: Facts) -> None:
    text = readme(facts, [FILE])
    assert "| balance | pass | worst total variation 0 (all factors) |" in text
    assert "contact_sheet.jpg" in text
    assert "| shape | `recombine.renderer.blender.shapes." in text
    assert "recombine dataset rerender runs/smoke-small --index 7 --check" in text
    assert f"| `{FILE.path}` | 1,234 | `{FILE.sha256}` |" in text
    assert "training generative models is explicitly permitted" in text
    assert "## Known limits" in text
    assert "| id_train | 72 | 8 | 9 |" in text
    assert "{" not in re.sub(r"```bibtex.*?```", "", text, flags=re.DOTALL)


def test_every_question_of_the_datasheet_is_answered(facts: Facts) -> None:
    text = datasheet(facts)
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == SECTIONS
    answers = dict(re.findall(r"^\*\*(.*)\*\*\n(.*)$", text, re.MULTILINE))
    assert len(answers) == 38
    assert all(len(answer) > 2 for answer in answers.values())
    assert "112 (id_train 72, id_val 8, id_test 16, ooc_test 16)" in text
    assert "It is a small version of the preset `smoke`." in text
    assert facts.data.root in text
    assert "https://example.org/x" in text


def test_card_says_how_the_data_were_made_or_that_it_is_not_on_record(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "recombine render smoke --scale 0.07 --resolution 16 --out runs/smoke-small"
    assert f"{command}  # the same latents" in readme(facts, [FILE])
    assert f"Command: `{command}`." in datasheet(facts)
    monkeypatch.setattr(Dataset, "recipe", None, raising=False)
    less = Facts(facts.data, facts.publication)
    assert (less.command, less.variant, less.preset) == ("", "", None)
    assert "How it was rendered is not on record" in readme(less, [FILE])
    assert "recombine render" not in readme(less, [FILE])
