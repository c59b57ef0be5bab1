"""The one Blender scene of a process: fixed objects whose data change from image to image.

Floor, backdrop, sun and slots are made in the same order in every process and never removed,
so what Cycles sees depends on the scene alone and not on what was drawn before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender import dial, setting
from recombine.renderer.blender.api import bproc, bpy, mathutils
from recombine.renderer.blender.environments import coverings
from recombine.renderer.blender.labels import camera_axes
from recombine.renderer.blender.materials.table import hue_colour
from recombine.renderer.blender.shapes import table as shapes
from recombine.renderer.scenes.library import CAMERA

if TYPE_CHECKING:
    from recombine.renderer.blender.environments.lights import Lamp
    from recombine.renderer.scenes.scene import Interaction, ObjectSpec, RenderSettings, Scene


def _place_camera() -> None:
    """Stand the camera where the library says."""
    bproc.camera.set_intrinsics_from_blender_params(lens=CAMERA.focal, lens_unit="MILLIMETERS")
    right, up, forward = camera_axes()
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, up, -forward], axis=1)
    pose[:3, 3] = CAMERA.position
    bproc.camera.add_camera_pose(pose, frame=0)


def _set_once() -> None:
    """Set everything about Cycles that no scene or setting changes."""
    bproc.renderer.set_cpu_threads(1)
    bproc.renderer.set_denoiser(None)
    bproc.renderer.set_noise_threshold(0)
    bproc.renderer.toggle_light_tree(False)
    scene = bpy.context.scene
    # With persistent data Cycles would overlook changed settings, the seed among them.
    scene.render.use_persistent_data = False
    scene.render.use_compositing = scene.render.use_sequencer = False
    scene.view_settings.view_transform = "Raw"
    cycles = scene.cycles
    cycles.debug_use_spatial_splits = False
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.blur_glossy = 1.0
    cycles.sample_clamp_direct, cycles.sample_clamp_indirect = 0.0, 6.0
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.5
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes, cycles.denoising_prefilter = "RGB_ALBEDO_NORMAL", "FAST"
    cycles.use_fast_gi = False


def _aim(thing: Any, lamp: Lamp, turn: float) -> None:
    """Make a lamp of this kind, pointing at the middle of the stage."""
    azimuth, elevation = math.radians(lamp.azimuth) + turn, math.radians(lamp.elevation)
    flat = math.cos(elevation)
    towards = mathutils.Vector(
        (flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation))
    )
    target = thing.blender_obj
    target.data = setting.lamp_data(lamp)
    target.visible_camera = False
    thing.set_rotation_mat(towards.to_track_quat("Z", "Y").to_matrix())
    if math.isfinite(lamp.distance):
        thing.set_location(mathutils.Vector((0.0, 0.0, 0.3)) + towards * lamp.distance)


class Stage:
    """The fixed objects, and the operations that dress them for one image."""

    def __init__(self) -> None:
        _set_once()
        _place_camera()
        self._floor = self._thing("floor")
        self._backdrop = self._thing("backdrop")
        self._lamps = [bproc.types.Light("SUN", f"lamp {i}") for i in range(setting.LAMPS)]
        self._slots: list[Any] = []

    def _thing(self, name: str) -> Any:
        """Add an object without faces."""
        mesh = bpy.data.meshes.new(f"{name} empty")
        mesh.materials.append(None)
        return bproc.object.create_from_blender_mesh(mesh, name)

    def arrange(self, scene: Scene, resolution: int) -> None:
        """Dress the stage for a scene.

        Parameters
        ----------
        scene : Scene
            Objects, environment and seed; names must exist in the library.
        resolution : int
            Edge of the image, pixels; it decides how fine textures are.
        """
        while len(self._slots) < len(scene.objects):
            self._slots.append(self._thing(f"slot {len(self._slots)}"))
        for index, thing in enumerate(self._slots):
            spec = scene.objects[index] if index < len(scene.objects) else None
            thing.hide(spec is None)
            if spec is not None:
                self._dress(thing, spec, index, scene.interaction)
        self._surround(scene, coverings.shrink(resolution))
        bpy.context.scene.cycles.seed = scene.cycles_seed

    def _dress(self, thing: Any, spec: ObjectSpec, index: int, level: Interaction) -> None:
        """Give a slot its shape, material and place."""
        target = thing.blender_obj
        target.data = shapes.mesh(spec.shape)
        slot = target.material_slots[0]
        slot.link = "OBJECT"  # meshes are shared, materials are not
        slot.material = dial.worn(spec.material, level)
        dial.set_rays(target, level)
        target.color = (*hue_colour(spec.hue), 1.0)
        target.pass_index = index + 1
        thing.set_location([spec.x, spec.y, 0.0])
        thing.set_rotation_euler([0.0, 0.0, spec.yaw])
        thing.set_scale([spec.scale] * 3)

    def _surround(self, scene: Scene, factor: int) -> None:
        """Swap floor, backdrop, world and lamps."""
        name, own = scene.environment, scene.light == setting.OWN
        self._floor.blender_obj.data = setting.floor_mesh(name, factor)
        backdrop = self._backdrop.blender_obj
        backdrop.data = setting.backdrop_mesh(name, factor)
        backdrop.color = (*setting.distance(scene.light), 1.0)
        solid = not setting.painted(name)
        backdrop.visible_diffuse = backdrop.visible_glossy = solid
        backdrop.visible_transmission = solid
        backdrop.visible_shadow = solid and own  # the lamps of a rig shine through walls
        world = setting.world(name, scene.light)
        world.node_tree.nodes["turn"].inputs["Rotation"].default_value[2] = -scene.sun_azimuth
        bpy.context.scene.world = world
        lamps = setting.lamps(name, scene.light)
        for index, thing in enumerate(self._lamps):
            thing.hide(index >= len(lamps))
            if index < len(lamps):
                _aim(thing, lamps[index], scene.sun_azimuth)

    @staticmethod
    def overscan(settings: RenderSettings) -> int:
        """Return how many pixels are drawn beyond each edge and cut off.

        Parameters
        ----------
        settings : RenderSettings
            Only whether it denoises matters.

        Returns
        -------
        int
            2 with denoising, which tints the pixels in the corners of what it sees.
        """
        return 2 if settings.denoise else 0

    def configure(self, settings: RenderSettings) -> None:
        """Apply render settings.

        Parameters
        ----------
        settings : RenderSettings
            Resolution, samples, denoising and path length.
        """
        size = settings.resolution + 2 * self.overscan(settings)
        bproc.camera.set_resolution(size, size)
        lens = bpy.context.scene.camera.data
        lens.sensor_width = CAMERA.sensor * size / settings.resolution  # the pixels stay as large
        bproc.renderer.set_max_amount_of_samples(settings.samples)
        bproc.renderer.set_light_bounces(
            diffuse_bounces=min(settings.bounces, 2),
            glossy_bounces=min(settings.bounces, 3),
            ao_bounces_render=0,
            max_bounces=settings.bounces,
            transmission_bounces=settings.bounces,
        )
        bpy.context.scene.cycles.use_denoising = settings.denoise
        bpy.context.view_layer.cycles.use_denoising = settings.denoise
