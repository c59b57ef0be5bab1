"""The system-call filter, run by a small interpreter of its own."""

import errno
import struct

import pytest

from recombine.benchmark.sandbox.bubblewrap import seccomp_program

ALLOWED = "allowed"
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {
        "read": 0, "write": 1, "openat": 257, "mmap": 9, "execve": 59, "futex": 202, "clone": 56,
        "clone3": 435, "socket": 41, "connect": 42, "unshare": 272, "setns": 308, "ptrace": 101,
        "mount": 165, "bpf": 321, "io_uring_setup": 425, "keyctl": 250, "setresuid": 117,
    },
    "aarch64": {
        "read": 63, "write": 64, "openat": 56, "mmap": 222, "execve": 221, "futex": 98,
        "clone": 220, "clone3": 435, "socket": 198, "connect": 203, "unshare": 97, "setns": 268,
        "ptrace": 117, "mount": 40, "bpf": 280, "io_uring_setup": 425, "keyctl": 219,
        "setresuid": 147,
    },
}  # fmt: skip


def run(program, *, audit, number, first=0):
    """Interpret classic BPF the way the kernel does."""
    data = struct.pack("<IIQQ", number, audit, 0, first)
    steps = list(struct.iter_unpack("<HBBI", program))
    at, value = 0, 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif code == 0x06:
            kind, number = operand & 0xFFFF0000, operand & 0xFFFF
            return ALLOWED if kind == 0x7FFF0000 else number
        else:
            test = {0x15: value == operand, 0x45: bool(value & operand), 0x25: value > operand}
            at += yes if test[code] else no


@pytest.fixture(params=["x86_64", "aarch64"])
def call(request):
    program = seccomp_program(request.param)
    numbers = NUMBERS[request.param]

    def ask(name, first=0, audit=None):
        number = numbers[name] if isinstance(name, str) else name
        return run(
            program,
            audit=AUDIT[request.param] if audit is None else audit,
            number=number,
            first=first,
        )

    return ask


@pytest.mark.parametrize("name", ["read", "write", "openat", "mmap", "execve", "futex", "connect"])
def test_ordinary_calls_pass(call, name):
    assert call(name) == ALLOWED


def test_giving_up_rights_passes(call):
    assert call("setresuid") == ALLOWED


@pytest.mark.parametrize(
    "name", ["unshare", "setns", "ptrace", "mount", "bpf", "io_uring_setup", "keyctl"]
)
def test_dangerous_calls_do_not(call, name):
    assert call(name) == errno.EPERM


def test_processes_yes_namespaces_no(call):
    assert call("clone", 0x01200011) == ALLOWED  # fork
    assert call("clone", 0x003D0F00) == ALLOWED  # a thread
    assert call("clone", 0x10000000 | 0x11) == errno.EPERM
    assert call("clone3") == errno.ENOSYS


def test_sockets_stay_in_the_namespace(call):
    for family in (1, 2, 10, 16):
        assert call("socket", family) == ALLOWED
    for family in (3, 17, 38, 40, 44):  # AX.25, packet, kernel crypto, VSOCK, XDP
        assert call("socket", family) == errno.EAFNOSUPPORT


def test_other_calling_conventions_are_refused(call):
    assert call("read", audit=0x40000003) == errno.EPERM  # 32-bit
    assert call(0x40000000) == errno.EPERM  # x32


def test_unknown_processors_have_no_filter():
    assert seccomp_program("riscv64") is None
    assert seccomp_program("x86_64") != seccomp_program("aarch64")
