"""Named dataset recipes. A new preset is one entry of `PRESETS` and one data card."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recombine.renderer.errors import UsageError
from recombine.renderer.factors import Factor, Schema, Slot
from recombine.renderer.placement import Separation
from recombine.renderer.scene import RenderSettings
from recombine.renderer.splits import OrbitSplit, Sizes, Split

if TYPE_CHECKING:
    from recombine.renderer.declare import DeclaredSplit


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


def _smoke() -> Preset:
    shapes = ("pawn", "pumpkin", "star", "knot")
    environments = ("meadow", "parlour", "courtyard", "studio")
    placed = Slot(
        "object",
        (
            Factor("shape", "categorical", values=shapes),
            Factor("x", "continuous", low=-0.5, high=0.5, unit="m"),
            Factor("y", "continuous", low=-0.35, high=0.45, unit="m"),
            Factor("yaw", "periodic"),
            Factor("scale", "continuous", low=0.65, high=0.9, unit="m"),
            Factor("hue", "periodic"),
        ),
    )
    background = Slot("background", (Factor("environment", "categorical", values=environments),))
    return Preset(
        name="smoke",
        version="1.0",
        summary="4 objects x 4 environments, 64 px, about two minutes on two cores",
        schema=Schema((placed, background), ("object.shape", "background.environment")),
        constants=(("object.material", "glaze"),),
        split=OrbitSplit(ladder=((0, 1),), ooc=(2, 3)),
        sizes=Sizes(train=128, val=16, test=24),
        settings=RenderSettings(resolution=64, samples=16, denoise=True),
    )


PRESETS: dict[str, Callable[[], Preset]] = {"smoke": _smoke}


def load_preset(name: str, *, scale: float = 1.0, resolution: int | None = None) -> Preset:
    """Return a preset, optionally shrunk to whole blocks or at another resolution.

    Parameters
    ----------
    name : str
        Key of `PRESETS`.
    scale : float
        Share of the blocks to keep, above 0; every part keeps at least one block.
    resolution : int, optional
        Image edge in pixels; the latents stay the same.

    Raises
    ------
    UsageError
        When the name is unknown, or the scale or resolution is out of range.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"preset: expected one of {sorted(PRESETS)}; got {name!r}.{hint}")
    if not (math.isfinite(scale) and 0 < scale <= 100):
        raise UsageError(f"--scale: expected a number in (0, 100]; got {scale}. Use 1 for full.")
    if resolution is not None and not 16 <= resolution <= 1024:
        raise UsageError(
            f"--resolution: expected 16 to 1024 pixels; got {resolution}. Use 64, 128 or 256."
        )
    preset = PRESETS[name]()
    if scale != 1.0:
        preset = replace(preset, sizes=_shrunk(preset, scale))
    if resolution is not None:
        preset = replace(preset, settings=replace(preset.settings, resolution=resolution))
    return preset


def with_split(preset: Preset, declared: DeclaredSplit) -> Preset:
    """Return a preset under another split: the same images, indexed by another geometry.

    Parameters
    ----------
    preset : Preset
        Where latents, nuisances and seeds come from.
    declared : DeclaredSplit
        Declared for the preset's schema.

    Returns
    -------
    Preset
        Named ``preset--geometry-digest``; seeds stay those of the preset, so a cell under a
        nuisance vector has the same pixels in both. Blocks are rounded until every rung is whole.
    """
    name = f"{preset.name}--{declared.geometry}-{declared.digest()[:8]}"
    changed = replace(preset, name=name, split=declared)
    return replace(changed, sizes=_shrunk(changed, 1.0))


def _shrunk(preset: Preset, scale: float) -> Sizes:
    shape = preset.schema.cell_shape
    # Wider rungs need whole blocks, so the training blocks stay a multiple of their ratio.
    narrow = len(preset.split.id_cells(shape, 0))
    step = 1
    for rung in range(len(preset.split.ladder)):
        cells = len(preset.split.id_cells(shape, rung))
        step = math.lcm(step, cells // math.gcd(cells, narrow))
    keep = max(step, round(preset.sizes.train * scale / step) * step)
    return Sizes(
        keep,
        max(1, round(preset.sizes.val * scale)),
        max(1, round(preset.sizes.test * scale)),
    )
