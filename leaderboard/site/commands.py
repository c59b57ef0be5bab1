"""The commands on an entry's page: render the data, make the entry again, check its file.

Everything follows from the result file, and what comes from it is quoted for the shell.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from recombine.renderer.core.errors import UsageError
from recombine.renderer.planning.blocks import thinned
from recombine.renderer.presets.table import load_preset

if TYPE_CHECKING:
    from recombine.benchmark.results.result import Result
    from recombine.renderer.presets.table import Preset

SIZES = ("tiny", "cpu", "gpu")
OURS = "recombine.baselines."
HUB = "recombine.benchmark.submissions.hub_method:"


@dataclass(frozen=True)
class Place:
    """How a result's data are rendered, and where the commands put them.

    Attributes
    ----------
    preset : str
        The recipe.
    resolution : int
        Image edge in pixels.
    ooc_val : bool
        Whether an orbit is held out for validation.
    rung : int
        Of the training ladder.
    values : int
        Values per recombined factor; 0 for all.
    scale : str
        Share of the preset's blocks; empty for all, or where the counts do not tell.
    """

    preset: str
    resolution: int
    ooc_val: bool
    rung: int
    values: int = 0
    scale: str = ""

    @classmethod
    def of(cls, result: Result) -> Place:
        """Read it off the dataset's name, such as ``smoke--values-8--rung-1``, and its counts."""
        preset, *parts = result.data.dataset.split("--")
        rung, values = (_number(parts, name) for name in ("rung", "values"))
        ooc_val = "ooc-val" in parts
        blocks = result.paired_gap.n_blocks if result.paired_gap else 0
        scale = _scale(preset, values, ooc_val, blocks, result.data.n_train) if blocks else ""
        return cls(preset, result.data.resolution, ooc_val, rung, values, scale)

    @property
    def render(self) -> str:
        """Return the command that renders the data."""
        options = [
            f"--values {self.values}" if self.values else "",
            f"--scale {self.scale}" if self.scale else "",
            f"--resolution {self.resolution} --out {self.folder}",
            "--ooc-val" if self.ooc_val else "",
        ]
        return " ".join(filter(None, [f"recombine render {self.preset}", *options]))

    @property
    def folder(self) -> str:
        """Return the dataset's folder."""
        return f"runs/{self.preset}-{self.resolution}"


def is_baseline(result: Result) -> bool:
    """Tell whether a result is of a baseline of this project, which trains by its short name.

    Parameters
    ----------
    result : Result
        The result.

    Returns
    -------
    bool
        From where its code lives.
    """
    return result.method.code.startswith(OURS)


def reproduce(result: Result) -> list[str]:
    """Return the shell commands that render the data and make the entry again.

    Parameters
    ----------
    result : Result
        The entry.

    Returns
    -------
    list of str
        One command per line.
    """
    at = Place.of(result)
    size = str(result.data.n_train)
    made = _train(result, size) or f"recombine score {_submission(result)} {_shared(result, size)}"
    tangents = [f"recombine tangents {at.folder}"] if result.method.settings.get("tangents") else []
    return [at.render, f"recombine verify {at.folder}", *tangents, made]


def scale(result: Result) -> str:
    """Return the command that makes the data-scaling curve of a baseline.

    Parameters
    ----------
    result : Result
        The entry.

    Returns
    -------
    str
        At a sixteenth, a quarter and all of its training images; empty for foreign methods.
    """
    n = result.data.n_train
    sizes = sorted({max(1, n // 16), max(1, n // 4), n})
    return _train(result, ",".join(map(str, sizes)))


def verify(result: Result, file: str) -> list[str]:
    """Return the commands that check a downloaded result file.

    Parameters
    ----------
    result : Result
        The entry.
    file : str
        Name of the file.

    Returns
    -------
    list of str
        From the file alone; and from the predictions, which FOLDER stands for.
    """
    data = Place.of(result).folder
    return [
        f"recombine board check {file}",
        f"recombine rescore {file} --data {data} --runs FOLDER",
    ]


def _train(result: Result, sizes: str) -> str:
    if not is_baseline(result):
        return ""
    settings = result.method.settings
    named = settings.get("size")
    options = [
        f"--size {named}" if named in SIZES else "",
        "--weights FILE" if settings.get("weights") else "",
        f"--tangents {Place.of(result).folder}/tangents.h5" if settings.get("tangents") else "",
    ]
    parts = [f"recombine train {result.method.id}", _shared(result, sizes), *options]
    return " ".join(filter(None, parts))


def _submission(result: Result) -> str:
    """Return what `recombine score` takes for it, one argument."""
    settings, code = result.method.settings, result.method.code
    if code.startswith(HUB):
        return shlex.quote(f"{settings.get('model')}?size={settings.get('size')}")
    return shlex.quote(code or f"{result.method.id}.py:Submission")


def _shared(result: Result, sizes: str) -> str:
    """Return the options that training and scoring share."""
    at = Place.of(result)
    options = [
        f"--data {at.folder} --n {sizes}",
        f"--rung {at.rung}" if at.rung else "",
        f"--seeds {len(result.seeds)} --readout-labels {result.readout.n_train}",
    ]
    if result.method.kind == "inverter":
        options.append(f"--steps {' '.join(map(str, result.compute_curve.steps))}")
    if result.further is not None and result.further.readouts:
        options.append("--full")
    return " ".join(filter(None, options))


def _number(parts: list[str], name: str) -> int:
    """Return the number of a part such as ``rung-2``; 0 without one."""
    found = [part.removeprefix(f"{name}-") for part in parts if part.startswith(f"{name}-")]
    return int(found[0]) if found and found[0].isdecimal() else 0


@cache
def _scale(preset: str, values: int, ooc_val: bool, blocks: int, images: int) -> str:
    """Return the shortest share that gives as many test blocks and training images."""
    load = partial(load_preset, preset, values=values or None, ooc_val=ooc_val)
    try:
        whole = load()
        draws = _draws(whole)
        near = blocks / whole.sizes.test, images / (whole.sizes.train * draws)
        shares = [part + step / 10**d for part in near for d in (1, 2, 3) for step in (0, -1, 1)]
        words = {f"{share:.{d}g}" for share in shares if share > 0 for d in (1, 2, 3)}
        for word in ["1", *sorted(words - {"1"}, key=lambda word: (len(word), word))]:
            sizes = load(scale=float(word)).sizes
            if (sizes.test, sizes.train * draws) == (blocks, images):
                return "" if word == "1" else word
    except UsageError:  # of another renderer
        return ""
    return ""


def _draws(preset: Preset) -> int:
    """Return how many images of the narrowest rung a block gives."""
    schema, split = preset.schema, preset.split
    crossed = math.prod(schema.factor(key).size for key in schema.crossed)
    return crossed * len(thinned(preset, split.id_draws(schema.cell_shape), 0))
