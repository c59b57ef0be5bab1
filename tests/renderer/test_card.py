from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.card import LARGEST_SHEET, _squeeze, card, write_card
from recombine.renderer.errors import UsageError
from recombine.renderer.planning import image_counts, make_plan
from recombine.renderer.presets import load_preset
from recombine.renderer.reader import Dataset
from recombine.renderer.splits import SPLITS
from recombine.renderer.verify import verify
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.evidence_fixture import SMALL, small


def test_card_has_readme_sheet_and_certificate(sealed: Path, tmp_path: Path) -> None:
    readme = write_card(sealed, tmp_path / "card")
    text = readme.read_text()
    assert text.startswith("---\nlicense: cc-by-4.0\n")
    assert "id_train 1,024" in text  # of the full preset, not of the small dataset
    assert "| balance | pass | worst total variation 0 (all factors) |" in text
    assert json.loads((tmp_path / "card" / "certificate.json").read_text())["passed"]
    with Image.open(tmp_path / "card" / "contact_sheet.jpg") as sheet:
        assert min(sheet.size) > 300


def test_card_of_crossed_levels_names_them(sealed: Path) -> None:
    verify(sealed)
    text = card(load_preset("interaction-ladder"), Dataset(sealed))
    assert "| every cell at every | scene.interaction |" in text
    assert "exact tier (undenoised)" in text


def test_foreign_data_get_no_card(tmp_path: Path) -> None:
    drawn_dataset(tmp_path / "data", preset=replace(small("smoke"), name="mine"))
    with pytest.raises(UsageError, match="got 'mine'"):
        write_card(tmp_path / "data", tmp_path / "card")


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
