"""What a pool of processes needs: prepare a process, draw one image in it, leave it cleanly."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
from importlib.metadata import version

from recombine.renderer.blender import session
from recombine.renderer.blender.draw import render_scene
from recombine.renderer.scenes.scene import ObjectSpec, Rendered, RenderSettings, Scene


def start_worker() -> None:
    """Turn this process into a render worker; the initializer of a process pool."""
    # Loads Blender and arranges that the process ends without Blender's own clean-up. Use it in
    # spawned processes only.
    atexit.register(leave)  # runs after handlers that are registered later
    session.start()


def render_one(scene: Scene, settings: RenderSettings) -> Rendered:
    """Draw one scene in this worker."""
    return render_scene(scene, settings)


def leave(status: int = 0) -> None:
    """End this process at once, with everything flushed and the private folder removed."""
    # Blender's static destructors may fail after all work is done, which would turn a good exit
    # status into a bad one; `os._exit` skips them.
    session.stop()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError):  # nobody may read any more
            stream.flush()
    os._exit(status)


# Answers for `recombine doctor`: which Blender is here, and whether it draws.


def versions() -> dict[str, str]:
    """Return what decides the pixels of this installation."""
    from recombine.renderer.blender.api import bpy

    cycles = importlib.import_module("_cycles")  # the compiled part of Blender's add-on

    return {
        "bpy": version("bpy"),
        "blenderproc": version("blenderproc"),
        "blender": bpy.app.version_string,
        "build": bpy.app.build_hash.decode(),
        "built": bpy.app.build_date.decode(),
        "device": bpy.context.scene.cycles.device,
        "processor": cycles.available_devices("CPU")[0][0],
        "denoiser": "OpenImageDenoise" if cycles.with_openimagedenoise else "none",
    }


def test_render() -> Rendered:
    """Draw one small scene that uses every part of the renderer."""
    left = ObjectSpec("sphere", "glaze", x=-0.45, y=0.0, yaw=0.0, scale=0.8, hue=0.5)
    right = ObjectSpec("cube", "glaze", x=0.45, y=0.1, yaw=0.6, scale=0.8, hue=4.0)
    return render_scene(Scene((left, right), "parlour", cycles_seed=1), RenderSettings(samples=8))


test_render.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks
