"""Functions that tests run inside a Blender process."""

import hashlib

import numpy as np


def tables():
    """Return the keys of the asset tables."""
    from recombine.renderer.blender.environments import table as environments
    from recombine.renderer.blender.materials import table as materials
    from recombine.renderer.blender.shapes import table as shapes

    # What a user brought along stands there under its name and hash.
    return tuple(
        tuple(name for name in table if " " not in name)
        for table in (shapes.SHAPES, materials.MATERIALS, environments.ENVIRONMENTS)
    )


def mesh_arrays(name):
    """Return vertices and faces of the mesh that is drawn for a shape."""
    from recombine.renderer.blender.shapes import table as shapes

    mesh = shapes.mesh(name)
    faces = [tuple(polygon.vertices) for polygon in mesh.polygons]
    return np.array([v.co for v in mesh.vertices]), faces


def mesh_bounds(names):
    """Return the lowest and highest corner of the mesh of each shape."""
    arrays = [mesh_arrays(name)[0] for name in names]
    return [(vertices.min(0), vertices.max(0)) for vertices in arrays]


def imported_points(asset):
    """Return the vertices of a user's mesh as it is drawn."""
    from recombine.renderer.blender.shapes.imported import imported

    return np.array([v.co for v in imported(asset).vertices])


def corner_normal_error(name):
    """Return the largest angle (degrees) between a face and the shading of its corners."""
    from recombine.renderer.blender.shapes import table as shapes

    mesh = shapes.mesh(name)
    shading = np.array([n.vector for n in mesh.corner_normals])
    faces = np.array([p.normal for p in mesh.polygons])
    owner = np.repeat(np.arange(len(faces)), [p.loop_total for p in mesh.polygons])
    cosine = np.clip((shading * faces[owner]).sum(1), -1, 1)
    return float(np.degrees(np.arccos(cosine)).max())


def radiance_hash(scene, settings):
    """Return the sha256 of the linear pixels, where no rounding hides a difference."""
    from recombine.renderer.blender.draw import render_radiance

    return hashlib.sha256(render_radiance(scene, settings).tobytes()).hexdigest()


def radiance_hashes(jobs):
    """Return the hash of every (scene, settings), drawn in this order by this process."""
    return [radiance_hash(*job) for job in jobs]


def radiance(scene, settings):
    """Return the linear pixels of a scene."""
    from recombine.renderer.blender.draw import render_radiance

    return render_radiance(scene, settings)


def radiance_worn(scene, settings, worn):
    """Return the linear pixels of a scene whose materials are worn, or new."""
    from recombine.renderer.blender import stage
    from recombine.renderer.blender.draw import render_radiance
    from recombine.renderer.blender.materials import table

    wear = dict(table.WEAR)
    if not worn:
        table.WEAR.update(dict.fromkeys(wear, (0.0, 0.0, 0.0)))
    stage.worn.cache_clear(), table.material.cache_clear()
    pixels = render_radiance(scene, settings)
    table.WEAR.update(wear)
    stage.worn.cache_clear(), table.material.cache_clear()
    return pixels


def index_pass(scene, settings):
    """Return Cycles' own object index per pixel (of one random point in each pixel)."""
    import cycles

    from recombine.renderer.blender import draw
    from recombine.renderer.blender.api import bpy

    draw.render_radiance(scene, settings)  # sets everything up
    layer, found = bpy.context.view_layer, {}
    before = cycles.CyclesRender.render

    def render(engine, depsgraph):
        before(engine, depsgraph)
        for pas in engine.get_result().layers[0].passes:
            if pas.name == "IndexOB":
                found["index"] = np.array(pas.rect)[:, 0]

    cycles.CyclesRender.render = render
    layer.use_pass_object_index = True
    draw.render_radiance(scene, settings)
    layer.use_pass_object_index = False
    cycles.CyclesRender.render = before
    full = round(len(found["index"]) ** 0.5)
    edge = (full - settings.resolution) // 2  # drawn beyond the picture and cut off
    inside = slice(edge, full - edge)
    return found["index"].reshape(full, full)[::-1][inside, inside].round().astype(np.uint8)


def view_coordinates(points):
    """Return where Blender itself says that world points appear, in [0, 1] from the lower left."""
    from bpy_extras.object_utils import world_to_camera_view

    from recombine.renderer.blender.api import bpy, mathutils

    scene = bpy.context.scene
    seen = (world_to_camera_view(scene, scene.camera, mathutils.Vector(p)) for p in points)
    return np.array([tuple(p) for p in seen])[:, :2]


def memory_after(scene, settings, times):
    """Return the resident memory (MiB) before and after drawing a scene many times."""
    from pathlib import Path

    from recombine.renderer.blender.draw import render_scene

    def resident():
        text = Path("/proc/self/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    for _ in range(5):
        render_scene(scene, settings)
    before = resident()
    for _ in range(times):
        render_scene(scene, settings)
    return before, resident()


def printed(scene, settings):
    """Return what a render writes to file descriptor 1."""
    import os
    import tempfile

    from recombine.renderer.blender.draw import render_scene

    with tempfile.TemporaryFile() as file:
        saved = os.dup(1)
        os.dup2(file.fileno(), 1)
        render_scene(scene, settings)
        os.dup2(saved, 1)
        os.close(saved)
        file.seek(0)
        return file.read()


def hue_colour(hue):
    """Return the colour of a hue."""
    from recombine.renderer.blender.materials.table import hue_colour as colour

    return colour(hue)


def seconds():
    """Return CPU and wall seconds of one picture that takes a while."""
    import time

    from recombine.renderer.blender.draw import render_radiance
    from recombine.renderer.scenes.scene import RenderSettings, Scene

    cpu, wall = time.process_time(), time.perf_counter()
    render_radiance(Scene((), "parlour", 1), RenderSettings(96, 16, denoise=False))
    return time.process_time() - cpu, time.perf_counter() - wall


def averaged(pixels, factor):
    """Return an image averaged over squares."""
    from recombine.renderer.blender.environments.coverings import averaged as average

    return average(pixels, factor)


def mask(scene, size):
    """Return the instance mask of a scene, without drawing it."""
    from recombine.renderer.blender import casting, labels
    from recombine.renderer.blender.shapes import table as shapes

    things = [casting.object_hits(shapes.mesh(o.shape), o, size) for o in scene.objects]
    return labels.label(things, [], size).mask


def floor_opacity(scene, resolution):
    """Return how opaque Cycles draws the floor at each pixel."""
    from recombine.renderer.blender import draw
    from recombine.renderer.blender.api import bpy
    from recombine.renderer.scenes.scene import RenderSettings

    film = bpy.context.scene.render
    film.film_transparent = True
    draw.render_radiance(scene, RenderSettings(resolution, 64, denoise=False))
    film.film_transparent = False
    return draw._passes["combined"].reshape(resolution, resolution, 4)[::-1, :, 3]


def sun_azimuth(name):
    """Return the azimuth of the brightest place of a photograph, radians."""
    from recombine.renderer.blender.environments.coverings import photograph
    from recombine.renderer.blender.environments.panoramas import lighting
    from recombine.renderer.planning.assets import find

    light = lighting(photograph(find("hdri", name)))
    column = np.unravel_index(light.mean(-1).argmax(), light.shape[:2])[1]
    return (0.5 - (column + 0.5) / light.shape[1]) * 2 * np.pi
