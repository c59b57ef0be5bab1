"""`recombine merge`: join and seal what several tasks have drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recombine.cli import console


@dataclass(frozen=True)
class Merge:
    """Join folders that `render --shard i/n` filled on machines without a common disk, and seal.

    Checks that all follow one plan, that every shard is there and that none differs between
    two folders; links files where it can. The root is that of one uninterrupted run. With one
    folder and no --out it seals that folder in place.

    Example: recombine merge part1 part2 --out runs/smoke
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Dataset folders, in any order."""
    out: Path | None = None
    """New dataset folder; may be left out to seal a single folder in place."""
    json: bool = False
    """Print JSON instead of a line."""

    def run(self) -> int:
        """Join, seal, verify and print the root."""
        from recombine.renderer.core.errors import UsageError
        from recombine.renderer.rendering.merge import merge, seal_folder

        if self.out is None:
            if len(self.folders) != 1:
                raise UsageError(
                    f"merge: expected --out for {len(self.folders)} folders; got none. "
                    "Only a single folder can be sealed in place."
                )
            certificate, shards, twice = seal_folder(self.folders[0]), None, None
        else:
            with console.progress("merge", quiet=self.json) as progress:
                merged = merge(self.folders, self.out, progress=progress)
            certificate, shards, twice = merged.certificate, merged.shards, merged.twice
        if self.json:
            console.emit(certificate.to_dict() | {"shards": shards, "shards_found_twice": twice})
        else:
            place = self.out or self.folders[0]
            again = f" ({twice} shards were in several folders, equal)" if twice else ""
            console.line(
                f"{place}: sealed, root {certificate.root[:16]}, every check passed{again}"
            )
        return 0
