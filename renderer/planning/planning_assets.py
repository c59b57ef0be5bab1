"""Every name of a preset must be an asset of the library, before anything is rendered."""

from __future__ import annotations

import difflib

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.presets.base import Preset
from recombine.renderer.scenes.library import ENVIRONMENTS, LIGHTS, MATERIALS, SHAPES

LIBRARY = {
    "shape": SHAPES,
    "material": MATERIALS,
    "environment": ENVIRONMENTS,
    "rig": ("own", *LIGHTS),
}


def check_assets(preset: Preset) -> None:
    """Check that the library has every asset that a preset names.

    Parameters
    ----------
    preset : Preset
        Its constants and the values of its factors are looked up.

    Raises
    ------
    InvalidInputError
        When a name is unknown, with the key it stands at and the nearest known name.
    """
    values = list(preset.constants)
    values += [(key, v) for key in preset.schema.keys for v in preset.schema.factor(key).values]
    for key, value in values:
        known = LIBRARY.get(key.partition(".")[2])
        if known is not None and value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(known)}."
            raise InvalidInputError(
                f"{preset.name}: expected {key} to be an asset of the library; got {value!r}. "
                f"{hint}"
            )
