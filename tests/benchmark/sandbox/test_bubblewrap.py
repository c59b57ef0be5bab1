"""The sandbox: its command line, as root and as anybody else; its decoys; its filter of calls."""

import errno
import os
import struct
import subprocess
import sysconfig
from pathlib import Path

import pytest
from shut_in import need_bwrap

from recombine.benchmark.sandbox import bubblewrap as bwrap
from recombine.benchmark.sandbox.bubblewrap import NAMES, DecoyWatch, seccomp_program, write_decoys
from recombine.renderer.core.errors import ResourceError


@pytest.fixture
def box(tmp_path):
    for name in ("job", "decoys", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "answer").touch()
    hidden = (tmp_path / "data",)
    return bwrap.Box(
        tmp_path / "job", tmp_path / "answer", tmp_path / "decoys", hidden, scratch_bytes=2**20
    )


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(bwrap, "require_bwrap", lambda: "/usr/bin/bwrap")


def command(box, uid=None, filter_fd=None):
    return bwrap.bwrap_command(
        box, ["/bin/true"], environment={"A": "b"}, uid=uid, filter_fd=filter_fd
    )


def pairs(options, name, width=2):
    at = [i for i, word in enumerate(options) if word == name]
    return [tuple(options[i + 1 : i + 1 + width]) for i in at]


@pytest.mark.parametrize("user", [0, 1000])
def test_everything_is_unshared_and_nothing_is_allowed(box, found, monkeypatch, user):
    monkeypatch.setattr(os, "getuid", lambda: user)
    options = command(box, uid=61_200 if user == 0 else None)
    for name in ("--die-with-parent", "--new-session", "--clearenv"):
        assert name in options
    assert ("ALL",) in pairs(options, "--cap-drop", 1)
    assert "--share-net" not in options
    if user == 0:
        for space in ("ipc", "pid", "net", "uts"):
            assert f"--unshare-{space}" in options
        assert pairs(options, "--cap-add", 1) == [("CAP_SETUID",), ("CAP_SETGID",)]
        dropped = options[options.index("--") + 1 :]
        assert Path(dropped[0]).name == "setpriv"
        assert pairs(dropped, "--reuid", 1) == pairs(dropped, "--regid", 1) == [("61200",)]
        assert "--clear-groups" in dropped
    else:
        assert {"--unshare-all", "--unshare-user", "--disable-userns"} <= set(options)
        assert "--cap-add" not in options
        assert options[options.index("--") + 1 :] == ["/bin/true"]


def test_only_the_answer_is_writable(box, found):
    options = command(box)
    assert pairs(options, "--bind") == [(str(box.answer), "/answer/answer.safetensors")]
    assert "--dev-bind" not in options
    assert ("/",) in pairs(options, "--remount-ro", 1)
    assert ("/dev",) in pairs(options, "--remount-ro", 1)
    assert pairs(options, "--size", 1) == [("1048576",)] * 2
    assert pairs(options, "--tmpfs", 1) == [("/dev/shm",), ("/tmp",)]


def test_no_private_folder_is_shown(box, found):
    shown = {Path(inside) for _, inside in pairs(command(box), "--ro-bind")}
    for private in (
        Path.home(),
        Path("/"),
        Path("/home"),
        Path("/etc"),
        Path("/var"),
        Path("/tmp"),
    ):
        assert private not in shown
    assert Path("/usr") in shown
    assert Path("/job") in shown


def test_the_dataset_is_covered_by_decoys(box, found):
    mounts = pairs(command(box), "--ro-bind")
    covered = {inside for real, inside in mounts if real == str(box.decoys)}
    assert covered == {"/data", str(box.hidden[0])}


def test_folders_above_a_mount_come_first_and_are_open_to_all(box, found):
    options = command(box)
    made = [path for (path,) in pairs(options, "--dir", 1)]
    assert len(made) == len(set(made))
    for path in made:
        at = options.index(path)
        assert options[at - 3 : at] == ["--perms", "0755", "--dir"]
    for _, inside in pairs(options, "--ro-bind"):
        for parent in Path(inside).parents:
            if str(parent) in made:
                assert options.index(str(parent)) < len(options) - options[::-1].index(inside)


def test_the_filter_is_passed(box, found):
    assert pairs(command(box, filter_fd=7), "--seccomp", 1) == [("7",)]
    assert "--seccomp" not in command(box)


