"""The sandbox: which command line of bubblewrap shuts a submission in.

Inside there is a read-only picture of the system's programs, of Python and its packages, and of
one job folder; a scratch ``/tmp`` of limited size; and one writable file for the answer. There
are no other files of the machine: home folders, datasets, results and secrets do not exist
there. There is no network, no other process, no environment variable, no capability.

Started by root, the submission runs under an unprivileged user id that nobody else has, because
the kernel does not limit root's processes. Started by anybody else, it runs in a user namespace.

bubblewrap shares the kernel with the machine. For code from strangers on a machine that matters,
put a throw-away virtual machine around it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import importlib.util
import os
import platform
import re
import secrets
import shutil
import struct
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from recombine.renderer.core.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType


INSTALL = "sudo apt-get install -y bubblewrap"
OLDEST = (0, 8)
FIRST_UID, LAST_UID = 61_184, 65_519  # systemd's range for users without an account
PACKAGE_FOLDERS = ("site-packages", "dist-packages")
OUR_PACKAGES = ("renderer", "benchmark", "baselines")
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/sys/devices/system/cpu",
)
JOB = Path("/job")
ANSWER = Path("/answer/answer.safetensors")
DECOYS = Path("/data")


@dataclass(frozen=True)
class Box:
    """What a sandbox shows and allows."""

    job: Path  # folder that appears, read-only, as `JOB`
    answer: Path  # file that appears, writable, as `ANSWER`
    decoys: Path  # folder that appears, read-only, as `DECOYS`
    hidden: tuple[Path, ...]  # folders of the machine that are covered by decoys, wherever they are
    scratch_bytes: int  # size of ``/tmp`` and of ``/dev/shm``
    gpu: bool = False  # let the graphics devices in


@functools.cache
def require_bwrap() -> str:
    """Return the path of a bubblewrap that works here."""
    path = shutil.which("bwrap")
    way_out = "or, only for code that you trust like your own, pass --trust-local"
    if path is None:
        raise ResourceError(
            "isolation: submitted code runs under bubblewrap, which is not installed. Run: "
            f"{INSTALL}; {way_out}"
        )
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    numbers = tuple(int(n) for n in re.findall(r"\d+", version.stdout)[:2])
    if numbers < OLDEST:
        raise ResourceError(
            f"isolation: bubblewrap 0.8 or newer is needed, got {version.stdout.strip()!r}. Run: "
            f"{INSTALL} on Debian 12, Ubuntu 23.04 or newer; {way_out}"
        )
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        raise ResourceError(
            "isolation: root needs setpriv to give up its rights. Run: "
            f"sudo apt-get install -y util-linux; {way_out}"
        )
    trial = [path, *_namespaces(), "--ro-bind", "/", "/", "--proc", "/proc", "--", "/bin/true"]
    ran = subprocess.run(trial, capture_output=True, text=True, check=False, timeout=60)
    if ran.returncode != 0:
        raise ResourceError(
            f"isolation: bubblewrap cannot make namespaces here ({ran.stderr.strip()[:200]}). In a "
            "container, start it with --privileged or --security-opt seccomp=unconfined "
            "--cap-add SYS_ADMIN; on Ubuntu 24.04 or newer without root, run: sudo sysctl "
            f"kernel.apparmor_restrict_unprivileged_userns=0; {way_out}"
        )
    return path


def free_uid() -> int | None:
    """Return an unprivileged user id that nobody has, or None when this is not root anyway."""
    if os.getuid() != 0:
        return None
    return FIRST_UID + secrets.randbelow(LAST_UID - FIRST_UID + 1)


def bwrap_command(
    box: Box,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    uid: int | None,
    filter_fd: int | None,
) -> list[str]:
    """Return the command line that runs a program in a sandbox."""
    command = [require_bwrap(), *_namespaces()]
    command += ["--die-with-parent", "--new-session", "--clearenv", "--hostname", "submission"]
    for name, value in environment.items():
        command += ["--setenv", name, value]
    command += _system() + _kernel(box)
    command += _binds(_program_paths(), box)
    command += ["--chdir", "/tmp", "--remount-ro", "/"]  # noqa: S108  # inside the sandbox
    if filter_fd is not None:
        command += ["--seccomp", str(filter_fd)]
    return [*command, "--", *_drop(uid), *argv]


def environment_inside() -> dict[str, str]:
    """Return all environment variables of isolated code."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108  # inside the sandbox
        "TMPDIR": "/tmp",  # noqa: S108  # inside the sandbox
        "USER": "submission",
        "LOGNAME": "submission",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


def lacks_for_compiling() -> list[str]:
    """Return what models that compile themselves (torch.compile) would not find inside."""
    lacks = []
    if shutil.which("g++", path=environment_inside()["PATH"]) is None:
        lacks.append("a C++ compiler in /usr/bin (Debian: g++)")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        lacks.append("the headers of Python (Debian: python3-dev)")
    return lacks


def package_paths() -> list[str]:
    """Return the folders from which isolated code may import: installed packages, no others."""
    return [p for p in sys.path if Path(p).name in PACKAGE_FOLDERS]


