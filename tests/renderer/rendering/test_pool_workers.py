from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.rendering import pool as subject
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


def cry() -> None:
    sys.stderr.write("first line\n\x1b[31mthe last words\n\n")
    sys.stderr.flush()
    os._exit(9)


def test_the_last_words_of_a_worker_are_part_of_the_reason() -> None:
    with WorkerPool(1, nothing) as pool, pytest.raises(WorkerDiedError) as died:
        pool.submit(cry).result()
    words = "a worker died with exit code 9; it said last: first line /  [31mthe last words"
    assert str(died.value) == words


def test_a_worker_that_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    with WorkerPool(1, nothing) as pool, pytest.raises(WorkerDiedError, match="encodings"):
        pool.submit(abs, -1).result()


def imported(name: str) -> str:
    return str(importlib.import_module(name).__file__)


def test_the_current_folder_is_not_imported_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recombine" / "renderer").mkdir(parents=True)  # as in a clone of the project
    for name in ("random.py", "json.py", "recombine/renderer/__init__.py"):
        (tmp_path / name).write_text("raise SystemExit('a file of the current folder')")
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1, nothing) as pool:
        for name in ("random", "recombine.renderer.core.files"):
            assert not pool.submit(imported, name).result().startswith(str(tmp_path))


def test_another_copy_of_the_code_does_not_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "__file__", "/elsewhere/renderer/rendering/pool.py")
    with WorkerPool(1, nothing) as pool, pytest.raises(ResourceError, match="/elsewhere; they"):
        pool.submit(abs, -1).result()


def test_variables_of_the_user_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCIO", "/nowhere/config.ocio")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    with WorkerPool(1, nothing) as pool:
        assert pool.submit(os.getenv, "OCIO").result() is None
        assert pool.submit(os.getenv, "PYTHONOPTIMIZE").result() is None


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
