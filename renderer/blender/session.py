"""Start Blender and BlenderProc inside this Python process, without a Blender program.

The Blender process is the project's one impure edge: the state of this module and of `bpy`
is global, and one process draws one scene at a time on one thread.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import importlib
import os
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recombine.renderer.blender.libraries import advice, leave
from recombine.renderer.core import surroundings
from recombine.renderer.core.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator


PREFIX = "recombine-blender-"
STALE_SECONDS = 60  # a folder that is younger may not be locked yet
PACKAGES = ("camera", "material", "object", "renderer", "types", "utility")

_temp_dir: Path | None = None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send everything that Python or C code writes to stdout to nowhere, inside the block."""
    # Blender and BlenderProc report progress on file descriptor 1, where a command line may be
    # writing JSON.
    libc = ctypes.CDLL(None)
    _flush()
    libc.fflush(None)
    saved = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        _flush()
        libc.fflush(None)  # or the C buffer would reach the real stdout later
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)


def _flush() -> None:
    if sys.stdout is not None:  # a process without a terminal may have none
        sys.stdout.flush()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables inside the block only."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Let libraries that are loaded inside the block see one core."""
    # Blender's task scheduler starts its threads when it is loaded, and a second one only spins
    # (measured: twice the CPU time for the same pixels).
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    # Workers that start together must not all load Blender on the same core.
    os.sched_setaffinity(0, {sorted(cores)[os.getpid() % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _private_folder() -> Path:
    """Make a locked folder in shared memory, after removing those that killed workers left."""
    shared = "/dev/shm"  # noqa: S108  (private folders inside it)
    parent = Path(shared if os.access(shared, os.W_OK) else tempfile.gettempdir())
    for old in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > STALE_SECONDS and _lock(old):
                shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    _lock(folder)
    return folder


def _lock(folder: Path) -> bool:
    """Lock a folder until this process ends, or return False if a living process holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a living process holds it, or the disk has no locks to tell
        os.close(handle)
        return False
    return True


def _import_blenderproc() -> None:
    """Import BlenderProc 2.8 outside its own launcher, which would install into Blender."""
    flag = "OUTSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT_BUT_IN_RUN_SCRIPT"
    with _environment(**{flag: "1"}):
        bproc = importlib.import_module("blenderproc")
        for name in PACKAGES:
            setattr(bproc, name, importlib.import_module(f"blenderproc.api.{name}"))


def _initialise(blender: Any, temp_dir: Path) -> None:
    """Do what `bproc.init()` does, on the CPU and in a private folder."""
    from blenderproc.python.renderer import RendererUtility
    from blenderproc.python.utility import Initializer
    from blenderproc.python.utility.GlobalStorage import GlobalStorage
    from blenderproc.python.utility.SetupUtility import SetupUtility

    SetupUtility.setup_utility_paths(str(temp_dir))
    Initializer.clean_up(clean_up_camera=True)
    blender.context.scene.render.engine = "CYCLES"
    RendererUtility.set_render_devices(use_only_cpu=True)
    Initializer._Initializer.set_default_parameters()
    GlobalStorage.add("bproc_init_complete", True)


def _require_own_libraries() -> None:
    """Check that Blender runs with the libraries of its wheel."""
    own = Path(str(metadata.distribution("bpy").locate_file("bpy/lib")))
    found = surroundings.foreign_libraries(own) if own.is_dir() else []
    if found:
        raise ResourceError(
            f"renderer: expected Blender's own {found[0].name} in {own}; {found[0]} was loaded in "
            f"its place, and pixels may differ. {leave()}"
        )


def start() -> None:
    """Load Blender and BlenderProc once per process; later calls do nothing.

    The process loses the environment variables that are not on the list of `surroundings.shown`,
    and gets another home, for good: Blender reads both whenever it likes.
    """
    global _temp_dir
    if _temp_dir is not None:
        return
    folder = _private_folder()
    surroundings.enter(folder)
    try:
        with quiet(), _one_core(), _environment(TMPDIR=str(folder)):
            blender = importlib.import_module("bpy")  # BlenderProc needs it present
            _require_own_libraries()
            _import_blenderproc()
            _initialise(blender, folder)
    except ResourceError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except (ImportError, MemoryError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ResourceError(
            f"renderer: expected bpy and blenderproc to be importable; got {error}. {advice(error)}"
        ) from error
    _temp_dir = folder
    atexit.register(stop)


def stop() -> None:
    """Remove the private folder; safe to call twice. Blender itself cannot be unloaded."""
    global _temp_dir
    if _temp_dir is not None:
        shutil.rmtree(_temp_dir, ignore_errors=True)
        _temp_dir = None
