"""`render`: a preset becomes a dataset folder, here, on a cluster, or by a job array."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.renderer.certificate.verify import Certificate
    from recombine.renderer.presets.table import Preset
    from recombine.renderer.rendering.estimate import Estimate, Range

TIMES = (("days", 1 / 24), ("hours", 1.0), ("minutes", 60.0))
SIZES = (("TB", 1e-3), ("GB", 1.0), ("MB", 1e3))
RENDER = """\
#!/bin/bash
# Renders {name} as {tasks} independent tasks into one folder.
#   job=$(sbatch --parsable {render})
#   sbatch --dependency=afterany:$job {seal}
# Tasks share nothing but the folder, which must be on a disk that every node sees. A task that
# is killed, preempted or resubmitted goes on where it stopped; to repeat tasks 3 and 7 only:
#   sbatch --array=3,7 {render}
# The task that finishes last seals the dataset; {seal_name} tells what is missing if none did.
#SBATCH --job-name=recombine-{preset}
#SBATCH --array=1-{tasks}
#SBATCH --cpus-per-task={cores}
#SBATCH --mem={memory}G
#SBATCH --time={hours}:00:00
#SBATCH --output={logs}%A-%a.log"
#SBATCH --requeue
# Lines for your site, for example:
##SBATCH --partition=NAME
##SBATCH --account=NAME
set -euo pipefail

# One single-threaded Blender per core; each takes about 0.7 GB.
exec {recombine} render {arguments} \\
    --shard "${{SLURM_ARRAY_TASK_ID}}/{tasks}" --workers "${{SLURM_CPUS_PER_TASK:-{cores}}}"
"""

SEAL = """\
#!/bin/bash
# Seals and verifies {name} after its job array, or says which images are missing.
#SBATCH --job-name=recombine-seal
#SBATCH --cpus-per-task=1
#SBATCH --mem=8G
#SBATCH --time=4:00:00
#SBATCH --output={logs}seal-%j.log"
set -euo pipefail
exec {recombine} dataset merge {out}
"""


@dataclass(frozen=True)
class PresetOptions(Command):
    """The options that decide which images a dataset holds."""

    preset: Annotated[str, tyro.conf.Positional] = "smoke"
    """Name of the preset; `recombine dataset plan PRESET` shows its contents."""
    scale: float = 1.0
    """Share of the matched blocks to keep; whole blocks always stay whole."""
    values: int | None = None
    """Values per recombined factor to keep, a multiple of 4, for a sketch; all by default."""
    split: Path | None = None
    """TOML file that declares another split of the same images."""
    resolution: int | None = None
    """Image edge in pixels; the latents stay the same. The preset's own by default."""
    ooc_val: bool = False
    """Add OOC-val, residues held out of every rung, in place of the widest rung."""
    assets: Path | None = None
    """TOML ledger of your own meshes, panoramas and textures, which declares a variant of the
    preset; see "Your own assets" in docs/assets.md."""
    hidden_key: Path | None = None
    """File with a secret of 16 bytes or more; its hash binds the data to a hidden test set."""
    hidden: bool = False
    """The hidden test set itself, for a folder of its own; needs --hidden-key."""
    season_key: Path | None = None
    """File with the secret of a private season: every image seed follows from it."""

    def chosen(self) -> Preset:
        """Return the preset that the options choose."""
        from recombine.renderer.presets import keys
        from recombine.renderer.presets.table import load_preset, with_split

        if self.hidden and not self.hidden_key:
            raise UsageError("--hidden: expected the secret too; got none. Add --hidden-key FILE.")
        if self.hidden_key and self.season_key:
            raise UsageError("--season-key and --hidden-key: expected one of them; got both.")
        ledger = None
        if self.assets is not None:
            from recombine.renderer.planning.ledger import load_ledger

            ledger = load_ledger(self.assets)
        preset = load_preset(
            self.preset,
            scale=self.scale,
            resolution=self.resolution,
            values=self.values or (ledger.values if ledger else None),
            ooc_val=self.ooc_val,
        )
        if ledger is not None:
            from recombine.renderer.planning.ledger import declare

            preset = declare(preset, ledger)
        if self.split is not None:
            from recombine.renderer.splits.declaration import load_split

            preset = with_split(preset, load_split(self.split, preset.schema))
        if self.season_key:
            return keys.season(preset, keys.read_key(self.season_key))
        if self.hidden_key:
            bind = keys.hidden_test if self.hidden else keys.committed
            return bind(preset, keys.read_key(self.hidden_key))
        return preset

    def words(self) -> list[str]:
        """Return all but the preset as words of a command line, with absolute paths."""
        words = []
        for one in fields(PresetOptions):
            value = getattr(self, one.name)
            if one.name in ("preset", "json") or value == one.default:
                continue
            words.append("--" + one.name.replace("_", "-"))
            if value is not True:
                words.append(str(value.absolute() if isinstance(value, Path) else value))
        return words


