"""`board build`: result files to a static page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recombine.cli import say


@dataclass(frozen=True)
class Board:
    """Build the static leaderboard page from result files.

    The page needs no server: open it from disk. Entries of different data or metric versions
    never share a board. An old site stays until the new one is complete.

    Example: recombine board build --results runs/results --data runs/smoke
    """

    action: Annotated[Literal["build"], tyro.conf.Positional] = "build"
    """What to do."""
    results: Path = Path("runs/results")
    """Folder with result files (*.json)."""
    data: tuple[Path, ...] = ()
    """Dataset folders whose contact sheet and certificate the page shows."""
    out: Path = Path("runs/site")
    """Folder of the site."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Build the site and print its path."""
        index = build(self.results, self.out, self.data)
        if self.json:
            say.emit({"index": str(index)})
        else:
            say.line(f"open {index.absolute().as_uri()}")
        return 0


def build(results: Path, out: Path, data: tuple[Path, ...]) -> Path:
    """Build the site from every result file in a folder.

    Raises
    ------
    UsageError
        When the folder holds none.
    """
    from recombine.leaderboard.site import build_site
    from recombine.renderer.errors import UsageError

    files = sorted(results.glob("*.json"))
    if not files:
        raise UsageError(
            f"board: {results} must hold result files (*.json); found none. "
            "Make some with `recombine score`."
        )
    return build_site(files, out, data)
