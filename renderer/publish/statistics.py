"""What a dataset holds, in numbers measured on its images: for its card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.renderer.core.types import Array
from recombine.renderer.scenes.factors import Factor
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset

if TYPE_CHECKING:
    from jaxtyping import Bool


SAMPLE = 512  # most images that colours are averaged over, evenly spaced


@dataclass(frozen=True)
class PartStatistics:
    """One split in numbers."""

    name: str  # split
    images: int
    cells: int
    least: int  # images of the rarest cell
    most: int  # images of the commonest cell
    visible: float  # mean visible share of the objects that are present, 0 to 1
    least_visible: float  # least such share
    # mean share of the frame that such an object covers if nothing stands before it, 0 to 1
    area: float


@dataclass(frozen=True)
class FactorStatistics:
    """One factor, over all objects that have it, in numbers."""

    keys: tuple[str, ...]  # ``slot.factor`` keys of equal definition and role
    role: str  # "recombined", "crossed", "derived" or "nuisance"
    found: str  # how often its values occur, or its range and mean


@dataclass(frozen=True)
class Statistics:
    """All numbers of a card."""

    parts: tuple[PartStatistics, ...]  # in the order of `SPLITS`; only those that have images
    factors: tuple[FactorStatistics, ...]  # in the order of the schema
    # Of red, green and blue, sRGB values from 0 to 1, over `SAMPLE` images at most.
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of images of every split."""
        return {part.name: part.images for part in self.parts}


def measure(data: Dataset) -> Statistics:
    """Measure a dataset."""
    amodal = data.annotation("amodal", range(len(data))).astype(float)
    present = amodal > 0
    parts = []
    for name in (n for n in SPLITS if (data.splits == n).any()):
        rows = data.splits == name
        counts = np.unique(data.cells[rows], axis=0, return_counts=True)[1]
        seen = data.visible[rows][present[rows]]
        parts.append(
            PartStatistics(
                name=name,
                images=int(rows.sum()),
                cells=len(counts),
                least=int(counts.min()),
                most=int(counts.max()),
                visible=float(seen.mean()),
                least_visible=float(seen.min()),
                area=float(amodal[rows][present[rows]].mean()),
            )
        )
    some = np.unique(np.linspace(0, len(data) - 1, SAMPLE).round().astype(int))
    colours = data.images(some).reshape(-1, 3) / 255
    return Statistics(
        parts=tuple(parts),
        factors=tuple(_factors(data, present)),
        mean=tuple(colours.mean(0).tolist()),
        deviation=tuple(colours.std(0).tolist()),
    )


def _factors(data: Dataset, present: Bool[Array, "N K"]) -> Iterator[FactorStatistics]:
    schema = data.schema
    groups: dict[tuple[str, bool, Factor], list[str]] = {}
    for key in schema.keys:
        named = ("recombined", "crossed", "derived")
        role = next((r for r in named if key in getattr(schema, r)), "nuisance")
        on_object = key.partition(".")[0] in schema.objects
        groups.setdefault((role, on_object, schema.factor(key)), []).append(key)
    for (role, _, factor), keys in groups.items():
        columns = [data.latents[key][_shown(data, key, present)] for key in keys]
        yield FactorStatistics(tuple(keys), role, _found(factor, np.concatenate(columns)))


def _shown(data: Dataset, key: str, present: Bool[Array, "N K"]) -> Bool[Array, " N"]:
    """Return the images in which a factor can be seen: absent objects have no shape."""
    slot, _, name = key.partition(".")
    if slot not in data.schema.objects or name == "present":
        return np.ones(len(data), bool)
    shown: Array = present[:, data.schema.objects.index(slot)]
    return shown


def between(least: int, most: int) -> str:
    """Return a range in words."""
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _found(factor: Factor, values: Array) -> str:
    if not len(values):
        return "never shown"
    if factor.values:
        counts = np.bincount(values.astype(int), minlength=factor.size)
        least, most = int(counts.min()), int(counts.max())
        return f"{factor.size} values, {between(least, most)} times each"
    unit = "rad" if factor.kind == "periodic" else factor.unit
    low, middle, high = values.min(), values.mean(), values.max()
    return f"{low:.3f} to {high:.3f} {unit}, mean {middle:.3f}".strip()
