"""Answers for `recombine doctor`: which Blender is here, and whether it draws."""

from __future__ import annotations

import importlib
from importlib.metadata import version

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.scenes.scene import ObjectSpec, Rendered, RenderSettings, Scene


def versions() -> dict[str, str]:
    """Return what decides the pixels of this installation.

    Returns
    -------
    dict of str
        Versions of bpy and BlenderProc, Blender's build hash and date, the device and the
        processor that Cycles uses, and the denoiser ("OpenImageDenoise" or "none").

    Raises
    ------
    ResourceError
        If a wheel is missing; the message names the command that installs it.
    """
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
    """Draw one small scene that uses every part of the renderer.

    Returns
    -------
    Rendered
        64 x 64 pixels: two objects, denoised.

    Raises
    ------
    ResourceError
        If a wheel is missing or Cycles gives no picture.
    """
    left = ObjectSpec("sphere", "glaze", x=-0.45, y=0.0, yaw=0.0, scale=0.8, hue=0.5)
    right = ObjectSpec("cube", "glaze", x=0.45, y=0.1, yaw=0.6, scale=0.8, hue=4.0)
    return render_scene(Scene((left, right), "parlour", cycles_seed=1), RenderSettings(samples=8))


test_render.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks
