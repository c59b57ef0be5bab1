"""The reference images that hold `RENDER_VERSION`: every asset of the library, in 32 pixels.

    python -m tests.renderer.blender.render_version

draws them again after the version was raised. While it is the same, other pixels are refused: the
images of a version never change. (Before a version is published, delete its file and draw anew.)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from recombine.renderer.core.provenance import RENDER_VERSION
from recombine.renderer.scenes.library import ENVIRONMENTS, LIGHTS, MATERIALS, SHAPES
from recombine.renderer.scenes.scene import ObjectSpec, RenderSettings, Scene
from recombine.renderer.store.agreement import Agreement, agreement

FOLDER = Path(__file__).parent
FILE = FOLDER / f"render_version_{RENDER_VERSION}.webp"
EDGE = 32
COLUMNS = 8
TRAIN = RenderSettings(resolution=EDGE)
EXACT = RenderSettings(resolution=EDGE, samples=4, denoise=False)
PHYSICS = ("full", "shadows", "isolated")


def scenes() -> list[tuple[Scene, RenderSettings]]:
    """Return scenes that name every shape, material, environment and light, with their settings."""
    found = []
    for n in range(max(len(SHAPES) // 2, len(MATERIALS), len(ENVIRONMENTS), len(LIGHTS))):
        shapes = SHAPES[2 * n % len(SHAPES)], SHAPES[(2 * n + 1) % len(SHAPES)]
        materials = MATERIALS[n % len(MATERIALS)], MATERIALS[(n + 5) % len(MATERIALS)]
        objects = tuple(
            ObjectSpec(shape, material, x=x, y=0.1 * k, yaw=n, scale=0.8, hue=0.4 * n + 3 * k)
            for k, (shape, material, x) in enumerate(
                zip(shapes, materials, (-0.4, 0.4), strict=True)
            )
        )
        place = ENVIRONMENTS[n % len(ENVIRONMENTS)]
        found.append((Scene(objects, place, cycles_seed=n, sun_azimuth=0.1 * n), TRAIN))
        light, physics = LIGHTS[n % len(LIGHTS)], PHYSICS[n % 3]
        found.append((Scene(objects, place, 100 + n, light=light, interaction=physics), EXACT))
    return found


def draw() -> list[np.ndarray]:
    """Draw the scenes in this process, a started worker."""
    from recombine.renderer.blender.worker import render_one

    return [render_one(scene, settings).image for scene, settings in scenes()]


def stored() -> list[np.ndarray]:
    """Return the images of this version."""
    with Image.open(FILE) as opened:
        sheet = np.asarray(opened.convert("RGB"))
    grid = sheet.reshape(-1, EDGE, COLUMNS, EDGE, 3).swapaxes(1, 2)
    return list(grid.reshape(-1, EDGE, EDGE, 3))


def compared(images: list[np.ndarray]) -> Agreement:
    """Compare drawn images with those of this version."""
    return agreement(zip(stored(), images, strict=True))


def main() -> int:
    """Write the images of a version that has none yet."""
    from recombine.renderer.rendering.pool import local_pool
    from recombine.renderer.rendering.render import start_worker
    from tests.renderer.blender.render_version import draw as in_worker

    sys.path.append(str(FOLDER.parents[2]))  # workers are not shown the current folder
    with local_pool(1, start_worker)() as pool:
        images = pool.submit(in_worker).result()
    if FILE.exists() and not (found := compared(images)).close:
        sys.stderr.write(f"{FILE.name}: other pixels ({found.words()}); raise RENDER_VERSION\n")
        return 1
    rows = [np.concatenate(images[k : k + COLUMNS], axis=1) for k in range(0, len(images), COLUMNS)]
    for old in FOLDER.glob("render_version_*.webp"):
        old.unlink()
    Image.fromarray(np.concatenate(rows)).save(FILE, lossless=True, quality=100, method=6)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
