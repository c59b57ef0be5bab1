from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.presets.table import load_preset
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.preview import panels, value_name
from tests.renderer.drawn_fixture import drawn_dataset


def test_a_panel_shows_every_cell_of_one_block_once(sealed_once: Path) -> None:
    data = Dataset(sealed_once)
    (panel,) = panels(data, block=1)
    assert sorted(panel.images) == [(r, c) for r in range(4) for c in range(4)]
    assert len({int(data.blocks[i]) for i in panel.images.values()}) == 1
    for (row, column), index in panel.images.items():
        assert data.cells[index].tolist() == [row, column]
    assert panel.rows[0] == value_name(data, "object.shape", 0)
    first = min(panels(data)[0].images.values())
    assert data.blocks[first] != data.blocks[min(panel.images.values())]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recombined factors: relation runs over panels."""
    folder = tmp_path_factory.mktemp("rich") / "data"
    preset = load_preset("relation", scale=0.02, values=8, resolution=16)
    drawn_dataset(folder, preset=preset, shard_size=4096)
    return folder


def test_a_third_factor_makes_panels(rich: Path) -> None:
    data = Dataset(rich)
    found = panels(data)
    assert len({p.title for p in found}) == len(found) > 1
    for panel in found:
        index = np.array(list(panel.images.values()))
        assert len({tuple(data.cells[i]) for i in index}) == len(index)
        for (row, column), i in panel.images.items():
            assert data.latents[panel.row_name][i] == row
            assert data.latents[panel.column_name][i] == column


def test_a_single_factor_runs_across_and_blocks_down(tmp_path: Path) -> None:
    preset = load_preset("count", scale=0.003, resolution=16)
    drawn_dataset(tmp_path / "data", preset=preset, shard_size=4096)
    data = Dataset(tmp_path / "data")
    (panel,) = panels(data)
    assert panel.columns == data.schema.factor("scene.count").values
    rows = {row for row, _ in panel.images}
    blocks = {row: {int(data.blocks[i]) for (r, _), i in panel.images.items() if r == row}
              for row in rows}  # fmt: skip
    assert all(len(b) == 1 for b in blocks.values())
    assert len(rows) == len(set.union(*blocks.values())) > 1


def test_edits_run_across_from_their_scene(tmp_path: Path) -> None:
    preset = load_preset("counterfactual", scale=0.002, values=8, resolution=16)
    drawn_dataset(tmp_path / "data", preset=preset, shard_size=4096)
    data = Dataset(tmp_path / "data")
    (panel,) = panels(data)
    assert len(panel.rows) == 6
    for (row, column), index in panel.images.items():
        assert data.latents["scene.edit"][index] == column
        assert data.blocks[index] == data.blocks[panel.images[row, 0]]
    kinds = [data.splits[panel.images[row, 0]] for row in range(6)]
    assert kinds == ["id_test", "ooc_test"] * 3
    absent = panel.images[0, 5]
    assert data.latents["object0.present"][absent] == 0


def test_four_factors_make_four_panels_where_they_fill_them(tmp_path: Path) -> None:
    preset = load_preset("four-slot", scale=0.002, values=4, resolution=16)
    drawn_dataset(tmp_path / "data", preset=preset, shard_size=4096)
    data = Dataset(tmp_path / "data")
    found = panels(data)
    assert [p.title for p in found] == [
        "meadow, noon", "parlour, sun-left", "city, sun-right", "hall, sun-back"
    ]  # fmt: skip
    for panel in found:
        kinds = {data.splits[i] for i in panel.images.values()}
        assert kinds == {"id_test", "ooc_test"}
        assert len(panel.images) >= 8
