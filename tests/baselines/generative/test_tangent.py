from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from recombine.baselines.generative.tangent import (
    directions,
    mixed_difference,
    tangents,
    with_tangents,
)
from recombine.baselines.registry import load_baseline
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.renderer.core.errors import InvalidInputError, UsageError
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn
from tests.baselines.networks import (
    draws,
)
from tests.baselines.nn.test_slots import TWO_OBJECTS


def _file(folder: Path, data: DrawnData, rows: list[int]) -> tuple[Path, np.ndarray]:
    """Write tangents of some images, each a number of its own."""
    data.images = (data.images * 255).round() / 255
    pixels = (data.images[rows] * 255).round().byte().permute(0, 2, 3, 1).numpy()
    hashes = [np.frombuffer(hashlib.sha256(p.tobytes()).digest(), np.uint8) for p in pixels]
    tangent = np.random.default_rng(0).normal(0, 0.1, (len(rows), 2, *pixels.shape[1:]))
    path = folder / "tangents.h5"
    with h5py.File(path, "w") as handle:
        handle["pixel_hash"] = np.stack(hashes)
        handle["tangent"] = tangent.astype(np.float16)
    return path, tangent


def test_images_find_their_own_tangents(tmp_path: Path) -> None:
    data = drawn(12, px=16, seed=0)
    path, tangent = _file(tmp_path, data, [7, 2, 11])
    images, found = with_tangents(data, path)  # type: ignore[arg-type]
    assert torch.equal(images, data.images[[2, 7, 11]])
    wanted = torch.from_numpy(tangent[[1, 0, 2]]).permute(0, 1, 4, 2, 3).float()
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    assert data.images_served == len(data)
    with pytest.raises(InvalidInputError, match="recombine measure tangents"):
        with_tangents(drawn(4, px=16, seed=1), path)  # type: ignore[arg-type]


def test_the_row_trains_along_rendered_tangents_only(tmp_path: Path) -> None:
    data, val = drawn(40, px=32, seed=0), drawn(8, px=32, seed=1)
    path, _ = _file(tmp_path, data, list(range(10)))
    row = load_baseline("tangent-penalty-oracle", "tiny")
    with pytest.raises(UsageError, match="--tangents"):
        row.fit(data, val, seed=0, budget=TrainBudget(), log=ListLog())
    answers = []
    for weight in (1.0, 0.0):
        data.images_served, log = 0, ListLog()
        row = replace(row, tangents=path, penalised=5, weight=weight)
        method = row.fit(data, val, seed=0, budget=TrainBudget(), log=log)
        assert log.generated == 3 * 5 * row.schedule.steps
        assert data.images_served == row.images(data)
        method.setup(data.spec, torch.device("cpu"))
        answers.append(method.encode(val.images).slots)
    assert not torch.equal(*answers)


def test_it_differs_from_the_other_row_in_its_tangents_only() -> None:
    one, other = (load_baseline(f"tangent-penalty{x}", "cpu") for x in ("", "-oracle"))
    assert (one.base, one.schedule, one.weight) == (other.base, other.schedule, other.weight)
    assert other.card.data == "open"  # it needs extra renders
    assert one.card.data == "scratch"


def test_bend_is_the_second_derivative_across_tangents() -> None:
    g = draws()
    weights = torch.randn(4, 3, 3, 5, generator=g, dtype=torch.float64)
    image = torch.randn(1, 3, 2, 2, generator=g, dtype=torch.float64)
    first, second = (torch.randn(1, 3, 2, 2, generator=g, dtype=torch.float64) for _ in range(2))

    def encode(images: Tensor) -> Tensor:
        rows = images.mean(3)  # (B, 3, 2)
        return torch.einsum("bci,bdi,kcde->bke", rows, rows, weights)  # quadratic

    def along(x: Tensor) -> Tensor:
        return encode(x).flatten()

    jacobian = torch.autograd.functional.jacobian
    hessian = jacobian(lambda x: jacobian(along, x, create_graph=True), image)
    flat = hessian.reshape(20, 12, 12)
    exact = torch.einsum("oij,i,j->o", flat, first.flatten(), second.flatten())
    assert mixed_difference(encode, image, first, second).item() == pytest.approx(
        exact.square().sum().item(), rel=1e-9
    )
    assert mixed_difference(lambda x: x.flatten(2), image, first, second).item() < 1e-20


def test_tangents_are_the_decoders_jacobian_along_one_slot_each() -> None:
    one, other = directions(TWO_OBJECTS, 40, draws())
    for way in (one, other):
        moved = way.flatten(2).norm(dim=2) > 0
        assert torch.equal(moved.sum(1), torch.ones(40, dtype=torch.long))
        assert torch.allclose(way.flatten(1).norm(dim=1), torch.ones(40))
    assert not ((one.norm(dim=2) > 0) & (other.norm(dim=2) > 0)).any()
    basis = torch.randn(3 * TWO_OBJECTS.dim, 3 * 4, generator=draws(1))

    def decode(slots: Tensor) -> Tensor:
        return (slots.flatten(1) @ basis).view(-1, 3, 2, 2)

    found = tangents(decode, torch.randn(40, 3, TWO_OBJECTS.dim, generator=draws(2)), one, other)
    for way, tangent in zip((one, other), found, strict=True):
        assert torch.allclose(tangent, decode(way), atol=1e-4)
