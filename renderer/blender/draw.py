"""Draw one scene: pixels by Cycles, annotations by ray casting, everything in memory."""

from __future__ import annotations

import importlib
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender import session
from recombine.renderer.core.errors import InvalidInputError, ResourceError
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.geometry import placed_arrays
from recombine.renderer.scenes.library import ENVIRONMENTS, LIGHTS, MATERIALS, SHAPES
from recombine.renderer.scenes.scene import Rendered

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.renderer.blender.labels import Hits
    from recombine.renderer.blender.stage import Stage
    from recombine.renderer.scenes.scene import RenderSettings, Scene

_passes: dict[str, Any] = {}


def _capture(engine: Any) -> None:
    """Copy the combined pass of a finished render, bottom row first, into memory."""
    for layer in engine.get_result().layers[0].passes:
        if layer.name == "Combined":
            pixels = np.empty((len(layer.rect), layer.channels), np.float32)
            layer.rect.foreach_get(pixels.ravel())
            _passes["combined"] = pixels


@cache
def _stage() -> Stage:
    """Start Blender, hook the Cycles engine and build the stage, once per process."""
    from recombine.renderer.blender.stage import Stage

    engine_class = importlib.import_module("cycles").CyclesRender  # Blender's own add-on

    original = engine_class.render

    def render(engine: Any, depsgraph: Any) -> None:
        original(engine, depsgraph)
        _capture(engine)

    engine_class.render = render
    with session.quiet():
        return Stage()


def _ground(scene: Scene, resolution: int) -> list[Hits]:
    """Return where the rays meet floor and backdrop."""
    from recombine.renderer.blender import casting
    from recombine.renderer.blender import stage as setting
    from recombine.renderer.blender.environments import coverings

    found = [casting.floor_hits(resolution, scene.camera, setting.fade(scene.environment))]
    if not setting.photographed(scene.environment):
        mesh = setting.backdrop_mesh(scene.environment, coverings.shrink(resolution))
        shift = setting.wall_shift(scene)
        found.append(casting.surface_hits(mesh, resolution, scene.camera, shift))
    return found


def _check(scene: Scene) -> None:
    """Refuse names that the library does not have."""
    present = [o for o in scene.objects if o is not None]
    meshes = tuple(a.name for a in scene.assets if a.kind == "mesh")
    photographs = tuple(a.name for a in scene.assets if a.kind == "hdri")
    known = [("shape", o.shape, (*SHAPES, *meshes)) for o in present]
    known += [("material", o.material, (*MATERIALS, "own")) for o in present]
    known += [("environment", scene.environment, (*ENVIRONMENTS, *photographs))]
    known += [("light", scene.light, ("own", *LIGHTS, *photographs))]
    for kind, name, names in known:
        if name not in names:
            raise InvalidInputError(
                f"renderer: expected the {kind} to be one of {', '.join(names)}, got {name!r}; "
                f"choose a name from recombine.renderer.scenes.library"
            )


def render_radiance(scene: Scene, settings: RenderSettings) -> Float[Array, "H W 3"]:
    """Return the linear radiance of a scene, before any tone mapping."""
    _check(scene)
    stage = _stage()
    from recombine.renderer.blender.adopted import adopted
    from recombine.renderer.blender.api import bpy

    _passes.clear()
    with session.quiet():
        stage.configure(settings)
        stage.arrange(adopted(scene), settings.resolution)
        bpy.ops.render.render()
    if "combined" not in _passes:
        raise ResourceError(
            "renderer: expected a picture from Cycles, got none; is there memory left? "
            "Run: recombine doctor"
        )
    edge = stage.overscan(settings)
    full = settings.resolution + 2 * edge
    pixels = _passes["combined"].reshape(full, full, -1)[::-1, :, :3]
    inside = pixels[edge : full - edge, edge : full - edge]
    return np.ascontiguousarray(inside * np.float32(2.0**scene.exposure))


def render_scene(scene: Scene, settings: RenderSettings) -> Rendered:
    """Draw a scene and annotate it."""
    # The result depends on the arguments alone: not on the process, on what it drew before, or on
    # how many processes draw beside it.
    before = time.process_time()
    radiance = render_radiance(scene, settings)
    from recombine.renderer.blender import tonemap

    return Rendered(
        image=tonemap.encode(radiance),
        **cast_labels(scene, settings.resolution),
        seconds=time.process_time() - before,
    )


def cast_labels(scene: Scene, resolution: int) -> dict[str, Array]:
    """Annotate a scene by rays against its meshes; no path tracing."""
    _check(scene)
    _stage()
    from recombine.renderer.blender import casting, labels
    from recombine.renderer.blender.adopted import adopted
    from recombine.renderer.blender.shapes import table as shapes

    scene = adopted(scene)
    with session.quiet():  # a mesh that is met first is built now
        meshes = [None if o is None else shapes.mesh(o.shape) for o in scene.objects]
        things = [
            labels.NOWHERE
            if thing is None
            else casting.object_hits(mesh, thing, resolution, scene.camera)
            for mesh, thing in zip(meshes, scene.objects, strict=True)
        ]
        found = labels.label(things, _ground(scene, resolution), resolution)
    boxes = [None if mesh is None else casting.model_box(mesh) for mesh in meshes]
    return {**vars(found), **placed_arrays(scene, boxes, found.mask, found.amodal_mask)}
