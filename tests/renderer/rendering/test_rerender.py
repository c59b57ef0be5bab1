from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering import rerender as subject
from recombine.renderer.rendering.render import render_dataset
from recombine.renderer.rendering.rerender import compare, rerender
from recombine.renderer.scenes.scene import Rendered
from recombine.renderer.store.agreement import IMAGE_DB, psnr
from recombine.renderer.store.shards import load_plan
from tests.renderer.drawn_fixture import DRAWN, drawn_fixture

HERE = {"renderer": "drawn fixture"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "data"
    render_dataset(load_preset("smoke", scale=0.07, resolution=16), out, engine=DRAWN)
    return out


def drawn(folder: Path, index: int) -> Rendered:
    plan = load_plan(folder)
    return drawn_fixture(plan.scene(index), plan.settings)


def on_build(monkeypatch: pytest.MonkeyPatch, **build: str) -> None:
    monkeypatch.setattr(subject, "provenance", lambda: build)


def changed(image: Rendered, by: int, pixels: int) -> Rendered:
    values = image.image.copy()
    values[1:].reshape(-1)[:pixels] ^= by
    return replace(image, image=values)


def test_the_recorded_build_must_give_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_build(monkeypatch)
    found = compare(folder, 7, drawn(folder, 7))
    assert found.passed
    assert (found.pixels_equal, found.labels_equal, found.psnr, found.build) == (
        True,
        True,
        None,
        (),
    )
    off = compare(folder, 7, changed(drawn(folder, 7), 1, 1))
    assert not off.passed
    assert (off.max_difference, off.differing) == (1, 1 / 256)
    mask = drawn(folder, 7).mask ^ 1
    assert not compare(folder, 7, replace(drawn(folder, 7), mask=mask)).passed
    assert not compare(folder, 7, drawn(folder, 8)).passed


def test_another_build_must_be_close(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_build(monkeypatch, cpu="another", bpy="9")
    close = compare(folder, 7, changed(drawn(folder, 7), 1, 30))
    assert close.passed
    assert close.psnr is not None
    assert close.psnr > IMAGE_DB
    assert close.build == ("bpy unknown -> 9", "cpu unknown -> another")
    far = compare(folder, 7, changed(drawn(folder, 7), 128, 99))
    assert not far.passed
    assert far.to_dict()["tolerance_db"] == IMAGE_DB
    assert not compare(
        folder, 7, changed(drawn(folder, 7), 4, 9)
    ).passed  # four levels in one place
    assert not compare(folder, 7, replace(drawn(folder, 7), mask=drawn(folder, 7).mask ^ 1)).passed


def test_a_new_way_to_describe_scenes_is_another_build(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_build(monkeypatch)
    plan = load_plan(folder)
    monkeypatch.setattr(type(plan), "spec_hash", lambda self, index: "00" * 32)
    found = compare(folder, 7, changed(drawn(folder, 7), 1, 1))
    assert found.passed
    assert found.build == ("the description of scenes has changed since",)


def test_stored_pixels_that_were_changed_are_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "pixel_hash", lambda image: b"\0" * 32)
    with pytest.raises(IntegrityError, match="it was changed"):
        compare(folder, 7, drawn(folder, 7))


@pytest.mark.parametrize("index", [-1, 10**6])
def test_images_that_do_not_exist_are_refused(folder: Path, index: int) -> None:
    for call in (lambda: rerender(folder, index), lambda: compare(folder, index, drawn(folder, 0))):
        with pytest.raises(InvalidInputError, match=r"expects 0\.\."):
            call()
    with pytest.raises(InvalidInputError, match="16 to 1024"):
        rerender(folder, 0, resolution=8)


def test_signal_to_noise_of_known_errors() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black) is None
    assert psnr(black, black + 1) == pytest.approx(48.13, abs=0.01)
    assert psnr(black + 1, black) == psnr(black, black + 1)
