"""The one Blender scene of a process: fixed objects whose data change from image to image.

Floor, backdrop, sun and slots are made in the same order in every process and never removed,
so what Cycles sees depends on the scene alone and not on what was drawn before.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.blender.api import bproc, bpy, mathutils
from recombine.renderer.blender.environments import coverings
from recombine.renderer.blender.environments.backdrops import BACKDROPS
from recombine.renderer.blender.environments.coverings import (
    PHOTOGRAPHS,
    covering,
    image,
    photograph,
)
from recombine.renderer.blender.environments.floors import FLOORS
from recombine.renderer.blender.environments.lights import RIGS, Lamp
from recombine.renderer.blender.environments.panoramas import (
    LIT,
    elevations,
    irradiance,
    lighting,
    reduced,
    seen,
)
from recombine.renderer.blender.environments.skies import SKIES, dome
from recombine.renderer.blender.environments.surfaces import Piece, faded
from recombine.renderer.blender.environments.table import ENVIRONMENTS
from recombine.renderer.blender.materials.nodes import Tree
from recombine.renderer.blender.materials.table import hue_colour, material
from recombine.renderer.blender.shapes import table as shapes
from recombine.renderer.planning.assets import OWN, check_file, find
from recombine.renderer.scenes.geometry import camera_axes
from recombine.renderer.scenes.library import FOCAL, RADIUS, SENSOR

if TYPE_CHECKING:
    from recombine.renderer.blender.environments.skies import Panorama
    from recombine.renderer.blender.environments.surfaces import Fade
    from recombine.renderer.scenes.library import Camera
    from recombine.renderer.scenes.scene import Interaction, ObjectSpec, RenderSettings, Scene


# Blender meshes, materials and worlds of the environments, each built once per process.

PLAIN = "glaze"  # what a body wears that brings no material along
LAMPS = 2  # a rig has at most so many
PHOTOGRAPH_MEAN = 0.7  # radiance, over the whole sphere
MAP = 128  # columns of the importance map of a drawn light
BRIGHTEST = 4.0  # radiance that a photograph shows, white already

HALF_FLOOR = 60.0
SHIFT = 4.0  # range of the shifts of patterns, metres, see `presets.base`


def _strips(name: str, pieces: list[Piece]) -> Any:
    """Return a mesh of strips along x, with UV in metres and one material index per piece."""
    corners, place, owner = [], [], []
    for index, piece in enumerate(pieces):
        section, half = piece.section, piece.half_width
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(section, axis=0).T))])
        for i in range(len(section) - 1):
            ring = ((-half, i), (half, i), (half, i + 1), (-half, i + 1))
            corners += [(x, float(section[k, 0]), float(section[k, 1])) for x, k in ring]
            place += [(x, length[k]) for x, k in ring]
            owner.append(index)
    mesh = bpy.data.meshes.new(name)
    faces = np.arange(len(corners)).reshape(-1, 4).tolist()
    mesh.from_pydata(corners, [], faces)
    mesh.polygons.foreach_set("material_index", owner)
    mesh.uv_layers.new(name="UV").data.foreach_set("uv", np.array(place, np.float32).ravel())
    mesh.update()
    return mesh


@cache
def _meshes(name: str, factor: int) -> tuple[Any, Any]:
    """Return floor and backdrop of an environment; their arrays are let go again."""
    recipe, ends = ENVIRONMENTS[name], fade(name)
    floor = FLOORS[recipe.floor]()
    half = HALF_FLOOR if ends is None else ends.half + math.hypot(SHIFT, SHIFT) / 2
    section = np.array([[-half, 0.0], [half, 0.0]])
    ground = _strips(f"{name} floor", [Piece(section, half, floor)])
    ground.materials.append(covering(f"{name} floor", floor, factor, ends))
    pieces = BACKDROPS[recipe.backdrop]() if recipe.backdrop else []
    behind = _strips(f"{name} backdrop", pieces)
    for index, piece in enumerate(pieces):
        behind.materials.append(covering(f"{name} backdrop {index}", piece.covering, factor))
    return ground, behind


def floor_mesh(name: str, factor: int) -> Any:
    """Return the floor of an environment as a mesh with its material."""
    return _meshes(name, factor)[0]


def backdrop_mesh(name: str, factor: int) -> Any:
    """Return the backdrop of a room as a mesh with its materials; empty in a photograph."""
    return _meshes(name, factor)[1]


def photographed(name: str) -> bool:
    """Tell whether an environment is a photograph all around, not a room."""
    return bool(ENVIRONMENTS[name].panorama)


@cache
def fade(name: str) -> Fade | None:
    """Return where the floor of an environment ends; rooms end at their walls."""
    recipe = ENVIRONMENTS[name]
    return faded(*recipe.fade, seed=900) if recipe.panorama else None


def is_photograph(light: str) -> bool:
    """Tell whether a light is a user's photograph, not an environment's own or a rig."""
    return light in PHOTOGRAPHS and light not in ENVIRONMENTS


def _panorama(name: str) -> Panorama:
    """Return the photograph of an environment, if it is the one that the ledger pins."""
    title = ENVIRONMENTS[name].panorama
    asset = PHOTOGRAPHS[title] if title in PHOTOGRAPHS else find("hdri", title)
    check_file(asset)
    return photograph(asset)


@cache
def _seen(name: str) -> tuple[Any, float]:
    """Return what the camera sees of an environment's photograph, and its exposure."""
    recipe = ENVIRONMENTS[name]
    panorama = _panorama(name)
    strength = recipe.strength / max(irradiance(panorama), 1e-6)
    view = seen(panorama, recipe.haze, BRIGHTEST / strength)
    return image(f"{name} seen", view, "light"), strength