def _namespaces() -> list[str]:
    """Return the options for new namespaces and no capabilities."""
    if os.getuid() != 0:
        return ["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    # A user namespace of root would map one id only; instead, root gives its id up inside. The
    # two capabilities for this are gone with the id, before any foreign code runs.
    spaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    spaces += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
    return [*spaces, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]


def _drop(uid: int | None) -> list[str]:
    if uid is None:
        return []
    who = str(uid)
    setpriv = shutil.which("setpriv") or "setpriv"
    return [setpriv, "--reuid", who, "--regid", who, "--clear-groups", "--inh-caps=-all"]


def _system() -> list[str]:
    options = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            options += ["--ro-bind", name, name]
    return options


def _kernel(box: Box) -> list[str]:
    size = ["--perms", "1777", "--size", str(box.scratch_bytes)]
    options = ["--proc", "/proc", "--dev", "/dev"]
    if box.gpu:
        for device in sorted(Path("/dev").glob("nvidia*")):
            options += ["--dev-bind-try", str(device), str(device)]
    options += [*size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    return [*options, *size, "--tmpfs", "/tmp"]  # noqa: S108


def _program_paths() -> list[Path]:
    """Return the parts of the machine that Python needs: itself, packages, this project."""
    paths = [Path(name) for name in SYSTEM_FILES]
    for prefix in {sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)}:
        paths += [Path(prefix) / name for name in ("bin", "lib", "lib64", "pyvenv.cfg")]
    # Models that are compiled (torch.compile) need the headers of Python.
    paths += [Path(sysconfig.get_path(name)) for name in ("include", "platinclude")]
    for name in package_paths():
        paths += [Path(name), *_linked(Path(name))]
    for name in ("recombine", *(f"recombine.{part}" for part in OUR_PACKAGES)):
        found = importlib.util.find_spec(name)
        paths += [Path(p) for p in (found.submodule_search_locations or [])] if found else []
    return [path for path in paths if path.exists()]


def _linked(folder: Path) -> set[Path]:
    """Return where packages lie that are only linked to, as some installers leave them."""
    found = set()
    for link in folder.iterdir() if folder.is_dir() else ():
        if link.is_symlink():
            target = link.resolve()
            # Another folder of packages is shown as a whole, of any other folder the target alone.
            shared = target.parent.name in PACKAGE_FOLDERS
            found.add(target.parent if shared else target)
    return found


def _binds(programs: list[Path], box: Box) -> list[str]:
    """Return the mounts of files and folders, outer ones first, and of the folders above them."""
    mounts = {path: ("--ro-bind", path) for path in programs}
    mounts |= {JOB: ("--ro-bind", box.job), ANSWER: ("--bind", box.answer)}
    mounts |= dict.fromkeys((*box.hidden, DECOYS), ("--ro-bind", box.decoys))
    covered = [Path("/usr"), *(Path(name) for name in SYSTEM)]
    made: set[Path] = {Path("/"), Path("/tmp"), Path("/dev"), Path("/proc")}  # noqa: S108
    options: list[str] = []
    for path in sorted(mounts, key=lambda path: len(path.parts)):
        option, source = mounts[path]
        inside = any(path.is_relative_to(outer) for outer in covered)
        if inside and path in programs:
            continue
        for parent in () if inside else reversed(path.parents):
            if parent not in made:
                options += ["--perms", "0755", "--dir", str(parent)]
                made.add(parent)
        options += [option, str(source), str(path)]
        covered.append(path)
    return options


# A system-call filter for isolated code: no new namespaces, mounts, tracing or kernel interfaces.

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
    """Return the filter for a processor family."""
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


# Decoys: files that look like labels, lie where a cheat would look, and report being opened.

NAMES = (
    "labels.npz",
    "labels.csv",
    "latents.json",
    "manifest.json",
    "certificate.json",
    "plan.h5",
    "shards/shard-00000.h5",
)
OPENED = 0x20  # IN_OPEN
_EVENT = struct.Struct("iIII")


def write_decoys(folder: Path) -> tuple[Path, ...]:
    """Write the decoys."""
    paths = tuple(folder / name for name in NAMES)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(secrets.token_bytes(4096))
        path.chmod(0o444)
    return paths


class DecoyWatch:
    """Notices when one of some files is opened, by whomever."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._names: dict[int, str] = {}
        self._opened: list[str] = []
        libc = ctypes.CDLL(None, use_errno=True)
        self._stream = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        for path in paths:
            if self._stream < 0:
                break
            watch = int(libc.inotify_add_watch(self._stream, os.fsencode(path), OPENED))
            if watch >= 0:
                self._names[watch] = path.name
        self.active = len(self._names) == len(paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream >= 0:
            os.close(self._stream)
            self._stream = -1

    def opened(self) -> list[str]:
        """Return the names of files that were opened since the watch began, in order."""
        data = b""
        if self._stream >= 0:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._stream, 65_536)
        while len(data) >= _EVENT.size:
            watch, mask, _, length = _EVENT.unpack_from(data)
            if mask & OPENED and watch in self._names:
                self._opened.append(self._names[watch])
            data = data[_EVENT.size + length :]
        return self._opened
