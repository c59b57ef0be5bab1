"""What a dataset is called for people: its preset's title, its size in words."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from recombine.leaderboard.drawing.formatting import TIMES
from recombine.renderer.core.errors import UsageError
from recombine.renderer.presets.table import load_preset

if TYPE_CHECKING:
    from recombine.benchmark.results.result import Result
    from recombine.renderer.presets.base import Preset


def dataset_title(result: Result) -> str:
    """Return a name for people: of preset and rung, else the dataset's own."""
    preset = preset_of(result)
    if preset is not None and preset.title:
        rung = (result.data.recipe or {}).get("rung")
        return f"{preset.title}, rung {rung}" if rung else preset.title
    own = result.data.dataset.replace("-", " ").replace("_", " ").strip()
    return own[:1].upper() + own[1:]


def dataset_size(result: Result) -> str:
    """Say how many combinations and pixels a dataset has."""
    scores = result.scores
    cells = [*scores.id_test.cells, *scores.ooc_test.cells]
    values = [str(len({cell[i] for cell in cells})) for i in range(len(result.data.recombined))]
    return f"{f' {TIMES} '.join(values)} values, {result.data.resolution} px"


def preset_of(result: Result) -> Preset | None:
    """Return the preset that a dataset was rendered from; None where no record says so."""
    recipe = result.data.recipe or {}
    values = recipe.get("values")
    return _preset(str(recipe.get("preset", "")), values if isinstance(values, int) else None)


@lru_cache(maxsize=256)
def _preset(name: str, values: int | None) -> Preset | None:
    try:
        return load_preset(name, values=values)
    except UsageError:  # of a newer or another version of the project
        return None
