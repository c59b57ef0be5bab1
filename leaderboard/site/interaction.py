"""The measured interaction of a dataset, for its data page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.svg import figure, node, percent
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.hdf5 import column, open_checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from markupsafe import Markup

MAX_JSON = 2**20
BINS = 12
HEIGHT, BASE = 150, 110
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Group(BaseModel):
    """Interaction of some scenes; newer keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = "all"
    scenes: int
    relative: tuple[Finite, ...]
    relative_se: tuple[Finite, ...]
    verdict: tuple[str, ...]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal["recombine.interaction/1"]
    all: Group
    groups: dict[str, Group]


def load_interaction(folder: Path) -> tuple[tuple[Group, ...], Markup | None]:
    """Read what was measured on a dataset.

    Parameters
    ----------
    folder : Path
        A dataset folder.

    Returns
    -------
    tuple
        The groups of scenes, empty when nothing was measured, and a histogram over scenes; None
        without scenes or when nothing interacts.

    Raises
    ------
    InvalidInputError
        When ``interaction.json`` is there but has another form.
    """
    path = folder / "interaction.json"
    if not path.is_file():
        return (), None
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_JSON else b""
        found = _File.model_validate_json(content)
    except ValidationError as error:
        raise InvalidInputError(
            f"load_interaction: expected a measured interaction at {path}, got something else "
            f"({error.error_count()} problems); measure it again"
        ) from None
    named = [group.model_copy(update={"name": name}) for name, group in found.groups.items()]
    return (found.all, *named), _scenes(folder / "interaction.h5")


def histogram(values: Sequence[float]) -> Markup | None:
    """Draw how often which order of magnitude occurs.

    Parameters
    ----------
    values : sequence of float
        Energies; what is not above 0 has no place on a logarithmic axis and is left out.

    Returns
    -------
    Markup, optional
        None when nothing is above 0.
    """
    logs = [math.log10(value) for value in values if value > 0]
    if not logs:
        return None
    low, high = math.floor(min(logs)), math.floor(max(logs)) + 1
    counts = [0] * BINS
    for value in logs:
        counts[min(BINS - 1, int((value - low) / (high - low) * BINS))] += 1
    parts = []
    for i, count in enumerate(counts):
        tall = 90.0 * count / max(counts)
        x = percent(0.05 + 0.9 * i / BINS)
        tip = node("title", text=f"{count} scenes")
        width = percent(0.9 / BINS - 0.006)
        parts.append(node("rect", tip, class_="f-id", x=x, y=BASE - tall, width=width, height=tall))
    for decade in range(low, high + 1):
        x = percent(0.05 + 0.9 * (decade - low) / (high - low))
        label = numbers.short(10.0**decade)
        parts.append(node("text", x=x, y=BASE + 16, text_anchor="middle", text=label))
    axis = "second-order energy over first-order energy (log scale)"
    parts.append(node("text", x="50%", y=BASE + 36, text_anchor="middle", text=axis))
    title = f"Histogram of {len(logs)} scenes"
    return figure(parts, title=title, height=HEIGHT, css="plot-wide")


def _scenes(path: Path) -> Markup | None:
    if not path.is_file():
        return None
    with open_checked(path) as handle:
        energy = column(handle, "energy")
    first, second = energy[:, 0].tolist(), energy[:, 1].tolist()
    return histogram([two / one for one, two in zip(first, second, strict=True) if one > 0])
