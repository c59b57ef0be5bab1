"""Floor coverings, drawn once from fixed seeds: albedo and relief of one seamless tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.arrays import Array
from recombine.renderer.blender.noise import fractal, generator, mix, normals

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

SIZE = 1024


@dataclass(frozen=True)
class Floor:
    """One seamless tile of a floor.

    Attributes
    ----------
    albedo : float array of shape (N, N, 3)
        Linear reflectance.
    relief : float array of shape (N, N, 3)
        Tangent-space normals in [0, 1].
    metres : float
        Edge of the tile.
    specular : float
        Strength of the glossy part; 0 is matte, 0.5 is that of common dielectrics.
    roughness : float
        Of the glossy part, in [0, 1].
    """

    albedo: Float[Array, "N N 3"]
    relief: Float[Array, "N N 3"]
    metres: float
    specular: float = 0.0
    roughness: float = 0.5


def lawn() -> Floor:
    """Return a mown lawn: layers of short blades, lighter towards the tip."""
    rng, metres = generator(11), 2.4
    blades, steps = 52_000, 14
    root = rng.uniform(0, SIZE, (blades, 1, 2))
    angle = rng.uniform(0, 2 * np.pi, (blades, 1)) + np.linspace(0, 0.5, steps)
    reach = rng.uniform(14, 30, (blades, 1)) * np.linspace(0, 1, steps)
    path = root + reach[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    height = np.linspace(0, 1, steps) ** 0.8 * rng.uniform(0.45, 1.0, (blades, 1))
    fresh = np.array([0.215, 0.315, 0.085]) * rng.uniform(0.55, 1.25, (blades, 1))
    dry = np.array([0.46, 0.40, 0.17]) * rng.uniform(0.6, 1.1, (blades, 1))
    colour = np.where(rng.uniform(size=(blades, 1)) < 0.07, dry, fresh)
    field, albedo = np.zeros((SIZE, SIZE)), np.full((SIZE, SIZE, 3), (0.045, 0.05, 0.018))
    order = np.argsort(height.ravel(), kind="stable")  # the highest blade is drawn last
    for dx in (0, 1):
        cell = np.floor(path + np.array([0, dx])).astype(int).reshape(-1, 2)[order] % SIZE
        shade = (0.38 + 0.95 * height[..., None]) * colour[:, None]
        albedo[cell[:, 0], cell[:, 1]] = shade.reshape(-1, 3)[order]
        field[cell[:, 0], cell[:, 1]] = height.ravel()[order]
    patches = 0.72 + 0.56 * fractal(SIZE, 12, 3.0)[..., None]
    return Floor(albedo * patches, normals(field * 0.006, metres), metres)


def parquet() -> Floor:
    """Return oak planks with grain, tone from plank to plank and dark joints."""
    rng, metres, rows = generator(21), 2.4, 16
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shift = rng.uniform(size=rows)[row]
    along = ((x + shift) * 2) % 2  # two planks per row and tile
    plank = row * 2 + along.astype(int)
    count = rows * 2
    tone, twist = rng.uniform(0.0, 1.0, count)[plank], rng.uniform(-1, 1, count)[plank]
    grain = fractal(SIZE, 22, 1.6, (1.0, 14.0))
    rings = np.sin((grain * 16 + y * rows * 3 * twist + 6 * tone) * 2.2)
    pores = fractal(SIZE, 23, 0.6, (1.0, 24.0))
    wood = mix((0.24, 0.115, 0.045), (0.46, 0.265, 0.12), 0.2 + 0.6 * tone + 0.16 * rings)
    wood *= (1.0 - 0.45 * np.clip(pores - 0.55, 0, 1) * 2)[..., None]
    across = np.abs(y * rows - row - 0.5) * 2
    ends = np.abs((along % 1) - 0.5) * 2
    joint = np.maximum(
        np.clip((across - 0.955) / 0.03, 0, 1), np.clip((ends - 0.9955) / 0.003, 0, 1)
    )
    albedo = wood * (1 - 0.8 * joint)[..., None]
    height = -0.0022 * joint + 0.00012 * rings - 0.0003 * np.clip(pores - 0.6, 0, 1)
    return Floor(albedo, normals(height, metres), metres, 0.5, 0.34)


def slate() -> Floor:
    """Return grey-blue slate slabs of uneven tone with sandy joints."""
    rng, metres, rows = generator(31), 2.4, 4
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    wobble = (fractal(SIZE, 32, 2.6) - 0.5) * 0.012
    row = np.floor((y + wobble) * rows) % rows
    shift = np.array([0.0, 0.37, 0.12, 0.61])[row.astype(int)]
    across, along = ((y + wobble) * rows) % 1, ((x + wobble + shift) * 3) % 1
    slab = (row * 3 + np.floor(((x + wobble + shift) * 3) % 3)).astype(int)
    tone = rng.uniform(0.0, 1.0, 12)[slab]
    cloud, fine = fractal(SIZE, 33, 2.4), fractal(SIZE, 34, 1.2)
    stone = mix(
        (0.085, 0.11, 0.145), (0.21, 0.25, 0.30), 0.35 * tone + 0.55 * cloud + 0.3 * (fine - 0.5)
    )
    rust = np.clip((fractal(SIZE, 35, 2.8) - 0.72) * 4, 0, 1)[..., None] * 0.35
    stone = stone * (1 - rust) + rust * np.array([0.22, 0.17, 0.12])
    edge = (
        np.minimum(np.minimum(across, 1 - across) / rows, np.minimum(along, 1 - along) / 3) * metres
    )
    joint = np.clip(1 - (edge - 0.006) / 0.006, 0, 1)
    albedo = stone * (1 - joint[..., None]) + joint[..., None] * np.array([0.10, 0.10, 0.095])
    ledge = np.clip(edge / 0.03, 0, 1) ** 0.5
    height = 0.006 * ledge + 0.006 * np.round(cloud * 7) / 7 + 0.002 * fine
    return Floor(albedo, normals(height, metres), metres, 0.5, 0.5)


def paper() -> Floor:
    """Return seamless studio paper, almost without texture."""
    fibre = fractal(SIZE, 41, 1.0)
    albedo = mix((0.755, 0.76, 0.765), (0.785, 0.79, 0.795), fibre)
    return Floor(albedo, normals(0.0004 * fibre, 2.4), 2.4)


FLOORS: dict[str, Callable[[], Floor]] = {
    "lawn": lawn,
    "parquet": parquet,
    "slate": slate,
    "paper": paper,
}
