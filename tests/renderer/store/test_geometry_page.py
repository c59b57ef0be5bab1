"""The lines of docs/geometry.md, run word for word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recombine.renderer.publish.columns import columns
from recombine.renderer.scenes.geometry import CONVENTIONS
from recombine.renderer.store.dataset import Dataset

PAGE = Path(__file__).parents[3] / "docs" / "geometry.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="only a checkout has the page")


def test_the_lines_run(sealed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "smoke").symlink_to(sealed_once)
    monkeypatch.chdir(tmp_path)
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(lines, str(PAGE), "exec"), found)
    view, edge = found["view"], Dataset(sealed_once).resolution
    assert found["points"].shape == (8, edge, edge, 3)
    assert found["pixels"].shape == (8, 1, 8, 2)
    assert (found["z"] <= view.depth).all()
    assert found["crop"].shape == (found["height"], found["width"], 3)
    assert found["width"] > 0
    again = view.cameras.project(found["points"])
    rows, cols = np.mgrid[:edge, :edge]
    assert np.allclose(again, np.stack([cols, rows], axis=-1), atol=1e-6)


def test_every_annotation_is_on_the_page(sealed_once: Path) -> None:
    text = PAGE.read_text()
    arrays = [c.name for c in columns(Dataset(sealed_once)) if c.shape]
    for name in (*CONVENTIONS, *arrays):
        assert f"`{name}`" in text, name
