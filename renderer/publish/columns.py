"""The columns of an exported dataset: names, types and meaning, declared once for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from recombine.renderer.scenes.factors import Factor
from recombine.renderer.store.dataset import Dataset

Type = Literal["image", "int64", "bool", "string", "float64"]


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str  # as in the files; factors are ``slot.factor``
    type: Type  # images are PNG, lossless
    meaning: str  # one line for people
    label: bool = False  # whether it is one of the recombined factors, which a model is asked for

    @property
    def feature(self) -> dict[str, Any]:
        """Return the column as a feature of the `datasets` library."""
        if self.type == "image":
            return {"_type": "Image"}
        return {"dtype": self.type, "_type": "Value"}


def columns(data: Dataset) -> tuple[Column, ...]:
    """Return the columns of a dataset, in the order of the files."""
    schema = data.schema
    edge = data.resolution
    kind = "image" if data.imported else "rendered scene"
    mask = Column("mask", "image", "0 where nothing stands, k + 1 on object k, as 8-bit grey")
    return (
        Column("index", "int64", "number of the image in the dataset, from 0"),
        Column("image", "image", f"{kind}, {edge} x {edge} pixels, sRGB"),
        *([mask] if "mask" in data.annotations else []),
        Column("split", "string", "split that the image belongs to"),
        Column("part", "string", "ID for a combination used in training, OOC for a held-out one"),
        Column("cell", "string", f"values of {', '.join(schema.recombined)}"),
        Column("block", "int64", "matched block: equal numbers share every nuisance"),
        *(
            Column(f"rung_{r}", "bool", f"whether it trains rung {r} of the ladder")
            for r in range(data.rungs)
        ),
        *(
            Column(key, _type(schema.factor(key)), _range(schema.factor(key)), label)
            for key in schema.keys
            for label in (key in schema.recombined,)
        ),
    )


def _type(factor: Factor) -> Type:
    return "string" if factor.values else "float64"


def _range(factor: Factor) -> str:
    if factor.values:
        return f"one of {', '.join(factor.values)}"
    if factor.kind == "periodic":
        return "angle in radians, 0 to 2 pi"
    return f"{factor.low:g} to {factor.high:g} {factor.unit}".strip()
