"""The order of questions is secret but kept; answers that depend on others are refused."""

from __future__ import annotations

import stat

import numpy as np
import pytest

from recombine.benchmark.inference.query import (
    Answers,
    Change,
    DependentAnswersError,
    make_queries,
)
from recombine.benchmark.running.harness import ORDER_FILE, order_key


def test_a_folder_keeps_its_order_and_no_two_share_one(tmp_path):
    first = order_key(tmp_path / "a", 0)
    assert order_key(tmp_path / "a", 0) == first
    assert stat.S_IMODE((tmp_path / "a" / ORDER_FILE).stat().st_mode) == 0o600
    others = {order_key(tmp_path / "a", 1), order_key(tmp_path / "b", 0)}
    assert len(others | {first}) == 3


def test_the_same_key_asks_the_same_batches():
    def order(key):
        return [(one.purpose, one.rows.tolist()) for one in make_queries(100, 16, key)]

    assert order(b"k" * 32) == order(b"k" * 32)
    assert order(b"k" * 32) != order(b"l" * 32)
    assert order(None) != order(None)


def change(share, images=64):
    return Change(images, (0.0, 0.5), (0.0, 0.5), (0.0, share), 0.1)


@pytest.mark.parametrize(("changed", "images"), [(2, 64), (1, 8), (5, 400)])
def test_more_than_one_image_in_a_hundred_is_refused(changed, images):
    words = change(changed / images, images).refused()
    assert f"the slots of {changed} of {images} images" in words


@pytest.mark.parametrize(("changed", "images"), [(0, 8), (1, 64), (4, 400)])
def test_a_single_image_may_flip(changed, images):
    assert change(changed / images, images).refused() is None


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("again", "not-repeatable"),
        ("among", "batch-statistics"),
        ("twin", "memory-between-calls"),
    ],
)
def test_dependence_has_a_name(part, reason):
    parts = {name: change(0.0) for name in ("again", "among", "twin")} | {part: change(1.0)}
    with pytest.raises(DependentAnswersError, match=f"x, seed 0: refused .{reason}.") as caught:
        Answers(np.arange(2), {}, **parts).check("x, seed 0")
    assert caught.value.reason == reason
