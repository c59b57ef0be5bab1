"""The recipes of examples/imports, on tiny files of the published schemas."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.importing.run import Imported, import_dataset
from recombine.renderer.store.dataset import Dataset
from tests.renderer.importing import worlds

RECIPES = Path(__file__).parents[3] / "examples" / "imports"
pytestmark = pytest.mark.skipif(not RECIPES.is_dir(), reason="only a checkout has the recipes")


def recipe(name: str, folder: Path, **changes: str) -> Path:
    """Return a recipe with some of its words changed: fewer positions, smaller images."""
    text = (RECIPES / f"{name}.toml").read_text()
    for key, value in changes.items():
        text, times = re.subn(rf"\b{key} = \d+", f"{key} = {value}", text)
        assert times == 1, key
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def statuses(made: Imported) -> dict[str, str]:
    return {check.name: check.status for check in made.certificate.checks}


def test_recipes_have_at_most_20_lines() -> None:
    for name in ("dsprites", "shapes3d", "mpi3d", "clevrtex", "pug_spar"):
        files = [f for f in RECIPES.iterdir() if f.stem == name]
        assert 0 < sum(len(f.read_text().splitlines()) for f in files) <= 24, name
        assert all(len(f.read_text().splitlines()) <= 20 for f in files), name


def matched(made: Imported) -> Dataset:
    """Return a dataset whose blocks match, after its certificate is looked at."""
    found = statuses(made)
    for name in ("balance", "nuisances", "novelty", "additive-rank", "accounting", "coverage"):
        assert found[name] == "pass", name
    assert max(made.shift.factors.values()) == pytest.approx(0)
    data = Dataset(made.folder)
    assert data.matched
    blocks = [set(data.blocks[data.indices(s)].tolist()) for s in ("id_test", "ooc_test")]
    assert blocks[0] == blocks[1] != set()
    return data


def test_dsprites(tmp_path: Path) -> None:
    source = worlds.dsprites(tmp_path / "dsprites.npz")
    made = import_dataset(source, recipe("dsprites", tmp_path), tmp_path / "data")
    data = matched(made)
    assert data.schema.factor("object.shape").values == ("square", "ellipse", "heart")
    assert data.schema.factor("object.yaw").kind == "periodic"
    assert data.schema.derived == ("object.x",)
    assert np.array_equal(data.masks([0, 1]) > 0, data.images([0, 1])[..., 0] == 255)
    low, high = data.schema.factor("object.x").bounds
    third = (data.latents["object.x"] - low) / (high - low) * 3
    assert np.array_equal(np.minimum(third.astype(int), 2), data.latents["object.third"])


def test_shapes3d(tmp_path: Path) -> None:
    source = worlds.shapes3d(tmp_path / "3dshapes.h5")
    made = import_dataset(source, recipe("shapes3d", tmp_path, per_cell="12"), tmp_path / "data")
    data = matched(made)
    assert data.rungs == 2
    assert data.schema.factor("wall.hue").values[3] == "0.3"
    assert data.schema.factor("camera.azimuth").kind == "categorical"  # two values here
    trained = [len(data.indices("id_train", rung=r)) for r in range(2)]
    assert trained[0] == trained[1] > 0


def test_mpi3d(tmp_path: Path) -> None:
    source = worlds.mpi3d(tmp_path / "mpi3d_toy.npz", (6, 6, 2, 3, 3, 2, 2))
    changed = recipe("mpi3d", tmp_path, first="2", second="2", per_cell="20")
    data = matched(import_dataset(source, changed, tmp_path / "data"))
    first, *_ = data.indices("id_test").tolist()
    number = 0
    names = ("object.colour", "object.shape", "object.size", "camera.height")
    for key, size in zip(
        (*names, "background.colour", "robot.first", "robot.second"),
        (6, 6, 2, 3, 3, 2, 2),
        strict=True,
    ):
        number = number * size + int(data.latents[key][first])
    assert np.array_equal(data.image(first), worlds.tinted(number))


def test_clevrtex(tmp_path: Path) -> None:
    source = worlds.clevrtex(tmp_path / "clevrtex_full")
    table = tmp_path / "clevrtex.csv"
    subprocess.run([sys.executable, RECIPES / "clevrtex.py", source, table], check=True)
    changed = recipe("clevrtex", tmp_path, size="16")
    made = import_dataset(source, changed, tmp_path / "data", labels=table)
    assert statuses(made)["nuisances"] == "stated"
    assert any("24 x 32, crop, then resized to 16" in note for note in made.notes)
    data = Dataset(made.folder)
    assert data.schema.factor("scene.count").values == ("3", "4", "5", "6")
    assert not data.matched


def test_pug_spar(tmp_path: Path) -> None:
    source = worlds.pug_spar(tmp_path / "PUG_SPAR")
    changed = recipe("pug_spar", tmp_path, size="16")
    made = import_dataset(source, changed, tmp_path / "data", labels=source / "labels.csv")
    data = matched(made)
    assert not data.training_generative_models
    assert "blank" not in data.schema.factor("object0.animal").values
    assert len(data.schema.factor("object1.animal").values) == 32
