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

import functools
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.renderer.core.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INSTALL = "sudo apt-get install -y bubblewrap"
OLDEST = (0, 8)
FIRST_UID, LAST_UID = 61_184, 65_519  # systemd's range for users without an account
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
    """What a sandbox shows and allows.

    Attributes
    ----------
    job : Path
        Folder that appears, read-only, as `JOB`.
    answer : Path
        File that appears, writable, as `ANSWER`.
    decoys : Path
        Folder that appears, read-only, as `DECOYS`.
    hidden : tuple of Path
        Folders of the machine that are covered by decoys, wherever they are.
    scratch_bytes : int
        Size of ``/tmp`` and of ``/dev/shm``.
    gpu : bool
        Let the graphics devices in.
    """

    job: Path
    answer: Path
    decoys: Path
    hidden: tuple[Path, ...]
    scratch_bytes: int
    gpu: bool = False


@functools.cache
def require_bwrap() -> str:
    """Return the path of a bubblewrap that works here.

    Returns
    -------
    str
        An absolute path.

    Raises
    ------
    ResourceError
        When it is missing, too old, or not allowed to make namespaces; says what to do.
    """
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
    """Return the command line that runs a program in a sandbox.

    Parameters
    ----------
    box : Box
        What it sees.
    argv : sequence of str
        The program and its arguments, with paths as they are inside.
    environment : Mapping
        All its environment variables.
    uid : int, optional
        User and group id inside, only when this is root.
    filter_fd : int, optional
        File descriptor with a system-call filter.

    Returns
    -------
    list of str
        For ``subprocess``; inherits ``filter_fd``.
    """
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


def package_paths() -> list[str]:
    """Return the folders from which isolated code may import: installed packages, no others."""
    return [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]


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
    paths += [Path(name) for name in package_paths()]
    for name in OUR_PACKAGES:
        found = importlib.util.find_spec(f"recombine.{name}")
        paths += [Path(p) for p in (found.submodule_search_locations or [])] if found else []
    return [path for path in paths if path.exists()]


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
