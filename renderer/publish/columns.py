"""The columns of an exported dataset: names, types and meaning, declared once for every format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from recombine.renderer.core.types import Array
from recombine.renderer.scenes.factors import Factor
from recombine.renderer.scenes.geometry import CONVENTIONS
from recombine.renderer.store.dataset import Dataset

if TYPE_CHECKING:
    from jaxtyping import Int8, UInt8, UInt16

Type = Literal["image", "int64", "bool", "string", "float64"]


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str  # as in the files; factors are ``slot.factor``
    type: Type  # images are PNG, lossless
    meaning: str  # one line for people
    label: bool = False  # whether it is one of the recombined factors, which a model is asked for
    shape: tuple[int, ...] = ()  # of an array of `type`, stored as nested lists

    @property
    def feature(self) -> dict[str, Any]:
        """Return the column as a feature of the `datasets` library."""
        found: dict[str, Any] = {"dtype": self.type, "_type": "Value"}
        if self.type == "image":
            found = {"_type": "Image"}
        for _ in self.shape:
            # Before version 4 the library knows no other list; later it reads this one as well.
            found = {"feature": found, "_type": "Sequence"}
        return found


Record = dict[str, Any]
"""One image as plain data, by the names of its columns."""

PNG_DEPTH = 1024
"""Steps per metre of depth in a 16-bit PNG: every stored depth from 1 m to 64 m is a whole step."""


def png(array: Array) -> bytes:
    """Return pixels as a PNG: colour, or grey of 8 or 16 bits."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def depth_pixels(depth: Array, steps: float = PNG_DEPTH) -> UInt16[Array, "H W"]:
    """Return depth as whole steps; 0 where nothing is hit or where 16 bits do not reach."""
    found = np.rint(depth.astype(float) * steps)
    return np.where(found < 2**16, found, 0).astype(np.uint16)


def normal_pixels(normal: Int8[Array, "H W 3"]) -> UInt8[Array, "H W 3"]:
    """Return stored normals as colours: 128 is zero."""
    return (normal.astype(np.int16) + 128).astype(np.uint8)


def columns(data: Dataset) -> tuple[Column, ...]:
    """Return the columns of a dataset, in the order of the files."""
    schema = data.schema
    edge = data.resolution
    kind = "image" if data.imported else "rendered scene"
    labels = (
        Column("mask", "image", "0 where nothing stands, k + 1 on object k, as 8-bit grey"),
        Column("amodal_mask", "image", f"{CONVENTIONS['amodal_mask']}; grey"),
        Column(
            "depth",
            "image",
            f"distance along the ray through the pixel's centre in 1/{PNG_DEPTH} m, 16-bit grey; "
            "0 where nothing is hit within 64 m",
        ),
        Column("normal", "image", "128 + 127 times the unit normal of the face in the world"),
    )
    return (
        Column("index", "int64", "number of the image in the dataset, from 0"),
        Column("image", "image", f"{kind}, {edge} x {edge} pixels, sRGB"),
        *(column for column in labels if column.name in data.annotations),
        Column("split", "string", "split that the image belongs to"),
        Column("part", "string", "ID for a combination used in training, OOC for a held-out one"),
        Column("cell", "string", f"values of {', '.join(schema.recombined)}"),
        Column("block", "int64", "matched block: equal numbers share every nuisance"),
        *(
            Column(f"rung_{r}", "bool", f"whether it trains rung {r} of the ladder")
            for r in range(data.rungs)
        ),
        Column("seed", "int64", "seed of the path tracer"),
        *(c for c in _arrays(len(schema.objects)) if c.name in data.annotations),
        *(
            Column(key, _type(schema.factor(key)), _range(schema.factor(key)), label)
            for key in schema.keys
            for label in (key in schema.recombined,)
        ),
    )


def _arrays(n: int) -> Iterator[Column]:
    yield Column("visible", "float64", "share of each object that is seen, 0 to 1", shape=(n,))
    alone = "share of the frame that each object takes when it stands alone"
    yield Column("amodal", "float64", alone, shape=(n,))
    shapes = {
        "intrinsics": (3, 3),
        "camera_to_world": (4, 4),
        "object_to_world": (n, 4, 4),
        "box_3d": (n, 8, 3),
        "box_2d": (n, 4),
        "box_2d_amodal": (n, 4),
    }
    for name, shape in shapes.items():
        kind: Type = "int64" if name.startswith("box_2d") else "float64"
        yield Column(name, kind, CONVENTIONS[name], shape=shape)


def _type(factor: Factor) -> Type:
    return "string" if factor.values else "float64"


def _range(factor: Factor) -> str:
    if factor.values:
        return f"one of {', '.join(factor.values)}"
    if factor.kind == "periodic":
        return "angle in radians, 0 to 2 pi"
    return f"{factor.low:g} to {factor.high:g} {factor.unit}".strip()
