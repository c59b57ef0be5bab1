"""How ID and OOC test images of a dataset differ, factor by factor and in their statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from recombine.renderer.certificate import pixels
from recombine.renderer.certificate.imported import marginal_shift
from recombine.renderer.core.tables import text_table
from recombine.renderer.core.types import Array
from recombine.renderer.store.dataset import Dataset

MOST = 4096
"""Images of a side that statistics are over, evenly spaced."""
STATISTICS = pixels.STATISTICS[:8]
"""Those of the certificate that need no mask."""


@dataclass(frozen=True)
class Shift:
    """What tells ID-test from OOC-test.

    Attributes
    ----------
    factors : dict of str to float
        Total variation of each factor; of numbers, that of 16 equal parts of their range.
    statistics : dict of str to float
        OOC minus ID of each statistic of images, in standard deviations of the ID images.
    """

    factors: dict[str, float]
    statistics: dict[str, float]

    def __str__(self) -> str:
        """Return two short tables."""
        factors = text_table(
            ("factor", "total variation, ID-test against OOC-test"),
            [(key, f"{value:.3f}") for key, value in self.factors.items()],
        )
        statistics = text_table(
            ("images", "OOC-test minus ID-test, in sd"),
            [(key, f"{value:+.2f}") for key, value in self.statistics.items()],
        )
        return f"{factors}\n\n{statistics}"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return {"factors": self.factors, "statistics": self.statistics}


def shift_of(data: Dataset) -> Shift:
    """Measure how the two test splits differ."""
    inside, outside = data.indices("id_test"), data.indices("ooc_test")
    factors = {
        key: marginal_shift(data.schema.factor(key), values[inside], values[outside])
        for key, values in data.latents.items()
    }
    sides = [np.array(list(_statistics(data, side))) for side in (inside, outside)]
    spread = sides[0].std(axis=0)
    gap = sides[1].mean(axis=0) - sides[0].mean(axis=0)
    sizes = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 1e-9)
    return Shift(factors, dict(zip(STATISTICS, sizes.tolist(), strict=True)))


def _statistics(data: Dataset, index: Array) -> Iterator[Array]:
    some = np.unique(np.linspace(0, len(index) - 1, min(MOST, len(index))).round().astype(int))
    nowhere = np.zeros((data.resolution, data.resolution), np.uint8)
    for row in index[some].tolist():
        yield pixels.image_statistics(data.image(row), nowhere)[: len(STATISTICS)]
