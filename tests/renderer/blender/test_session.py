"""A Blender process starts quietly, keeps to itself and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recombine.renderer.blender import session

HIDDEN = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "bpy":
            raise ModuleNotFoundError("No module named 'bpy'")
sys.meta_path.insert(0, Hide())
from recombine.renderer.blender import worker as probe
from recombine.renderer.core.errors import ResourceError
try:
    probe.versions()
except ResourceError as error:
    sys.stdout.write(str(error))
"""
WORK = """
import sys
from recombine.renderer.blender import session, worker
from recombine.renderer.scenes.scene import RenderSettings, Scene
worker.start_worker()
worker.render_one(Scene((), "studio", 1), RenderSettings(16, 1))
sys.stdout.write(f"drawn in {session._temp_dir}")
"""


def run(code, **environment):
    """Run code in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_missing_wheel_names_the_command():
    done = run(HIDDEN)
    assert "pip install" in done.stdout
    assert "bpy" in done.stdout


def test_importing_the_entry_points_does_not_load_blender():
    code = "import recombine.renderer.blender.worker as w, sys; sys.exit('bpy' in sys.modules)"
    assert run(code).returncode == 0


@pytest.mark.blender
def test_a_worker_leaves_cleanly(tmp_path):
    done = run(WORK, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    folder = Path(done.stdout.removeprefix("drawn in "))
    assert folder.name.startswith(session.PREFIX)
    assert not folder.exists()
    assert not list(tmp_path.iterdir())


def test_folders_of_killed_workers_are_removed(tmp_path, monkeypatch):
    """Old and unlocked: gone. Locked by a living process, or just made: left alone."""
    monkeypatch.setattr(session.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(session.os, "access", lambda path, mode: False)
    dead, alive, young, other = (
        tmp_path / name for name in (*(session.PREFIX + n for n in ("a", "b", "c")), "other")
    )
    for folder in (dead, alive, young, other):
        folder.mkdir()
    (dead / "left").write_text("x")
    assert session._lock(alive)
    for folder in (dead, alive, other):
        os.utime(folder, (0, 0))
    mine = session._private_folder()
    assert {p.name for p in tmp_path.iterdir()} == {mine.name, alive.name, young.name, other.name}
    assert not session._lock(mine)


@pytest.mark.blender
def test_one_thread_draws(blender):
    """A second busy thread would double the CPU time for the same pixels."""
    from tests.renderer.blender import blender_side

    cpu, wall = blender(blender_side.seconds)
    assert cpu < 1.4 * wall


def test_quiet_hides_python_and_c():
    code = (
        "import ctypes, sys; from recombine.renderer.blender import session\n"
        "with session.quiet():\n"
        "    sys.stdout.write('python'); ctypes.CDLL(None).printf(b'c')\n"
        "sys.stdout.write('shown')"
    )
    assert run(code).stdout == "shown"


def test_environment_variables_come_back(monkeypatch):
    monkeypatch.delenv("RECOMBINE_TEST", raising=False)
    with session._environment(RECOMBINE_TEST="1"):
        assert os.environ["RECOMBINE_TEST"] == "1"
    assert "RECOMBINE_TEST" not in os.environ
