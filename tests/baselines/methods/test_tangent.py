from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from recombine.baselines.methods.tangent import with_tangents
from recombine.baselines.registry import load_baseline
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.renderer.core.errors import InvalidInputError, UsageError
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn


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
    assert data.images_served == 0
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
