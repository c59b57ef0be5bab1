"""The data card of a preset: what it holds, a contact sheet and what its certificate found.

The numbers are those of the full preset; the pictures and the certificate are those of a small
dataset of it, whose command the card names.
"""

from __future__ import annotations

import inspect
import io
import json
import math
from pathlib import Path

from PIL import Image

from recombine.renderer.atomic import write_bytes
from recombine.renderer.errors import UsageError
from recombine.renderer.factors import Factor
from recombine.renderer.library import CAMERA
from recombine.renderer.planning import image_counts
from recombine.renderer.presets import PRESETS, load_preset
from recombine.renderer.presets_base import Preset
from recombine.renderer.preview import contact_sheet
from recombine.renderer.reader import Dataset
from recombine.renderer.verify import verify

LARGEST_SHEET = 300_000
LISTED = 8  # names of values in the table of slots
DISTANCE = math.dist(CAMERA.position, CAMERA.target)
SIZES = ((10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**9, "100K<n<1M"))


def write_card(folder: Path, out: Path, *, block: int = 0) -> Path:
    """Write README.md, contact_sheet.jpg and certificate.json of a preset.

    Parameters
    ----------
    folder : Path
        A sealed dataset of the preset, of any size; it is verified first.
    out : Path
        Folder of the card; files in it are replaced.
    block : int
        Which matched test block the sheet shows.

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
    """
    verify(folder)
    data = Dataset(folder)
    data.check()
    name = data.preset.partition("--")[0]
    if name not in PRESETS:
        raise UsageError(f"card: expected data of a preset of {sorted(PRESETS)}; got {name!r}.")
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(folder, out / "contact_sheet.jpg", block=block)
    _squeeze(out / "contact_sheet.jpg")
    text = json.dumps(data.certificate, indent=1) + "\n"
    write_bytes(out / "certificate.json", text.encode())
    write_bytes(out / "README.md", card(load_preset(name), data).encode())
    return out / "README.md"


def card(preset: Preset, data: Dataset) -> str:
    """Return the text of a card.

    Parameters
    ----------
    preset : Preset
        The full preset.
    data : Dataset
        The small dataset that the sheet shows.
    """
    counts = image_counts(preset)
    about = inspect.getdoc(getattr(PRESETS[preset.name], "func", PRESETS[preset.name])) or ""
    about = about.partition("\n\nParameters\n")[0].removeprefix("Return ")
    size = next(label for most, label in SIZES if sum(counts.values()) < most)
    return "\n".join(
        [
            "---",
            "license: cc-by-4.0",
            "task_categories: [image-classification, unconditional-image-generation]",
            "tags: [compositional-generalization, object-centric, synthetic, blender]",
            f"size_categories: [{size}]",
            "---",
            f"\n# {preset.name}\n",
            f"{preset.summary[0].upper()}{preset.summary[1:]}.\n",
            f"{about[0].upper()}{about[1:]}\n",
            "![Test cells under one nuisance vector; held-out cells framed](contact_sheet.jpg)\n",
            _caption(data),
            *_facts(preset, counts),
            *_certified(data),
            *_limits(preset, data),
        ]
    )


def _caption(data: Dataset) -> str:
    return (
        f"The sheet shows a matched test block of `{data.name}`, {len(data)} images of "
        f"{data.resolution} px. Everything that is not recombined is equal in all tiles of a "
        "panel; held-out cells are framed, empty places are cells that no test block holds.\n"
    )


def _facts(preset: Preset, counts: dict[str, int]) -> list[str]:
    schema, shape = preset.schema, preset.schema.cell_shape
    ladder = [len(preset.split.id_cells(shape, r)) for r in range(len(preset.split.ladder))]
    cells = f"ID cells per rung {ladder}, OOC cells {len(preset.split.ooc_cells(shape))}"
    settings = preset.settings
    rows = [("slots", "; ".join(f"{s.name}: {_factors(s.factors)}" for s in schema.slots))]
    rows += [
        ("recombined", f"{' x '.join(schema.recombined)}, {' x '.join(map(str, shape))}"),
        ("split", f"{preset.split.to_dict()['geometry']}; {cells}"),
        ("images", "; ".join(f"{split} {n:,}" for split, n in counts.items())),
        (
            "drawn",
            f"{settings.resolution} px, {settings.samples} paths per pixel, "
            f"{settings.tier} tier" + ("" if settings.denoise else " (undenoised)"),
        ),
        (
            "per image",
            "RGB, instance mask, depth, normals, visible and amodal share, latents, seeds, hashes",
        ),
        ("render it", f"`recombine render {preset.name} --out runs/{preset.name}`"),
        (
            "licence",
            "CC-BY-4.0, training generative models explicitly permitted; all assets procedural",
        ),
    ]
    if schema.crossed:
        rows.insert(2, ("every cell at every", ", ".join(schema.crossed)))
    return ["| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]


def _factors(factors: tuple[Factor, ...]) -> str:
    return ", ".join(f"{f.name}{_values(f)}" for f in factors)


def _values(factor: Factor) -> str:
    if not factor.values:
        return ""
    more = ", ..." if factor.size > LISTED else ""
    return f" ({factor.size}: {', '.join(factor.values[:LISTED])}{more})"


def _certified(data: Dataset) -> list[str]:
    rows = [f"| {c['name']} | {c['status']} | {c['found']} |" for c in data.certificate["checks"]]
    return [
        f"\n## What the certificate of `{data.name}` found\n",
        "| check | | found |",
        "|---|---|---|",
        *rows,
        f"\n{data.certificate['proves']}\n",
    ]


def _limits(preset: Preset, data: Dataset) -> list[str]:
    schema = preset.schema
    scales = [b for slot in schema.objects for b in schema.factor(f"{slot}.scale").bounds]
    edge = preset.settings.resolution
    zoom = edge * CAMERA.focal / CAMERA.sensor / DISTANCE  # pixels per metre
    low, high = round(min(scales) * zoom), round(max(scales) * zoom)
    stated = [c["name"] for c in data.certificate["checks"] if c["status"] == "stated"]
    lines = [
        "- One fixed camera, a flat floor and procedural assets only: no claim about photographs.",
        f"- In the middle of the scene an object is {low} to {high} of {edge} pixels wide.",
    ]
    if stated:
        lines.append(f"- Differs between ID and OOC by design, see above: {', '.join(stated)}.")
    return ["## Known limits\n", *lines, ""]


def _squeeze(path: Path) -> None:
    """Encode a sheet again until it is small enough to be kept beside the code."""
    picture = Image.open(io.BytesIO(path.read_bytes()))
    for quality in (90, 84, 76, 68, 60):
        if path.stat().st_size < LARGEST_SHEET:
            return
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        write_bytes(path, buffer.getvalue())
