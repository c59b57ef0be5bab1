"""A real scheduler and its workers, without Blender; renders are in test_render."""

from __future__ import annotations

import builtins
import functools
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError
from recombine.renderer.core.provenance import Build, provenance
from recombine.renderer.rendering import cluster
from recombine.renderer.rendering.pool import Unit, WorkerDiedError, run_units

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.long]
QUIET = {"dashboard_address": ":0", "silence_logs": 50}


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **QUIET) as running:
        yield running


def touch(folder: Path, unit: Unit) -> None:
    (folder / str(unit.number)).touch()


def refuse(unit: Unit) -> None:
    raise ResourceError("write: the disk is full")


def test_units_run_on_the_workers_of_a_scheduler(
    scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.version_info[:2] != (3, 11):  # no worker can have Blender, and these units need none
        monkeypatch.setattr(cluster, "_check_versions", lambda found: None)
    with cluster.cluster_engine(scheduler.scheduler_address, tmp_path) as engine:
        run = functools.partial(
            run_units, [Unit(n, n, n + 1) for n in range(5)], done=lambda u: None,
            ledger=tmp_path / "failures.jsonl", make_executor=engine.make_executor,
        )  # fmt: skip
        run(task=functools.partial(touch, tmp_path))
        with pytest.raises(ResourceError, match="the disk is full"):
            run(task=refuse)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]


def test_workers_must_see_the_folder(
    scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worker on another machine reads what is at that path there.
    monkeypatch.setattr(cluster.uuid, "uuid4", lambda: type("Token", (), {"hex": "x"})())
    write = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda self, text: write(self, "other"))
    with (
        pytest.raises(ResourceError, match=r"must see .* cannot.*recombine dataset merge"),
        cluster.cluster_engine(scheduler.scheduler_address, tmp_path),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_workers_must_have_the_same_versions() -> None:
    blender = {"bpy": "4.5.15", "blenderproc": "2.8.0"}
    here = blender | provenance()
    cluster._check_versions({"near": here})
    without = {k: v for k, v in here.items() if k not in blender}
    with pytest.raises(ResourceError, match="far has"):
        cluster._check_versions({"far": without})
    with pytest.raises(ResourceError, match=r"far has \{'numpy': '0.1'\}"):
        cluster._check_versions({"near": here, "far": here | {"numpy": "0.1"}})
    with pytest.raises(ResourceError, match="far has"):
        cluster._check_versions({"far": {k: v for k, v in here.items() if k != "recombine"}})


def test_workers_must_have_the_same_build() -> None:
    here = Build.here()
    cluster._check_builds({"near": here.to_dict()})
    sources = {**here.sources, "renderer/scenes/library.py": "0" * 64}
    other = replace(here, sources=sources).to_dict()
    with pytest.raises(ResourceError, match=r"far differs in renderer/scenes/library\.py changed"):
        cluster._check_builds({"near": here.to_dict(), "far": other})


def test_no_scheduler_no_worker_and_no_address_are_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(ResourceError, match="none answered"),
        cluster.cluster_engine("tcp://127.0.0.1:9", tmp_path, patience=0.5),
    ):
        pass
    with (
        pytest.raises(UsageError, match="expects an address"),
        cluster.cluster_engine("ftp://nowhere", tmp_path, patience=0.5),
    ):
        pass
    with (
        distributed.LocalCluster(n_workers=0, **QUIET) as empty,
        pytest.raises(ResourceError, match="needs workers"),
        cluster.cluster_engine(empty.scheduler_address, tmp_path, patience=0.5),
    ):
        pass


def test_a_scheduler_that_goes_away_is_one_line(scheduler: Any, tmp_path: Path) -> None:
    with cluster._client(scheduler.scheduler_address, 10) as client:
        assert isinstance(cluster._executor(client, "tcp://x"), Executor)
        client.close()
        with pytest.raises(ResourceError, match=r"went away.*to resume"):
            cluster._executor(client, "tcp://x")


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "distributed":
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(ResourceError, match=r"pip install 'recombine\[cluster\]'"),
        cluster.cluster_engine("tcp://127.0.0.1:9", tmp_path),
    ):
        pass


def test_what_a_unit_raises_comes_back_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_idle", [])
    monkeypatch.setattr(cluster, "start_worker", int)
    with pytest.raises(InvalidInputError, match=r"plan\.h5"):
        cluster.render_unit_apart(tmp_path, Unit(0, 0, 1))
    cluster._idle[0].leave()


def test_a_process_that_ends_without_an_answer_is_a_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_idle", [])
    monkeypatch.setattr(cluster, "start_worker", functools.partial(os._exit, 3))
    with pytest.raises(WorkerDiedError, match="exit code 3"):
        cluster.render_unit_apart(tmp_path, Unit(0, 0, 1))
    assert cluster._idle == []


def test_a_process_is_kept_for_the_next_unit_and_skips_what_is_done(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_idle", [])
    monkeypatch.setattr(cluster, "start_worker", int)
    before = {p.name: p.stat().st_mtime_ns for p in (sealed / "shards").iterdir()}
    for unit in (Unit(0, 0, 20), Unit(1, 20, 40)):
        cluster.render_unit_apart(sealed, unit)
    (worker,) = cluster._idle
    assert worker.units == 2
    worker.leave()
    assert {p.name: p.stat().st_mtime_ns for p in (sealed / "shards").iterdir()} == before


def test_a_process_above_its_memory_is_not_used_again(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_idle", [])
    monkeypatch.setattr(cluster, "start_worker", int)
    cluster.render_unit_apart(sealed, Unit(0, 0, 20), max_rss=1)
    assert cluster._idle == []
