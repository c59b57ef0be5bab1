"""`dataset preview --html`: a dataset on one self-contained page that opens from a file."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from recombine.renderer.core.errors import IntegrityError, RecombineError, ResourceError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.hdf5 import column, open_checked
from recombine.renderer.core.types import Array
from recombine.renderer.measure.pictures import colours, round_up
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.preview import panels, value_name

HERE = Path(__file__).parent
SHEET_EDGE, LARGE_EDGE = 128, 256  # pixels of embedded pictures
LABELLED = 6  # images shown with their annotations
MAPPED = 8  # images shown with their interaction maps
MASK_COLOURS = np.array(
    [
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
        (255, 255, 255),
    ],
    np.uint8,
)  # fmt: skip  (Okabe and Ito, told apart by every common colour vision)


@dataclass(frozen=True)
class Picture:
    """One embedded picture."""

    source: str  # ``data:`` address
    caption: str  # what it shows
    held_out: bool = False  # whether its combination is held out (OOC)


@dataclass(frozen=True)
class Strip:
    """A row of pictures with a heading."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Maps:
    """Signed second-order terms of some images."""

    indices: tuple[int, ...]  # images shown
    coloured: tuple[Array, ...]  # blue below 0, white at 0, red above
    limit: float  # linear radiance at the ends of the scale, the same for all
    count: int  # how many images were measured
    zero: bool  # whether every value of every map is exactly 0


