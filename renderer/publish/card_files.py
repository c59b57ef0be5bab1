"""The files of a card, written beside the Parquet files that they describe."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from recombine.renderer.core.files import write_bytes, write_json
from recombine.renderer.publish.card_datasheet import datasheet
from recombine.renderer.publish.card_readme import readme
from recombine.renderer.publish.croissant import File, croissant
from recombine.renderer.publish.facts import Facts, Publication
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.preview import contact_sheet

CARD_FILES = (
    "README.md",
    "datasheet.md",
    "croissant.json",
    "certificate.json",
    "contact_sheet.jpg",
)
LARGEST_SHEET = 300_000


def add_card(data: Dataset, out: Path, publication: Publication, *, block: int = 0) -> None:
    """Write `CARD_FILES` into the folder of a Parquet export, which is then fit to be uploaded."""
    facts = Facts(data, publication)
    write_json(out / "certificate.json", data.certificate)
    files = [File.of(out, path) for path in sorted((out / "data").glob("*.parquet"))]
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