def test_graphics_devices_only_when_asked_for(box, found, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(Path, "glob", lambda self, pattern: [Path("/dev/nvidia0")])
    assert pairs(command(replace(box, gpu=True)), "--dev-bind-try") == [("/dev/nvidia0",) * 2]
    assert "--dev-bind-try" not in command(box)


def test_user_ids_belong_to_nobody(monkeypatch):
    import pwd

    taken = {entry.pw_uid for entry in pwd.getpwall()}
    monkeypatch.setattr(os, "getuid", lambda: 0)
    drawn = {bwrap.free_uid() for _ in range(50)}
    assert not drawn & taken
    assert len(drawn) > 10
    assert min(drawn) >= bwrap.FIRST_UID
    assert max(drawn) <= bwrap.LAST_UID
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert bwrap.free_uid() is None


def test_root_without_setpriv_is_told_what_to_install(monkeypatch):
    bwrap.require_bwrap.cache_clear()
    monkeypatch.setattr(os, "getuid", lambda: 0)
    which = bwrap.shutil.which
    monkeypatch.setattr(
        bwrap.shutil, "which", lambda name: None if name == "setpriv" else which("true")
    )
    version = subprocess.CompletedProcess([], 0, "bubblewrap 0.9.0", "")
    monkeypatch.setattr(bwrap.subprocess, "run", lambda *a, **k: version)
    with pytest.raises(ResourceError, match="util-linux"):
        bwrap.require_bwrap()
    monkeypatch.undo()
    bwrap.require_bwrap.cache_clear()


def test_python_and_its_packages_are_there(box):
    need_bwrap()
    import sys

    code = (
        "import numpy, pathlib, recombine.benchmark.protocol.contract, sysconfig\n"
        "headers = pathlib.Path(sysconfig.get_path('include'), 'Python.h').is_file()\n"
        "print('found', numpy.__name__, headers)"
    )
    options = bwrap.bwrap_command(
        box,
        [sys.executable, "-P", "-c", code],
        environment=bwrap.environment_inside(),
        uid=bwrap.free_uid(),
        filter_fd=None,
    )
    ran = subprocess.run(options, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    assert ran.stdout == f"found numpy {headers}\n"


def test_what_compiling_lacks_is_named(monkeypatch):
    monkeypatch.setattr(bwrap.shutil, "which", lambda name, path: f"{path}/{name}")
    monkeypatch.setattr(bwrap.sysconfig, "get_path", lambda name: "/nowhere")
    assert bwrap.lacks_for_compiling() == ["the headers of Python (Debian: python3-dev)"]
    monkeypatch.setattr(bwrap.shutil, "which", lambda name, path: None)
    assert "g++" in bwrap.lacks_for_compiling()[0]


def test_packages_that_are_links_are_shown_where_they_lie(tmp_path):
    packages, others, alone = (
        tmp_path / name for name in ("here/site-packages", "there/site-packages", "source/thing")
    )
    for folder in (packages, others / "one", others / "two", alone):
        folder.mkdir(parents=True)
    for target in (others / "one", others / "two", alone):
        (packages / target.name).symlink_to(target)
    assert bwrap._linked(packages) == {others, alone}


@pytest.fixture
def decoys(tmp_path):
    return write_decoys(tmp_path / "decoys")


def test_they_look_like_labels_and_hold_noise(decoys):
    assert len(decoys) == len(NAMES)
    contents = {path.read_bytes() for path in decoys}
    assert len(contents) == len(decoys)
    assert all(len(content) == 4096 for content in contents)


def test_opening_is_noticed_also_in_another_process(decoys):
    with DecoyWatch(decoys) as watch:
        assert watch.active
        assert watch.opened() == []
        decoys[2].read_bytes()
        assert watch.opened() == [decoys[2].name]
        subprocess.run(["cat", decoys[0]], check=True, capture_output=True)
        assert watch.opened() == [decoys[2].name, decoys[0].name]


def test_looking_at_names_is_no_offence(decoys):
    with DecoyWatch(decoys) as watch:
        for path in decoys:
            assert path.exists()
            path.stat()
        assert list(decoys[0].parent.rglob("*"))
        assert watch.opened() == []


def test_what_cannot_be_watched_is_said(tmp_path):
    with DecoyWatch((tmp_path / "none",)) as watch:
        assert not watch.active
        assert watch.opened() == []


def test_a_closed_watch_is_silent(decoys):
    watch = DecoyWatch(decoys)
    with watch:
        pass
    decoys[0].read_bytes()
    assert watch.opened() == []


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
