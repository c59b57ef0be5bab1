"""What the files of a dataset must say: one model per file, one line per field.

Whoever reads a dataset reads it through these, the certificate and the reader alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import h5py
import numpy as np
from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.hdf5 import attributes
from recombine.renderer.core.strict import (
    Count,
    Line,
    Member,
    Positive,
    Sha256,
    Strict,
    Word,
    check_format,
    inside,
    parse_json,
    read_json,
    validated,
)
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import CYCLES_SEED_BITS, PLAN_FORMAT
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.geometry import SPLITS

MANIFEST_FORMAT = "recombine.manifest/2"
CERTIFICATE_FORMAT = "recombine.certificate/2"
SHARD_FORMAT = "recombine.shard/2"
MOST_RUNGS = 8  # bits of the column of rungs
MOST_CELLS = 2_000_000  # of a grid of recombined factors; the checks list all of them

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\s/.]{1,100}$")]
Key: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\s/.]{1,100}\.[^\s/.]{1,100}$")]
Number: TypeAlias = Annotated[float, Field(ge=-1e6, le=1e6)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Version: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{1,40}$")]
DatasetName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\s/]{1,200}/[^\s/]{1,40}$")]
Residues: TypeAlias = Annotated[list[Count], Field(max_length=4096)]


# manifest.json and certificate.json.


class ShardEntry(Strict):
    """One shard of a manifest."""

    file: Member
    sha256: Sha256
    bytes: Positive
    start: Count
    stop: Positive


class BuildRecord(Strict):
    """The programs that drew the images."""

    sha256: Sha256
    render_version: Line
    versions: dict[Line, Line]
    sources: dict[Line, Sha256]


class Manifest(Strict):
    """The content of ``manifest.json``."""

    format: str
    dataset: DatasetName
    plan_sha256: Sha256
    n_images: Positive
    identity: Sha256
    label_root: Sha256
    render_version: Line
    root: Sha256
    build: BuildRecord
    shards: Annotated[list[ShardEntry], Field(min_length=1)]
    provenance: dict[Line, Line]
    license: Line
    training_generative_models: bool = True

    @model_validator(mode="after")
    def _contiguous(self) -> Self:
        bounds = [(s.start, s.stop) for s in self.shards]
        stops = [0, *(stop for _, stop in bounds)]
        joined = all(
            start == last < stop for last, (start, stop) in zip(stops, bounds, strict=False)
        )
        if not joined or stops[-1] != self.n_images:
            raise ValueError(f"shards that follow one another from 0 to {self.n_images} images")
        if len({s.file for s in self.shards}) != len(self.shards):
            raise ValueError("every shard in a file of its own")
        return self


class CheckRecord(Strict):
    """One line of a certificate."""

    name: Name
    status: Literal["pass", "stated", "fail", "not run", "not applicable"]
    claim: str
    found: str


class CertificateRecord(Strict):
    """The content of ``certificate.json``."""

    format: str
    dataset: DatasetName
    identity: Sha256
    root: Sha256
    manifest_sha256: Sha256
    passed: bool
    proves: str
    checks: Annotated[list[CheckRecord], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [c.name for c in self.checks]
        if len(set(names)) != len(names):
            raise ValueError("every check once")
        return self


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the content of ``manifest.json``; no shard of it lies outside the folder."""
    path = _sealed(folder, "manifest.json")
    data = read_json(path, MANIFEST_FORMAT)
    for entry in validated(Manifest, data, str(path)).shards:
        inside(folder, entry.file)
    return data


def read_certificate(folder: Path) -> dict[str, Any]:
    """Return the content of ``certificate.json``."""
    path = _sealed(folder, "certificate.json")
    data = read_json(path, CERTIFICATE_FORMAT)
    validated(CertificateRecord, data, str(path))
    return data


def _sealed(folder: Path, name: str) -> Path:
    path = inside(folder, name)
    if not path.is_file():
        raise InvalidInputError(
            f"{path}: expected a sealed dataset; this file is missing. "
            "Finish it with `recombine render`, then `recombine dataset verify`."
        )
    return path


# plan.h5: its configuration, and what it was asked for.


class FactorRecord(Strict):
    """One factor of a slot."""

    name: Name
    kind: Literal["categorical", "periodic", "continuous"]
    values: Annotated[list[Line], Field(max_length=4096)]
    low: Number
    high: Number
    unit: Line

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.kind == "categorical") != bool(self.values):
            raise ValueError("value names where, and only where, a factor is categorical")
        return self


class SlotRecord(Strict):
    """One slot of a schema."""

    name: Name
    factors: list[FactorRecord]
    kind: Literal["object", "setting", ""] = ""


