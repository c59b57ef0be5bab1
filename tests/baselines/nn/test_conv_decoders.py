from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recombine.baselines.nn import conv_decoders
from recombine.baselines.nn.attention_decoder import CrossAttention, fourier, interaction

HW = (12, 20)
GROUPS = ((0, 1), (2,))


def _make(name: str, hw: tuple[int, int] = HW) -> nn.Module:
    torch.manual_seed(0)
    makers = {
        "additive": lambda: conv_decoders.Additive(GROUPS, 5, hw, 4),
        "bilinear": lambda: conv_decoders.Bilinear(GROUPS, 5, hw, 4, rank=3),
        "broadcast": lambda: conv_decoders.BroadcastMixture(GROUPS, 5, hw, 4, (0, 1)),
        "unstructured": lambda: conv_decoders.Unstructured(3, 5, hw, 4),
        "attention": lambda: CrossAttention(5, hw, 8, 3, layers=2, heads=2),
    }
    return makers[name]().double()


ALL = ("additive", "bilinear", "broadcast", "unstructured", "attention")


def _slots(n: int = 2) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, 5, generator=draw, dtype=torch.float64)


def _double(decoder: nn.Module, slots: Tensor) -> Tensor:
    """Decode in double precision: the decoders end in float32 by design."""
    kept = torch.Tensor.float
    try:
        torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign, assignment]
        image: Tensor = decoder(slots).image
    finally:
        torch.Tensor.float = kept  # type: ignore[method-assign]
    return image


WEIGHTS = torch.randn(3, 2, 3, *HW, generator=torch.Generator().manual_seed(7)).double()


