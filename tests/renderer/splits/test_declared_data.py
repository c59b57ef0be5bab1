"""Datasets under a declared split: the same images, and a certificate that states confounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset, load_preset, with_split
from recombine.renderer.splits.declaration import declare
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

CORNER = {
    "geometry": "corner",
    "thresholds": {"object.shape": "star", "background.environment": "courtyard"},
}


def preset(require: dict[str, object]) -> Preset:
    base = load_preset("smoke", scale=0.07, resolution=16)
    return with_split(base, declare({**CORNER, "require": require}, base.schema))


def outcome(folder: Path) -> dict[str, str]:
    return {c.name: c.status for c in verify(folder).checks}


def test_unpromised_shift_is_stated_and_the_data_can_be_scored(tmp_path: Path) -> None:
    drawn_dataset(tmp_path / "data", preset=preset({"coverage": 1}))
    found = outcome(tmp_path / "data")
    assert found["balance"] == "stated"
    assert found["coverage"] == found["no-leak"] == found["nuisances"] == "pass"
    Dataset(tmp_path / "data").check()
    balance = next(c for c in verify(tmp_path / "data").checks if c.name == "balance")
    assert "2/3" in balance.found  # the exact marginal shift of a corner block on a 4 x 4 grid


@pytest.mark.parametrize(
    "declaration",
    [
        {"geometry": "orbit", "residues": [0, 1]},
        {"geometry": "count", "factor": "object.shape", "threshold": 2},
    ],
)
def test_declared_geometry_with_the_name_of_a_rule_is_stated(
    tmp_path: Path, declaration: dict[str, object]
) -> None:
    base = load_preset("smoke", scale=0.07, resolution=16)
    drawn_dataset(tmp_path / "data", preset=with_split(base, declare(declaration, base.schema)))
    assert outcome(tmp_path / "data")["stability"] == "stated"


def test_promise_that_the_images_break_fails(tmp_path: Path) -> None:
    kept = preset({"marginal_tv": 1})
    drawn_dataset(tmp_path / "data", preset=kept)
    assert outcome(tmp_path / "data")["balance"] == "pass"
    # `declare` refuses a promise it cannot keep, so break it behind its back.
    promised = {**kept.split.declaration, "require": {"marginal_tv": 0}}  # type: ignore[attr-defined]
    broken = replace(kept, split=replace(kept.split, declaration=promised))  # type: ignore[type-var]
    drawn_dataset(tmp_path / "broken", preset=broken)
    assert outcome(tmp_path / "broken")["balance"] == "fail"


def test_reindexing_keeps_the_pixels_of_a_cell_and_block() -> None:
    base = load_preset("smoke", scale=0.07, resolution=16)
    plain, corner = make_plan(base), make_plan(preset({}))
    cells = [np.stack([p.latents[k] for k in p.schema.recombined], 1) for p in (plain, corner)]
    seen = {
        (tuple(c), b): plain.spec_hash(i)
        for i, (c, b) in enumerate(zip(cells[0], plain.block, strict=True))
    }
    shared = [
        (corner.spec_hash(i), seen[tuple(c), b])
        for i, (c, b) in enumerate(zip(cells[1], corner.block, strict=True))
        if (tuple(c), b) in seen
    ]
    assert len(shared) > 50
    assert all(a == b for a, b in shared)
    assert plain.dataset != corner.dataset


@pytest.mark.parametrize("scale", [0.03, 0.1, 1.0])
def test_rungs_of_any_ladder_stay_whole(scale: float) -> None:
    base = load_preset("smoke", scale=scale)
    ladder = {"geometry": "orbit", "ladder": [[0], [0, 1], [0, 1, 2]], "ooc": [3]}
    changed = with_split(base, declare(ladder, base.schema))
    plan = make_plan(changed)
    sizes = {int((plan.rungs >> r & 1).sum()) for r in range(3)}
    assert len(sizes) == 1