@dataclass(frozen=True)
class Render(PresetOptions):
    """Render a preset into a dataset folder, seal it and verify it.

    The latents of all images are stored first; then Blender processes draw shards that are
    complete or absent. Stop it at any time, even with kill -9, and run the same command again:
    it goes on, and the finished pixels are the same to the last bit.

    Three places to draw, all with the same result: the cores of this machine (--workers), the
    workers of a dask scheduler (--cluster), or the tasks of a job array (--shard i/n). The folder
    is on a disk that all of them see, or each task has its own and `recombine dataset merge` joins
    them.

    --slurm N renders nothing: it writes the script of a Slurm array of N tasks with --workers
    cores each, and the script that seals the result, into OUT/slurm, and prints the two commands
    that submit them. --estimate renders a few images on this machine, a minute at most for usual
    sizes, and predicts the time and the disk that the same command without it would take.

    Example: recombine render smoke --out runs/smoke --workers 2
    Example: recombine render smoke --estimate --workers 16 --resolution 128
    Example: recombine render object-background --assets my.toml --out runs/mine
    Example: recombine render smoke --out /shared/smoke --slurm 8 --workers 4 --hours 2
    """

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
    slurm: int | None = None
    """Write a Slurm array of so many tasks in place of rendering; every node must see OUT and
    the key files."""
    hours: int = 24
    """Time limit of a task of the Slurm array."""
    estimate: bool = False
    """Render a few images and predict time and disk for this machine; nothing is kept."""
    shard_size: int = 64
    """Images per file; also the most that an interruption can lose per worker."""
    existing: Literal["skip", "verify", "overwrite", "error"] = "skip"
    """What to do with shards already there: keep intact ones, only verify, redo, or refuse."""

    def run(self) -> int:
        """Render, seal, verify and preview; or write scripts, or predict."""
        self._check()
        preset = self.chosen()
        if self.slurm is not None:
            return self._scripts()
        if self.estimate:
            return self._estimate(preset)
        if self.cluster is None and self.existing != "verify":
            console.note_crowding(self.workers)
        label = f"render {self.preset}" + (f", shard {self.shard}" if self.shard else "")
        with self.progress(label) as progress:
            if self.shard:
                return self._part(preset, progress)
            certificate = self._whole(preset, progress)
        self._say(certificate)
        return 0

    def _check(self) -> None:
        workers = 1_000_000 if self.estimate else 4096
        most = {"workers": workers, "shard_size": 4096, "slurm": 100_000, "hours": 100_000}
        for name, high in most.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= high:
                option = name.replace("_", "-")
                raise UsageError(f"--{option}: expected 1 to {high}; got {value}.")
        if not self.max_memory > 0:
            raise UsageError(f"--max-memory: expected GB above 0; got {self.max_memory}.")
        ways = {"shard": self.shard, "cluster": self.cluster, "slurm": self.slurm}
        ways["estimate"] = self.estimate or None
        given = [f"--{name}" for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)}: expected one of them; got both.")
        if (self.shard or self.slurm) and self.existing != "skip":
            raise UsageError(
                f"{given[0]}: tasks share a folder and only add to it (--existing skip); got "
                f"--existing {self.existing}. Remove the folder to start over."
            )

    def _estimate(self, preset: Preset) -> int:
        from recombine.renderer.rendering.estimate import estimate

        with self.progress(f"try {self.preset}") as progress:
            found = estimate(preset, workers=self.workers, progress=progress)
        if self.json:
            console.emit(found.to_dict())
        else:
            _show_estimate(self.preset, found)
        return 0

    def _scripts(self) -> int:
        """Write the script of the array and the one that seals; print how to submit them."""
        from recombine.renderer.core.files import write_bytes

        out = self.out.absolute()
        if not str(out).isprintable():
            raise UsageError(
                f"--slurm: expected a path that fits on one line of a script; got {str(out)!r}. "
                "Choose another --out."
            )
        render, seal = out / "slurm" / "render.sh", out / "slurm" / "seal.sh"
        words = {
            "name": " ".join(f"{self.preset} into {out}".split()),
            "preset": self.preset,
            "tasks": self.slurm,
            "cores": self.workers,
            "hours": self.hours,
            "memory": max(4, 2 * self.workers),
            "logs": _sbatch_quoted(f"{out / 'slurm'}/"),
            "render": shlex.quote(str(render)),
            "seal": shlex.quote(str(seal)),
            "seal_name": seal.name,
            "out": shlex.quote(str(out)),
            "recombine": shlex.join([sys.executable, "-P", "-m", "recombine.cli.main"]),
            "arguments": shlex.join(self.task_words()),
        }
        write_bytes(render, RENDER.format(**words).encode())
        write_bytes(seal, SEAL.format(**words).encode())
        self.reply(
            {"render": str(render), "seal": str(seal)},
            f"job=$(sbatch --parsable {words['render']})",
            f"sbatch --dependency=afterany:$job {words['seal']}",
        )
        return 0

    def task_words(self) -> list[str]:
        """Return what every task of the array passes to `recombine render`."""
        words = [self.preset, "--out", str(self.out.absolute())]
        words += ["--shard-size", str(self.shard_size), *self.words()]
        if self.max_memory != 4.0:
            words += ["--max-memory", str(self.max_memory)]
        return words

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
        self.reply(
            certificate.to_dict(),
            f"{self.out}: sealed, identity {certificate.identity[:16]}, every check passed",
            f"contact sheet: {self.out / 'preview.png'}",
        )


