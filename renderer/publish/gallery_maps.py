"""The interaction maps of a dataset, if they were measured, as pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.core.hdf5 import column, open_checked
from recombine.renderer.core.types import Array
from recombine.renderer.measure.pictures import colours, round_up
from recombine.renderer.store.reader import Dataset

SHOWN = 8


@dataclass(frozen=True)
class Maps:
    """Signed second-order terms of some images.

    Attributes
    ----------
    indices : tuple of int
        Images shown.
    coloured : tuple of uint8 arrays of shape (H, W, 3)
        Blue below 0, white at 0, red above.
    limit : float
        Linear radiance at the ends of the scale, the same for all.
    count : int
        How many images were measured.
    zero : bool
        Whether every value of every map is exactly 0.
    """

    indices: tuple[int, ...]
    coloured: tuple[Array, ...]
    limit: float
    count: int
    zero: bool


def load_maps(data: Dataset) -> Maps | None:
    """Read ``interaction.h5`` beside a dataset and colour some of its maps.

    Parameters
    ----------
    data : Dataset
        A sealed dataset.

    Returns
    -------
    Maps or None
        None when nothing was measured.

    Raises
    ------
    IntegrityError
        When the file does not fit the dataset.
    """
    path = data.path / "interaction.h5"
    if not path.exists():
        return None
    with open_checked(path) as handle:
        indices, maps = column(handle, "index"), column(handle, "second")
    if maps.ndim != 3 or len(maps) != len(indices) or not (indices < len(data)).all():
        raise IntegrityError(
            f"{path}: expected one map (H, W) per image of {data.name}; got shape {maps.shape} "
            f"for {len(indices)} images. Measure again with `recombine interaction`."
        )
    shown = np.unique(np.linspace(0, len(maps) - 1, min(SHOWN, len(maps))).round().astype(int))
    values = maps[shown].astype(float)
    limit = round_up(float(np.quantile(np.abs(values), 0.998)))
    return Maps(
        tuple(indices[shown].tolist()),
        tuple(colours(v, limit) for v in values),
        limit,
        len(maps),
        not maps.any(),
    )
