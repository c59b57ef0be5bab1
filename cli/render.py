"""Commands that make a dataset: plan, render."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import console

if TYPE_CHECKING:
    from recombine.renderer.certificate.verify import Certificate
    from recombine.renderer.presets.table import Preset

PresetName = Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class Plan:
    """Show what a preset holds: cells, splits and images. Nothing is kept.

    With --estimate it renders a few images on this machine, a minute at most for usual sizes,
    and predicts the time and the disk that `recombine render` would take.

    Example: recombine plan smoke
    Example: recombine plan smoke --estimate --workers 16 --resolution 128
    """

    preset: PresetName = "smoke"
    """Name of the preset."""
    scale: float = 1.0
    """Share of the matched blocks to keep; whole blocks always stay whole."""
    values: int | None = None
    """Values per recombined factor to keep, a multiple of 4; all by default."""
    split: Path | None = None
    """TOML file that declares another split of the same images."""
    estimate: bool = False
    """Render a few images and predict time and disk for this machine."""
    workers: int | None = None
    """Blender processes to predict for; the number of cores by default."""
    resolution: int | None = None
    """Image edge in pixels to predict for; the preset's own by default."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        """Plan the preset and print its counts."""
        if self.estimate:
            return self._estimate()
        return self._counts()

    def _estimate(self) -> int:
        import os

        from recombine.cli.estimate import show
        from recombine.renderer.core.errors import UsageError
        from recombine.renderer.rendering.estimate import estimate

        workers = self.workers or len(os.sched_getaffinity(0))
        if not 1 <= workers <= 1_000_000:
            raise UsageError(f"--workers: expected 1 to 1000000; got {workers}.")
        preset = chosen_preset(self.preset, self.scale, self.resolution, self.split, self.values)
        with console.progress(f"try {self.preset}", quiet=self.json) as progress:
            found = estimate(preset, workers=workers, progress=progress)
        if self.json:
            console.emit(found.to_dict())
        else:
            show(self.preset, found)
        return 0

    def _counts(self) -> int:
        from recombine.renderer.planning.planner import make_plan
        from recombine.renderer.splits.cells import drawn_total_variation, report
        from recombine.renderer.splits.splits import SPLITS

        preset = chosen_preset(self.preset, self.scale, self.resolution, self.split, self.values)
        plan = make_plan(preset)
        counts = {name: int((plan.split == i).sum()) for i, name in enumerate(SPLITS)}
        if self.json:
            console.emit({"config": plan.config, "images": counts, "plan_sha256": plan.digest()})
            return 0
        shape = preset.schema.cell_shape
        console.line(f"{plan.dataset}: {preset.summary}")
        console.line(f"factors: {', '.join(preset.schema.keys)}")
        console.line(f"cells recombine {' x '.join(preset.schema.recombined)}")
        rows = [
            (f"ID, rung {r}", str(len(preset.split.id_cells(shape, r))), "")
            for r in range(len(preset.split.ladder))
        ]
        rows.append(("OOC", str(len(preset.split.ooc_cells(shape))), ""))
        rows += [(name, "", str(n)) for name, n in counts.items()]
        console.table("", ("part", "cells", "images"), rows)
        for rung in range(len(preset.split.ladder)):
            console.line(f"ID against OOC, rung {rung}:")
            ids, ooc = preset.split.id_cells(shape, rung), preset.split.ooc_cells(shape)
            for text in report(ids, ooc).lines():
                console.line(f"  {text}")
            drawn = preset.split.id_draws(shape, rung), preset.split.ooc_draws(shape)
            if len(drawn[0]) != len(ids):
                console.line(f"  as often as cells are drawn: TV {drawn_total_variation(*drawn)}")
        return 0


