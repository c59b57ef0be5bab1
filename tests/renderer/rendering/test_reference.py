"""The reference of a dataset and images drawn again: what they let through and what they stop."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recombine.renderer.certificate.check import Check
from recombine.renderer.certificate.evidence import Redraw
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.provenance import Build
from recombine.renderer.core.types import Array
from recombine.renderer.rendering.rerender import redraw
from recombine.renderer.store import reference as subject
from recombine.renderer.store.reference import choose, find_reference, load_reference
from recombine.renderer.store.shards import label_hash, load_plan
from tests.renderer.drawn_fixture import drawn_fixture

Change = Callable[[Array], Array]


def rounding(image: Array) -> Array:
    """What another processor does: one level on one value in two hundred."""
    values = image.reshape(-1)
    values[::200] ^= 1
    return image


def brighter(image: Array) -> Array:
    return np.clip(image.astype(int) + 1, 0, 255).astype(np.uint8)


def jpeg(image: Array) -> Array:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return np.asarray(Image.open(buffer))


def mirrored(image: Array) -> Array:
    return np.ascontiguousarray(image[:, ::-1])


def write(folder: Path, out: Path, change: Change = lambda image: image, labels: int = 0) -> Path:
    """Write a reference of a drawn dataset, its images changed."""
    plan = load_plan(folder)
    index = choose(plan, 64).index
    drawn = [drawn_fixture(plan.scene(int(i)), plan.settings) for i in index]
    hashes = [label_hash(vars(one)) for one in drawn]
    hashes[:labels] = [b"\0" * 32] * labels
    images = [change(one.image.copy()) for one in drawn]
    return subject.write_reference(out, plan, images, hashes, build=Build.here())


def found(folder: Path, name: str, **options: object) -> Check:
    checks = verify(folder, seal=False, **options).checks  # type: ignore[arg-type]
    return next(c for c in checks if c.name == name)


def test_the_same_images_pass_and_what_rounding_changes_is_told(
    sealed_once: Path, tmp_path: Path
) -> None:
    check = found(sealed_once, "reference", reference=write(sealed_once, tmp_path / "same"))
    assert (check.status, check.found) == ("pass", "64 images with equal pixels")
    rounded = write(sealed_once, tmp_path / "rounded", rounding)
    check = found(sealed_once, "reference", reference=rounded)
    assert check.status == "pass"
    assert "the most by 1" in check.found


@pytest.mark.parametrize("change", [brighter, jpeg, mirrored])
def test_other_images_fail(sealed_once: Path, tmp_path: Path, change: Change) -> None:
    check = found(sealed_once, "reference", reference=write(sealed_once, tmp_path, change))
    assert check.status == "fail"


def test_other_labels_fail(sealed_once: Path, tmp_path: Path) -> None:
    check = found(sealed_once, "reference", reference=write(sealed_once, tmp_path, labels=3))
    assert check.status == "fail"
    assert check.found == "64 images with equal pixels; labels of 3 differ"


def test_a_reference_of_something_else_is_not_compared(sealed_once: Path, tmp_path: Path) -> None:
    assert found(sealed_once, "reference").status == "not run"
    folder = write(sealed_once, tmp_path / "reference")
    record = json.loads((folder / "reference.json").read_text())
    for key, words in (("plan_sha256", "another plan"), ("render_version", "render version 0")):
        (folder / "reference.json").write_text(json.dumps(record | {key: "0"}))
        check = found(sealed_once, "reference", reference=folder)
        assert check.status == "not run"
        assert words in check.found
    with pytest.raises(InvalidInputError, match="has no reference"):
        found(sealed_once, "reference", reference=tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"format": "other"},
        {"corners": [[60, 60]]},
        {"index": "a"},
        {"edge": 0},
        {"label_sha256": []},
    ],
)
def test_a_damaged_reference_is_refused(
    sealed_once: Path, tmp_path: Path, damage: dict[str, object]
) -> None:
    folder = write(sealed_once, tmp_path)
    record = json.loads((folder / "reference.json").read_text())
    (folder / "reference.json").write_text(json.dumps(record | damage))
    with pytest.raises(IntegrityError, match="undamaged reference"):
        load_reference(folder)


def test_an_edited_picture_is_refused(sealed_once: Path, tmp_path: Path) -> None:
    folder = write(sealed_once, tmp_path)
    Image.new("RGB", (128, 128)).save(folder / "windows.webp", lossless=True)
    with pytest.raises(IntegrityError, match="does not match its sha256"):
        load_reference(folder)


def test_the_reference_of_a_card_is_found_by_its_plan(sealed_once: Path, tmp_path: Path) -> None:
    write(sealed_once, tmp_path / "smoke" / "reference")
    plan = load_plan(sealed_once)
    stored = find_reference(plan.digest(), tmp_path)
    assert stored is not None
    assert stored.dataset == plan.dataset
    assert find_reference("0" * 64, tmp_path) is None


def test_every_split_has_its_share_and_windows_lie_inside(sealed_once: Path) -> None:
    plan = load_plan(sealed_once)
    choice = choose(plan, 8)
    counts = np.bincount(plan.split[choice.index], minlength=4)
    assert counts.tolist() == [24, 8, 16, 16]  # of 72, 8, 16 and 16 images
    assert np.array_equal(choice.index, choose(plan, 16).index)  # whatever the window
    assert len(np.unique(choice.corners, axis=0)) > 8
    assert choice.corners.min() >= 0
    assert choice.corners.max() <= plan.settings.resolution - 8


def test_a_picture_of_noise_still_fits(
    sealed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "EDGES", (16, 8))
    monkeypatch.setattr(subject, "MAX_BYTES", 15_000)
    plan = load_plan(sealed_once)
    rng = np.random.default_rng(0)
    n = len(choose(plan, 64).index)
    images = list(rng.integers(0, 256, (n, 16, 16, 3), np.uint8))
    subject.write_reference(tmp_path, plan, images, [b""] * n, build=Build.here())
    stored = load_reference(tmp_path)
    assert stored.windows.shape == (n, 8, 8, 3)
    assert stored.compare(images, [b""] * n).close


def again(folder: Path, change: Change = lambda image: image) -> Callable[..., list[object]]:
    plan = load_plan(folder)

    def draw(indices: list[int]) -> list[object]:
        drawn = [drawn_fixture(plan.scene(i), plan.settings) for i in indices]
        return [replace(one, image=change(one.image.copy())) for one in drawn]

    return draw


def test_images_drawn_again_must_be_the_stored_ones(sealed_once: Path) -> None:
    check = found(sealed_once, "redraw", redraw=Redraw(3, again(sealed_once, rounding)))  # type: ignore[arg-type]
    assert check.status == "pass"
    assert check.found.startswith("12 images")
    check = found(sealed_once, "redraw", redraw=Redraw(3, again(sealed_once, brighter)))  # type: ignore[arg-type]
    assert check.status == "fail"
    assert found(sealed_once, "redraw").status == "not run"


def test_no_images_cannot_be_drawn_again(sealed_once: Path) -> None:
    with pytest.raises(UsageError, match="--redraw expects 1 or more"):
        redraw(sealed_once, 0)
