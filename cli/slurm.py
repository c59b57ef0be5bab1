"""`recombine slurm`: a Slurm job array that renders a preset, ready to submit."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from recombine.cli import console
from recombine.cli.render import PresetName

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
#SBATCH --output={logs}/%A-%a.log
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
#SBATCH --output={logs}/seal-%j.log
set -euo pipefail
exec {recombine} merge {out}
"""


@dataclass(frozen=True)
class Slurm:
    """Write a Slurm array script that renders a preset, and the script that seals the result.

    Nothing is submitted; the two commands to do so are printed and stand in the script. Use
    `recombine plan PRESET --estimate` to choose the number of tasks and the hours.

    Example: recombine slurm smoke --out runs/smoke --tasks 8 --cores 4 --hours 2
    """

    preset: PresetName
    """Name of the preset."""
    out: Path
    """Dataset folder, on a disk that every node sees; the scripts go into its folder slurm."""
    tasks: int
    """Tasks of the array."""
    cores: int = 1
    """Cores per task, one Blender each."""
    hours: int = 24
    """Time limit of a task."""
    scale: float = 1.0
    """Share of the matched blocks to render."""
    values: int | None = None
    """Values per recombined factor to keep, a multiple of 4."""
    ooc_val: bool = False
    """Add OOC-val, in place of the widest rung."""
    hidden_key: Path | None = None
    """File with a secret; its hash binds the data to a hidden test set. Every node must see it."""
    hidden: bool = False
    """Render the hidden test set itself; needs --hidden-key."""
    season_key: Path | None = None
    """File with the secret of a private season. Every node must see it."""
    split: Path | None = None
    """TOML file that declares another split of the same images."""
    resolution: int | None = None
    """Image edge in pixels; the preset's own by default."""
    shard_size: int = 64
    """Images per file; also the most that a killed task can lose per worker."""
    json: bool = False
    """Print JSON instead of text."""

    def run(self) -> int:
        """Write both scripts and print how to submit them."""
        import sys

        from recombine.cli.render import chosen_preset
        from recombine.renderer.core.errors import UsageError
        from recombine.renderer.core.files import write_bytes

        for name in ("tasks", "cores", "hours", "shard_size"):
            if not 1 <= getattr(self, name) <= 100_000:
                option = name.replace("_", "-")
                raise UsageError(f"--{option}: expected 1 to 100000; got {getattr(self, name)}.")
        chosen_preset(
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
        out = self.out.absolute()
        render, seal = out / "slurm" / "render.sh", out / "slurm" / "seal.sh"
        words = {
            "name": " ".join(f"{self.preset} into {out}".split()),
            "preset": self.preset,
            "tasks": self.tasks,
            "cores": self.cores,
            "hours": self.hours,
            "memory": max(4, 2 * self.cores),
            "logs": out / "slurm",
            "render": shlex.quote(str(render)),
            "seal": shlex.quote(str(seal)),
            "seal_name": seal.name,
            "out": shlex.quote(str(out)),
            "recombine": shlex.join([sys.executable, "-m", "recombine.cli.main"]),
            "arguments": shlex.join(self._arguments(out)),
        }
        write_bytes(render, RENDER.format(**words).encode())
        write_bytes(seal, SEAL.format(**words).encode())
        if self.json:
            console.emit({"render": str(render), "seal": str(seal)})
        else:
            console.line(f"job=$(sbatch --parsable {words['render']})")
            console.line(f"sbatch --dependency=afterany:$job {words['seal']}")
        return 0

    def _arguments(self, out: Path) -> list[str]:
        words = [self.preset, "--out", str(out), "--shard-size", str(self.shard_size)]
        given = {
            "--scale": None if self.scale == 1.0 else self.scale,
            "--values": self.values,
            "--split": self.split and self.split.absolute(),
            "--hidden-key": self.hidden_key and self.hidden_key.absolute(),
            "--season-key": self.season_key and self.season_key.absolute(),
            "--resolution": self.resolution,
        }
        words += [w for k, v in given.items() if v is not None for w in (k, str(v))]
        flags = {"--ooc-val": self.ooc_val, "--hidden": self.hidden}
        return words + [name for name, wanted in flags.items() if wanted]