def gallery(folder: Path, out: Path, *, block: int = 0) -> Path:
    """Write the page: sheet, traversals, annotations, interaction, certificate."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    data = Dataset(folder)
    style = (HERE / "static" / "gallery.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Escaping is on: names and reasons come from files.
    pages = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
    )
    text = pages.get_template("gallery.html").render(
        data=data,
        style=style,
        style_hash=f"sha256-{digest}",
        facts=_facts(data),
        panels=[_sheet(data, panel) for panel in panels(data, block)],
        traversals=traversals(data, block),
        labelled=[_annotations(data, i) for i in _spread(data, block)],
        maps=_maps(data),
        certificate=_certificate(data),
    )
    write_bytes(out, text.encode())
    return out


def traversals(data: Dataset, block: int = 0) -> list[Strip]:
    """Return a strip per recombined factor, in which nothing else changes, and one of nuisances."""
    test = np.concatenate([data.indices("id_test"), data.indices("ooc_test")])
    shown = sorted(set(data.blocks[test].tolist()))
    members = test[data.blocks[test] == shown[block % len(shown)]]
    held = [*data.schema.recombined, *data.schema.crossed]
    codes = np.stack([data.latents[k] for k in held], axis=1)
    strips = []
    for slot, key in enumerate(held):
        row = _longest(codes[members], slot)
        along = members[row][np.argsort(codes[members[row], slot], kind="stable")]
        strips.append(Strip(f"only {key} changes", _captioned(data, along, [key])))
    others = np.flatnonzero((codes == codes[members[0]]).all(axis=1))  # of any split
    first = others[np.unique(data.blocks[others], return_index=True)[1]][-12:]
    strips.append(Strip("only the nuisances change", _captioned(data, first, [])))
    return strips


def _longest(codes: Array, column: int) -> Array:
    """Return which rows agree in all other columns, for the largest such group."""
    others = np.delete(codes, column, axis=1)
    _, group, counts = np.unique(others, axis=0, return_inverse=True, return_counts=True)
    # A value may be there several times where unlisted factors vary; one of each is enough.
    rows = np.flatnonzero(group.reshape(-1) == counts.argmax())
    return rows[np.unique(codes[rows, column], return_index=True)[1]]


def _captioned(data: Dataset, indices: Iterable[int], keys: Sequence[str]) -> tuple[Picture, ...]:
    pictures = []
    for i in map(int, indices):
        names = [value_name(data, key, data.latents[key][i]) for key in keys]
        pictures.append(_picture(data, i, ", ".join(names) or f"image {i}", SHEET_EDGE))
    return tuple(pictures)


def _sheet(data: Dataset, panel: Any) -> dict[str, Any]:
    edge = SHEET_EDGE if len(panel.images) <= 64 else 64
    cells = [
        [
            _picture(data, i, f"image {i}: {_cell(data, i)}", edge)
            if (i := panel.images.get((r, c))) is not None
            else None
            for c in range(len(panel.columns))
        ]
        for r in range(len(panel.rows))
    ]
    return {"panel": panel, "rows": list(zip(panel.rows, cells, strict=True)), "edge": edge}


def _annotations(data: Dataset, index: int) -> Strip:
    image = data.image(index)
    mask, depth, normal = (
        data.annotation(name, [index])[0] for name in ("mask", "depth", "normal")
    )
    tint = MASK_COLOURS[np.minimum(mask, len(MASK_COLOURS) - 1)]
    overlay = np.where(mask[..., None] > 0, image // 3 + tint // 3 * 2, image // 2)
    pictures = (
        Picture(_source(image, LARGE_EDGE), "image", data.splits[index] == "ooc_test"),
        Picture(_source(overlay.astype(np.uint8), LARGE_EDGE), "mask over the image"),
        Picture(_source(_near(depth), LARGE_EDGE), "depth, near is bright"),
        Picture(_source((normal.astype(int) + 128).astype(np.uint8), LARGE_EDGE), "normals"),
    )
    return Strip(f"image {index}: {_cell(data, index)}", pictures)


def _near(depth: Array) -> Array:
    values = depth.astype(float)
    known = np.isfinite(values)
    low, high = np.quantile(values[known], (0.0, 0.98)) if known.any() else (0.0, 1.0)
    scaled = np.clip((high - values) / max(high - low, 1e-6), 0, 1)
    grey = np.where(known, 40 + 215 * scaled, 0)
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def load_maps(data: Dataset) -> Maps | None:
    """Read ``interaction.h5`` beside a dataset and colour some of its maps."""
    path = data.path / "interaction.h5"
    if not path.exists():
        return None
    with open_checked(path) as handle:
        indices, maps = column(handle, "index"), column(handle, "second")
    if maps.ndim != 3 or len(maps) != len(indices) or not (indices < len(data)).all():
        raise IntegrityError(
            f"{path}: expected one map (H, W) per image of {data.name}; got shape {maps.shape} "
            f"for {len(indices)} images. Measure again with `recombine measure interaction`."
        )
    shown = np.unique(np.linspace(0, len(maps) - 1, min(MAPPED, len(maps))).round().astype(int))
    values = maps[shown].astype(float)
    limit = round_up(float(np.quantile(np.abs(values), 0.998)))
    return Maps(
        tuple(indices[shown].tolist()),
        tuple(colours(v, limit) for v in values),
        limit,
        len(maps),
        not maps.any(),
    )


def _maps(data: Dataset) -> dict[str, Any] | None:
    found = load_maps(data)
    if found is None:
        return None
    strips = [
        Strip(
            f"image {i}: {_cell(data, i)}",
            (
                _picture(data, i, "image", LARGE_EDGE),
                Picture(_source(coloured, LARGE_EDGE), "second-order term"),
            ),
        )
        for i, coloured in zip(found.indices, found.coloured, strict=True)
    ]
    return {"limit": found.limit, "zero": found.zero, "strips": strips, "count": found.count}


def _facts(data: Dataset) -> list[tuple[str, str]]:
    counts = [f"{n:,} {name}" for name in SPLITS if (n := int((data.splits == name).sum()))]
    schema = data.schema
    made = ", ".join(f"{k} {v}" for k, v in sorted(data.manifest.get("provenance", {}).items()))
    return [
        ("images", f"{len(data):,} at {data.resolution} px: {', '.join(counts)}"),
        (
            "cells",
            " x ".join(f"{k} ({schema.factor(k).size})" for k in schema.recombined),
        ),
        ("factors", ", ".join(schema.keys)),
        ("identity", data.identity),
        ("pixel root", data.root),
        ("licence", str(data.manifest["license"])),
        ("made with", made),
    ]


def _certificate(data: Dataset) -> dict[str, Any] | None:
    try:
        certificate = data.certificate
    except ResourceError:
        raise
    except RecombineError:
        return None
    return {**certificate, "matches": certificate["root"] == data.root}


def _spread(data: Dataset, block: int) -> list[int]:
    images = sorted({i for p in panels(data, block) for i in p.images.values()})
    picks = np.linspace(0, len(images) - 1, min(LABELLED, len(images))).round().astype(int)
    return [images[p] for p in picks]


def _picture(data: Dataset, index: int, caption: str, edge: int) -> Picture:
    held_out = bool(data.splits[index] == "ooc_test")
    return Picture(_source(data.image(index), edge), caption, held_out)


def _cell(data: Dataset, index: int) -> str:
    return " x ".join(value_name(data, k, data.latents[k][index]) for k in data.schema.recombined)


def _source(pixels: Array, edge: int) -> str:
    image = Image.fromarray(pixels)
    if image.width > edge:
        image = image.resize((edge, edge), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
