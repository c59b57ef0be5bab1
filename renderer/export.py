"""Exports of a sealed dataset: Parquet with PNG bytes, WebDataset tar, image folder.

Pixels are lossless in all three. Every export is complete or absent.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from recombine.renderer.arrays import Array
from recombine.renderer.atomic import disk_error
from recombine.renderer.errors import ResourceError, UsageError
from recombine.renderer.reader import Dataset
from recombine.renderer.splits import SPLITS

Form = Literal["parquet", "webdataset", "folder"]
ROWS_PER_FILE = 4096
Progress = Callable[[int, int], None]


def export(
    folder: Path,
    out: Path,
    form: Form,
    *,
    progress: Progress = lambda _done, _total: None,
) -> Path:
    """Write a dataset in another format.

    Parameters
    ----------
    folder : Path
        A sealed dataset whose certificate passes.
    out : Path
        New folder; it must not exist.
    form : {"parquet", "webdataset", "folder"}
        One Parquet file set, tar set or image folder per split.
    progress : callable
        Told (images done, images in all).

    Returns
    -------
    Path
        ``out``, with ``metadata.json`` (schema, root, licence) beside the splits.

    Raises
    ------
    UsageError
        When ``out`` exists.
    IntegrityError
        When the dataset is not what was certified.
    ResourceError
        When the disk is full, or pyarrow is missing for Parquet.
    """
    data = Dataset(folder)
    data.check()
    if out.exists():
        raise UsageError(f"export: {out} must not exist yet; it does. Choose another --out.")
    write = {"parquet": _parquet, "webdataset": _tar, "folder": _folder}[form]
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    done = 0
    try:
        temporary.mkdir(parents=True)
        (temporary / "metadata.json").write_text(json.dumps(_about(data), indent=1) + "\n")
        for split in SPLITS:
            rungs = range(len(data.config["split"]["ladder"])) if split == "id_train" else [0]
            members = sorted({int(i) for r in rungs for i in data.indices(split, rung=r)})
            for n, start in enumerate(range(0, len(members), ROWS_PER_FILE)):
                part = members[start : start + ROWS_PER_FILE]
                write(data, split, n, part, temporary)
                done += len(part)
                progress(done, len(data))
        temporary.replace(out)
    except OSError as error:
        raise disk_error(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def rows(data: Dataset, indices: list[int]) -> Iterator[dict[str, Any]]:
    """Yield one plain record per image: PNG bytes, mask PNG bytes, latents by value name.

    Parameters
    ----------
    data : Dataset
        The source.
    indices : list of int
        Images.
    """
    for i in indices:
        record: dict[str, Any] = {
            "index": i,
            "image": _png(data.image(i)),
            "mask": _png(data.masks([i])[0]),
            "block": int(data.blocks[i]),
        }
        for key, column in data.latents.items():
            factor = data.schema.factor(key)
            value = column[i]
            record[key] = factor.values[int(value)] if factor.values else float(value)
        yield record


def _parquet(data: Dataset, split: str, number: int, indices: list[int], out: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ResourceError(
            "export: Parquet needs pyarrow, which is not installed. "
            "Run `pip install 'recombine[export]'`."
        ) from error
    records = list(rows(data, indices))
    for record in records:
        # The struct that the Hugging Face viewer and `datasets` show as a picture.
        for name in ("image", "mask"):
            record[name] = {"bytes": record[name], "path": f"{record['index']:08d}-{name}.png"}
    table = pa.Table.from_pylist(records)
    features = {n: {"_type": "Image"} for n in ("image", "mask")}
    described = {"info": {"features": features | _features(data)}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(described)})
    (out / "data").mkdir(exist_ok=True)
    pq.write_table(  # type: ignore[no-untyped-call]
        table, out / "data" / f"{split}-{number:05d}.parquet", row_group_size=100
    )


def _tar(data: Dataset, split: str, number: int, indices: list[int], out: Path) -> None:
    with tarfile.open(out / f"{split}-{number:05d}.tar", "w") as archive:
        for record in rows(data, indices):
            key = f"{record['index']:08d}"
            image, mask = record.pop("image"), record.pop("mask")
            labels = json.dumps(record, sort_keys=True).encode()
            for name, content in (("png", image), ("mask.png", mask), ("json", labels)):
                entry = tarfile.TarInfo(f"{key}.{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def _folder(data: Dataset, split: str, _number: int, indices: list[int], out: Path) -> None:
    place = out / split
    place.mkdir(exist_ok=True)
    with (place / "metadata.jsonl").open("a", encoding="utf-8") as labels:
        for record in rows(data, indices):
            name = f"{record['index']:08d}"
            (place / f"{name}.png").write_bytes(record.pop("image"))
            (out / f"{split}-masks").mkdir(exist_ok=True)
            (out / f"{split}-masks" / f"{name}.png").write_bytes(record.pop("mask"))
            labels.write(json.dumps({"file_name": f"{name}.png", **record}, sort_keys=True) + "\n")


def _features(data: Dataset) -> dict[str, Any]:
    plain: dict[str, Any] = {n: {"dtype": "int64", "_type": "Value"} for n in ("index", "block")}
    for key in data.schema.keys:
        dtype = "string" if data.schema.factor(key).values else "float64"
        plain[key] = {"dtype": dtype, "_type": "Value"}
    return plain


def _about(data: Dataset) -> dict[str, Any]:
    return {
        "dataset": data.name,
        "root": data.root,
        "license": data.manifest["license"],
        "config": data.config,
        "certificate": data.certificate,
    }


def _png(array: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