class SchemaRecord(Strict):
    """The slots of a dataset."""

    slots: Annotated[list[SlotRecord], Field(min_length=1, max_length=64)]
    recombined: Annotated[list[Key], Field(min_length=1, max_length=10)]
    crossed: list[Key]
    derived: list[Key]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [slot.name for slot in self.slots]
        sizes = {f"{s.name}.{f.name}": len(f.values) for s in self.slots for f in s.factors}
        decided = [*self.recombined, *self.crossed, *self.derived]
        if len(set(names)) != len(names):
            raise ValueError("every slot once")
        if len(set(decided)) != len(decided) or not set(decided) <= set(sizes):
            raise ValueError(f"recombined, crossed and derived factors from {list(sizes)}, once")
        if math.prod(sizes[key] for key in self.recombined) > MOST_CELLS:
            raise ValueError(f"at most {MOST_CELLS} combinations of recombined values")
        return self


class Require(Strict):
    """What a declared split promises."""

    coverage: Share | None = None
    pair_coverage: Share | None = None
    marginal_tv: Share | None = None
    tuple_tv: Share | None = None
    atom_divergence: Share | None = None
    rank: Literal["full"] | Positive | None = None
    connected: bool | None = None
    novelty: Annotated[int, Field(ge=1, le=64)] | None = None
    hamming: Annotated[int, Field(ge=1, le=64)] | None = None
    symmetric: bool | list[str | int] | None = None


class Declaration(Strict):
    """What a file declared; `declaration.declare` reads the rest of it."""

    model_config = ConfigDict(extra="allow")

    require: Require = Require()


class SplitRecord(Strict):
    """What every split says; each geometry adds what it needs."""

    geometry: Name
    labels: dict[Key, dict[Line, Count]]
    declaration: Declaration | None = None

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the split is one of a grid of recombined values."""
        return len(shape) > 1


class OrbitRecord(SplitRecord):
    """Residues of a signed sum."""

    ladder: Annotated[list[Residues], Field(min_length=1, max_length=MOST_RUNGS)]
    ooc: Residues
    ooc_val: Residues
    modulus: Count
    factors: Annotated[list[Count], Field(max_length=10)]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the factors are of the grid."""
        distinct = len(set(self.factors)) == len(self.factors)
        return super().fits(shape) and distinct and all(f < len(shape) for f in self.factors)


class BandRecord(SplitRecord):
    """Widths of a band around the diagonal."""

    values: Positive
    ladder: Annotated[list[Positive], Field(min_length=1, max_length=MOST_RUNGS)]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the grid has two equal factors."""
        return shape == (self.values, self.values)


class BindingRecord(SplitRecord):
    """Residues of two bindings."""

    values: Positive
    ladder: Annotated[list[Residues], Field(min_length=1, max_length=MOST_RUNGS)]
    ooc: Residues
    factors: Annotated[list[Count], Field(min_length=2, max_length=2)]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the grid has two bindings."""
        return shape == (self.values,) * 4


class RelationRecord(SplitRecord):
    """Residues of a pair, along either axis."""

    values: Positive
    ladder: Annotated[list[Residues], Field(min_length=1, max_length=MOST_RUNGS)]
    ooc: Residues
    inverse: list[Count]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the grid is object, relation, object, each relation with its inverse."""
        known = list(range(len(self.inverse)))
        square = shape == (self.values, len(known), self.values)
        return square and sorted(self.inverse) == known


class CountRecord(SplitRecord):
    """The largest count of training."""

    most: Positive
    values: Positive
    ladder: Annotated[list[Count], Field(min_length=1, max_length=1)]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Tell whether the grid has one factor."""
        return shape == (self.values,)


class CellCount(Strict):
    """How many cells a side has."""

    cells: Positive


class DeclaredRecord(SplitRecord):
    """A split that a file declared."""

    ladder: Annotated[list[CellCount], Field(min_length=1, max_length=MOST_RUNGS)]
    ooc: CellCount
    declaration: Declaration  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    digest: Sha256


SPLIT_RECORDS: dict[str, type[SplitRecord]] = {
    "orbit": OrbitRecord,
    "reflected-band": BandRecord,
    "binding": BindingRecord,
    "relation": RelationRecord,
    "count": CountRecord,
}


class SizesRecord(Strict):
    """Blocks per part."""

    train: Count
    val: Count
    test: Count
    cells: Count


class SettingsRecord(Strict):
    """How scenes became pixels."""

    resolution: Annotated[int, Field(ge=16, le=1024)]
    samples: Annotated[int, Field(ge=1, le=65536)]
    denoise: bool
    bounces: Annotated[int, Field(ge=0, le=1024)]


class HiddenTest(Strict):
    """The commitment to a hidden test set."""

    part: Literal["public", "hidden", "season"]
    key_sha256: str


class ImportRecord(Strict):
    """Where imported images come from, and what was done to them."""

    source: Line
    processing: Line
    images_sha256: Sha256


class AssetRecord(Strict):
    """An asset that a user brought along, see `scenes.assets`."""

    name: Line
    kind: Literal["hdri", "texture", "mesh"]
    licence: Line
    source: Line
    sha256: Sha256
    ending: Annotated[str, StringConstraints(pattern=r"^\.[a-z]{3,4}$")]
    metres: Annotated[float, Field(gt=0, le=1000)] | None = None
    floor: str | None = None


