from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recombine.renderer.core import files as atomic
from recombine.renderer.core.errors import ResourceError, UsageError
from recombine.renderer.core.files import locked, settled
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


# One process at a time.

HOLDER = """
import sys, time
from pathlib import Path
from recombine.renderer.core.files import locked, settled
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run"
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as waiting:
            try:
                waiting.wait(1)
            except subprocess.TimeoutExpired:
                pass
            else:
                raise AssertionError("two processes held one lock")
            holder.kill()
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "held\n"
            waiting.kill()
    with locked(path):
        assert [p.name for p in path.parent.iterdir()] == [".run.lock"]
    assert not list(path.parent.iterdir())


ADDER = """
import sys
from pathlib import Path
from recombine.renderer.core.files import locked, settled
path = Path(sys.argv[1])
for _ in range(300):
    with locked(path):
        path.write_text(str(int(path.read_text()) + 1))
"""


def test_many_holders_lose_no_update_although_the_lock_file_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(path)]) for _ in range(4)]
    assert [adder.wait() for adder in adders] == [0, 0, 0, 0]
    assert path.read_text() == "1200"
    assert [p.name for p in tmp_path.iterdir()] == ["count"]


def test_a_lock_is_shared_or_had_alone_and_need_not_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for held, wanted in ((False, False), (False, True), (True, False)):
        with (
            locked(path, shared=held),
            pytest.raises(UsageError, match="another process"),
            locked(path, shared=wanted, wait=False),
        ):
            pass
    with locked(path, shared=True), locked(path, shared=True, wait=False):
        pass
    with locked(path, wait=False):
        pass


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="must be writable"), locked(tmp_path / "file" / "x"):
        pass


def test_it_is_settled_only_when_nobody_holds_it_or_died_holding_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert settled(path)
    with locked(path):
        assert not settled(path)
    assert settled(path)
    (tmp_path / ".x.lock").touch()  # as a killed process leaves it
    assert not settled(path)
    with locked(path):
        pass
    assert settled(path)


def test_mapped_files_have_their_room_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "room"
    atomic.take_space(path, 2_000_000)
    assert path.stat().st_size == 2_000_000
    assert 512 * path.stat().st_blocks >= 2_000_000  # no hole

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ResourceError, match=r"room needs 2\.0 MB of disk space; the disk is full"):
        atomic.take_space(path, 2_000_000)


def test_a_folder_that_cannot_be_written_to_is_found_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic.require_writable(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(ResourceError, match="must be writable; got Read-only file system"):
        atomic.require_writable(tmp_path)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError("I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "x"), False),
    ],
)
def test_a_full_disk_is_told_from_others(error: OSError, full: bool) -> None:
    assert atomic.disk_is_full(error) is full


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP", "ENOSYS"])
@pytest.mark.parametrize("wait", [True, False])
def test_a_disk_without_locks_is_named_or_done_without(
    name: str, wait: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(errno, name)

    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = tmp_path / "data" / "render"
    with pytest.raises(ResourceError) as caught, locked(path, wait=wait):
        pass
    assert str(path.parent) in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert "RECOMBINE_LOCKS=best-effort" in str(caught.value)
    assert not list(path.parent.iterdir())
    monkeypatch.setenv("RECOMBINE_LOCKS", "best-effort")
    with locked(path, wait=wait), locked(path, shared=True, wait=wait):
        assert path.parent.is_dir()
    monkeypatch.setenv("RECOMBINE_LOCKS", "off")
    with pytest.raises(ResourceError, match="RECOMBINE_LOCKS"), locked(path, wait=wait):
        pass


def test_best_effort_still_locks_where_the_disk_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMBINE_LOCKS", "best-effort")
    with locked(tmp_path / "x"), pytest.raises(UsageError), locked(tmp_path / "x", wait=False):
        pass


def test_a_lock_file_is_open_both_ways_as_nfs_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes, real = [], fcntl.flock

    def seen(handle: object, kind: int) -> None:
        modes.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)  # type: ignore[call-overload]
        real(handle, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", seen)
    with locked(tmp_path / "x"):
        pass
    with locked(tmp_path / "y", shared=True):
        pass
    assert modes == [os.O_RDWR, os.O_RDWR]


def test_a_disk_that_cannot_sync_folders_still_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def of_files(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", of_files)
    atomic.write_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_room_is_taken_by_writing_where_it_cannot_be_reserved(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    atomic.take_space(tmp_path / "room", 2_000_001)
    assert (tmp_path / "room").stat().st_size == 2_000_001
    assert 512 * (tmp_path / "room").stat().st_blocks >= 2_000_001


def test_what_a_library_says_of_the_disk_is_typed_too(tmp_path: Path) -> None:
    def write(text: str) -> None:
        with atomic.replacing(tmp_path / "a"):
            raise RuntimeError(text)

    with pytest.raises(ResourceError, match="the disk is full"):
        write("I/O error: No space left on device (os error 28)")
    with pytest.raises(ResourceError, match="Input/output error"):
        write("Can't flush (file write failed: errno = 5, ...)")
    with pytest.raises(RuntimeError, match="another reason"):
        write("another reason")


def test_hidden_files_are_not_seen(tmp_path: Path) -> None:
    for name in ("a.json", "._a.json", ".b.json"):
        (tmp_path / name).touch()
    assert atomic.visible(tmp_path, "*.json") == [tmp_path / "a.json"]