@cache
def _light(source: str) -> tuple[Any, float]:
    """Return what lights a scene: an environment's own light, a rig's dome or a ledger's."""
    if is_photograph(source):
        panorama = photograph(PHOTOGRAPHS[source])
        height = len(panorama)
        cosine = np.cos(elevations(height))
        mean = float(np.average(panorama.mean((1, 2)), weights=cosine))
        panorama, strength = reduced(panorama, LIT), PHOTOGRAPH_MEAN / max(mean, 1e-6)
    elif source in RIGS:
        panorama, strength = dome(RIGS[source].zenith, RIGS[source].horizon), 1.0
    elif photographed(source):
        panorama, strength = lighting(_panorama(source)), _seen(source)[1]
    else:
        panorama, strength = SKIES[ENVIRONMENTS[source].sky](), ENVIRONMENTS[source].strength
    return image(f"{source} light", panorama, "light"), strength


@cache
def world(environment: str, light: str) -> Any:
    """Return the surroundings that light a scene, and those that the camera sees."""
    source = environment if light == OWN else light
    small = is_photograph(source) or (source not in RIGS and photographed(source))
    made = bpy.data.worlds.new(f"{environment}, {light} world")
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place = nodes.new("ShaderNodeTexCoord")

    def shown(part: str, picture: Any, strength: float) -> Any:
        turn = nodes.new("ShaderNodeMapping")
        turn.name = part
        texture = nodes.new("ShaderNodeTexEnvironment")
        texture.image = picture
        texture.interpolation = "Closest" if part == "light" and small else "Linear"
        background = nodes.new("ShaderNodeBackground")
        background.inputs["Strength"].default_value = strength
        links.new(place.outputs["Generated"], turn.inputs["Vector"])
        links.new(turn.outputs["Vector"], texture.inputs["Vector"])
        links.new(texture.outputs["Color"], background.inputs["Color"])
        return background

    output = shown("light", *_light(source)).outputs["Background"]
    if photographed(environment):
        picture, strength = _seen(environment)
        view = shown("seen", picture, strength)
        tint = nodes.new("ShaderNodeVectorMath")  # a rig tints and dims what lies far off
        tint.operation = "MULTIPLY"
        tint.inputs[1].default_value = distance(light)
        colour = view.inputs["Color"]
        links.new(colour.links[0].from_socket, tint.inputs[0])
        links.new(tint.outputs[0], colour)
        mix = nodes.new("ShaderNodeMixShader")
        links.new(nodes.new("ShaderNodeLightPath").outputs["Is Camera Ray"], mix.inputs["Fac"])
        links.new(output, mix.inputs[1])
        links.new(view.outputs["Background"], mix.inputs[2])
        output = mix.outputs["Shader"]
    links.new(output, nodes["World Output"].inputs["Surface"])
    # Cells of the importance map are texels of a photograph's light, see `light_turn`: where the
    # map misses a lamp's edge, single paths that find it are bright dots.
    made.cycles.sampling_method = "MANUAL"
    made.cycles.sample_map_resolution = LIT if small else MAP
    return made


