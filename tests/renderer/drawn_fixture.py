"""A drawn stand-in for rendered pixels, for unit tests that never touch the renderer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import Preset, load_preset
from recombine.renderer.rendering.pool import Unit
from recombine.renderer.rendering.render import Engine
from recombine.renderer.scenes.scene import Rendered, RenderSettings, Scene, scene_hash
from recombine.renderer.store.seal import write_manifest
from recombine.renderer.store.shards import (
    load_plan,
    save_plan,
    save_shard,
    shard_path,
    shard_ranges,
)


def drawn_fixture(scene: Scene, settings: RenderSettings) -> Rendered:
    """Draw a disc on a tinted square; every scene gives other pixels."""
    size = settings.resolution
    rng = np.random.default_rng(int(scene_hash(scene, settings)[:8], 16))
    tint = sum(map(ord, scene.environment)) % 200
    image = np.full((size, size, 3), tint, np.uint8)
    rows, columns = np.mgrid[:size, :size]
    mask = np.zeros((size, size), np.uint8)
    for k, thing in enumerate(scene.objects):
        if thing is None:
            continue
        centre = size * (0.5 + 0.4 * thing.x), size * (0.5 + 0.4 * thing.y)
        disc = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 < (size * thing.scale / 4) ** 2
        mask[disc] = k + 1
        image[disc] = [sum(map(ord, thing.shape)) % 256, int(40 * thing.hue) % 256, 90]
    image[0, :, 0] = rng.integers(0, 256, size)
    k = len(scene.objects)
    return Rendered(
        image=image,
        mask=mask,
        depth=np.ones((size, size), np.float16),
        normal=np.zeros((size, size, 3), np.int8),
        visible=np.array([thing is not None for thing in scene.objects], np.float16),
        amodal=np.array([(mask == j + 1).mean() for j in range(k)], np.float16),
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
