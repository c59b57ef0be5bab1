"""Training curves as a figure: a panel per curve, a line per run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recombine.leaderboard.exports.plots import COLOURS, literal, styled
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recombine.benchmark.running.training_curves import Curve


def training(curves: Sequence[Curve]) -> Figure:
    """Draw training curves.

    Parameters
    ----------
    curves : sequence of Curve
        Of any number of runs; runs that differ in their seed only share a colour.

    Returns
    -------
    Figure
        One panel per recorded name, logarithmic where all its values are above 0.

    Raises
    ------
    InvalidInputError
        When there is no curve.
    """
    if not curves:
        raise InvalidInputError(
            "plot training: the logs hold no training curve; rows that are fitted in closed form "
            "have none"
        )
    names = list(dict.fromkeys(curve.name for curve in curves))
    settings = list(dict.fromkeys(_setting(curve) for curve in curves))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(settings)}
    with styled((4.6, 0.6 + 2.1 * len(names) + 0.16 * len(settings))) as figure:
        panels = figure.subplots(len(names), squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=True):
            _panel(axes, name, [curve for curve in curves if curve.name == name], colours)
        panels[-1].set_xlabel("optimiser step")
        figure.legend(
            handles=[
                panels[0].plot([], [], color=colours[s], label=literal(s))[0] for s in settings
            ],
            loc="outside lower center",
        )
    return figure


def _panel(axes: Axes, name: str, curves: Sequence[Curve], colours: dict[str, str]) -> None:
    for curve in curves:
        axes.plot(curve.steps, curve.values, color=colours[_setting(curve)], linewidth=1, alpha=0.8)
    if all(value > 0 for curve in curves for value in curve.values):
        axes.set_yscale("log")
    axes.set_ylabel(literal(name))


def _setting(curve: Curve) -> str:
    """Return the name of a run without its seed."""
    return curve.run.rpartition("/")[0] or curve.run
