"""A drawn stand-in for rendered pixels, for unit tests that never touch the renderer."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset, load_preset
from recombine.renderer.rendering.pool import Unit
from recombine.renderer.rendering.render import Engine
from recombine.renderer.scenes.geometry import bits, mask_dtype, placed_arrays
from recombine.renderer.scenes.placement import project
from recombine.renderer.scenes.scene import Rendered, RenderSettings, Scene, scene_hash
from recombine.renderer.store.seal import write_manifest
from recombine.renderer.store.shards import (
    load_plan,
    save_plan,
    save_shard,
    shard_path,
    shard_ranges,
)

UNIT = np.array([[-0.5, -0.5, 0.0], [0.5, 0.5, 1.0]])
"""Box of a mesh."""


def drawn_fixture(scene: Scene, settings: RenderSettings) -> Rendered:
    """Draw a disc per object, where the object would be, on a tinted square."""
    size, k = settings.resolution, len(scene.objects)
    tint = sum(map(ord, scene.environment)) % 200
    image = np.empty((size, size, 3), np.uint8)
    image[:] = [tint, tint // 2, tint // 3]
    rows, columns = np.mgrid[:size, :size] + 0.5
    mask = np.zeros((size, size), np.uint8)
    depth = np.full((size, size), 8, np.float16)  # a wall behind everything
    normal = np.zeros((size, size, 3), np.int8)
    whole = np.zeros((size, size), mask_dtype(k))
    there = []
    for n, thing in enumerate(scene.objects):
        if thing is not None:
            centre = (thing.x, thing.y, thing.scale / 2)
            there.append((math.dist(scene.camera.position, centre), n, thing, centre))
    for far, n, thing, centre in sorted(there, reverse=True):  # the nearest comes last
        across, up = project(centre, scene.camera)
        middle = (0.5 + across) * size, (0.5 - up) * size
        # Shapes are told by how large their discs are, too.
        part = 0.25 + 0.2 * (sum(map(ord, thing.shape)) % 7) / 6
        radius = part * thing.scale * scene.camera.focal / scene.camera.sensor / far * size
        disc = (columns - middle[0]) ** 2 + (rows - middle[1]) ** 2 < radius**2
        mask[disc] = n + 1
        image[disc] = [sum(map(ord, thing.shape)) % 256, int(40 * thing.hue) % 256, 90]
        depth[disc] = far
        normal[disc] = (0, -127, 0)
        whole[disc] |= whole.dtype.type(1 << n)
    # Every scene gives other pixels, where no object is.
    own = int(scene_hash(scene, settings)[:8], 16)
    image[0, :16, 0] = tint + np.array([own >> b & 1 for b in range(16)])[:size]
    shown = np.array([(mask == n + 1).sum() for n in range(k)])
    full = bits(whole, k).sum((1, 2))
    return Rendered(
        image=image,
        mask=mask,
        depth=depth,
        normal=normal,
        visible=(shown / np.maximum(full, 1)).astype(np.float16),
        amodal=(full / size**2).astype(np.float16),
        amodal_mask=whole,
        **placed_arrays(scene, [UNIT] * k, mask, whole),
    )


def drawn_dataset(
    folder: Path, *, scale: float = 0.07, shard_size: int = 20, preset: Preset | None = None
) -> Plan:
    """Write a sealed dataset of drawn images: 72 training images and whole test blocks."""
    plan = make_plan(preset or load_preset("smoke", scale=scale, resolution=16))
    save_plan(folder, plan)
    ranges = shard_ranges(len(plan), shard_size)
    for number, indices in enumerate(ranges):
        rendered = [drawn_fixture(plan.scene(i), plan.settings) for i in indices]
        save_shard(folder, number, plan, indices, rendered)
    write_manifest(
        folder,
        dataset=plan.dataset,
        plan_sha256=plan.digest(),
        shards=[(shard_path(folder, n), r) for n, r in enumerate(ranges)],
        provenance={"renderer": "drawn fixture"},
    )
    return plan


def draw_unit(folder: Path, unit: Unit, *, tint: int = 0, depth: int = 0) -> None:
    """Do what a worker does, with drawn images, or with a level or a metre more in a corner."""
    plan = load_plan(folder)
    indices = range(unit.start, unit.stop)
    rendered = [drawn_fixture(plan.scene(i), plan.settings) for i in indices]
    for one in rendered:
        one.image[-1, -1] ^= tint
        one.depth[-1, -1] += depth
    save_shard(folder, unit.number, plan, indices, rendered, {"renderer": "drawn fixture"})


DRAWN = Engine(lambda: ThreadPoolExecutor(2), draw_unit)
