"""What a preset is, and the parts that presets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recombine.renderer.core.errors import UsageError
from recombine.renderer.scenes.assets import Asset
from recombine.renderer.scenes.factors import Factor, Schema, Slot
from recombine.renderer.scenes.library import ENVIRONMENTS, PLACEMENT, VIEW
from recombine.renderer.scenes.placement import Separation
from recombine.renderer.scenes.scene import RenderSettings
from recombine.renderer.splits.geometry import Draw, Geometry, Sizes
from recombine.renderer.splits.orbit import OrbitSplit, subsample_orbits

TRAIN_TIER = RenderSettings(resolution=128, samples=16, denoise=True)
"""Denoised and fast: for training and scoring."""
EXACT_TIER = RenderSettings(resolution=128, samples=64, denoise=False)
"""Undenoised: radiance adds up, so interaction and influence can be measured."""


Range = tuple[float, float]


@dataclass(frozen=True)
class Preset:
    """A dataset recipe: slots, split, sizes and how it is drawn."""

    name: str  # identity, with the version: every seed depends on both
    version: str
    summary: str  # one line for `recombine render --help` and the data card
    schema: Schema  # slots and factors
    # keys of the scene that this preset does not vary, for example the material
    constants: tuple[tuple[str, str], ...]
    split: Geometry  # ID and OOC cells
    sizes: Sizes  # blocks per part
    settings: RenderSettings  # resolution and quality
    # how objects must stand to one another; None where there is one
    separation: Separation | None = None
    # key of `ARRANGEMENTS` that computes the derived factors; empty where there are none
    arrangement: str = ""
    # sha256 (hex) of the key of a hidden test set, published before the key is; empty for none
    commitment: str = ""
    secret: str = ""  # the key itself (hex): the plan is that of the hidden test set. Never stored
    title: str = ""  # its name for people, without its size; empty where nobody gave one
    season: bool = False  # with a secret: training images are part of the plan, and keyed as well
    assets: tuple[Asset, ...] = ()  # users' own that it names, see `planning.ledger`
    # what `render` was asked for, as plain data (see `load_preset`). None where that gives another
    # preset: `dataclasses.replace` leaves it out
    recipe: Mapping[str, Any] | None = field(default=None, init=False, compare=False)

    @property
    def identity(self) -> tuple[str, str]:
        """Return what seeds depend on: a re-indexed preset keeps those of its original."""
        return self.name.partition("--")[0], self.version

    def with_recipe(self, recipe: Mapping[str, Any] | None) -> Preset:
        """Return the preset with the recipe that gives it."""
        made = replace(self)
        object.__setattr__(made, "recipe", recipe)
        return made

    def block_draws(self, draws: Sequence[Draw], block: int) -> Sequence[Draw]:
        """Return the draws of one block of a side: all, or about `Sizes.cells` in whole orbits."""
        shape, cells = self.schema.cell_shape, self.sizes.cells
        return subsample_orbits(
            self.split, shape, draws, block, cells=cells, identity=self.identity
        )


def categorical(name: str, values: tuple[str, ...]) -> Factor:
    """Return a categorical factor."""
    return Factor(name, "categorical", values=values)


def object_slot(
    name: str,
    *named: Factor,
    x: Range = PLACEMENT["x"],
    y: Range = PLACEMENT["y"],
    scale: Range = PLACEMENT["scale"],
) -> Slot:
    """Return an object that stands anywhere in `library.PLACEMENT`, at any yaw and hue."""
    pose = (
        metres("x", x),
        metres("y", y),
        Factor("yaw", "periodic"),
        metres("scale", scale),
        Factor("hue", "periodic"),
    )
    return Slot(name, (*named, *pose))


def without(slot: Slot, *names: str) -> Slot:
    """Return a slot that lacks some factors."""
    return replace(slot, factors=tuple(f for f in slot.factors if f.name not in names))


def metres(name: str, span: Range) -> Factor:
    """Return a continuous factor in metres."""
    return Factor(name, "continuous", low=span[0], high=span[1], unit="m")


def background_slot(
    values: int = len(ENVIRONMENTS),
    environments: tuple[str, ...] = ENVIRONMENTS,
    camera: Mapping[str, Range] = VIEW,
) -> Slot:
    """Return what surrounds the objects, and from where it is seen: both moved by the block.

    The camera is no slot of its own unless a preset recombines it: it is everywhere in
    `library.VIEW`, but for the ranges given.
    """
    surroundings = (
        categorical("environment", environments[:values]),
        Factor("turn", "periodic"),
        metres("floor_x", (0.0, SHIFT)),
        metres("floor_y", (0.0, SHIFT)),
        Factor("floor_turn", "periodic"),
        metres("wall_x", (0.0, SHIFT)),
        Factor("floor_tone", "continuous", low=TONE[0], high=TONE[1]),
        Factor("wall_tone", "continuous", low=TONE[0], high=TONE[1]),
        Factor("exposure", "continuous", low=-EXPOSURE, high=EXPOSURE, unit="stop"),
    )
    view = (
        Factor(
            f"camera_{name}",
            "continuous",
            low=low,
            high=high,
            unit="rad" if name in ANGLES else "m",
        )
        for name, (low, high) in {**VIEW, **camera}.items()
    )
    return Slot("background", (*surroundings, *view))


SHIFT = 4.0
"""How far patterns are shifted at most, metres: more than any of their tiles."""
TONE = (0.45, 1.0)
"""What the reflectance of floors and walls is multiplied by."""
EXPOSURE = 0.7
"""How much brighter or darker than its mean the light of a block is at most, stops."""
ANGLES = ("azimuth", "elevation")


def orbit_ladder(modulus: int) -> OrbitSplit:
    """Return nested rungs of an eighth to three quarters of the residues; the rest is OOC."""
    check_modulus(modulus)
    widths = sorted({max(2, modulus // 8), max(2, modulus // 4), modulus // 2, 3 * modulus // 4})
    return OrbitSplit(
        ladder=tuple(tuple(range(w)) for w in widths),
        ooc=tuple(range(3 * modulus // 4, modulus)),
        modulus=modulus,
    )


def symmetric_ladder(modulus: int) -> OrbitSplit:
    """Return the ladder of two exchangeable objects: a residue comes with its negative."""
    # Where slots are exchangeable, (A, B) and (B, A) are one scene, and must lie on one side.
    check_modulus(modulus)
    half = modulus // 2

    def around(low: int, high: int) -> set[int]:
        return {r % modulus for k in range(low, high) for r in (k, -k)}

    if modulus == 4:
        return OrbitSplit(ladder=((0, 1, 3),), ooc=(2,), modulus=4)
    ooc = around(3 * modulus // 8, half)
    widths = sorted({max(4, modulus // 8), max(4, modulus // 4), half})
    rungs = [around(1, 1 + w // 2) for w in widths if w < 3 * modulus // 4]
    rungs = [r for r in rungs if not r & ooc] + [set(range(modulus)) - ooc]
    return OrbitSplit(
        ladder=tuple(tuple(sorted(r)) for r in rungs), ooc=tuple(sorted(ooc)), modulus=modulus
    )


def check_modulus(modulus: int, least: int = 4) -> None:
    """Check that a number of values allows the usual shares."""
    if modulus < least or modulus % 4:
        raise UsageError(
            f"--values: expected a multiple of 4 from {least} on; got {modulus}. Use 8 or 16."
        )