def _mixed(decoder: nn.Module, at: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """The second derivative along two directions, seen through three random sums of pixels."""
    found = []
    for weights in WEIGHTS:
        slots = at.clone().requires_grad_()
        total = (_double(decoder, slots) * weights).sum()
        (slope,) = torch.autograd.grad(total, slots, create_graph=True)
        (bend,) = torch.autograd.grad((slope * one).sum(), slots)
        found.append((bend * other).sum())
    return torch.stack(found)


def _only(slot: int) -> Tensor:
    way = torch.zeros_like(_slots())
    way[:, slot] = _slots()[:, slot].flip(1)
    return way


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("hw", [(8, 8), (12, 20), (33, 32)])
def test_images_have_the_asked_size_and_do_not_see_each_other(
    name: str, hw: tuple[int, int]
) -> None:
    decoder, slots = _make(name, hw), _slots(3)
    image = decoder(slots).image
    assert image.shape == (3, 3, *hw)
    assert torch.allclose(decoder(slots[1:2]).image, image[1:2], atol=1e-5)
    assert image.std() > 0


@pytest.mark.parametrize("name", ALL)
def test_cross_slot_second_derivatives(name: str) -> None:
    """Exactly zero for the additive decoder, and for no other."""
    decoder = _make(name)
    between = _mixed(decoder, _slots(), _only(0), _only(2)).abs().max()
    within = _mixed(decoder, _slots(), _only(0), _only(0)).abs().max()
    assert within > 1e-9
    assert (between == 0) == (name == "additive")


def test_the_bilinear_term_is_bilinear() -> None:
    decoder = _make("bilinear")
    slots, one, other = _slots(), _only(0), _only(1)
    here = _mixed(decoder, slots, one, other)
    # A bilinear term has the same mixed derivative everywhere ...
    assert torch.allclose(here, _mixed(decoder, 3 * slots + 1, one, other), atol=1e-12)
    # ... namely the low-rank form itself, and it scales with each direction.
    assert torch.allclose(_mixed(decoder, slots, 2 * one, -3 * other), -6 * here, atol=1e-12)
    pair = decoder.pairs.index((0, 1))
    slow = torch.zeros(2, 3, *HW, dtype=torch.float64)
    for b in range(len(slots)):
        for r in range(3):
            left = sum(one[b, 0, d] * decoder.left[pair, d, r] for d in range(5))
            right = sum(other[b, 1, d] * decoder.right[pair, d, r] for d in range(5))
            slow[b] += (left * right * decoder.basis[pair, r]).view(3, *HW).detach()
    assert torch.allclose(here, (slow * WEIGHTS).sum((1, 2, 3, 4)), atol=1e-12)


@pytest.mark.parametrize("name", ["additive", "bilinear", "broadcast"])
def test_exchangeable_slots_share_their_network(name: str) -> None:
    decoder, slots = _make(name), _slots()
    swapped = slots[:, [1, 0, 2]]
    pictures = decoder.pictures
    assert torch.allclose(pictures(swapped), pictures(slots)[:, [1, 0, 2]])
    moved = slots[:, [2, 1, 0]]
    assert not torch.allclose(pictures(moved), pictures(slots)[:, [2, 1, 0]])


def test_broadcast_mixes_by_a_softmax_over_slots() -> None:
    decoder, slots = _make("broadcast"), _slots()
    layers = decoder(slots)
    drawn = decoder.pictures(slots)
    logits = 12 * torch.tanh(drawn[:, :, 3] / 12)
    slow = torch.zeros_like(layers.image)
    total = sum(logits[:, k].exp() for k in range(3))
    for k in range(3):
        slow += (logits[:, k].exp() / total)[:, None] * (0.5 + drawn[:, k, :3])
    assert torch.allclose(layers.image, slow, atol=1e-6)
    share = torch.cat([torch.zeros_like(layers.opacity[:, :1]), layers.opacity], 1).softmax(1)
    assert torch.allclose(share[:, 1], logits[:, 0].exp() / total, atol=1e-6)
    assert torch.allclose(share[:, 0], logits[:, 2].exp() / total, atol=1e-6)


def test_interaction_equals_the_double_loop_over_slots() -> None:
    draw = torch.Generator().manual_seed(0)
    weights = [torch.rand(2, 3, 7, 5, generator=draw).softmax(-1) for _ in range(2)]
    slow = 0.0
    for b in range(2):
        for p in range(7):
            w = [
                sum(float(layer[b, h, p, k]) for layer in weights for h in range(3)) / 6
                for k in range(5)
            ]
            slow += sum(w[k] * w[j] for k in range(5) for j in range(k))
    assert float(interaction(weights)) == pytest.approx(slow / 14, rel=1e-5)


def test_interaction_has_its_bounds() -> None:
    alike = torch.full((2, 3, 4, 5), 1 / 5)
    assert float(interaction([alike])) == pytest.approx((1 - 1 / 5) / 2)
    single = torch.zeros(2, 3, 4, 5)
    single[..., 1] = 1
    assert float(interaction([single])) == 0


def test_attention_reports_its_own_penalty() -> None:
    decoder = _make("attention")
    penalty = decoder(_slots()).penalty
    assert 0 < penalty.item() <= 0.012 * (1 - 1 / 3) / 2 + 1e-9
    penalty.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
    assert CrossAttention(5, HW, 8, 3, weight=0)(_slots().float()).penalty is None


def test_pixels_do_not_see_each_other_in_the_attention_decoder() -> None:
    """Changing what one query asks changes its own square of pixels only."""
    decoder, slots = _make("attention", (8, 8)), _slots()
    before = decoder(slots).image
    with torch.no_grad():
        decoder.place[0] += 1
    changed = (decoder(slots).image - before).abs().amax(dim=(0, 1)) > 0
    assert changed[:4, :4].any()
    assert not changed[4:].any()
    assert not changed[:, 4:].any()


def test_fourier_features_by_hand() -> None:
    features = fourier((3, 5))
    assert features.shape == (15, 32)
    row, column = 2 / 2, 3 / 4  # pixel (2, 3)
    angles = [[place * torch.pi * 2**octave for octave in range(8)] for place in (row, column)]
    for axis in range(2):
        found = features[2 * 5 + 3].view(2, 16)[axis]
        assert torch.allclose(found[:8], torch.tensor(angles[axis]).sin(), atol=1e-4)
        assert torch.allclose(found[8:], torch.tensor(angles[axis]).cos(), atol=1e-4)