def lamps(light: str) -> tuple[Lamp, ...]:
    """Return the lamps of a scene: those of its rig."""
    return RIGS[light].lamps if light in RIGS else ()


def distance(light: str) -> tuple[float, float, float]:
    """Return what the camera's view of a photograph is multiplied by under a light."""
    return RIGS[light].distance if light in RIGS else (1.0, 1.0, 1.0)


@cache
def lamp_data(lamp: Lamp) -> Any:
    """Return the Blender lamp of a recipe."""
    near = math.isfinite(lamp.distance)
    made = bpy.data.lights.new("lamp", "SPOT" if near else "SUN")
    made.color = lamp.colour
    if not near:
        made.energy, made.angle = lamp.strength, math.radians(lamp.angle)
        return made
    made.energy = lamp.strength * 4 * math.pi * lamp.distance**2
    made.shadow_soft_size = lamp.distance * math.tan(math.radians(lamp.angle / 2))
    made.spot_size, made.spot_blend = math.radians(lamp.cone), 0.35
    return made


# The dial of interaction: which rays may meet an object.

RAYS = ("diffuse", "glossy", "transmission", "volume_scatter", "shadow")
MET_BY: dict[Interaction, tuple[str, ...]] = {
    "isolated": (),
    "shadows": ("diffuse", "shadow"),
    "full": RAYS,
}
"""Kinds of rays, besides the camera's own, that meet objects at each level."""


def set_rays(target: Any, level: Interaction) -> None:
    """Let an object be met by the rays of a level, and by the camera's always."""
    for kind in RAYS:
        setattr(target, f"visible_{kind}", kind in MET_BY[level])


@cache
def worn(name: str, level: Interaction) -> Any:
    """Return the material that an object wears at a level."""
    # Light from the sky reaches a surface along shadow rays and along scattered rays alike, so an
    # object that stopped only the former would cast half a shadow. At level "shadows" it therefore
    # stops diffuse rays too, and is black to them: it takes light away and adds none.
    return _shaded(material(name), level)


@cache
def _own(shape: str, index: int, level: Interaction) -> Any:
    """Return the material that a user's mesh brings along for some of its faces, at a level."""
    found = shapes.mesh(shape).materials[index]
    return worn(PLAIN, level) if found is None else _shaded(found, level)


def _shaded(own: Any, level: Interaction) -> Any:
    """Return a material as it is at a level."""
    if level == "full":
        return own
    made = own.copy()
    made.name = f"{own.name}, {level}"
    tree = Tree(made.name, bproc.types.Material(made))
    if level == "shadows":
        share = tree.node("ShaderNodeLightPath").outputs["Is Diffuse Ray"]
    else:
        share = _contact(tree)
    surface = tree.nodes["Material Output"].inputs["Surface"]
    mix = tree.node("ShaderNodeMixShader", Fac=share)
    tree.put(mix.inputs[1], surface.links[0].from_socket)  # the second input stays empty: black
    tree.put(surface, mix.outputs["Shader"])
    return made


# Contact of isolated objects: their own, and of no other object. Nothing stops light on its way,
# so the floor beneath them is as bright as elsewhere, and an object that mirrors it would look
# half transparent and afloat. Each object is therefore darkened towards the floor where it faces
# down, and darkens the floor within the circle that no other object reaches, both for the eye of
# the camera alone: pictures of isolated objects still add up, to rounding.

