"""Commands on a finished dataset: verify, preview, export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recombine.cli import console

Folder = Annotated[Path, tyro.conf.Positional]


@dataclass(frozen=True)
class Verify:
    """Re-derive every claim about a dataset from its stored latents, masks and pixels.

    Writes certificate.json beside the data; scoring refuses data whose certificate fails or
    does not match. Exit code 5 when a check fails.

    Example: recombine verify runs/smoke
    """

    data: Folder
    """Dataset folder."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Verify and print one line per check."""
        from recombine.renderer.certificate.verify import PROVES, verify

        certificate = verify(self.data)
        if self.json:
            console.emit(certificate.to_dict())
        else:
            rows = [(c.name, c.status.upper(), c.claim, c.found) for c in certificate.checks]
            title = f"{certificate.dataset}  root {certificate.root[:16]}"
            console.table(title, ("check", "", "claim", "found"), rows)
            console.line(PROVES)
        return 0 if certificate.passed else 5


@dataclass(frozen=True)
class Preview:
    """Draw the contact sheet of a dataset: every cell once, held-out cells framed.

    With --html it writes one page instead that needs no server: the sheet, traversals along one
    factor, masks, depth and normals, interaction maps where they were measured, certificate.

    Example: recombine preview runs/smoke --out sheet.png
    Example: recombine preview runs/smoke --html
    """

    data: Folder
    """Dataset folder."""
    out: Path | None = None
    """PNG, .jpg or page to write; preview.png or preview.html in the dataset by default."""
    html: bool = False
    """Write a page instead of a picture."""
    block: int = 0
    """Which matched test block to show."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Draw the sheet or the page and print its path."""
        if self.html:
            from recombine.renderer.publish.page import gallery

            path = gallery(self.data, self.out or self.data / "preview.html", block=self.block)
        else:
            from recombine.renderer.store.preview import contact_sheet

            path = contact_sheet(self.data, self.out or self.data / "preview.png", block=self.block)
        if self.json:
            console.emit({"preview": str(path)})
        else:
            console.line(str(path))
        return 0


@dataclass(frozen=True)
class Export:
    """Write a verified dataset in another format; pixels stay lossless.

    A Parquet export is fit to be uploaded as it is: `datasets.load_dataset` loads the folder, its
    pictures show in the Hugging Face viewer, and it carries its data card (README.md,
    datasheet.md, croissant.json with the sha256 of every file, certificate, contact sheet).
    WebDataset is one tar set per split; folder is PNG files with metadata.jsonl.

    Example: recombine export runs/smoke --out runs/smoke-parquet
    Example: mlcroissant validate --jsonld runs/smoke-parquet/croissant.json
    """

    data: Folder
    """Dataset folder."""
    out: Path
    """New folder to write; it must not exist."""
    form: Literal["parquet", "webdataset", "folder"] = "parquet"
    """Format."""
    published: str = ""
    """Day of publication that the card states, YYYY-MM-DD; today by default."""
    url: str = ""
    """Address of the page where the data will be published, if it is known."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Export and print the path."""
        from recombine.cli.card import publication
        from recombine.renderer.publish.export import export

        chosen = publication(self.published, self.url)
        with console.progress(f"export {self.form}", quiet=self.json) as progress:
            path = export(self.data, self.out, self.form, progress=progress, publication=chosen)
        if self.json:
            console.emit({"export": str(path)})
        else:
            console.line(str(path))
        return 0
