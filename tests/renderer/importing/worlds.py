"""Tiny files of the schemas of published datasets: every image a flat tint with a bright square."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from recombine.renderer.core.types import Array


def tinted(number: int, size: int = 16) -> Array:
    """Return an image that no other number has."""
    image = np.full((size, size, 3), 40 + number % 100, np.uint8)
    image[4:8, 4:8] = (number * 37 % 256, number // 256 % 256, 255)
    image[0, 0] = (number % 256, number // 256 % 256, number // 65536)
    return image


def dsprites(path: Path, turns: int = 4, heights: int = 4) -> Path:
    """Write the arrays of dSprites with fewer turns, widths and heights."""
    widths = np.linspace(0, 1, 6)
    values = np.array(
        list(
            itertools.product(
                [1.0],
                [1.0, 2.0, 3.0],
                [0.5, 1.0],
                np.linspace(0, 2 * np.pi, turns),
                widths,
                np.linspace(0, 1, heights),
            )
        )
    )
    images = np.zeros((len(values), 16, 16), np.uint8)
    for number, image in enumerate(images):
        image.reshape(-1)[: 1 + number % 250] = 1
    np.savez_compressed(path, imgs=images, latents_values=values)
    return path


def shapes3d(path: Path) -> Path:
    """Write the arrays of 3D Shapes with fewer floors, scales and turns."""
    hues = np.arange(10) / 10
    order = itertools.product(hues[:2], hues, hues, [0.75, 1.25], [0, 1, 2, 3], [-30.0, 30.0])
    labels = np.array(list(order), float)
    with h5py.File(path, "w") as handle:
        handle["images"] = np.stack([tinted(n) for n in range(len(labels))])
        handle["labels"] = labels
    return path


def mpi3d(path: Path, sizes: Sequence[int]) -> Path:
    """Write the one array of MPI3D for a grid of these sizes."""
    images = np.stack([tinted(n) for n in range(int(np.prod(sizes)))])
    np.savez(path, images=images)
    return path


def clevrtex(folder: Path, scenes: int = 240) -> Path:
    """Write scenes of CLEVRTex: an image, a mask and a JSON file each, in numbered folders."""
    rng = np.random.default_rng(0)
    materials = [f"Poliigon{name}" for name in ("Bricks", "Carpet", "Denim", "Marble")]
    for number in range(scenes):
        place = folder / str(number % 2)
        place.mkdir(parents=True, exist_ok=True)
        stem = place / f"CLEVRTEX_full_{number:06d}"
        image = np.zeros((24, 32, 4), np.uint8)
        image[..., :3] = rng.integers(0, 256, (24, 32, 3))
        image[..., 3] = 255
        Image.fromarray(image).save(f"{stem}.png")
        Image.fromarray(np.zeros((24, 32), np.uint8)).save(f"{stem}_flat.png")
        thing = {"material": materials[0], "shape": "sphere", "size": "small", "rotation": 0.0}
        scene = {
            "ground_material": materials[int(rng.integers(4))],
            "objects": [thing] * int(rng.integers(3, 7)),
        }
        Path(f"{stem}.json").write_text(json.dumps(scene))
    return folder


def pug_spar(folder: Path, worlds: int = 8) -> Path:
    """Write images and labels.csv of PUG: SPAR, and rows that the recipe leaves out."""
    folder.mkdir()
    animals = ["blank", *(f"Animal{n}" for n in range(32))]
    names = ("filename", "world_name", "character_name", "character2_name")
    names += ("character_texture", "character2_texture", "character1_pos", "character2_pos")
    with (folder / "labels.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(names)
        content = itertools.product(range(worlds), animals, animals)
        for number, (world, one, other) in enumerate(content):
            file = f"{number:05d}.png"
            if "blank" not in (one, other):
                Image.fromarray(tinted(number)).save(folder / file, compress_level=1)
            row = [file, f"World{world}", one, other, "Default", "Default", "left", "right"]
            table.writerow(row)
        table.writerow(["no.png", "World0", animals[1], animals[2], "Blue", "Red", "left", "right"])
    return folder


def photos(folder: Path, each: int = 6, masks: bool = False) -> Path:
    """Write a folder of images with a table, four shapes on four places, and no blocks."""
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(1)
    rows, number = [], 0
    for shape, place in itertools.product("abcd", "wxyz"):
        for _ in range(each - (shape == "a")):
            name = f"pictures/{number:04d}.png"
            image = rng.integers(0, 256, (16, 16, 3), np.uint8)
            image[:, :, 0] = 60 * "abcd".index(shape)
            image[:, :, 1] = 60 * "wxyz".index(place)
            Image.fromarray(image).save(folder / name)
            row = [name, shape, place, round(float(rng.random()), 4), int(rng.integers(3))]
            if masks:
                mask = np.zeros((16, 16), np.uint8)
                mask[4:9, 4:9] = 1
                Image.fromarray(mask).save(folder / name.replace(".png", "_mask.png"))
                row.append(name.replace(".png", "_mask.png"))
            rows.append(row)
            number += 1
    header = ["file", "object.shape", "background.place", "object.x", "light.rig"]
    write_table(folder / "labels.csv", [*header, *(["mask"] if masks else [])], rows)
    (folder / "split.toml").write_text(PHOTOS + ('mask = "mask"\n' if masks else ""))
    return folder


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(header)
        table.writerows(rows)


PHOTOS = """\
geometry = "orbit"
residues = [0, 1, 2]
require = {coverage = 1, novelty = 2}

[import]
name = "photos"
licence = "CC0-1.0"
recombine = ["object.shape", "background.place"]
"""
