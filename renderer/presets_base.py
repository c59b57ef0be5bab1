"""What a preset is, and the parts that presets share."""

from __future__ import annotations

from dataclasses import dataclass

from recombine.renderer.errors import UsageError
from recombine.renderer.factors import Factor, Schema, Slot
from recombine.renderer.library import ENVIRONMENTS, PLACEMENT
from recombine.renderer.placement import Separation
from recombine.renderer.scene import RenderSettings
from recombine.renderer.splits import OrbitSplit, Sizes, Split

TRAIN_TIER = RenderSettings(resolution=128, samples=16, denoise=True)
"""Denoised and fast: for training and scoring."""
EXACT_TIER = RenderSettings(resolution=128, samples=64, denoise=False)
"""Undenoised: radiance adds up, so interaction and influence can be measured."""


@dataclass(frozen=True)
class Preset:
    """A dataset recipe: slots, split, sizes and how it is drawn.

    Attributes
    ----------
    name, version : str
        Identity; every seed depends on both.
    summary : str
        One line for `recombine render --help` and the data card.
    schema : Schema
        Slots and factors.
    constants : tuple of (str, str)
        Keys of the scene that this preset does not vary, for example the material.
    split : Split
        ID and OOC cells.
    sizes : Sizes
        Blocks per part.
    settings : RenderSettings
        Resolution and quality.
    separation : {"apart", "unoccluded"}, optional
        How objects must stand to one another; None where there is one.
    """

    name: str
    version: str
    summary: str
    schema: Schema
    constants: tuple[tuple[str, str], ...]
    split: Split
    sizes: Sizes
    settings: RenderSettings
    separation: Separation | None = None


def categorical(name: str, values: tuple[str, ...]) -> Factor:
    """Return a categorical factor."""
    return Factor(name, "categorical", values=values)


def object_slot(name: str, *named: Factor, scale: tuple[float, float] = PLACEMENT["scale"]) -> Slot:
    """Return an object that stands anywhere in `library.PLACEMENT`, at any yaw and hue.

    Parameters
    ----------
    name : str
        Name of the slot, starting with ``"object"``.
    named : Factor
        Further factors, first in order: shape, material.
    scale : tuple of float
        Range of the scale, metres.
    """
    x, y = PLACEMENT["x"], PLACEMENT["y"]
    pose = (
        Factor("x", "continuous", low=x[0], high=x[1], unit="m"),
        Factor("y", "continuous", low=y[0], high=y[1], unit="m"),
        Factor("yaw", "periodic"),
        Factor("scale", "continuous", low=scale[0], high=scale[1], unit="m"),
        Factor("hue", "periodic"),
    )
    return Slot(name, (*named, *pose))


def background_slot(values: int = len(ENVIRONMENTS)) -> Slot:
    """Return the background with the first few environments."""
    return Slot("background", (categorical("environment", ENVIRONMENTS[:values]),))


def orbit_ladder(modulus: int) -> OrbitSplit:
    """Return nested rungs of an eighth to three quarters of the residues; the rest is OOC.

    Parameters
    ----------
    modulus : int
        Greatest common divisor of the sizes, a multiple of 4. A rung has two residues at least,
        because one alone leaves the ID cells unconnected.

    Raises
    ------
    UsageError
        When it is no multiple of 4.

    Examples
    --------
    >>> orbit_ladder(16).to_dict()["ooc"]
    (12, 13, 14, 15)
    """
    if modulus < 4 or modulus % 4:
        raise UsageError(
            f"--values: expected a multiple of 4 from 4 on; got {modulus}. Use 4, 8 or 16."
        )
    widths = sorted({max(2, modulus // 8), max(2, modulus // 4), modulus // 2, 3 * modulus // 4})
    return OrbitSplit(
        ladder=tuple(tuple(range(w)) for w in widths),
        ooc=tuple(range(3 * modulus // 4, modulus)),
    )
