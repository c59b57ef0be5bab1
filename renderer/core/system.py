"""What the system refuses, told apart from what a file holds: the one place that reads errno.

An intact file cannot be opened where too many others are, where the disk has no locks, where it
stalls or belongs to somebody else. None of this says that the file is damaged.
"""

from __future__ import annotations

import errno
import os
import re
import resource
from pathlib import Path

from recombine.renderer.core.errors import ResourceError

LOCKS = "RECOMBINE_LOCKS"
"""Environment variable; ``best-effort`` goes on without a lock where the disk has none."""

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
CROWDED = (errno.EMFILE, errno.ENFILE)

_SERVER = "The server of the files does not answer: run the same command again when it does."
_OWNER = "Check owner and mode of it and of the folders above it."
_SPACE = "Free some space and run the same command again, it resumes."
_NO_LOCK = (
    "Its disk has no file locks (Lustre without `-o flock`, some NFS): mount it with locks, choose "
    f"another disk, or set {LOCKS}=best-effort if no other process works there."
)
_WAYS_OUT = {
    errno.ENFILE: "The machine has too many files open: end other programs.",
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EROFS: "The disk is mounted read-only: choose another folder.",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EIO: "The disk or the way to it failed (see `dmesg`): run the same command again.",
    errno.ESTALE: "Its server has another file there by now: run the same command again.",
    errno.ENOTCONN: "Its disk is not mounted any more: mount it and run the same command again.",
    errno.ENODEV: "Its disk is not there any more: mount it and run the same command again.",
    errno.ENXIO: "Its disk is not there any more: mount it and run the same command again.",
    errno.ESHUTDOWN: _SERVER,
    errno.ETIMEDOUT: _SERVER,
    errno.EHOSTDOWN: _SERVER,
    errno.EHOSTUNREACH: _SERVER,
    errno.ECONNREFUSED: _SERVER,
    errno.ECONNRESET: _SERVER,
    errno.EAGAIN: "Another process holds it: wait until it has ended.",
    errno.EBUSY: "Another process holds it: wait until it has ended.",
    errno.ETXTBSY: "Another process holds it: wait until it has ended.",
    errno.ENOMEM: "End other programs, or use a machine with more memory.",
    errno.EINTR: "Run the same command again.",
    **dict.fromkeys(NO_LOCKS, _NO_LOCK),
}
# h5py and safetensors have the number in their text only, and not always in the same form.
_IN_TEXT = re.compile(r"\berrno = (\d+)|\bos error (\d+)|\[Errno (\d+)\]")


def errno_of(error: BaseException) -> int | None:
    """Return the error number of the system that an exception carries or names in its text."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    found = _IN_TEXT.search(str(error))
    return int(next(filter(None, found.groups()))) if found else None


def system_error(
    path: Path | str, error: BaseException, wanted: str = "a file that can be read"
) -> ResourceError | None:
    """Return what the system refused as a typed error; None where it refused nothing."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else errno_of(error)
    if number is None:
        return None
    if number == errno.EMFILE:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        way_out = (
            f"A process may have {most} files open here: raise that with `ulimit -n {4 * most}`, "
            "or keep fewer open at once."
        )
    elif number in _WAYS_OUT:
        way_out = _WAYS_OUT[number]
    else:
        return None
    reason = os.strerror(number)
    return ResourceError(f"{path}: expected {wanted}; got {reason!r} of the system. {way_out}")


def locks_are_optional() -> bool:
    """Tell whether work goes on without a lock where the disk has none."""
    said = os.environ.get(LOCKS, "").strip().lower()
    if said not in ("", "best-effort", "required"):
        raise ResourceError(
            f"{LOCKS}: expected best-effort or required; got {said!r}. Set one of the two."
        )
    return said == "best-effort"
