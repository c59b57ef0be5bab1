"""Commands that make a dataset: plan, render."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.renderer.presets import Preset

PresetName = Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class Plan:
    """Show what a preset holds: cells, splits and images. Nothing is rendered.

    Example: recombine plan smoke
    """

    preset: PresetName = "smoke"
    """Name of the preset."""
    scale: float = 1.0
    """Share of the matched blocks to keep; whole blocks always stay whole."""
    values: int | None = None
    """Values per recombined factor to keep, a multiple of 4; all by default."""
    split: Path | None = None
    """TOML file that declares another split of the same images."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Plan the preset and print its counts."""
        from recombine.renderer.planning import make_plan
        from recombine.renderer.shift import report
        from recombine.renderer.splits import SPLITS

        preset = _preset(self.preset, self.scale, None, self.split, self.values)
        plan = make_plan(preset)
        counts = {name: int((plan.split == i).sum()) for i, name in enumerate(SPLITS)}
        if self.json:
            say.emit({"config": plan.config, "images": counts, "plan_sha256": plan.digest()})
            return 0
        shape = preset.schema.cell_shape
        say.line(f"{plan.dataset}: {preset.summary}")
        say.line(f"factors: {', '.join(preset.schema.keys)}")
        say.line(f"cells recombine {' x '.join(preset.schema.recombined)}")
        rows = [
            (f"ID, rung {r}", str(len(preset.split.id_cells(shape, r))), "")
            for r in range(len(preset.split.ladder))
        ]
        rows.append(("OOC", str(len(preset.split.ooc_cells(shape))), ""))
        rows += [(name, "", str(n)) for name, n in counts.items()]
        say.table("", ("part", "cells", "images"), rows)
        for rung in range(len(preset.split.ladder)):
            say.line(f"ID against OOC, rung {rung}:")
            ids, ooc = preset.split.id_cells(shape, rung), preset.split.ooc_cells(shape)
            for text in report(ids, ooc).lines():
                say.line(f"  {text}")
        return 0


@dataclass(frozen=True)
class Render:
    """Render a preset into a dataset folder, seal it and verify it.

    The latents of all images are stored first; then Blender processes draw shards that are
    complete or absent. Stop it at any time, even with kill -9, and run the same command again:
    it goes on, and the finished pixels are the same to the last bit.

    Example: recombine render smoke --out runs/smoke --workers 2
    """

    preset: PresetName = "smoke"
    """Name of the preset; `recombine plan PRESET` shows its contents."""
    out: Path = Path("runs/smoke")
    """Dataset folder to write."""
    workers: int = 2
    """Blender processes, one thread each; use the number of cores."""
    scale: float = 1.0
    """Share of the matched blocks to render; whole blocks always stay whole."""
    values: int | None = None
    """Values per recombined factor to keep, a multiple of 4, for a sketch; all by default."""
    split: Path | None = None
    """TOML file that declares another split of the same images; see `recombine plan --split`."""
    resolution: int | None = None
    """Image edge in pixels; the latents stay the same. The preset's own by default."""
    shard_size: int = 64
    """Images per file; also the most that an interruption can lose per worker."""
    existing: Literal["skip", "verify", "overwrite", "error"] = "skip"
    """What to do with shards already there: keep intact ones, only verify, redo, or refuse."""
    json: bool = False
    """Print the certificate as JSON instead of a table."""

    def run(self) -> int:
        """Render, seal, verify and preview."""
        from recombine.renderer.errors import UsageError
        from recombine.renderer.render import render_dataset

        for name in ("workers", "shard_size"):
            if not 1 <= getattr(self, name) <= 4096:
                option = name.replace("_", "-")
                raise UsageError(f"--{option}: expected 1 to 4096; got {getattr(self, name)}.")
        preset = _preset(self.preset, self.scale, self.resolution, self.split, self.values)
        with say.progress(f"render {self.preset}", quiet=self.json) as progress:
            certificate = render_dataset(
                preset,
                self.out,
                workers=self.workers,
                existing=self.existing,
                shard_size=self.shard_size,
                progress=progress,
            )
        if self.json:
            say.emit(certificate.to_dict())
        else:
            say.line(f"{self.out}: sealed, root {certificate.root[:16]}, every check passed")
            say.line(f"contact sheet: {self.out / 'preview.png'}")
        return 0


def _preset(
    name: str, scale: float, resolution: int | None, split: Path | None, values: int | None
) -> Preset:
    from recombine.renderer.presets import load_preset, with_split

    preset = load_preset(name, scale=scale, resolution=resolution, values=values)
    if split is None:
        return preset
    from recombine.renderer.declare import load_split

    return with_split(preset, load_split(split, preset.schema))