CONTACT, FACING_DOWN = 0.75, 0.9
REACH = 0.85 * RADIUS  # within the circle that an object owns
"""How much the floor is darkened in the middle of a contact, and an object's underside."""


def _contact(tree: Tree) -> Any:
    """Return how much an object is darkened by the floor it stands on."""
    normal = tree.node("ShaderNodeNewGeometry").outputs["Normal"]
    upward = tree.node("ShaderNodeSeparateXYZ", Vector=normal).outputs["Z"]
    down = tree.remap(upward, -0.5, 0.9, FACING_DOWN, 0.0)
    return tree.math("MULTIPLY", down, tree.remap(tree.along(0, 0, 1), 0.1, 0.8, 1.0, 0.0))


@cache
def contact_mesh() -> Any:
    """Return the darkening of the floor around an object of scale 1: a disc just above it."""
    tree = Tree("contact")
    length = tree.nodes.new("ShaderNodeVectorMath")
    length.operation = "LENGTH"
    tree.put(length.inputs[0], tree.place)
    share = tree.remap(length.outputs["Value"], 0.25, REACH, 1.0 - CONTACT, 1.0)
    clear = tree.node("ShaderNodeBsdfTransparent", Color=share)
    tree.put(tree.nodes["Material Output"].inputs["Surface"], clear.outputs["BSDF"])
    angle = np.arange(64) / 64 * 2 * np.pi
    rim = np.stack([REACH * np.cos(angle), REACH * np.sin(angle), 0 * angle], 1)
    mesh = bpy.data.meshes.new("contact")
    mesh.from_pydata(rim.tolist(), [], [list(range(64))])
    mesh.materials.append(tree.material.blender_obj)
    return mesh


def _place_camera(camera: Camera) -> None:
    """Stand the camera in the world and focus it on its aim."""
    right, up, forward = camera_axes(camera)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, up, -forward], axis=1)
    pose[:3, 3] = camera.position
    target = bpy.context.scene.camera
    target.matrix_world = mathutils.Matrix(pose.tolist())
    lens = target.data
    lens.dof.use_dof = math.isfinite(camera.f_stop)
    lens.dof.focus_distance = math.dist(camera.position, camera.target)
    lens.dof.aperture_fstop = camera.f_stop if lens.dof.use_dof else 1.0


def light_turn(scene: Scene) -> float:
    """Return how far the light is turned about the vertical, radians."""
    if scene.light in RIGS:  # what is left in the picture stays left
        x, y, _ = np.subtract(scene.camera.position, scene.camera.target)
        return scene.sun_azimuth + math.atan2(x, -y)
    if photographed(scene.environment) or is_photograph(scene.light):
        step = 2 * math.pi / LIT  # whole texels, so that they stay cells of the importance map
        return step * round((scene.sun_azimuth + scene.turn) / step)
    return scene.sun_azimuth + ENVIRONMENTS[scene.environment].swing * math.sin(scene.turn)


def wall_shift(scene: Scene) -> float:
    """Return how far walls are shifted along x, metres."""
    return scene.wall - SHIFT / 2


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
    target.data = lamp_data(lamp)
    target.visible_camera = False
    thing.set_rotation_mat(towards.to_track_quat("Z", "Y").to_matrix())
    if math.isfinite(lamp.distance):
        thing.set_location(mathutils.Vector((0.0, 0.0, 0.3)) + towards * lamp.distance)


