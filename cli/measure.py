"""`measure`: draw scenes of a dataset again with something changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from recombine.renderer.measure.interaction import Report

Folder = Annotated[Path, tyro.conf.Positional]
NOTE = """\
Order 2 and 3: energy of the mixed differences (squared linear radiance) as a share of order 1,
which is what the objects add one by one. +- is the standard error of Monte-Carlo noise; "noise"
is what noise would add. "zero" means that not one pixel differs. Only objects are removed: with
one object there is no second order, and "outside" alone tells how far it reaches beyond its mask.
"""


@dataclass(frozen=True)
class Interaction(Command):
    """Measure how much the objects of a dataset interact in its pixels.

    Takes as many ID as OOC test scenes from matched blocks, removes their objects in every
    combination, and draws each combination with one Cycles seed in linear radiance, undenoised,
    twice (two seeds tell the signal from the noise). Writes interaction.h5, interaction.json and
    interaction.png beside the data. Scenes have 1 to 3 objects; 4, 8 or 16 pictures each.

    Stop it at any time and run the same command again: it goes on.

    Example: recombine measure interaction runs/object-object --scenes 64 --samples 64 --workers 2
    """

    data: Folder
    """Dataset folder."""
    scenes: int = 64
    """Test scenes to measure, half of them ID and half OOC."""
    samples: int = 64
    """Paths per pixel and picture; four times as many halve the noise."""
    workers: int = 2
    """Blender processes, one thread each; use the number of cores."""
    out: Path | None = None
    """Folder to write into, for data that are read-only; the dataset folder by default."""

    def run(self) -> int:
        """Measure and print one line per group."""
        from recombine.renderer.measure.interaction import measure_dataset

        _require(scenes=(self.scenes, 2, 100_000), samples=(self.samples, 1, 65_536))
        _require(workers=(self.workers, 1, 4096))
        console.note_crowding(self.workers)
        with self.progress("interaction") as progress:
            report = measure_dataset(
                self.data,
                scenes=self.scenes,
                samples=self.samples,
                workers=self.workers,
                progress=progress,
                out=self.out,
            )
        if self.json:
            console.emit(report.summary)
        else:
            _print(report)
        return 0


def _require(**options: tuple[int, int, int]) -> None:
    for name, (value, low, high) in options.items():
        if not low <= value <= high:
            raise UsageError(f"--{name}: expected {low} to {high}; got {value}.")


def _print(report: Report) -> None:
    columns = ("scenes", "n", "order 2", "noise", "order 3", "noise", "pixels > 4/255", "outside")
    found = {"all": report.summary["all"], **report.summary["groups"]}
    title = f"{report.summary['dataset']}: interaction at {report.summary['samples']} samples"
    console.table(title, columns, [_row(name, group) for name, group in found.items()])
    for name, contrast in report.summary["contrasts"].items():
        difference, error, spread = (contrast[k] for k in ("difference", "se", "spread"))
        console.line(f"{name}: {difference:+.2e} +- {error:.1e} noise, +- {spread:.1e} over scenes")
    console.line(NOTE)
    console.line(f"{report.data}\n{report.table}\n{report.picture}")


def _row(name: str, group: dict[str, Any]) -> tuple[str, ...]:
    parts = ("relative", "relative_se", "relative_floor", "verdict")
    second, third = (_order(*x) for x in zip(*(group[p] for p in parts), strict=True))
    visible = f"{100 * group['share']:.2f} % (noise {100 * group['share_floor']:.2f} %)"
    outside = f"{100 * group['outside']:.1f} %"
    return (name, str(group["scenes"]), *second, *third, visible, outside)


def _order(value: float, error: float, floor: float, verdict: str) -> tuple[str, str]:
    if verdict in ("zero", "no such order"):
        return verdict, "-"
    return f"{value:.2e} +- {error:.1e}, {verdict}", f"{floor:.1e}"


@dataclass(frozen=True)
class Influence(Command):
    """Write the exact influence masks of a dataset's counterfactual pairs.

    A pair is two test images of one matched block that differ in one slot, or by one removed
    object. Both are drawn undenoised with one Cycles seed, so a pixel that the change does not
    influence is equal to the last bit. Writes counterfactual.h5 (index_a, index_b, edit, mask,
    visible), counterfactual.json and counterfactual.png beside the data.

    Stop it at any time and run the same command again: it goes on.

    Example: recombine measure influence runs/counterfactual --workers 2
    """

    data: Folder
    """Dataset folder; the preset counterfactual holds six edits of every base scene."""
    pairs: int = 256
    """Test pairs, spread over all kinds of edits, ID and OOC; 0 takes all."""
    samples: int = 0
    """Paths per pixel; 0 takes the dataset's own."""
    workers: int = 2
    """Blender processes, one thread each; use the number of cores."""
    out: Path | None = None
    """Folder to write into, for data that are read-only; the dataset folder by default."""

    def run(self) -> int:
        """Draw the pairs and print one line per kind of edit."""
        from recombine.renderer.measure.influence import mask_dataset

        _require(pairs=(self.pairs, 0, 1_000_000), samples=(self.samples, 0, 65_536))
        _require(workers=(self.workers, 1, 4096))
        console.note_crowding(self.workers)
        with self.progress("influence") as progress:
            masks = mask_dataset(
                self.data,
                pairs=self.pairs,
                samples=self.samples,
                workers=self.workers,
                progress=progress,
                out=self.out,
            )
        if self.json:
            console.emit(masks.summary)
            return 0
        rows = [
            (name, str(kind["pairs"]), *(f"{100 * kind[k]:.2f} %" for k in ("mask", "visible")))
            for name, kind in masks.summary["kinds"].items()
        ]
        title = f"{masks.summary['dataset']}: influence at {masks.summary['samples']} samples"
        console.table(title, ("edit", "pairs", "pixels that differ", "by more than 4/255"), rows)
        console.line(f"{masks.data}\n{masks.table}\n{masks.picture}")
        return 0


@dataclass(frozen=True)
class Tangents(Command):
    """Draw training images of a dataset again, with every slot changed a little.

    The differences are the true tangents of the images, for the oracle control
    tangent-penalty-oracle. A slot without a continuous latent changes its value to one that
    training saw with the other slots. Writes tangents.h5 beside the data.

    Stop it at any time and run the same command again: it goes on.

    Example: recombine measure tangents runs/object-background --images 256

    Example: recombine score tangent-penalty-oracle --data runs/object-background \
        --tangents runs/object-background/tangents.h5
    """

    data: Folder
    """Dataset folder."""
    images: int = 256
    """Training images; three pictures are drawn for each."""
    samples: int = 64
    """Paths per pixel."""
    workers: int = 2
    """Blender processes, one thread each; use the number of cores."""
    out: Path | None = None
    """Folder to write into, for data that are read-only; the dataset folder by default."""

    def run(self) -> int:
        """Draw and write."""
        from recombine.renderer.measure.tangents import render_tangents

        _require(images=(self.images, 1, 1_000_000), samples=(self.samples, 1, 65_536))
        _require(workers=(self.workers, 1, 4096))
        console.note_crowding(self.workers)
        with self.progress("tangents") as progress:
            path = render_tangents(
                self.data,
                images=self.images,
                samples=self.samples,
                workers=self.workers,
                progress=progress,
                out=self.out,
            )
        self.reply({"out": str(path)}, str(path))
        return 0
