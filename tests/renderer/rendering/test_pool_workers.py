from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.rendering.pool import (
    WorkerDiedError,
    WorkerPool,
    death_cause,
    local_pool,
    resident_memory,
)
from tests.waiting import wait_until


def nothing() -> None:
    """Prepare nothing."""


def no_blender() -> None:
    raise ResourceError("render: Blender is needed")


def hold(megabytes: int) -> int:
    globals()["held"] = bytearray(os.urandom(1024)) * (1024 * megabytes)
    return os.getpid()


class OddError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def odd() -> None:
    raise OddError(1, 2)


def test_a_worker_is_replaced_after_its_units() -> None:
    with WorkerPool(1, nothing, units_per_worker=2) as pool:
        pids = [pool.submit(os.getpid).result() for _ in range(5)]
    assert [pids.count(p) for p in dict.fromkeys(pids)] == [2, 2, 1]


def test_only_a_worker_above_its_memory_is_replaced() -> None:
    with WorkerPool(1, nothing) as pool:
        fresh = pool.submit(resident_memory).result()
    with WorkerPool(1, nothing, max_rss=fresh + 150 * 2**20) as pool:
        pids = [pool.submit(hold, size).result() for size in (1, 1, 300, 1)]
    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_a_death_fails_one_call_and_no_other() -> None:
    with WorkerPool(2, nothing) as pool:
        dying = pool.submit(os._exit, 7)
        calm = [pool.submit(abs, -n) for n in range(5)]
        with pytest.raises(WorkerDiedError, match="exit code 7"):
            dying.result()
        assert [c.result() for c in calm] == [0, 1, 2, 3, 4]


def test_errors_arrive_even_if_they_cannot_be_pickled() -> None:
    with local_pool(1, nothing)() as pool:
        with pytest.raises(RuntimeError, match="OddError: 1 and 2"):
            pool.submit(odd).result()
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()
    with WorkerPool(1, no_blender) as pool, pytest.raises(ResourceError, match="Blender is needed"):
        pool.submit(abs, 1).result()


def test_stopping_does_not_wait() -> None:
    pool = WorkerPool(1, nothing)
    running, queued = pool.submit(time.sleep, 3600), pool.submit(abs, 1)
    wait_until(lambda: pool._hired)
    pool.stop_now()
    assert queued.cancelled()
    assert isinstance(running.exception(), WorkerDiedError)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(abs, 1)


def test_reasons_are_inferred_from_exit_codes() -> None:
    assert "out of memory" in death_cause(-9)
    assert "SIGSEGV" in death_cause(-11)
    assert "exit code 1" in death_cause(1)
    assert resident_memory() > 10**6
    assert threading.active_count() < 50


def sleep_long(pid: Path) -> None:
    pid.write_text(str(os.getpid()))
    time.sleep(3600)


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        f"sys.path[:] = {sys.path!r}\n"
        "from recombine.renderer.rendering.pool import local_pool\n"
        f"from {__name__} import nothing, sleep_long\n"
        f"local_pool(1, nothing)().submit(sleep_long, Path({str(pid)!r}))\ntime.sleep(3600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: pid.exists() and pid.read_text() != "")
    parent.kill()
    parent.wait()
    wait_until(lambda: not Path(f"/proc/{pid.read_text()}").exists())
