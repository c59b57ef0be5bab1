"""Planted faults, each named by its check; what no check sees is said by the certificate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recombine.benchmark.serving.data import require_sound
from recombine.renderer.certificate.verify import PROVES, verify
from recombine.renderer.core.errors import IntegrityError, RecombineError
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering.render import render_dataset
from recombine.renderer.store.certificate import KNOWN_CHECKS
from recombine.renderer.store.dataset import Dataset
from tests.renderer.certificate import planted
from tests.renderer.certificate.forging import SHARD, Forged
from tests.renderer.certificate.planted import (
    CONTENT,
    FILES,
    RELATION,
    RENDERED,
    SAID,
    SMOKE,
    UNSEEN,
    Fault,
)
from tests.renderer.drawn_fixture import drawn_dataset

pytestmark = pytest.mark.long

PRESETS = {
    SMOKE: load_preset("smoke", scale=0.07, resolution=48),
    RELATION: load_preset("relation", values=8, scale=0.002, resolution=48),
}


def name_of(value: object) -> str:
    return value.plant.__name__ if isinstance(value, Fault) else getattr(value, "__name__", "")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sealed and verified datasets of drawn images."""
    folders = {}
    for name, preset in PRESETS.items():
        folders[name] = tmp_path_factory.mktemp(name) / "data"
        drawn_dataset(folders[name], preset=preset, shard_size=SHARD)
        assert verify(folders[name]).passed
    return folders


@pytest.fixture(scope="module")
def read(sound: dict[str, Path]) -> dict[str, Forged]:
    return {name: Forged.read(folder) for name, folder in sound.items()}


def outcome(folder: Path) -> dict[str, str]:
    return {check.name: check.status for check in verify(folder).checks}


def test_a_forger_who_changes_nothing_is_not_accused(
    read: dict[str, Forged], sound: dict[str, Path], tmp_path: Path
) -> None:
    for name, forged in read.items():
        forged.write(tmp_path / name)
        assert outcome(tmp_path / name) == outcome(sound[name])
        assert Dataset(tmp_path / name).root == Dataset(sound[name]).root
        require_sound(Dataset(tmp_path / name))


@pytest.mark.parametrize("fault", [f for f in CONTENT if f.base in PRESETS], ids=name_of)
def test_forged_content_is_named(fault: Fault, read: dict[str, Forged], tmp_path: Path) -> None:
    forged = read[fault.base].copy()
    fault.plant(forged)
    forged.write(tmp_path / "data")
    found = outcome(tmp_path / "data")
    assert found[fault.check] == "fail"
    whole = ("files", "pixels", "annotations", "latents", "plan", "seal")
    assert {found[name] for name in whole} == {"pass"}  # nothing but the content is wrong


@pytest.mark.parametrize("fault", UNSEEN, ids=name_of)
def test_what_only_drawing_again_can_see_is_not_claimed(
    fault: Fault, read: dict[str, Forged], tmp_path: Path
) -> None:
    forged = read[fault.base].copy()
    fault.plant(forged)
    forged.write(tmp_path / "data")
    assert verify(tmp_path / "data").passed
    assert "Cannot see without drawing again" in PROVES


@pytest.mark.parametrize(("plant", "check"), FILES, ids=name_of)
def test_damaged_files_are_named(
    plant: Callable[[Path], None], check: str, sound: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(sound[SMOKE], tmp_path / "data"))
    plant(folder)
    assert outcome(folder)[check] == "fail"


@pytest.mark.parametrize(("plant", "reason"), SAID, ids=name_of)
def test_the_reader_believes_no_certificate_but_a_whole_one_of_these_files(
    plant: Callable[[Path], None], reason: str, sound: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(sound[SMOKE], tmp_path / "data"))
    plant(folder)
    with pytest.raises(RecombineError, match=reason):
        Dataset(folder).check()


FORGIVEN = {f.check: f for f in CONTENT if f.check not in ("surroundings", "labels")}


@pytest.mark.parametrize("fault", FORGIVEN.values(), ids=name_of)
def test_scoring_believes_no_certificate_that_says_pass(
    fault: Fault, read: dict[str, Forged], tmp_path: Path
) -> None:
    forged = read[fault.base].copy()
    fault.plant(forged)
    folder = tmp_path / "data"
    forged.write(folder)
    verify(folder)

    def whitewash(certificate: dict[str, object]) -> None:
        for check in certificate["checks"]:  # type: ignore[attr-defined]
            if check["status"] == "fail":
                check["status"] = "pass"

    planted.certificate(folder, whitewash)
    data = Dataset(folder)
    data.check()  # it is whole, and of these files
    with pytest.raises(IntegrityError, match=f"the data do not: .*{fault.check}"):
        require_sound(data)


def test_the_table_is_long_and_names_every_check() -> None:
    assert len(CONTENT) + len(FILES) + len(SAID) >= 60
    named = {fault.check for fault in CONTENT} | {check for _, check in FILES}
    # See test_checks, and the tests of rendering.
    elsewhere = {"interaction", "statistics", "build", "reference", "redraw"}
    assert set(KNOWN_CHECKS) - named == elsewhere


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Forged:
    """Some rendered images, read; the test parts are those of a small `smoke`."""
    folder = tmp_path_factory.mktemp("rendered") / "data"
    certificate = render_dataset(load_preset("smoke", scale=0.01, resolution=32), folder)
    named = {check.name: check.status for check in certificate.checks}
    assert named["labels"] == named["surroundings"] == "pass"
    return Forged.read(folder)


PICTURES = [f for f in CONTENT if f.base in (SMOKE, RENDERED) and f.check == "surroundings"]


@pytest.mark.blender
@pytest.mark.parametrize("fault", PICTURES, ids=name_of)
def test_forged_pictures_are_named_in_rendered_images(
    fault: Fault, rendered: Forged, tmp_path: Path
) -> None:
    forged = rendered.copy()
    fault.plant(forged)
    forged.write(tmp_path / "data")
    checks = {c.name: c for c in verify(tmp_path / "data").checks}
    assert checks[fault.check].status == "fail", checks[fault.check].found
    assert json.loads((tmp_path / "data" / "certificate.json").read_text())["passed"] is False
