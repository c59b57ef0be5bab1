"""`recombine card`: the data card of a preset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recombine.cli import say


@dataclass(frozen=True)
class Card:
    """Write the data card of a preset: README, contact sheet and certificate.

    The numbers are those of the full preset, the pictures those of the dataset given, which may be
    small and must be verified.

    Example: recombine render object-object --values 8 --scale 0.002 --out runs/small
    Example: recombine card runs/small --out data_cards/object-object
    """

    data: Annotated[Path, tyro.conf.Positional]
    """Dataset folder."""
    out: Path
    """Folder of the card; files in it are replaced."""
    block: int = 0
    """Which matched test block the sheet shows."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Write the card and print its path."""
        from recombine.renderer.card import write_card

        path = write_card(self.data, self.out, block=self.block)
        if self.json:
            say.emit({"card": str(path)})
        else:
            say.line(str(path))
        return 0
