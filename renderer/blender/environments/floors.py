"""The table of floors: one seamless tile each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recombine.renderer.blender.environments import floors_indoor as indoor
from recombine.renderer.blender.environments import floors_outdoor as outdoor

if TYPE_CHECKING:
    from collections.abc import Callable

    from recombine.renderer.blender.environments.surfaces import Floor

FLOORS: dict[str, Callable[[], Floor]] = {
    "lawn": outdoor.lawn,
    "parquet": indoor.parquet,
    "slate": outdoor.slate,
    "paper": indoor.paper,
    "snowfield": outdoor.snowfield,
    "sand": outdoor.sand,
    "asphalt": outdoor.asphalt,
    "chessboard": indoor.chessboard,
    "shore": outdoor.shore,
    "litter": outdoor.litter,
    "boards": indoor.boards,
    "walnut": indoor.walnut,
    "stubble": outdoor.stubble,
    "pavers": outdoor.pavers,
    "carpet": indoor.carpet,
    "tatami": indoor.tatami,
}
