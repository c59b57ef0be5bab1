"""`new-submission`: write a working example to start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recombine.cli import console


@dataclass(frozen=True)
class NewSubmission:
    """Write a small submission that works and is meant to be changed.

    Three kinds: an encoder maps images to slots and is scored as it is; a learner is trained by
    the harness, once per seed; an inverter searches for the slots that a decoder turns into the
    image, one step per call. Every one passes `recombine check` as written, and is named after
    its folder.

    Example: recombine new-submission my_method --kind learner
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """New folder; an existing one is refused."""
    kind: Literal["encoder", "learner", "inverter"] = "learner"
    """What to start from."""
    json: bool = False
    """Print the written files as JSON."""

    def run(self) -> int:
        """Write the files and print the next commands."""
        from recombine.benchmark.submissions.scaffold import write_scaffold

        made = write_scaffold(self.folder, self.kind)
        if self.json:
            console.emit(
                {
                    "submission": made.spec,
                    "method": made.method,
                    "files": [str(p) for p in made.files],
                }
            )
            return 0
        for path in made.files:
            console.line(f"wrote {path}")
        console.line("Next:")
        console.line(f"  recombine check {made.spec}")
        console.line("  recombine render smoke --scale 0.08 --out runs/toy")
        console.line(
            f"  recombine score {made.spec} --data runs/toy --out runs/toy-results --seeds 2"
        )
        console.line("From there to the leaderboard: docs/submitting.md")
        return 0
