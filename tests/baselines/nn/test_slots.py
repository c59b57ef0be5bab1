from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.baselines.nn.slots import (
    activate,
    factors_of,
    layout_of,
    slot_vectors,
    smooth,
    standard,
)
from recombine.benchmark.protocol.contract import SplitSpec
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import FACTORS

LAYOUT = layout_of(SplitSpec((32, 32), 2, FACTORS))
TWO_OBJECTS = layout_of(
    SplitSpec(
        (32, 32),
        3,
        {
            "a.shape": "categorical[3]",
            "a.x": "float[m]",
            "a.y": "float[m]",
            "b.shape": "categorical[3]",
            "b.x": "float[m]",
            "b.y": "float[m]",
            "background.environment": "categorical[5]",
        },
    )
)


def _factors(n: int, seed: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    out: dict[str, torch.Tensor] = {}
    for key, kind in FACTORS.items():
        if kind.startswith("categorical"):
            out[key] = torch.randint(0, 4, (n,), generator=g)
        elif kind == "angle[rad]":
            out[key] = torch.rand(n, generator=g) * 2 * math.pi
        else:
            out[key] = torch.randn(n, generator=g) * 3 + 1
    return out


def test_layout_keeps_order_and_pads_to_the_widest_slot() -> None:
    assert LAYOUT.names == ("object", "background")
    assert [c.width for c in LAYOUT.slots[0]] == [4, 1, 1, 2, 1, 2]
    assert LAYOUT.dim == 11
    assert LAYOUT.posed == (0,)
    assert LAYOUT.groups == ((0,), (1,))


def test_slots_with_equal_factors_are_exchangeable() -> None:
    assert TWO_OBJECTS.groups == ((0, 1), (2,))
    assert TWO_OBJECTS.posed == (0, 1)


@pytest.mark.parametrize("bad", ["categorical", "int", "angle[deg]"])
def test_layout_refuses_an_unknown_type(bad: str) -> None:
    with pytest.raises(InvalidInputError, match=r"object\.shape"):
        layout_of(SplitSpec((8, 8), 1, {"object.shape": bad}))


def test_layout_refuses_data_without_factors() -> None:
    with pytest.raises(InvalidInputError, match="at least one factor"):
        layout_of(SplitSpec((8, 8), 1, {}))


def test_slot_vectors_by_hand() -> None:
    factors = _factors(2, seed=0)
    factors["object.shape"] = torch.tensor([2, 0])
    factors["object.yaw"] = torch.tensor([0.0, math.pi / 2])
    rows = slot_vectors(LAYOUT, factors)
    assert rows[0, 0, :4].tolist() == [0, 0, 1, 0]
    assert rows[1, 0, :4].tolist() == [1, 0, 0, 0]
    assert torch.allclose(rows[:, 0, 6:8], torch.tensor([[1.0, 0.0], [0.0, 1.0]]), atol=1e-6)
    assert rows[0, 0, 4] == factors["object.x"][0]
    assert (rows[:, 1, 4:] == 0).all()


def test_missing_labels_are_named() -> None:
    factors = _factors(2, seed=0)
    del factors["object.hue"]
    with pytest.raises(InvalidInputError, match=r"object\.hue"):
        slot_vectors(LAYOUT, factors)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), seed=st.integers(0, 10_000))
def test_reading_undoes_writing(n: int, seed: int) -> None:
    factors = _factors(n, seed)
    raw = slot_vectors(LAYOUT, factors)
    center, spread = standard(LAYOUT, raw)
    found = factors_of(LAYOUT, (raw - center) / spread, center, spread)
    assert found.keys() == factors.keys()
    for key, values in factors.items():
        if FACTORS[key] == "angle[rad]":
            assert torch.allclose((found[key] - values).cos(), torch.ones(n), atol=1e-5)
            assert ((found[key] >= 0) & (found[key] < 2 * math.pi + 1e-6)).all()
        else:
            assert torch.allclose(found[key].double(), values.double(), atol=1e-4)


def test_standard_touches_continuous_columns_only() -> None:
    raw = slot_vectors(LAYOUT, _factors(500, seed=3))
    center, spread = standard(LAYOUT, raw)
    scaled = (raw - center) / spread
    floats = [4, 5, 8]
    assert torch.allclose(scaled[:, 0, floats].mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(scaled[:, 0, floats].std(0, correction=0), torch.ones(3), atol=1e-5)
    others = [c for c in range(11) if c not in floats]
    assert torch.equal(scaled[:, 0, others], raw[:, 0, others])
    assert torch.equal(scaled[:, 1], raw[:, 1])


def test_exchangeable_slots_share_their_standardisation() -> None:
    raw = torch.randn(50, 3, TWO_OBJECTS.dim)
    center, spread = standard(TWO_OBJECTS, raw)
    assert torch.equal(center[0], center[1])
    assert torch.equal(spread[0], spread[1])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 30))
def test_activated_slots_are_valid(seed: int, scale: float) -> None:
    g = torch.Generator().manual_seed(seed)
    slots = activate(LAYOUT, torch.randn(5, 2, 11, generator=g) * scale)
    assert torch.allclose(slots[:, 0, :4].sum(1), torch.ones(5), atol=1e-5)
    assert (slots[:, 0, :4] >= 0).all()
    assert torch.allclose(slots[:, 0, 6:8].norm(dim=1), torch.ones(5), atol=1e-4)
    assert (slots[:, 1, 4:] == 0).all()


@pytest.mark.parametrize("mix", [0.02, 0.2, 1.0])
def test_soften_mixes_with_the_uniform(mix: float) -> None:
    certain = activate(LAYOUT, torch.eye(11)[torch.tensor([[0, 1]])] * 60)
    start = activate(LAYOUT, smooth(LAYOUT, certain, mix))
    wanted = (1 - mix) * certain[:, 0, :4] + mix / 4
    assert torch.allclose(start[:, 0, :4], wanted, atol=1e-5)
    assert torch.equal(start[:, 0, 4], certain[:, 0, 4])


def test_soften_brings_the_gradient_back() -> None:
    certain = activate(LAYOUT, torch.eye(11)[torch.tensor([[0, 1]])] * 60)

    def steepness(variables: torch.Tensor) -> float:
        variables = variables.requires_grad_()
        (gradient,) = torch.autograd.grad(activate(LAYOUT, variables)[0, 0, 1], variables)
        return float(gradient.abs().max())

    assert steepness(smooth(LAYOUT, certain, 0.2)) > 0.03
    assert steepness(smooth(LAYOUT, certain, 1e-9)) < 1e-4
