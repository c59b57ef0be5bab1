"""Data cards: what a dataset folder must hold to get a page."""

import json

import pytest
from sample_board import PNG, write_card

from recombine.leaderboard.site.data_pages import load_card
from recombine.renderer.core.errors import InvalidInputError


def test_a_card_carries_certificate_and_sheet(tmp_path):
    card = load_card(write_card(tmp_path / "data", PNG))
    assert card.certificate.passed
    assert card.passed == len(card.certificate.checks) == 5
    assert card.sheet == PNG
    assert card.sheet_size == (2, 3)
    assert card.sheet_uri.startswith("data:image/png;base64,iVBOR")
    assert card.slug == "smoke-1-0-abababab"


def test_a_card_without_a_sheet_is_fine(tmp_path):
    folder = write_card(tmp_path / "data", PNG)
    (folder / "preview.png").unlink()
    assert load_card(folder).sheet is None


def test_a_missing_certificate_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"certificate\.json.*recombine dataset verify"):
        load_card(tmp_path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"format": "other/1"}, "format"),
        ({"root": "../../etc"}, "root"),
        ({"passed": "yes"}, "passed"),
        ({"checks": [{"name": "x"}]}, "checks.0"),
        ({"checks": [{"name": "x", "status": "maybe", "claim": "", "found": ""}]}, "status"),
    ],
)
def test_a_certificate_of_another_form_is_refused(tmp_path, change, found):
    folder = write_card(tmp_path / "data", PNG)
    path = folder / "certificate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InvalidInputError, match=found):
        load_card(folder)


def test_a_certificate_with_more_keys_is_read(tmp_path):
    folder = write_card(tmp_path / "data", PNG)
    path = folder / "certificate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"newer": 1}))
    assert load_card(folder).certificate.passed


def test_a_preview_that_is_no_png_is_refused(tmp_path):
    folder = write_card(tmp_path / "data", b"<svg onload=alert(1)>" * 9)
    with pytest.raises(InvalidInputError, match=r"preview\.png"):
        load_card(folder)


def test_a_hostile_dataset_name_gives_a_safe_slug(tmp_path):
    folder = write_card(tmp_path / "data", PNG)
    path = folder / "certificate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "../<b>&"}))
    assert load_card(folder).slug == "b-abababab"
