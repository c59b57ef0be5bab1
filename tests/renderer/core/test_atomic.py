from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recombine.renderer.core import files as atomic
from recombine.renderer.core.errors import ResourceError
from tests.waiting import wait_until


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    atomic.write_json(target, {"old": 1})

    def fail() -> None:
        with atomic.replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert "old" in target.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_full_disk_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        atomic.write_bytes(tmp_path / "a", b"x")
    assert not list(tmp_path.iterdir())


def test_file_in_the_way_of_a_folder_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="must be writable"):
        atomic.write_bytes(tmp_path / "file" / "below", b"x")


def test_space_is_required_before_work(tmp_path: Path) -> None:
    atomic.require_space(tmp_path / "new" / "folder", 1)
    with pytest.raises(ResourceError, match="needs about"):
        atomic.require_space(tmp_path / "new", 10**18)


def test_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_kill_leaves_old_or_new_never_half(tmp_path: Path) -> None:
    target = tmp_path / "data"
    script = (
        "import sys, itertools; from pathlib import Path\n"
        "from recombine.renderer.core.files import write_bytes\n"
        "for i in itertools.count(): write_bytes(Path(sys.argv[1]), bytes([i % 256]) * 300000)\n"
    )
    for pause in (0.0, 0.013, 0.031, 0.057):
        writer = subprocess.Popen([sys.executable, "-c", script, str(target)])
        wait_until(target.exists)
        time.sleep(pause)
        writer.kill()
        writer.wait()
        content = target.read_bytes()
        assert len(content) == 300000
        assert len(set(content)) == 1
    atomic.clear_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
