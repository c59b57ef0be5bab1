from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recombine.renderer.measure.pictures import ROWS, colours, picture, round_up


def sheet(n: int) -> Image.Image:
    rng = np.random.default_rng(0)
    arrays = {
        "scene": rng.integers(0, 256, (n, 8, 8, 3), np.uint8),
        "parts": rng.integers(0, 256, (n, 8, 8, 3), np.uint8),
        "second": rng.normal(size=(n, 8, 8)).astype(np.float16),
    }
    return Image.open(io.BytesIO(picture(arrays, [f"{i} ID" for i in range(n)])))


def test_a_row_per_scene_up_to_a_sheet_full() -> None:
    one, two, many = sheet(1), sheet(2), sheet(ROWS + 5)
    assert one.width == two.width == many.width
    row = two.height - one.height
    assert many.height == one.height + (ROWS - 1) * row


def test_every_scene_is_shown_as_it_is() -> None:
    arrays = {
        "scene": np.full((1, 4, 4, 3), (10, 200, 30), np.uint8),
        "parts": np.full((1, 4, 4, 3), (90, 20, 130), np.uint8),
        "second": np.zeros((1, 4, 4), np.float16),
    }
    drawn = np.array(Image.open(io.BytesIO(picture(arrays, ["0 ID"]))))
    for colour in ((10, 200, 30), (90, 20, 130), (247, 247, 247)):
        assert (drawn == colour).all(-1).sum() >= 140 * 140


@given(st.floats(1e-9, 1e9))
def test_round_up_is_tight_and_round(value: float) -> None:
    up = round_up(value)
    assert value <= up < 2.6 * value
    assert f"{up:e}"[0] in "125"
    assert set(f"{up:.12e}".split("e")[0][1:]) <= set(".0")


def test_round_up_of_nothing() -> None:
    assert round_up(0.0) == 1.0


def test_colours_tell_sign_and_size() -> None:
    row = colours(np.array([[-5.0, -1.0, -0.5, 0.0, 0.5, 1.0, 5.0]]), 1.0)[0].astype(int)
    assert row[0].tolist() == row[1].tolist()  # beyond the scale
    assert row[5].tolist() == row[6].tolist()
    assert (row[3] == 247).all()
    blueness = row[:, 2] - row[:, 0]
    assert (np.diff(blueness[1:6]) < 0).all()
    assert blueness[3] == 0


@pytest.mark.parametrize("n", [1, ROWS + 1])
def test_output_is_a_png(n: int) -> None:
    assert sheet(n).format == "PNG"
