from __future__ import annotations

import pytest
import torch

from recombine.baselines.nn.encoders import SlotEncoder


def _encoder(hw: tuple[int, int] = (32, 32)) -> SlotEncoder:
    torch.manual_seed(0)
    return SlotEncoder(3, 7, width=16, image_hw=hw, layers=2)


@pytest.mark.parametrize("hw", [(32, 32), (64, 64), (40, 24)])
def test_shapes(hw: tuple[int, int]) -> None:
    slots, outputs = _encoder(hw)(torch.rand(4, 3, *hw))
    assert slots.shape == (4, 3, 16)
    assert outputs.shape == (4, 3, 7)
    assert slots.dtype == outputs.dtype == torch.float32


def test_float32_outside_even_when_bfloat16_inside() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        slots, outputs = _encoder()(torch.rand(2, 3, 32, 32))
    assert slots.dtype == outputs.dtype == torch.float32


def test_images_do_not_see_each_other_in_evaluation() -> None:
    encoder = _encoder().eval()
    images = torch.rand(6, 3, 32, 32)
    alone = torch.cat([encoder(images[i : i + 1])[0] for i in range(6)])
    assert torch.allclose(encoder(images)[0], alone, atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    encoder = _encoder()
    _, outputs = encoder(torch.rand(4, 3, 32, 32))
    outputs.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("in_proj_bias"):  # the key third of it never matters
            assert float(parameter.grad.abs().sum()) > 0, name


def test_slots_have_roles_of_their_own() -> None:
    slots, _ = _encoder()(torch.rand(2, 3, 32, 32))
    assert (slots[:, 0] - slots[:, 1]).abs().max() > 0.1
