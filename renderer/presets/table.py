"""Named dataset recipes. A new preset is one entry of `PRESETS` and one data card."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recombine.renderer.core.errors import UsageError
from recombine.renderer.presets.base import Preset
from recombine.renderer.presets.keys import with_ooc_val
from recombine.renderer.presets.levels import counterfactual, interaction_ladder
from recombine.renderer.presets.pairs import (
    object_background,
    object_object,
    object_texture,
    object_texture_pair,
    smoke,
)
from recombine.renderer.presets.scenes import count, relation
from recombine.renderer.presets.slots import four_slot, object_camera, object_light, position_band
from recombine.renderer.splits.declaration import declare
from recombine.renderer.splits.geometry import Sizes

if TYPE_CHECKING:
    from recombine.renderer.splits.declaration import DeclaredSplit


PRESETS: dict[str, Callable[..., Preset]] = {
    "smoke": smoke,
    "object-background": object_background,
    "object-texture": object_texture,
    "object-texture-pair": object_texture_pair,
    "object-object": object_object,
    "interaction-ladder": interaction_ladder,
    "four-slot": four_slot,
    "four-slot--order-2": functools.partial(four_slot, order=2),
    "four-slot--order-3": functools.partial(four_slot, order=3),
    "position-band": position_band,
    "object-light": object_light,
    "object-camera": object_camera,
    "count": count,
    "relation": relation,
    "counterfactual": counterfactual,
}

__all__ = ["PRESETS", "Preset", "load_preset", "load_recipe", "with_split"]


def load_preset(
    name: str,
    *,
    scale: float = 1.0,
    resolution: int | None = None,
    values: int | None = None,
    ooc_val: bool = False,
) -> Preset:
    """Return a preset, optionally shrunk to whole blocks, fewer values or another resolution.

    What was asked becomes the preset's ``recipe``, a mapping with the keys ``preset``, ``scale``,
    ``resolution`` (never None), ``values``, ``ooc_val``, ``split`` (the declaration of
    `with_split`, or None), ``hidden_test`` (None, "public" or "hidden") and ``rung`` (0: the whole
    ladder is rendered; who trains on a wider rung writes it there).

    Parameters
    ----------
    name : str
        Key of `PRESETS`.
    scale : float
        Share of the blocks to keep, above 0; every part keeps at least one block.
    resolution : int, optional
        Image edge in pixels; the latents stay the same.
    values : int, optional
        Largest number of values per recombined factor, a multiple of 4: the first ones are kept,
        so the cells are whole orbits of a smaller group. Named ``preset--values-n``; a cell under
        a nuisance vector has the same pixels as in the whole preset.
    ooc_val : bool
        Add OOC-val; see `with_ooc_val`.

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
    if values is not None:
        if not 4 <= values <= 32:
            raise UsageError(f"--values: expected 4 to 32; got {values}. Use 8 for a sketch.")
        preset = replace(PRESETS[name](values), name=f"{name}--values-{values}")
    if ooc_val:
        preset = with_ooc_val(preset)
    if scale != 1.0:
        preset = replace(preset, sizes=_shrunk(preset, scale))
    if resolution is not None:
        preset = replace(preset, settings=replace(preset.settings, resolution=resolution))
    return preset.with_recipe(
        {
            "preset": name,
            "scale": scale,
            "resolution": preset.settings.resolution,
            "values": values,
            "ooc_val": ooc_val,
            "rung": 0,
            "split": None,
            "hidden_test": None,
        }
    )


def load_recipe(recipe: Mapping[str, Any]) -> Preset:
    """Return the preset that a recipe gives.

    Parameters
    ----------
    recipe : mapping
        As of a preset or a plan: what `load_preset` was asked for, and the declaration of a split.

    Raises
    ------
    UsageError
        When a recipe names what it does not hold: a user's own assets, or the key of a hidden test.
    """
    bound = [name for name in ("assets", "hidden_test") if recipe.get(name)]
    if bound:
        raise UsageError(
            f"recipe: expected one that gives its data by itself; got one with {bound[0]} "
            f"{recipe[bound[0]]!r}, which lies elsewhere. Use a preset without it."
        )
    preset = load_preset(
        recipe["preset"],
        scale=recipe["scale"],
        resolution=recipe["resolution"],
        values=recipe["values"],
        ooc_val=recipe["ooc_val"],
    )
    if recipe["split"] is None:
        return preset
    return with_split(preset, declare(recipe["split"], preset.schema))


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
    changed = replace(changed, sizes=_shrunk(changed, 1.0))
    recipe = preset.recipe and {**preset.recipe, "split": dict(declared.declaration)}
    return changed.with_recipe(recipe)


LEAST = 12
"""Training images of every value that the smallest dataset has, so that each is well exposed."""


def _shrunk(preset: Preset, scale: float) -> Sizes:
    shape, sizes = preset.schema.cell_shape, preset.sizes
    narrow = len(preset.split.id_draws(shape))
    # Wider rungs need whole blocks, so the training blocks stay a multiple of their ratio.
    step = 1
    for rung in range(len(preset.split.ladder)):
        cells = len(preset.split.id_draws(shape, rung))
        step = math.lcm(step, cells // math.gcd(cells, narrow))
    per_block = narrow
    if sizes.cells:
        # A block has some orbits only; all of them must come equally often.
        per_block = len(preset.block_draws(preset.split.id_draws(shape), 0))
        step = narrow // per_block
    crossed = math.prod(preset.schema.factor(k).size for k in preset.schema.crossed)
    least = math.ceil(LEAST * max(shape) / (per_block * crossed))
    train = max(step, math.ceil(least / step) * step, round(sizes.train * scale / step) * step)
    val, test = (max(1, round(n * scale)) for n in (sizes.val, sizes.test))
    return replace(sizes, train=train, val=val, test=test)
