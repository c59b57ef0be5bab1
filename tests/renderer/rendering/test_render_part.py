from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.files import locked
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering.pool import Unit
from recombine.renderer.rendering.render import (
    LOCK,
    Part,
    PartOutcome,
    render_dataset,
    render_part,
)
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import shard_path
from tests.renderer.drawn_fixture import DRAWN

PRESET = load_preset("smoke", scale=0.07, resolution=16)


def draw(folder: Path, part: str) -> PartOutcome:
    return render_part(PRESET, folder, Part.parse(part), shard_size=20, engine=DRAWN)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("whole") / "data"
    return render_dataset(PRESET, folder, shard_size=20, engine=DRAWN).root


@given(st.integers(0, 60), st.integers(1, 70))
def test_groups_partition_the_units_evenly(n: int, of: int) -> None:
    units = [Unit(k, k, k + 1) for k in range(n)]
    groups = [Part(i, of).pick(units) for i in range(1, of + 1)]
    assert [u for g in groups for u in g] == units
    assert max(map(len, groups)) - min(map(len, groups)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_only_i_of_n_is_a_group(text: str) -> None:
    with pytest.raises(UsageError, match="--shard: expected i/n"):
        Part.parse(text)


def test_the_last_task_seals_in_any_order(root: str, tmp_path: Path) -> None:
    outcomes = [draw(tmp_path, p) for p in ("3/3", "1/3", "2/3")]
    assert [o.missing > 0 for o in outcomes] == [True, True, False]
    assert [o.certificate is None for o in outcomes] == [True, True, False]
    assert sum(o.images for o in outcomes) == len(Dataset(tmp_path))
    assert outcomes[-1].certificate is not None
    assert outcomes[-1].certificate.root == root
    again = draw(tmp_path, "1/3")
    assert (again.missing, again.certificate) == (0, None)  # sealed; nothing is left to do
    assert (tmp_path / "preview.png").is_file()
    assert Dataset(tmp_path).manifest["provenance"] == {"renderer": "drawn fixture"}


def test_tasks_that_end_together_seal_once(root: str, tmp_path: Path) -> None:
    outcomes: list[PartOutcome] = []
    tasks = [
        threading.Thread(target=lambda k=k: outcomes.append(draw(tmp_path, f"{k}/4")))  # type: ignore[misc]
        for k in range(1, 5)
    ]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert len(outcomes) == 4
    assert sum(o.certificate is not None for o in outcomes) == 1
    assert Dataset(tmp_path).root == root


def test_a_damaged_shard_of_another_task_is_not_sealed(root: str, tmp_path: Path) -> None:
    draw(tmp_path, "1/2")
    path = shard_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:-50])
    outcome = draw(tmp_path, "2/2")
    assert (outcome.missing, outcome.certificate) == (1, None)
    repaired = draw(tmp_path, "1/2")
    assert repaired.certificate is not None
    assert repaired.certificate.root == root


def test_leftovers_of_others_are_left_alone(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    mine, other = (shards / f".shard-{n:05d}.h5.abc.tmp" for n in (0, 5))
    mine.write_text("half")
    other.write_text("half")
    draw(tmp_path, "1/2")
    assert not mine.exists()
    assert other.exists()


def test_one_group_is_drawn_by_one_process_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "shard-1-of-2"), pytest.raises(UsageError, match="another process"):
        draw(tmp_path, "1/2")
    with locked(tmp_path / LOCK), pytest.raises(UsageError, match="another process"):
        draw(tmp_path, "1/2")
    with locked(tmp_path / LOCK, shared=True), pytest.raises(UsageError, match="another process"):
        render_dataset(PRESET, tmp_path, engine=DRAWN)
