from __future__ import annotations

import functools
import json
import os
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.rendering.pool import Unit, local_pool, run_units

UNITS = [Unit(n, 4 * n, 4 * n + 4) for n in range(5)]


def nothing() -> None:
    """Prepare nothing."""


def touch(folder: Path, unit: Unit) -> None:
    (folder / f"{unit.number}").write_text(str(os.getpid()))


def fail_once(folder: Path, unit: Unit) -> None:
    flag = folder / f"failed-{unit.number}"
    if unit.number == 2 and not flag.exists():
        flag.touch()
        raise ValueError("first try of unit 2")
    touch(folder, unit)


def die_once(folder: Path, unit: Unit) -> None:
    flag = folder / "died"
    if unit.number == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), 9)
    touch(folder, unit)


def always_fail(unit: Unit) -> None:
    raise ValueError("no luck")


def disk_full(folder: Path, unit: Unit) -> None:
    (folder / f"try-{time.monotonic_ns()}").touch()
    raise ResourceError("write: the disk is full")


def threads() -> Executor:
    return ThreadPoolExecutor(2)


def run(task: object, folder: Path, make: object) -> list[int]:
    finished: list[int] = []
    run_units(
        UNITS,
        task,  # type: ignore[arg-type]
        make,  # type: ignore[arg-type]
        done=lambda u: finished.append(u.number),
        ledger=folder / "failures.jsonl",
    )
    return finished


@pytest.mark.parametrize("task", [touch, fail_once, die_once])
def test_every_unit_finishes_once_in_spite_of_failures_and_kills(
    task: object, tmp_path: Path
) -> None:
    partial = functools.partial(task, tmp_path)  # type: ignore[arg-type, var-annotated]
    finished = run(partial, tmp_path, local_pool(2, nothing))
    assert sorted(finished) == [0, 1, 2, 3, 4]
    assert all((tmp_path / str(n)).exists() for n in range(5))
    ledger = tmp_path / "failures.jsonl"
    rows = [json.loads(r) for r in ledger.read_text().splitlines()] if ledger.exists() else []
    if task is fail_once:
        assert [r["reason"] for r in rows] == ["ValueError: first try of unit 2"]
    if task is die_once:
        assert [r["number"] for r in rows] == [3]  # the others are not disturbed
        assert "SIGKILL" in rows[0]["reason"]


def test_any_executor_will_do(tmp_path: Path) -> None:
    assert sorted(run(functools.partial(touch, tmp_path), tmp_path, threads)) == [0, 1, 2, 3, 4]


def test_three_failures_are_reported_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(
        ResourceError, match=r"images 0\.\.3;.* 2 more shards failed 3 times.*no luck"
    ):
        run(always_fail, tmp_path, threads)
    assert len((tmp_path / "failures.jsonl").read_text().splitlines()) == 3 * len(UNITS)


def test_a_full_disk_is_not_retried(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="the disk is full"):
        run(functools.partial(disk_full, tmp_path), tmp_path, threads)
    assert len(list(tmp_path.glob("try-*"))) <= len(UNITS)
    assert not (tmp_path / "failures.jsonl").exists()
