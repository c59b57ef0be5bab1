"""`recombine card`: the data card of a preset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import console

if TYPE_CHECKING:
    from recombine.renderer.publish.facts import Publication


@dataclass(frozen=True)
class Card:
    """Write the data card of a preset: the files that its Parquet export carries, without the data.

    README.md is a Hugging Face dataset card; datasheet.md answers the questions of Datasheets for
    Datasets; croissant.json describes the exported files for machines; certificate.json and
    contact_sheet.jpg are what was verified and what it looks like. Everything is read off the
    data, which may be a small version and are verified first; the card says which one it is of.
    `recombine export` writes the same files beside the data.

    Example: recombine render object-object --values 8 --scale 0.002 --out runs/small
    Example: recombine card runs/small --out data_cards/object-object
    """

    data: Annotated[Path, tyro.conf.Positional]
    """Dataset folder."""
    out: Path
    """Folder of the card; files in it are replaced."""
    block: int = 0
    """Which matched test block the sheet shows."""
    published: str = ""
    """Day of publication, YYYY-MM-DD; today by default."""
    url: str = ""
    """Address of the page where the data are published, if there is one."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Write the card and print its path."""
        from recombine.renderer.publish.card import write_card

        chosen = publication(self.published, self.url)
        path = write_card(self.data, self.out, block=self.block, publication=chosen)
        if self.json:
            console.emit({"card": str(path)})
        else:
            console.line(str(path))
        return 0


def publication(published: str, url: str) -> Publication:
    """Return what the options of a command say about the publication."""
    from recombine.renderer.core.errors import UsageError
    from recombine.renderer.publish.facts import Publication

    try:
        day = date.fromisoformat(published) if published else datetime.now(UTC).date()
    except ValueError:
        raise UsageError(
            f"--published: expected a day as YYYY-MM-DD; got {published!r}. Leave it out for today."
        ) from None
    return Publication(day, url)