@dataclass(frozen=True)
class Render:
    """Render a preset into a dataset folder, seal it and verify it.

    The latents of all images are stored first; then Blender processes draw shards that are
    complete or absent. Stop it at any time, even with kill -9, and run the same command again:
    it goes on, and the finished pixels are the same to the last bit.

    Three places to draw, all with the same result: the cores of this machine (--workers), the
    workers of a dask scheduler (--cluster), or the tasks of a job array (--shard i/n; see
    `recombine slurm`). The folder is on a disk that all of them see, or each task has its own
    and `recombine merge` joins them.

    Example: recombine render smoke --out runs/smoke --workers 2
    """

    preset: PresetName = "smoke"
    """Name of the preset; `recombine plan PRESET` shows its contents."""
    out: Path = Path("runs/smoke")
    """Dataset folder to write."""
    workers: int = 2
    """Blender processes, one thread each; use the number of cores."""
    max_memory: float = 4.0
    """GB of memory per worker; one that holds more is replaced after its shard."""
    cluster: str | None = None
    """Address of a dask scheduler, such as tcp://node1:8786; its workers draw."""
    shard: str | None = None
    """Draw only the i-th of n groups of shards, written i/n; the last to finish seals."""
    scale: float = 1.0
    """Share of the matched blocks to render; whole blocks always stay whole."""
    values: int | None = None
    """Values per recombined factor to keep, a multiple of 4, for a sketch; all by default."""
    ooc_val: bool = False
    """Add OOC-val, residues held out of every rung, in place of the widest rung."""
    hidden_key: Path | None = None
    """File with a secret of 16 bytes or more; its hash binds the data to a hidden test set."""
    hidden: bool = False
    """Render the hidden test set itself, into a folder of its own; needs --hidden-key."""
    season_key: Path | None = None
    """File with the secret of a private season: every image seed follows from it."""
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
        self._check()
        preset = chosen_preset(
            self.preset,
            self.scale,
            self.resolution,
            self.split,
            self.values,
            ooc_val=self.ooc_val,
            hidden_key=self.hidden_key,
            hidden=self.hidden,
            season_key=self.season_key,
        )
        label = f"render {self.preset}" + (f", shard {self.shard}" if self.shard else "")
        with console.progress(label, quiet=self.json) as progress:
            if self.shard:
                return self._part(preset, progress)
            certificate = self._whole(preset, progress)
        self._say(certificate)
        return 0

    def _check(self) -> None:
        from recombine.renderer.core.errors import UsageError

        for name in ("workers", "shard_size"):
            if not 1 <= getattr(self, name) <= 4096:
                option = name.replace("_", "-")
                raise UsageError(f"--{option}: expected 1 to 4096; got {getattr(self, name)}.")
        if not self.max_memory > 0:
            raise UsageError(f"--max-memory: expected GB above 0; got {self.max_memory}.")
        if self.shard and self.cluster:
            raise UsageError("--shard and --cluster: expected one of them; got both.")
        if self.shard and self.existing != "skip":
            raise UsageError(
                "--shard: tasks share a folder and only add to it (--existing skip); got "
                f"--existing {self.existing}. Remove the folder to start over."
            )

    def _whole(self, preset: Preset, progress: console.Progress) -> Certificate:
        from recombine.renderer.rendering.render import local_engine, render_dataset

        render = partial(
            render_dataset,
            preset,
            self.out,
            existing=self.existing,
            shard_size=self.shard_size,
            progress=progress,
        )
        if self.existing == "verify":
            return render()
        if not self.cluster:
            return render(engine=local_engine(self.workers, int(self.max_memory * 1e9)))
        from recombine.renderer.rendering.cluster import cluster_engine

        memory = int(self.max_memory * 1e9)
        with cluster_engine(self.cluster, self.out, max_rss=memory) as engine:
            return render(engine=engine)

    def _part(self, preset: Preset, progress: console.Progress) -> int:
        from recombine.renderer.rendering.render import Part, local_engine, render_part

        outcome = render_part(
            preset,
            self.out,
            Part.parse(self.shard or ""),
            shard_size=self.shard_size,
            progress=progress,
            engine=local_engine(self.workers, int(self.max_memory * 1e9)),
        )
        if outcome.certificate:
            self._say(outcome.certificate)
        elif self.json:
            console.emit(
                {"shard": self.shard, "images": outcome.images, "missing": outcome.missing}
            )
        elif outcome.missing:
            console.line(
                f"{self.out}: shard {self.shard} is done ({outcome.images} images); "
                f"{outcome.missing} files of other tasks are open, the last task seals"
            )
        else:
            console.line(f"{self.out}: shard {self.shard} is done; another task has sealed")
        return 0

    def _say(self, certificate: Certificate) -> None:
        if self.json:
            console.emit(certificate.to_dict())
        else:
            console.line(f"{self.out}: sealed, root {certificate.root[:16]}, every check passed")
            console.line(f"contact sheet: {self.out / 'preview.png'}")


def chosen_preset(
    name: str,
    scale: float,
    resolution: int | None,
    split: Path | None,
    values: int | None,
    *,
    ooc_val: bool = False,
    hidden_key: Path | None = None,
    hidden: bool = False,
    season_key: Path | None = None,
) -> Preset:
    """Return the preset that the options of a command choose."""
    from recombine.renderer.presets.table import load_preset, with_split

    preset = load_preset(name, scale=scale, resolution=resolution, values=values, ooc_val=ooc_val)
    if split is not None:
        from recombine.renderer.splits.declare import load_split

        preset = with_split(preset, load_split(split, preset.schema))
    return _keyed(preset, hidden_key, hidden, season_key)


def _keyed(preset: Preset, hidden_key: Path | None, hidden: bool, season: Path | None) -> Preset:
    from recombine.renderer.core.errors import UsageError
    from recombine.renderer.presets import keys as parts

    if hidden and not hidden_key:
        raise UsageError("--hidden: expected the secret too; got none. Add --hidden-key FILE.")
    if hidden_key and season:
        raise UsageError("--season-key and --hidden-key: expected one of them; got both.")
    if season:
        return parts.season(preset, parts.read_key(season))
    if hidden_key:
        bind = parts.hidden_test if hidden else parts.committed
        return bind(preset, parts.read_key(hidden_key))
    return preset
