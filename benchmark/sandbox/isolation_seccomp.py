"""A system-call filter for isolated code: no new namespaces, mounts, tracing or kernel interfaces.

bubblewrap takes the filter as a classic BPF program. Namespaces already hide the machine; the
filter closes what they leave open: parts of the kernel that isolated code never needs and in
which most escapes were found, and sockets that do not belong to the network namespace.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

LOAD, JUMP_EQUAL, JUMP_ANY_BIT, JUMP_ABOVE, RETURN = 0x20, 0x15, 0x45, 0x25, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, low words
CLONE_NEWUSER = 0x10000000
FAMILIES = (1, 2, 10, 16)  # UNIX, INET, INET6, NETLINK; VSOCK and others leave the namespace
X32 = 0x3FFFFFFF


@dataclass(frozen=True)
class _Machine:
    audit: int
    refused: tuple[int, ...]
    clone: int
    clone3: int
    socket: int


# ptrace, process_vm_readv/writev, kcmp | mount, umount2, pivot_root, chroot, the new mount calls |
# unshare, setns | add_key, request_key, keyctl | bpf, perf_event_open, userfaultfd, io_uring |
# kexec, modules | file handles | quotactl, swap, reboot, acct, syslog, clocks, port access
_SAME = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)
_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E,
        refused=(
            *(101, 310, 311, 312, 165, 166, 155, 161, 272, 308, 248, 249, 250, 321, 298, 323),
            *(246, 320, 175, 313, 176, 303, 304, 179, 167, 168, 169, 163, 103, 164, 227, 172, 173),
            *_SAME,
        ),
        clone=56,
        clone3=435,
        socket=41,
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        refused=(
            *(117, 270, 271, 272, 40, 39, 41, 51, 97, 268, 217, 218, 219, 280, 241, 282),
            *(104, 294, 105, 273, 106, 264, 265, 60, 224, 225, 142, 89, 116, 170, 112),
            *_SAME,
        ),
        clone=220,
        clone3=435,
        socket=198,
    ),
}


def seccomp_program(machine: str | None = None) -> bytes | None:
    """Return the filter for a processor family.

    Parameters
    ----------
    machine : str, optional
        As ``platform.machine()`` has it; this machine's when left out.

    Returns
    -------
    bytes or None
        Instructions of 8 bytes; None for a family whose call numbers are not listed here.

    Examples
    --------
    >>> len(seccomp_program("x86_64")) % 8
    0
    >>> seccomp_program("riscv64") is None
    True
    """
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    steps = [
        _step(LOAD, ARCHITECTURE),
        _step(JUMP_EQUAL, known.audit, yes=1),
        _refuse(errno.EPERM),  # 32-bit calls have other numbers
        _step(LOAD, NUMBER),
        _step(JUMP_ABOVE, X32, no=1),
        _refuse(errno.EPERM),
    ]
    for number in known.refused:
        steps += [_step(JUMP_EQUAL, number, no=1), _refuse(errno.EPERM)]
    # The flags of clone3 lie behind a pointer, where no filter can look; libraries fall back.
    steps += [_step(JUMP_EQUAL, known.clone3, no=1), _refuse(errno.ENOSYS)]
    steps += [_step(JUMP_EQUAL, known.clone, no=4), _step(LOAD, FIRST_ARGUMENT)]
    steps += [_step(JUMP_ANY_BIT, CLONE_NEWUSER, no=1), _refuse(errno.EPERM), _step(RETURN, ALLOW)]
    steps += [_step(JUMP_EQUAL, known.socket, yes=1), _step(RETURN, ALLOW)]
    steps += [_step(LOAD, FIRST_ARGUMENT)]
    for family in FAMILIES:
        steps += [_step(JUMP_EQUAL, family, no=1), _step(RETURN, ALLOW)]
    return b"".join([*steps, _refuse(errno.EAFNOSUPPORT)])


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Return one instruction; ``yes`` and ``no`` are instructions to skip after a comparison."""
    return struct.pack("<HBBI", code, yes, no, value)


def _refuse(number: int) -> bytes:
    return _step(RETURN, REFUSE | number)
