"""Exports of ours, read back: Parquet, WebDataset tars or folders of PNG files."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recombine.renderer.core.errors import IntegrityError, InvalidInputError, ResourceError
from recombine.renderer.core.files import visible
from recombine.renderer.core.strict import parse_json
from recombine.renderer.core.system import system_error
from recombine.renderer.core.types import Array
from recombine.renderer.importing.labels import Table
from recombine.renderer.importing.pictures import Pictures, decoded
from recombine.renderer.scenes.factors import Factor, Schema
from recombine.renderer.splits.geometry import SPLITS

Form = Literal["parquet", "webdataset", "folder"]
ABOUT = "metadata.json"


@dataclass(frozen=True)
class Export:
    """An export of ours: where it lies, in which form, and what it says about itself."""

    folder: Path
    form: Form
    schema: Schema
    known: dict[str, Any]  # entries of ``[import]`` that need not be written again


def find_export(folder: Path) -> Export | None:
    """Return the export that a folder holds, if it is one."""
    path = folder / ABOUT
    if not path.is_file():
        return None
    try:
        about = parse_json(path.read_bytes(), str(path))
        schema = Schema.from_dict(about["config"]["schema"])
        licence = str(about["license"])
        free = bool(about.get("training_generative_models", True))
    except (ValueError, KeyError, TypeError, InvalidInputError) as error:
        raise IntegrityError(
            f"{path}: expected what `recombine dataset export` writes; it is damaged ({error}). "
            "Export the dataset again."
        ) from error
    forms: dict[Form, str] = {
        "parquet": "data/*.parquet",
        "webdataset": "*.tar",
        "folder": "*/metadata.jsonl",
    }
    form: Form | None = next((f for f, files in forms.items() if any(visible(folder, files))), None)
    if form is None:
        raise InvalidInputError(
            f"{folder}: expected an export with Parquet files, tars or folders; got none. "
            "Copy all of it."
        )
    known = {
        "licence": licence,
        "training_generative_models": free,
        "source": str(about.get("dataset", "")),
        "recombine": list(schema.recombined),
        "factors": {key: _rule(key, schema.factor(key)) for key in schema.keys},
        "objects": list(schema.objects),
    }
    return Export(folder, form, schema, known)


def _rule(key: str, factor: Factor) -> dict[str, Any]:
    rule: dict[str, Any] = {"column": key, "type": factor.kind}
    if factor.kind == "categorical":
        rule["values"] = list(factor.values)
    elif factor.kind == "continuous":
        rule |= {"low": factor.low, "high": factor.high, "unit": factor.unit}
    return rule


def records(export: Export) -> Iterator[dict[str, Any]]:
    """Yield every image with its labels; pixels are PNG bytes or files."""
    read = {"parquet": _parquet, "webdataset": _tars, "folder": _folders}[export.form]
    try:
        for number, record in enumerate(read(export.folder)):
            known = {key: record[key] for key in ("image", *export.schema.keys)}
            yield {**record, **known, "#": number}
    except (KeyError, ValueError, TypeError, OSError, tarfile.TarError) as error:
        raise system_error(export.folder, error) or IntegrityError(
            f"{export.folder}: expected an export as `recombine dataset export` writes it; "
            f"it is damaged or lacks {error}. Export the dataset again."
        ) from error


def _folders(folder: Path) -> Iterator[dict[str, Any]]:
    for split in SPLITS:
        path = folder / split / "metadata.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            record = dict(json.loads(line))
            name = Path(str(record["file_name"])).name
            mask = folder / f"{split}-masks" / name
            yield (
                record | {"image": path.parent / name} | ({"mask": mask} if mask.is_file() else {})
            )


def _tars(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(visible(folder, "*.tar")):
        with tarfile.open(path) as archive:
            members = ((m.name.partition("."), m) for m in archive if m.isfile())
            for _, group in itertools.groupby(members, key=lambda pair: pair[0][0]):
                found = {}
                for (_, _, ending), member in group:
                    stream = archive.extractfile(member)
                    found[ending] = stream.read() if stream else b""
                record = dict(json.loads(found["json"])) | {"image": found["png"]}
                yield record | ({"mask": found["mask.png"]} if "mask.png" in found else {})


def _parquet(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ResourceError(
            "import: Parquet needs pyarrow, which is not installed. "
            "Run `pip install 'recombine[export]'`."
        ) from error
    for path in sorted(visible(folder / "data", "*.parquet")):
        with pq.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
            for batch in file.iter_batches(64):
                for record in batch.to_pylist():
                    pictures = {k: record[k]["bytes"] for k in ("image", "mask") if record.get(k)}
                    yield record | pictures


def table_of(export: Export) -> Table:
    """Return the labels of an export."""
    kept = (*export.schema.keys, "block", "split")
    rows = [{key: record[key] for key in kept} for record in records(export)]
    if not rows:
        raise InvalidInputError(f"{export.folder}: expected images; got none. Export them again.")
    columns = {key: np.array([row[key] for row in rows], object) for key in rows[0]}
    return Table(f"{export.folder.name}/{ABOUT}", columns)


class Exported(Pictures):
    """The pictures of an export, in its order."""

    def __init__(self, export: Export, table: Table) -> None:
        self.export, self.numbers = export, table.columns["#"]
        self.has_masks = "mask" in next(records(export))

    def read(self, rows: Sequence[int]) -> Iterator[tuple[Array, Array | None]]:
        """Yield decoded images and masks."""
        wanted = {int(self.numbers[row]) for row in rows}
        for record in records(self.export):
            if record["#"] in wanted:
                name = f"image {record['#']}"
                mask = decoded(record["mask"], name, codes=True) if self.has_masks else None
                yield decoded(record["image"], name), mask

    def name(self, row: int) -> str:
        """Return the number of an image in its export."""
        return str(self.numbers[row])
