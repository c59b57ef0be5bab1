"""`dataset import`: labelled images become a sealed dataset, verified as far as it can be."""

from __future__ import annotations

import json
import math
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recombine.renderer.certificate.imported import images_digest
from recombine.renderer.certificate.verify import Certificate, verify
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.files import disk_error, require_space, take_space
from recombine.renderer.core.provenance import Build, provenance
from recombine.renderer.core.types import Array
from recombine.renderer.importing.drawing import Drawn, draw
from recombine.renderer.importing.exports import Exported, find_export, table_of
from recombine.renderer.importing.labels import (
    Table,
    array_table,
    factors_of,
    grid_table,
    kept,
    read_csv,
)
from recombine.renderer.importing.pictures import (
    Arrays,
    Pictures,
    Shaping,
    count,
    extent,
    of_source,
    whole,
)
from recombine.renderer.importing.recipe import Recipe, load_recipe
from recombine.renderer.importing.shift import Shift, shift_of
from recombine.renderer.planning.plan import IMPORTED, PLAN_FORMAT, Plan
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import RenderSettings
from recombine.renderer.splits.declaration import DeclaredSplit, declare
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.preview import contact_sheet
from recombine.renderer.store.seal import write_manifest
from recombine.renderer.store.shards import (
    SHARD_SIZE,
    Picture,
    pixel_hash,
    save_plan,
    save_shard,
    shard_path,
    shard_ranges,
)

Progress = Callable[[int, int], None]
BYTES_PER_PIXEL = 8  # colour and mask, twice: decoded, and in the dataset
SPARE_BYTES = 20_000_000
LARGEST_SHEET = 1024  # combinations that a contact sheet can show


@dataclass(frozen=True)
class Imported:
    """What an import made.

    Attributes
    ----------
    folder : Path
        The dataset.
    certificate : Certificate
        Its checks: pass, stated, or not applicable to images that nobody can draw again.
    shift : Shift
        How its two test splits differ.
    images : dict of str to int
        Number of images of every split.
    notes : tuple of str
        What was done and left out, one line each.
    """

    folder: Path
    certificate: Certificate
    shift: Shift
    images: dict[str, int]
    notes: tuple[str, ...]