class Config(Strict):
    """The configuration of a plan."""

    format: str
    name: Word
    version: Version
    # not `schema`, which pydantic keeps for itself
    slots: SchemaRecord = Field(alias="schema")
    constants: dict[Key, Line]
    split: dict[str, JsonValue]
    sizes: SizesRecord
    settings: SettingsRecord
    tier: Literal["train", "exact"]
    separation: Line | None
    arrangement: Line
    hidden_test: HiddenTest | None = None
    assets: Annotated[list[AssetRecord], Field(max_length=4096)] | None = None
    # of imported images
    source: Literal["imported"] | None = None
    annotations: list[Literal["mask"]] | None = None
    blocks: Literal["matched", "none"] = "matched"
    imported: ImportRecord | None = Field(default=None, alias="import")


class Recipe(Strict):
    """What `render` was asked for."""

    preset: Word
    scale: Annotated[float, Field(gt=0, le=100)]
    resolution: Positive
    values: Positive | None
    ooc_val: bool
    rung: Annotated[int, Field(ge=0, lt=MOST_RUNGS)]
    split: dict[str, JsonValue] | None
    hidden_test: Literal["public", "hidden"] | None
    assets: Line | None = None  # name of the ledger of a user's own


class PlanAttributes(Strict):
    """The attributes of ``plan.h5``, each JSON read already."""

    format: str
    config: dict[str, Any]
    plan_sha256: Sha256
    shard_size: Annotated[int, Field(ge=1, le=4096)]
    recipe: Recipe | None = None


class ShardAttributes(Strict):
    """The attributes of a shard, each JSON read already."""

    format: str
    plan_sha256: Sha256
    content_sha256: Sha256
    build: BuildRecord
    provenance: dict[Line, Line]


def plan_attributes(handle: h5py.File, path: Path) -> dict[str, Any]:
    """Return the attributes of a plan."""
    found = _attributes(handle, path, PLAN_FORMAT, ("config", "recipe"))
    validated(PlanAttributes, found, str(path))
    _check_config(found["config"], f"{path}, configuration")
    return found


def shard_attributes(handle: h5py.File, path: Path) -> dict[str, Any]:
    """Return the attributes of a shard."""
    found = _attributes(handle, path, SHARD_FORMAT, ("build", "provenance"))
    validated(ShardAttributes, found, str(path))
    return found


def _attributes(handle: h5py.File, path: Path, form: str, texts: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = attributes(handle)
    check_format(found.get("format"), form, str(path))
    for name in texts:
        if isinstance(found.get(name), str):
            found[name] = parse_json(found[name], f"{path}, attribute {name!r}")
    return found


def _check_config(config: dict[str, Any], who: str) -> None:
    check_format(config.get("format"), PLAN_FORMAT, who)
    validated(Config, config, who)
    split, schema = config["split"], Schema.from_dict(config["schema"])
    name = str(split.get("geometry"))
    record = DeclaredRecord if "digest" in split else SPLIT_RECORDS.get(name)
    if record is None:
        raise IntegrityError(
            f"{who}, key 'split.geometry': expected one of {sorted(SPLIT_RECORDS)}; got "
            f"{ascii(name)[:80]}. Another version of recombine wrote it."
        )
    found = validated(record, split, f"{who}, split")
    if not found.fits(schema.cell_shape) or not set(found.labels) <= set(schema.recombined):
        raise IntegrityError(
            f"{who}: expected a split of the recombined factors; got the geometry "
            f"{found.geometry!r} for a grid of {schema.cell_shape}. Render it again."
        )


# The columns of plans and shards.


def check_columns(
    columns: Mapping[str, Array], schema: Schema, rungs: int, who: str, start: int | None = None
) -> None:
    """Refuse values that no reader could use; ``start`` is the first index of a shard."""
    limits: dict[str, tuple[float, float]] = {
        "split": (0, len(SPLITS) - 1),
        "rungs": (0, 2**rungs - 1),
        "block": (0, 2**62),
        "cycles_seed": (0, 2**CYCLES_SEED_BITS - 1),
        "tries": (1, 2**31),
        "visible": (0, 1),
        "amodal": (0, 1),
    }
    for key in schema.keys:
        limits[f"latents/{key}"] = schema.factor(key).bounds
    for name, (low, high) in limits.items():
        if name not in columns:
            continue
        values = columns[name]
        # Bounds of places are rounded to the last bit; NaN is on neither side of any bound.
        slack = 1e-9 if values.dtype.kind == "f" else 0
        wrong = ~((values >= low - slack) & (values <= high + slack))
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise IntegrityError(
                f"{who}: expected {name!r} in {low:g}..{high:g}; got "
                f"{values[row].tolist()} in row {row}. Render it again."
            )
    if start is not None:
        index = columns["index"]
        if not np.array_equal(index, np.arange(start, start + len(index))):
            raise IntegrityError(
                f"{who}: expected the images {start}..{start + len(index) - 1} in order; got "
                f"others, from {index[:1].tolist()}. Render it again."
            )
