"""Files that are either complete or absent, whatever kills the writer."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recombine.renderer.core.errors import RecombineError, ResourceError, UsageError
from recombine.renderer.core.system import (
    FULL,
    NO_LOCKS,
    REFUSED,
    errno_of,
    locks_are_optional,
    system_error,
)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, else it vanishes."""
    # The content is on disk before the name is, so a crash leaves the old file or none.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except Exception as error:
        # h5py and safetensors have errors of their own for what the disk refuses.
        if (refused := disk_error(path, error)) is error:
            raise
        raise refused from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically, sorted and without NaN."""
    text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a full or read-only disk does to a block of code into a typed error."""
    try:
        yield
    except Exception as error:
        if (refused := disk_error(path, error)) is error:
            raise
        raise refused from error


def require_writable(folder: Path) -> None:
    """Check that files can be made in a folder, which is made if need be."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex[:8]}.tmp"
        probe.touch()
        probe.unlink()


def take_space(path: Path, size: int) -> None:
    """Make a file of so many bytes, all of them on disk: a mapped file cannot grow safely."""
    # Writing into a mapped hole on a full disk ends the process by a signal, without a message.
    with writing(path), path.open("wb") as stream:
        try:
            _allocate(stream.fileno(), size)
        except OSError as error:
            if not disk_is_full(error):
                raise
            raise ResourceError(
                f"write: {path} needs {size / 1e6:.1f} MB of disk space; the disk is full. "
                "Free some space and run the same command again, it resumes."
            ) from error


def _allocate(handle: int, size: int) -> None:
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, *NO_LOCKS):
            raise
        for begin in range(0, size, 2**20):  # a disk that only takes space by being written to
            os.pwrite(handle, bytes(min(2**20, size - begin)), begin)


def disk_is_full(error: BaseException) -> bool:
    """Tell whether an error comes from a full disk or quota."""
    return errno_of(error) in FULL or "No space left" in str(error)


def disk_error(path: Path, error: Exception) -> Exception:
    """Return the typed error for what the system refused a writer, else the error itself."""
    if isinstance(error, RecombineError):
        return error
    if disk_is_full(error):
        return ResourceError(
            f"write: {path} needs more disk space; the disk is full. "
            "Free some space and run the same command again, it resumes."
        )
    number = errno_of(error)
    if number in (*REFUSED, errno.ENOTDIR, errno.EEXIST):
        reason = os.strerror(number)
        return ResourceError(
            f"write: {path} must be writable; got {reason}. Choose another folder."
        )
    return system_error(path, error, "a file that can be written") or error


def require_space(folder: Path, needed: int) -> None:
    """Check that a disk has room before hours are spent."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ResourceError(
            f"disk: {folder} needs about {needed / 1e6:.0f} MB; {free / 1e6:.0f} MB are free. "
            "Free some space or choose another folder with --out."
        )


def visible(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match; hidden ones, as macOS puts beside each, never."""
    return [path for path in folder.glob(pattern) if not path.name.startswith(".")]


def clear_leftovers(folder: Path, name: str = "*") -> None:
    """Remove temporary files that a killed writer of ``name`` left in a folder."""
    for leftover in folder.glob(f".{name}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # Some network disks cannot sync a folder, or let files be made but not listed.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, *NO_LOCKS):
            raise
    finally:
        os.close(handle)


# One process at a time.


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file or folder. A killed process holds nothing.

    Where the disk has no locks it is refused, or, if the user says so, done without.
    """
    lock, kind = _beside(path), fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a+")  # NFS locks what is open for reading and for writing only
        except OSError as error:
            raise disk_error(path.parent, error) from error
        with handle:
            try:
                fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"{path.parent}: expected nobody else to work there; another process does. "
                    "Wait for it, or choose another folder."
                ) from error
            except OSError as error:
                if errno_of(error) not in NO_LOCKS or not locks_are_optional():
                    lock.unlink(missing_ok=True)
                    wanted = "a folder that can be locked"
                    raise system_error(path.parent, error, wanted) or error from error
            if not _is(handle.fileno(), lock):
                continue  # its last holder removed it while this process waited
            try:
                yield
            finally:
                if not shared:  # another may share it still
                    lock.unlink(missing_ok=True)
            return


def settled(path: Path) -> bool:
    """Tell whether no process holds the lock of a file, nor was killed while it did."""
    return not _beside(path).exists()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return False
