"""Data cards and the measured interaction of a dataset."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image
from sample_board import PNG, write_card

from recombine.leaderboard.site.data_pages import histogram, load_card, load_interaction
from recombine.renderer.core.errors import InvalidInputError


def test_a_card_carries_certificate_and_sheet(tmp_path):
    card = load_card(write_card(tmp_path / "data", PNG))
    assert card.certificate.passed
    assert card.passed == len(card.certificate.checks) == 5
    assert card.sheet == PNG
    assert card.sheet_size == (2, 3)
    assert card.sheet_name == "preview.png"
    assert card.verdict == "5 of 5 checks passed, none failed"
    assert card.dataset == "smoke"
    assert card.slug == "smoke-1-0-abababab"


def test_a_card_without_a_sheet_is_fine(tmp_path):
    folder = write_card(tmp_path / "data", PNG)
    (folder / "preview.png").unlink()
    assert load_card(folder).sheet is None


def test_a_data_card_has_its_sheet_under_another_name(tmp_path):
    folder = write_card(tmp_path / "data", PNG)
    (folder / "preview.png").unlink()
    Image.new("RGB", (5, 4)).save(folder / "contact_sheet.jpg")
    card = load_card(folder)
    assert card.sheet_name == "preview.jpg"
    assert card.sheet_size == (5, 4)


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


GROUP = {"scenes": 8, "relative": [1e-3, 0.0], "relative_se": [1e-4, 0.0]}
GROUP |= {"verdict": ["measured", "zero"], "energy": [1.0, 1e-3, 0.0]}


def write(folder, **over):
    folder.mkdir(exist_ok=True)
    content = {"format": "recombine.interaction/1", "all": GROUP, "groups": {"id_test": GROUP}}
    (folder / "interaction.json").write_text(json.dumps(content | over))
    with h5py.File(folder / "interaction.h5", "w") as handle:
        handle["energy"] = np.array([[1.0, 1e-3, 0], [1.0, 1e-2, 0], [2.0, 2e-3, 0], [1.0, 0, 0]])
    return folder


def test_nothing_measured_is_nothing_shown(tmp_path):
    assert load_interaction(tmp_path) == ((), None)


def test_groups_and_scenes_are_shown(tmp_path):
    groups, drawing = load_interaction(write(tmp_path / "d"))
    assert [group.name for group in groups] == ["all", "id_test"]
    assert groups[0].relative[0] == 1e-3
    assert "Histogram of 3 scenes" in drawing
    assert drawing.count("<rect") == 12


def test_the_card_holds_it(tmp_path):
    card = load_card(write(write_card(tmp_path / "d", PNG)))
    assert len(card.interaction) == 2
    assert card.histogram is not None


@pytest.mark.parametrize("over", [{"format": "x"}, {"all": {}}, {"groups": {"a": 1}}])
def test_a_broken_file_is_refused(tmp_path, over):
    with pytest.raises(InvalidInputError, match=r"interaction\.json"):
        load_interaction(write(tmp_path / "d", **over))


def test_a_number_that_is_none_is_refused(tmp_path):
    bad = GROUP | {"relative": [float("nan"), 0.0]}
    with pytest.raises(InvalidInputError):
        load_interaction(write(tmp_path / "d", all=bad))


def test_nothing_above_zero_gives_no_histogram():
    assert histogram([0.0, 0.0]) is None
    assert "1 scenes" in histogram([0.5])
