"""The commands on an entry's page: render the data, make the entry again, check its file.

Everything follows from the result file, and what comes from it is quoted for the shell.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recombine.benchmark.result import Result

SIZES = ("tiny", "cpu", "gpu")
OURS = "recombine.baselines."


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
    """

    preset: str
    resolution: int
    ooc_val: bool
    rung: int

    @classmethod
    def of(cls, result: Result) -> Place:
        """Read it off the dataset's name, such as ``smoke--ooc-val--rung-1``."""
        preset, *parts = result.data.dataset.split("--")
        rungs = [part.removeprefix("rung-") for part in parts if part.startswith("rung-")]
        rung = int(rungs[0]) if rungs and rungs[0].isdecimal() else 0
        return cls(preset, result.data.resolution, "ooc-val" in parts, rung)

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
    render = f"recombine render {at.preset} --resolution {at.resolution} --out {at.folder}"
    submission = result.method.code or f"{result.method.id}.py:Submission"
    score = f"recombine score {shlex.quote(submission)} --data {at.folder} {_options(result)}"
    return [
        f"{render} --ooc-val" if at.ooc_val else render,
        f"recombine verify {at.folder}",
        _train(result, str(result.data.n_train)) or score,
    ]


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
    at = Place.of(result)
    rung = f" --rung {at.rung}" if at.rung else ""
    named = result.method.settings.get("size")
    size = f" --size {named}" if named in SIZES else ""
    name = result.method.id
    return f"recombine train {name} --data {at.folder} --n {sizes}{rung}{size} {_options(result)}"


def _options(result: Result) -> str:
    """Return the options that training and scoring share."""
    options = f"--seeds {len(result.seeds)} --readout-labels {result.readout.n_train}"
    if result.method.kind == "inverter":
        options += f" --steps {' '.join(map(str, result.compute_curve.steps))}"
    further = result.further
    return f"{options} --full" if further is not None and further.readouts else options
