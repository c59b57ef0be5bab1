"""Exports of a sealed dataset: Parquet with PNG bytes, WebDataset tar, image folder, COCO, BOP.

Pixels are lossless in all of them. Every export is complete or absent. Parquet is the form to
publish: it carries the data card.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import ResourceError, UsageError
from recombine.renderer.core.files import disk_error, write_bytes
from recombine.renderer.core.types import Array
from recombine.renderer.presets.table import PRESETS
from recombine.renderer.publish import bop, coco
from recombine.renderer.publish.card import CARD_FILES, add_card
from recombine.renderer.publish.columns import (
    Column,
    Record,
    columns,
    depth_pixels,
    normal_pixels,
    png,
)
from recombine.renderer.publish.croissant import library
from recombine.renderer.publish.facts import Publication
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset

Form = Literal["parquet", "webdataset", "folder", "coco", "bop"]
ROWS_PER_FILE: dict[str, int] = {"parquet": 65_536, "webdataset": 4096, "folder": 4096}
"""A split of a preset is one Parquet file, so that its checksum is compared on reading."""
ROW_GROUP = 100
Progress = Callable[[int, int], None]
IMAGES = {
    "image": "",
    "mask": "-masks",
    "amodal_mask": "-amodal-masks",
    "depth": "-depth",
    "normal": "-normals",
}
"""Columns that are PNG files, and what the image folder adds to the name of a split for them."""
Write = Callable[[str, int, Iterator[Record], Path], None]


def export_dataset(
    folder: Path,
    out: Path,
    form: Form = "parquet",
    *,
    progress: Progress = lambda _done, _total: None,
    publication: Publication | None = None,
    block: int = 0,
) -> Path:
    """Write a dataset in another format.

    Parameters
    ----------
    folder : Path
        A sealed dataset whose certificate passes.
    out : Path
        New folder; it must not exist.
    form : {"parquet", "webdataset", "folder", "coco", "bop"}
        One Parquet file set, tar set or image folder per split, all with every annotation; files
        of instances, visible and amodal, as COCO has them; or scenes, poses and models of BOP.
        Parquet carries the data card.
    progress : callable
        Told (images done, images in all).
    publication : Publication, optional
        What the card says of day and address; today and nowhere.
    block : int
        Which matched test block the card's contact sheet shows.

    Returns
    -------
    Path
        ``out``, with ``metadata.json`` (schema, identity, root, licence) beside the splits.

    Raises
    ------
    UsageError
        When ``out`` exists.
    IntegrityError
        When the dataset is not what was certified.
    ResourceError
        When the disk is full, or pyarrow or mlcroissant is missing for Parquet.
    """
    data = Dataset(folder)
    data.check()
    if out.exists():
        raise UsageError(f"export: {out} must not exist yet; it does. Choose another --out.")
    if form == "parquet":
        library()  # the card comes last: say what is missing before hours of writing
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        _write(data, temporary, form, progress)
        # The card is about how images were rendered; other people's have one of their own.
        if form == "parquet" and not data.imported:
            today = Publication(datetime.now(UTC).date())
            add_card(data, temporary, publication or today, block=block)
        temporary.replace(out)
    except OSError as error:
        raise disk_error(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def write_card(
    folder: Path, out: Path, *, block: int = 0, publication: Publication | None = None
) -> Path:
    """Write the card of a preset: the files that its Parquet export carries beside the data.

    Parameters
    ----------
    folder : Path
        A sealed dataset of the preset, of any size; it is verified first.
    out : Path
        Folder of the card; files in it are replaced.
    block : int
        Which matched test block the sheet shows.
    publication : Publication, optional
        Day and address; today, nowhere.

    Returns
    -------
    Path
        The card's README.md.

    Raises
    ------
    UsageError
        When the dataset is of no preset.
    IntegrityError
        When its certificate fails or does not match.
    ResourceError
        When the disk is full, or pyarrow or mlcroissant is missing.
    """
    verify(folder)
    name = Dataset(folder).preset.partition("--")[0]
    if name not in PRESETS:
        raise UsageError(f"card: expected data of a preset of {sorted(PRESETS)}; got {name!r}.")
    with tempfile.TemporaryDirectory() as place:
        made = export_dataset(folder, Path(place) / "export", publication=publication, block=block)
        for file in CARD_FILES:
            write_bytes(out / file, (made / file).read_bytes())
    return out / "README.md"


def _write(data: Dataset, out: Path, form: Form, progress: Progress) -> None:
    listed = columns(data)
    about = {
        "dataset": data.name,
        "identity": data.identity,
        "render_version": data.render_version,
        "root": data.root,
        "license": data.licence,
        "training_generative_models": data.training_generative_models,
        "config": data.config,
        "certificate": data.certificate,
        "columns": {c.name: c.meaning for c in listed},
    }
    (out / "metadata.json").write_text(json.dumps(about, indent=1) + "\n")
    done = itertools.count(1)

    def tell() -> None:
        progress(next(done), len(data))

    if form == "coco":
        coco.write(data, out, rows, tell)
        return
    if form == "bop":
        bop.write(data, out, tell)
        return
    parquet = partial(_parquet, listed)
    writers: dict[str, Write] = {"parquet": parquet, "webdataset": _tar, "folder": _folder}
    for split, number, part in _files(data, ROWS_PER_FILE[form]):
        records = _told(rows(data, part), tell)
        writers[form](split, number, records, out)


def _files(data: Dataset, most: int) -> Iterator[tuple[str, int, list[int]]]:
    """Yield (split, number of the file, images) for every file of an export."""
    for split in SPLITS:
        members = coco.members(data, split)
        for number, start in enumerate(range(0, len(members), most)):
            yield split, number, members[start : start + most]


def _told(records: Iterator[Record], tell: Callable[[], None]) -> Iterator[Record]:
    for record in records:
        yield record
        tell()


def rows(data: Dataset, indices: list[int]) -> Iterator[Record]:
    """Yield one plain record per image, with the keys of `columns.columns`."""
    # What has pixels is PNG bytes, arrays are lists; values of categorical factors are their names.
    arrays = [c.name for c in columns(data) if c.shape]
    pictures: dict[str, Callable[[int], Array]] = {
        "mask": lambda i: data.masks([i])[0],
        "amodal_mask": lambda i: data.annotation("amodal_mask", [i])[0],
        "depth": lambda i: depth_pixels(data.annotation("depth", [i])[0]),
        "normal": lambda i: normal_pixels(data.annotation("normal", [i])[0]),
    }
    rungs = range(data.rungs)
    ladder = [set(data.indices("id_train", rung=r).tolist()) for r in rungs]
    latents = data.latents
    for i in indices:
        record: Record = {
            "index": i,
            "image": png(data.image(i)),
            **{name: png(read(i)) for name, read in pictures.items() if name in data.annotations},
            "split": str(data.splits[i]),
            "part": "OOC" if data.splits[i].startswith("ooc") else "ID",
            "cell": ", ".join(data.schema.cell_names(data.cells[i])),
            "block": int(data.blocks[i]),
            "seed": int(data.plan.cycles_seed[i]),
        }
        record |= {f"rung_{r}": i in members for r, members in enumerate(ladder)}
        record |= {name: data.annotation(name, [i])[0].tolist() for name in arrays}
        for key in data.schema.keys:
            factor = data.schema.factor(key)
            value = latents[key][i]
            record[key] = factor.values[int(value)] if factor.values else float(value)
        yield record


def _parquet(
    listed: Sequence[Column], split: str, number: int, records: Iterator[Record], out: Path
) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ResourceError(
            "export: Parquet needs pyarrow, which is not installed. "
            "Run `pip install 'recombine[export]'`."
        ) from error
    # The struct that the Hugging Face viewer and `datasets` show as a picture.
    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    types = {"image": picture, "bool": pa.bool_()}

    def kind(column: Column) -> Any:
        found = types.get(column.type) or getattr(pa, column.type)()
        for _ in column.shape:
            found = pa.list_(found)
        return found

    described = {"info": {"features": {c.name: c.feature for c in listed}}}
    schema = pa.schema(
        [(c.name, kind(c)) for c in listed],
        {"huggingface": json.dumps(described)},
    )
    path = out / "data" / f"{split}-{number:05d}.parquet"
    path.parent.mkdir(exist_ok=True)
    with pq.ParquetWriter(path, schema) as writer:  # type: ignore[no-untyped-call]
        while group := list(itertools.islice(records, ROW_GROUP)):
            for record in group:
                for name in (n for n in IMAGES if n in record):
                    named = f"{record['index']:08d}-{name}.png"
                    record[name] = {"bytes": record[name], "path": named}
            writer.write_table(pa.Table.from_pylist(group, schema))


def _tar(split: str, number: int, records: Iterator[Record], out: Path) -> None:
    with tarfile.open(out / f"{split}-{number:05d}.tar", "w") as archive:
        for record in records:
            key = f"{record['index']:08d}"
            files = {f"{name}.png": record.pop(name) for name in IMAGES if name in record}
            files["png"] = files.pop("image.png")
            files["json"] = json.dumps(record, sort_keys=True).encode()
            for name, content in sorted(files.items()):
                entry = tarfile.TarInfo(f"{key}.{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def _folder(split: str, _number: int, records: Iterator[Record], out: Path) -> None:
    places = {name: out / f"{split}{added}" for name, added in IMAGES.items()}
    places["image"].mkdir(exist_ok=True)
    with (out / split / "metadata.jsonl").open("a", encoding="utf-8") as labels:
        for record in records:
            name = f"{record['index']:08d}"
            for column, place in places.items():
                if column in record:
                    place.mkdir(exist_ok=True)
                    (place / f"{name}.png").write_bytes(record.pop(column))
            labels.write(json.dumps({"file_name": f"{name}.png", **record}, sort_keys=True) + "\n")
