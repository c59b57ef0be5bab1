"""Untrained networks of the drawn fixture's slots, alike in every test."""

from __future__ import annotations

import torch
from torch import Tensor

from recombine.baselines.nn.decoders import Compositor
from recombine.baselines.nn.slots import slot_vectors
from recombine.baselines.training.slot_encoder import Recognition
from tests.baselines.drawn_fixture import DrawnData
from tests.baselines.nn.test_slots import LAYOUT

FLOAT = {"width": 16, "layers": 1, "pose_weight": 1.0, "precision": "float32"}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def untrained_encoder() -> Recognition:
    torch.manual_seed(0)
    return Recognition(LAYOUT, (32, 32), **FLOAT).eval()


def untrained_decoder(**settings: bool) -> Compositor:
    torch.manual_seed(1)
    decoder = Compositor(LAYOUT, (32, 32), 4, **settings).eval()
    with torch.no_grad():
        decoder.placement.weight[0] = torch.tensor([0.0, 0.0, -0.7])
        for frame in decoder.frame:
            frame.basis.mul_(100)
    return decoder


def first_vectors(data: DrawnData, n: int) -> Tensor:
    return slot_vectors(LAYOUT, {k: v[:n] for k, v in data.factors.items()})
