from __future__ import annotations

import errno
import os

import pytest

from recombine.renderer.core.system import errno_of, system_error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EIO, "x"), errno.EIO),
        (OSError("Can't read data (file read failed: errno = 5, error message = 'x')"), errno.EIO),
        (RuntimeError("Can't close (file write failed: errno = 28, ...)"), errno.ENOSPC),
        (RuntimeError("Error while serializing: I/O error: x (os error 13)"), errno.EACCES),
        (OSError("Unable to open file (truncated file: eof = 96, stored_eof = 800)"), None),
        (KeyError("object 'x' doesn't exist"), None),
    ],
)
def test_the_number_is_found_where_libraries_put_it(error: Exception, number: int | None) -> None:
    assert errno_of(error) == number


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("EMFILE", "ulimit -n"),
        ("ENFILE", "end other programs"),
        ("ENOLCK", "RECOMBINE_LOCKS=best-effort"),
        ("ENOSYS", "RECOMBINE_LOCKS=best-effort"),
        ("EACCES", "owner and mode"),
        ("EPERM", "owner and mode"),
        ("EROFS", "another folder"),
        ("EIO", "run the same command again"),
        ("ENOSPC", "Free some space"),
        ("EDQUOT", "Free some space"),
        ("ESTALE", "run the same command again"),
        ("ENOTCONN", "mount it"),
    ],
)
def test_every_refusal_has_its_reason_and_a_way_out(name: str, way_out: str) -> None:
    number = getattr(errno, name)
    refused = system_error("there", OSError(number, "x"))
    assert refused is not None
    assert refused.exit_code == 4
    assert os.strerror(number) in str(refused)
    assert way_out in str(refused)


def test_what_tells_of_the_content_is_not_of_the_system() -> None:
    for error in (OSError(errno.EINVAL, "x"), OSError(errno.ENOENT, "x"), ValueError("x")):
        assert system_error("there", error) is None
    assert "memory" in str(system_error("there", MemoryError())).lower()
