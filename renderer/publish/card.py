"""The card of a dataset: README and datasheet, written beside the Parquet files they describe.

Source of the questions of the datasheet: Gebru et al., Datasheets for Datasets, Communications of
the ACM 64(12), 2021.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from recombine.renderer.core.files import visible, write_bytes, write_json
from recombine.renderer.core.project import AUTHORS
from recombine.renderer.planning.planner import config_of
from recombine.renderer.publish.croissant import File, croissant
from recombine.renderer.publish.facts import Facts, Publication
from recombine.renderer.publish.statistics import between
from recombine.renderer.scenes.factors import Factor, Schema
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.preview import contact_sheet

CARD_FILES = (
    "README.md",
    "datasheet.md",
    "croissant.json",
    "certificate.json",
    "contact_sheet.jpg",
)
LARGEST_SHEET = 300_000  # bytes of a contact sheet
LISTED = 8  # names of values in the table of slots
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))


def add_card(data: Dataset, out: Path, publication: Publication, *, block: int = 0) -> None:
    """Write `CARD_FILES` into the folder of a Parquet export, which is then fit to be uploaded."""
    facts = Facts(data, publication)
    write_json(out / "certificate.json", data.certificate)
    files = [File.of(out, path) for path in sorted(visible(out / "data", "*.parquet"))]
    certificate = File.of(out, out / "certificate.json")
    write_json(out / "croissant.json", croissant(facts, files, certificate))
    write_bytes(out / "README.md", readme(facts, files).encode())
    write_bytes(out / "datasheet.md", datasheet(facts).encode())
    contact_sheet(data.path, out / "contact_sheet.jpg", block=block)
    _squeeze(out / "contact_sheet.jpg")


def _squeeze(path: Path) -> None:
    """Encode a sheet again until it is small enough to be kept beside the code."""
    picture = Image.open(io.BytesIO(path.read_bytes()))
    for quality in (90, 84, 76, 68, 60):
        if path.stat().st_size < LARGEST_SHEET:
            return
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        write_bytes(path, buffer.getvalue())


def readme(facts: Facts, files: Sequence[File]) -> str:
    """Return the README: a Hugging Face dataset card."""
    data, preset = facts.data, facts.preset
    full = None
    if preset and facts.variant:
        shape, split = preset.schema.cell_shape, preset.split
        full = _contents(
            preset.schema,
            [len(split.id_cells(shape, r)) for r in range(len(split.ladder))],
            len(split.ooc_cells(shape)),
            facts.full_counts,
            config_of(preset),
        )
    return _render(
        "README.md.j2",
        facts,
        files=files,
        size=next((label for most, label in SIZES if len(data) < most), "1M<n<10M"),
        mine=_contents(data.schema, facts.ladder, facts.held_out, facts.counts, data.config),
        full=full,
        between=between,
        span=_span,
    )


def datasheet(facts: Facts) -> str:
    """Return the datasheet as Markdown."""
    found = {check["name"]: check["found"] for check in facts.checks}
    return _render(
        "datasheet.md.j2",
        facts,
        creator=AUTHORS,
        build=lambda name: facts.build.get(name, "unknown"),
        counts=", ".join(f"{split} {n:,}" for split, n in facts.counts.items()),
        found=lambda name: found.get(name, "not run"),
        statuses=[check["status"] for check in facts.checks],
    )


def _render(template: str, facts: Facts, **context: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return pages.get_template(template).render(facts=facts, data=facts.data, **context)


def _contents(
    schema: Schema,
    ladder: Sequence[int],
    held_out: int,
    counts: dict[str, int],
    config: Mapping[str, Any],
) -> dict[str, str]:
    """Return what is in the images, of the full preset or of these, by name."""
    settings, split = config["settings"], config["split"]
    slots: dict[tuple[Factor, ...], list[str]] = {}
    for slot in schema.slots:
        slots.setdefault(slot.factors, []).append(slot.name)
    rows = {
        "slots": "; ".join(
            f"{_span(names)}: {', '.join(map(_values, factors))}"
            for factors, names in slots.items()
        ),
        "recombined": f"{' x '.join(schema.recombined)}, {' x '.join(map(str, schema.cell_shape))}",
        "every cell at every": ", ".join(schema.crossed),
        "split": f"{split['geometry']}; ID cells per rung {list(ladder)}, OOC cells {held_out}",
        "images": "; ".join(f"{name} {n:,}" for name, n in counts.items()),
        "drawn": f"{settings['resolution']} px, {settings['samples']} paths per pixel, "
        f"{config['tier']} tier" + ("" if settings["denoise"] else " (undenoised)"),
    }
    return {name: text for name, text in rows.items() if text}


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _values(factor: Factor) -> str:
    if not factor.values:
        return factor.name
    more = ", ..." if factor.size > LISTED else ""
    return f"{factor.name} ({factor.size}: {', '.join(factor.values[:LISTED])}{more})"
