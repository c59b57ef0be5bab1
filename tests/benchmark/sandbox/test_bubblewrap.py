"""The command line of the sandbox, as root and as anybody else."""

import os
import subprocess
from pathlib import Path

import pytest
from shut_in import need_bwrap

from recombine.benchmark.sandbox import bubblewrap as bwrap
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

    code = "import numpy, recombine.benchmark.protocol.contract; print('found', numpy.__name__)"
    options = bwrap.bwrap_command(
        box,
        [sys.executable, "-P", "-c", code],
        environment=bwrap.environment_inside(),
        uid=bwrap.free_uid(),
        filter_fd=None,
    )
    ran = subprocess.run(options, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "found numpy\n"
