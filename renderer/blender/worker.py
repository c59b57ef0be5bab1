"""What a pool of processes needs: prepare a process, draw one image in it, leave it cleanly."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from recombine.renderer.blender import session
from recombine.renderer.blender.draw import render_scene

if TYPE_CHECKING:
    from recombine.renderer.scenes.scene import Rendered, RenderSettings, Scene

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def start_worker() -> None:
    """Turn this process into a render worker; the initializer of a process pool.

    Loads Blender, limits every library to one thread and arranges that the process ends
    without Blender's own clean-up. Use it in spawned processes only.

    Raises
    ------
    ResourceError
        If the wheels of Blender or BlenderProc are missing.
    """
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    atexit.register(leave)  # runs after handlers that are registered later
    session.start()


def render_one(scene: Scene, settings: RenderSettings) -> Rendered:
    """Draw one scene in this worker.

    Parameters
    ----------
    scene : Scene
        What to draw.
    settings : RenderSettings
        How to draw it.

    Returns
    -------
    Rendered
        Arrays only, so it can be pickled to another process.

    Raises
    ------
    InvalidInputError
        If a name is not in the library.
    ResourceError
        If Blender is missing or gives no picture.
    """
    return render_scene(scene, settings)


def leave(status: int = 0) -> None:
    """End this process at once, with everything flushed and the private folder removed.

    Blender's static destructors may fail after all work is done, which would turn a good
    exit status into a bad one; `os._exit` skips them.

    Parameters
    ----------
    status : int
        Exit status.
    """
    session.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
