"""The table of backdrops: what stands behind the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recombine.renderer.blender.environments import backdrops_far as distance
from recombine.renderer.blender.environments import backdrops_walls as walls

if TYPE_CHECKING:
    from collections.abc import Callable

    from recombine.renderer.blender.environments.surfaces import Piece

BACKDROPS: dict[str, Callable[[], list[Piece]]] = {
    "plaster": walls.plaster,
    "concrete": walls.concrete,
    "sweep": walls.sweep,
    "treeline": distance.treeline,
    "spruces": distance.spruces,
    "dunes": distance.dunes,
    "city": distance.city,
    "tiles": walls.tiles,
    "sea": distance.sea,
    "trunks": distance.trunks,
    "brick": walls.brick,
    "paintings": walls.paintings,
    "evening": distance.evening,
    "arcade": walls.arcade,
    "books": walls.books,
    "shoji": walls.shoji,
}
PAINTED = frozenset({"treeline", "spruces", "dunes", "city", "sea", "trunks", "evening"})
"""Distances: shown as they are, unlit, without casting light; rays pass through them."""
