"""The figure of training curves."""

from __future__ import annotations

import pytest

from recombine.benchmark.running.training_curves import Curve
from recombine.leaderboard.exports.figures import training
from recombine.renderer.core.errors import InvalidInputError

pytest.importorskip("matplotlib")

CURVES = [
    Curve("leak/cpu/seed-0", "encoder", (0, 20), (3.0, 1.0)),
    Curve("leak/cpu/seed-1", "encoder", (0, 20), (2.0, 0.5)),
    Curve("vae/cpu/seed-0", "encoder", (0, 20), (4.0, 1.5)),
    Curve("vae/cpu/seed-0", "elbo", (0, 20), (-2.0, 1.5)),
]


def test_there_is_a_panel_per_curve_and_a_colour_per_setting() -> None:
    figure = training(CURVES)
    upper, lower = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["encoder", "elbo"]
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")
    drawn = [line for line in upper.lines if len(line.get_xdata())]
    assert [list(line.get_ydata()) for line in drawn] == [[3.0, 1.0], [2.0, 0.5], [4.0, 1.5]]
    first, second, third = (line.get_color() for line in drawn)
    assert first == second != third
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["leak/cpu", "vae/cpu"]


def test_logs_without_curves_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no training curve"):
        training([])
