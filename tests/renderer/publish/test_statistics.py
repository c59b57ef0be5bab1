from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.publish.statistics import _found, between, measure
from recombine.renderer.scenes.factors import Factor
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset
from tests.renderer.evidence_fixture import small


def test_numbers_are_those_of_the_images(sealed: Path) -> None:
    data = Dataset(sealed)
    found = measure(data)
    train = found.parts[0]
    assert found.counts == {n: len(data.indices(n)) for n in found.counts}
    assert (train.cells, train.least * train.cells) == (8, train.images)
    areas = data.annotation("amodal", data.indices("id_train")).astype(float)
    assert train.area == pytest.approx(areas.mean())
    assert train.visible == train.least_visible == 1
    pixels = data.images(range(len(data))) / 255
    assert found.mean == pytest.approx(pixels.mean((0, 1, 2)))
    assert found.deviation == pytest.approx(pixels.std((0, 1, 2)))


def test_factors_are_counted_or_ranged(sealed: Path) -> None:
    data = Dataset(sealed)
    found = {f.keys: f for f in measure(data).factors}
    counts = np.bincount(data.latents["object.shape"])
    expected = f"4 values, {between(int(counts.min()), int(counts.max()))} times each"
    assert found["object.shape",].found == expected
    assert found["object.shape",].role == "recombined"
    x = data.latents["object.x"]
    assert found["object.x",].found == f"{x.min():.3f} to {x.max():.3f} m, mean {x.mean():.3f}"
    assert found["object.x",].role == "nuisance"


def test_absent_objects_are_not_counted(tmp_path: Path) -> None:
    drawn_dataset(tmp_path, preset=small("count", resolution=16))
    data = Dataset(tmp_path)
    shapes = next(f for f in measure(data).factors if f.keys[0] == "object0.shape")
    assert len(shapes.keys) == 8  # equal slots share a line
    present = data.annotation("amodal", range(len(data))) > 0
    codes = np.concatenate(
        [data.latents[f"object{k}.shape"][present[:, k]] for k in range(8)]
    ).astype(int)
    counts = np.bincount(codes, minlength=32)
    assert shapes.found == f"32 values, {counts.min()} to {counts.max()} times each"


def test_objects_share_a_line_and_other_slots_have_their_own(tmp_path: Path) -> None:
    drawn_dataset(tmp_path, preset=small("interaction-ladder", resolution=16))
    roles = {f.keys: f.role for f in measure(Dataset(tmp_path)).factors}
    assert roles["object0.shape", "object1.shape"] == "recombined"
    assert roles["scene.interaction",] == "crossed"
    assert roles["scene.x",] == "nuisance"
    assert roles["object1.x",] == "derived"


def test_what_is_never_shown_is_said_to_be() -> None:
    assert _found(Factor("x", "continuous", low=0, high=1), np.array([])) == "never shown"
    assert _found(Factor("yaw", "periodic"), np.array([1.0, 2.0])).endswith("rad, mean 1.500")
