from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.publish.card_datasheet import QUESTIONS, datasheet
from recombine.renderer.publish.card_readme import readme
from recombine.renderer.publish.croissant import File
from recombine.renderer.publish.facts import Facts, Publication
from recombine.renderer.store.dataset import Dataset

SECTIONS = ("Motivation", "Composition", "Collection", "Preprocessing")
FILE = File("data/id_train-00000.parquet", 1234, "ab" * 32)


@pytest.fixture
def facts(sealed: Path) -> Facts:
    verify(sealed)
    return Facts(Dataset(sealed), Publication(date(2026, 11, 21), "https://example.org/x"))


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
    for section, questions in QUESTIONS.items():
        assert f"## {section}\n" in text
        for question, _ in questions:
            answer = text.split(f"**{question}**\n")[1].split("\n")[0]
            assert len(answer) > 2, question
    assert list(QUESTIONS)[:4] == list(SECTIONS)
    assert len(QUESTIONS) == 7
    assert "112 (id_train 72, id_val 8, id_test 16, ooc_test 16)" in text
    assert facts.data.root in text
    assert "https://example.org/x" in text