def _sbatch_quoted(text: str) -> str:
    """Return the start of a word of a #SBATCH line, its quotes still open."""
    # Slurm's own rules: a backslash escapes, and % begins a pattern in the name of a log.
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _show_estimate(name: str, found: Estimate) -> None:
    """Print an estimate as a table, with what it assumes."""
    rows = [
        ("images", f"{found.images:,} at {found.resolution} px", ""),
        ("CPU-s per image", *_cells(found.cpu_seconds)),
        ("CPU-s to start a worker", f"{found.start_seconds:.1f}", ""),
        _row("{} with " + f"{found.workers} workers", found.hours, TIMES),
        _row("{} on disk", found.gigabytes, SIZES),
    ]
    console.table(f"{name} on this machine", ("", "estimate", "95 % interval"), rows)
    console.line(
        f"From {found.samples} renders here; assumes a free core per worker and that other "
        "machines are as fast as this one."
    )


def _row(label: str, value: Range, units: Sequence[tuple[str, float]]) -> tuple[str, str, str]:
    name, factor = next((u for u in units if value.mean * u[1] >= 1), units[-1])
    return label.format(name), *_cells(value.times(factor))


def _cells(value: Range) -> tuple[str, str]:
    return f"{value.mean:.3g}", f"{value.low:.3g} to {value.high:.3g}"