def import_dataset(
    source: Path,
    split: Path,
    out: Path,
    *,
    labels: Path | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Imported:
    """Turn labelled images into a sealed dataset.

    Parameters
    ----------
    source : Path
        A folder of PNG or JPEG files, an NPZ or HDF5 file, or a folder that `export` wrote.
    split : Path
        TOML file: a declared split, and the table ``[import]`` (see docs/importing.md).
    out : Path
        New dataset folder; it is complete or absent.
    labels : Path, optional
        CSV file, one row per image. May be left out where ``[import]`` says where labels are,
        and for an export.
    progress : callable
        Told (images read, images in all).

    Returns
    -------
    Imported
        The dataset, its certificate and how ID differs from OOC.

    Raises
    ------
    UsageError
        When a path does not exist, or ``out`` does.
    InvalidInputError
        When the table, the images or the split do not fit together; the message names the row.
    IntegrityError
        When the images do not keep what the split promises in ``require``.
    ResourceError
        When the disk is full.
    """
    if out.exists():
        raise UsageError(f"import: {out} must not exist yet; it does. Choose another --out.")
    recipe, table, pictures = _read(source, split, labels)
    schema, latents = factors_of(table, recipe)
    declared = declare(recipe.declaration, schema, name=recipe.file_name)
    names = map(pictures.name, range(len(table)))
    drawn = draw(table, schema, latents, declared, recipe, names)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir()
        found = _write(temporary, recipe, schema, latents, declared, drawn, pictures, progress)
        temporary.replace(out)
    except OSError as error:
        raise disk_error(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Imported(out, *found)


def _read(source: Path, split: Path, labels: Path | None) -> tuple[Recipe, Table, Pictures]:
    """Return the recipe, the rows that it keeps, and their pictures."""
    export = find_export(source)
    recipe = load_recipe(split, export.known if export else None)
    if export and labels is None:
        table = kept(table_of(export), recipe)
        return recipe, table, Exported(export, table)
    inside = recipe.labels
    if labels is not None:
        table = read_csv(labels)
    elif inside.grid:
        table = grid_table(inside.grid)
    elif inside.array and source.is_file():
        table = array_table(
            f"{source.name}, {inside.array!r}", whole(source, inside.array), inside.columns
        )
    else:
        raise UsageError(
            f"import: expected a table of labels for {source.name}; got none. Give --labels "
            "TABLE.csv, or say in [import] where labels are."
        )
    pictures = of_source(source, kept(table, recipe), recipe)
    if isinstance(pictures, Arrays) and count(source, recipe.images) != len(table):
        raise InvalidInputError(
            f"import: expected one row of labels per image; {table.name} has {len(table)}, "
            f"{source.name} {count(source, recipe.images)} images. Use the table of these images."
        )
    return recipe, kept(table, recipe), pictures


def _write(
    folder: Path,
    recipe: Recipe,
    schema: Schema,
    latents: Mapping[str, Array],
    split: DeclaredSplit,
    drawn: Drawn,
    pictures: Pictures,
    progress: Progress,
) -> tuple[Certificate, Shift, dict[str, int], tuple[str, ...]]:
    """Write the dataset into a folder, seal, verify and preview it."""
    shaping = Shaping(recipe.white, recipe.size, recipe.fit)
    images, masks, said = _decoded(folder, schema, drawn, pictures, shaping, progress)
    rows = np.array([one.row for one in drawn.rows])
    config = _config(recipe, schema, split, drawn, images.shape[1])
    config["annotations"] = [] if masks is None else ["mask"]
    config["import"] = {
        "source": recipe.source,
        "processing": said,
        "images_sha256": images_digest(
            np.frombuffer(b"".join(pixel_hash(image) for image in images), np.uint8).reshape(-1, 32)
        ),
    }
    n = len(rows)
    plan = Plan(
        config=json.loads(json.dumps(config)),
        schema=schema,
        settings=RenderSettings(**config["settings"]),
        latents={key: latents[key][rows] for key in schema.keys},
        split=np.array([one.split for one in drawn.rows], np.uint8),
        rungs=np.array([one.rungs for one in drawn.rows], np.uint8),
        block=np.array([one.block for one in drawn.rows], np.int64),
        cycles_seed=np.zeros(n, np.int64),
        tries=np.ones(n, np.int64),
    )
    save_plan(folder, plan, SHARD_SIZE)
    ranges = shard_ranges(n)
    made = {key: v for key, v in provenance().items() if key in ("recombine", "python", "numpy")}
    for number, indices in enumerate(ranges):
        some = [Picture(images[i], None if masks is None else masks[i]) for i in indices]
        save_shard(folder, number, plan, indices, some, made, Build(IMPORTED, {}, {}))
    del images, masks
    for name in SCRATCH:
        (folder / name).unlink(missing_ok=True)
    write_manifest(
        folder,
        dataset=plan.dataset,
        plan_sha256=plan.digest(),
        shards=[(shard_path(folder, k), indices) for k, indices in enumerate(ranges)],
        provenance={**made, "source": IMPORTED},
        licence=recipe.licence,
        training_generative_models=recipe.training_generative_models,
    )
    certificate = _kept_promises(verify(folder))
    data = Dataset(folder)
    if np.prod(schema.cell_shape) <= LARGEST_SHEET:
        contact_sheet(folder, folder / "preview.png")
    counts = {name: int((plan.split == code).sum()) for code, name in enumerate(SPLITS)}
    return certificate, shift_of(data), counts, (f"images: {said}", *drawn.notes)


SCRATCH = ("images.tmp", "masks.tmp")


def _decoded(
    folder: Path,
    schema: Schema,
    drawn: Drawn,
    pictures: Pictures,
    shaping: Shaping,
    progress: Progress,
) -> tuple[Array, Array | None, str]:
    """Return all images in the order of the plan, and what was done to them."""
    # Sources are read once and in their own order, a plan has another: all lie on disk between.
    place = {one.row: number for number, one in enumerate(drawn.rows)}
    rows, n = sorted(place), len(place)
    images: Array | None = None
    masks: Array | None = None
    shapes: Counter[tuple[int, int]] = Counter()
    brightest = 0
    for done, (row, found) in enumerate(zip(rows, pictures.read(rows), strict=True)):
        who = f"image {pictures.name(row)}"
        image = shaping.image(found[0], who)
        shapes[extent(found[0])] += 1
        if images is None:
            if not 16 <= len(image) <= 1024:
                raise InvalidInputError(
                    f"{who}: expected images of 16 to 1024 pixels; got {len(image)}. "
                    "Set `size` in [import]."
                )
            require_space(folder, n * image.size * BYTES_PER_PIXEL // 3 + SPARE_BYTES)
            edge = image.shape[:2]
            images = _scratch(folder / SCRATCH[0], (n, *edge, 3))
            if pictures.has_masks:
                masks = _scratch(folder / SCRATCH[1], (n, *edge))
        if image.shape != images.shape[1:]:
            raise InvalidInputError(
                f"{who}: expected {images.shape[1]} x {images.shape[2]} pixels, like the images "
                f"before; got {image.shape[0]} x {image.shape[1]}. Set `size` in [import]."
            )
        images[place[row]] = image
        brightest = max(brightest, int(image.max()))
        if masks is not None and found[1] is not None:
            masks[place[row]] = shaping.mask(found[1], who, len(schema.objects))
        progress(done + 1, n)
    if images is None or brightest <= 1:
        raise InvalidInputError(
            f"import: expected images in 256 steps; the brightest pixel of all is {brightest}. "
            "Set `white` in [import] to the value that stands for white, such as 1."
        )
    return images, masks, shaping.said(shapes)


def _scratch(path: Path, shape: tuple[int, ...]) -> Array:
    take_space(path, math.prod(shape))
    return np.memmap(path, np.uint8, "r+", shape=shape)


def _config(
    recipe: Recipe, schema: Schema, split: DeclaredSplit, drawn: Drawn, edge: int
) -> dict[str, Any]:
    labels = {k: {v: n for n, v in enumerate(schema.factor(k).values)} for k in schema.recombined}
    blocks = {
        name: len({one.block for one in drawn.rows if SPLITS[one.split] == f"id_{name}"})
        for name in ("train", "val", "test")
    }
    # Nothing was rendered: the settings of a renderer are the least there are.
    settings = RenderSettings(resolution=edge, samples=1, denoise=False, bounces=0)
    return {
        "format": PLAN_FORMAT,
        "source": IMPORTED,
        "name": recipe.name,
        "version": recipe.version,
        "schema": schema.to_dict(),
        "constants": {},
        "split": split.to_dict() | {"labels": labels},
        "sizes": {**blocks, "cells": 0},
        "settings": asdict(settings),
        "tier": "train",
        "separation": None,
        "arrangement": "",
        "blocks": "matched" if drawn.matched else "none",
    }


def _kept_promises(certificate: Certificate) -> Certificate:
    """Return a certificate that passes; what fails is what the split promises in ``require``."""
    failed = [f"{c.name} ({c.found})" for c in certificate.checks if c.status == "fail"]
    if failed:
        raise IntegrityError(
            f"import: expected images that keep what the split promises; they fail on "
            f"{'; '.join(failed)}. Nothing was written. Remove the promise from `require`, or "
            "declare another split."
        )
    return certificate
