"""Draw the pictures of docs/assets.md: python scripts/catalogue.py docs [SHEET ...]."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from recombine.renderer.blender.draw import render_scene
from recombine.renderer.blender.worker import start_worker
from recombine.renderer.scenes.library import ENVIRONMENTS, LIGHTS, MATERIALS, SHAPES, camera_at
from recombine.renderer.scenes.scene import ObjectSpec, RenderSettings, Scene

SAMPLES = 16
LARGEST = 300_000  # bytes of a picture in the documentation


def thing(shape: str, material: str = "glaze", hue: float = 0.5, **place: float) -> ObjectSpec:
    """Return a large object in the middle, or elsewhere."""
    where = {"x": 0.0, "y": -0.1, "yaw": 0.6, "scale": 0.85} | place
    return ObjectSpec(shape, material, hue=hue, **where)


def sheets() -> dict[str, tuple[int, int, int, list[Scene]]]:
    """Return pixels per picture, pixels cut off at each edge, columns and scenes of every sheet."""
    shapes = [
        Scene((thing(shape, hue=0.2 * index),), "studio", 1) for index, shape in enumerate(SHAPES)
    ]
    materials = [
        Scene((thing(shape, material, hue),), "city", 1)
        for material in MATERIALS
        for shape, hue in (("sphere", 0.5), ("vase", 4.4))
    ]
    pair = (
        thing("vase", x=-0.3, scale=0.75),
        thing("duck", "rubber", 4.2, x=0.38, scale=0.6, yaw=2.0),
    )
    near = camera_at(elevation=0.16)
    environments = [
        Scene(
            pair,
            name,
            1,
            camera=near,
            turn=turn,
            floor=(1.0, 3.0, 0.6),
            wall=wall,
            tone=(0.85, 0.85),
        )
        for name in ENVIRONMENTS
        for turn, wall in ((0.7, 0.6), (3.6, 2.4))
    ]
    lights = [
        Scene((thing("pumpkin", hue=1.0),), place, 1, camera=near, turn=1.9, light=light)
        for light in LIGHTS
        for place in ("parlour", "city")
    ]
    # Every shape once, every material and environment twice, every rig once.
    lit = ["own"] * len(LIGHTS) + list(LIGHTS)
    everything = [
        Scene(
            (thing(shape, MATERIALS[index % 16], hue=0.4 * index, yaw=0.4 * index, scale=0.75),),
            ENVIRONMENTS[5 * index % 16],
            1,
            camera=near,
            turn=0.9 * index,
            floor=(0.3 * index, 1.0, 0.5 * index),
            wall=0.4 * index % 4,
            light=lit[index],
        )
        for index, shape in enumerate(SHAPES)
    ]
    return {
        "assets_all": (256, 0, 8, everything),
        "assets_shapes": (256, 48, 8, shapes),
        "assets_materials": (256, 48, 8, materials),
        "assets_environments": (128, 0, 8, environments),
        "assets_lights": (96, 0, 8, lights),
    }


def main(folder: Path, *wanted: str) -> None:
    """Draw the wanted sheets, or all, into a folder."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=start_worker) as pool:
        for name, (size, cut, columns, scenes) in sheets().items():
            if wanted and name not in wanted:
                continue
            settings = RenderSettings(size, SAMPLES, denoise=True)
            drawn = [pool.submit(render_scene, s, settings).result().image for s in scenes]
            inside, up = slice(cut, size - cut), cut // 4  # bodies stand above the middle
            rows = [
                np.concatenate(
                    [image[cut - up : size - cut - up, inside] for image in drawn[i : i + columns]],
                    axis=1,
                )
                for i in range(0, len(drawn), columns)
            ]
            save(Image.fromarray(np.concatenate(rows)), folder / f"{name}.jpg")


def save(sheet: Image.Image, path: Path) -> None:
    """Write a picture as well as the size limit allows."""
    for quality in (92, 88, 84, 78, 70):
        sheet.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LARGEST:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