class Stage:
    """The fixed objects, and the operations that dress them for one image."""

    def __init__(self) -> None:
        _set_once()
        bproc.camera.set_intrinsics_from_blender_params(lens=FOCAL, lens_unit="MILLIMETERS")
        bproc.camera.add_camera_pose(np.eye(4), frame=0)  # each image moves it
        bpy.context.scene.camera.animation_data_clear()
        self._floor = self._thing("floor")
        self._backdrop = self._thing("backdrop")
        self._lamps = [bproc.types.Light("SUN", f"lamp {i}") for i in range(LAMPS)]
        self._slots: list[Any] = []
        self._contacts: list[Any] = []

    def _thing(self, name: str) -> Any:
        """Add an object without faces."""
        mesh = bpy.data.meshes.new(f"{name} empty")
        mesh.materials.append(None)
        return bproc.object.create_from_blender_mesh(mesh, name)

    def arrange(self, scene: Scene, resolution: int) -> None:
        """Dress the stage for a scene."""
        while len(self._slots) < len(scene.objects):
            self._slots.append(self._thing(f"slot {len(self._slots)}"))
            self._contacts.append(self._thing(f"contact {len(self._contacts)}"))
            set_rays(self._contacts[-1].blender_obj, "isolated")
        for index, thing in enumerate(self._slots):
            spec = scene.objects[index] if index < len(scene.objects) else None
            thing.hide(spec is None)
            contact = self._contacts[index]
            contact.hide(spec is None or scene.interaction != "isolated")
            if spec is not None:
                self._dress(thing, spec, index, scene.interaction)
                contact.blender_obj.data = contact_mesh()
                contact.set_location([spec.x, spec.y, 0.001])
                contact.set_scale([spec.scale] * 3)
        self._surround(scene, coverings.shrink(resolution))
        _place_camera(scene.camera)
        bpy.context.scene.cycles.seed = scene.cycles_seed

    def _dress(self, thing: Any, spec: ObjectSpec, index: int, level: Interaction) -> None:
        """Give a slot its shape, material and place."""
        target = thing.blender_obj
        target.data = shapes.mesh(spec.shape)
        for number, slot in enumerate(target.material_slots):
            slot.link = "OBJECT"  # meshes are shared, materials are not
            own = spec.material == OWN
            slot.material = _own(spec.shape, number, level) if own else worn(spec.material, level)
        set_rays(target, level)
        target.color = (*hue_colour(spec.hue), 1.0)
        target.pass_index = index + 1
        thing.set_location([spec.x, spec.y, 0.0])
        thing.set_rotation_euler([0.0, 0.0, spec.yaw])
        thing.set_scale([spec.scale] * 3)

    def _surround(self, scene: Scene, factor: int) -> None:
        """Swap floor, backdrop, world and lamps."""
        name, own = scene.environment, scene.light == OWN
        ground, backdrop = self._floor.blender_obj, self._backdrop.blender_obj
        ground.data = floor_mesh(name, factor)
        x, y, turn = scene.floor
        ground.location, ground.rotation_euler = (x - SHIFT / 2, y - SHIFT / 2, 0), (0, 0, turn)
        backdrop.location = (wall_shift(scene), 0, 0)
        backdrop.data = backdrop_mesh(name, factor)
        floor_tone, wall_tone = scene.tone
        if ENVIRONMENTS[name].seamless:
            wall_tone = floor_tone
        ground.color, backdrop.color = (*[floor_tone] * 3, 1.0), (*[wall_tone] * 3, 1.0)
        backdrop.visible_shadow = own  # the lamps of a rig shine through walls
        sky, turn = world(name, scene.light), light_turn(scene)
        angles = {"light": turn, "seen": scene.turn + (scene.sun_azimuth if own else 0.0)}
        for part, angle in angles.items():
            if part in sky.node_tree.nodes:
                sky.node_tree.nodes[part].inputs["Rotation"].default_value[2] = -angle
        bpy.context.scene.world = sky
        rig = lamps(scene.light)
        for index, thing in enumerate(self._lamps):
            thing.hide(index >= len(rig))
            if index < len(rig):
                _aim(thing, rig[index], turn)

    @staticmethod
    def overscan(settings: RenderSettings) -> int:
        """Return how many pixels are drawn beyond each edge and cut off."""
        return 2 if settings.denoise else 0

    def configure(self, settings: RenderSettings) -> None:
        """Apply render settings."""
        size = settings.resolution + 2 * self.overscan(settings)
        bproc.camera.set_resolution(size, size)
        lens = bpy.context.scene.camera.data
        lens.sensor_width = SENSOR * size / settings.resolution  # the pixels stay as large
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
