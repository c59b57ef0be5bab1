"""The order of questions is secret but kept; answers that depend on others are refused."""

from __future__ import annotations

import stat
from types import SimpleNamespace

import pytest

from recombine.benchmark.inference.query import make_queries
from recombine.benchmark.running.harness import ORDER_FILE, check_determinism, order_key
from recombine.benchmark.sandbox.process import RefusedError


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


def facts(among, again):
    return SimpleNamespace(
        card={"id": "x"}, seed=0, batch_change=(0.0, among), repeat_change=(0.0, again)
    )


@pytest.mark.parametrize(
    ("among", "again", "reason"),
    [
        (0.05, 0.0, "batch-statistics"),
        (0.5, 0.5, "not-repeatable"),
        (float("inf"), 0.0, "batch-statistics"),
    ],
)
def test_dependence_has_a_name(among, again, reason):
    with pytest.raises(RefusedError, match="x, seed 0: refused") as caught:
        check_determinism(facts(among, again))
    assert caught.value.reason == reason


@pytest.mark.parametrize("change", [0.0, 1e-6, 0.009])
def test_rounding_is_allowed(change):
    check_determinism(facts(change, change))
    check_determinism(SimpleNamespace(card={"id": "x"}, seed=0, batch_change=(), repeat_change=()))
