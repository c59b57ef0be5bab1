"""Figures of the studies, from the rows of their reports."""

from __future__ import annotations

import math
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

from recombine.leaderboard.exports.figures import looks, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Row = dict[str, Any]

PANELS = (("z", "error of the latents"), ("x", "error of the regenerated observation"))
SEARCHES = (("random", "search,\n1 start"), ("best", "best of\nstarts"))


def invertibility(rows: Sequence[Row]) -> Figure:
    """Draw the errors of encoders of growing size, and of search, per kind of generator."""
    sizes = list(dict.fromkeys((r["width"], r["depth"]) for r in rows if r["width"]))
    names = [f"{width}x{depth}" for width, depth in sizes]
    names += [label for _, label in SEARCHES] + ["search from\nencoder"]
    with styled((9.4, 3.6)) as figure:
        panels: Any = figure.subplots(1, 2, sharex=True)
        for axes, (key, title) in zip(panels, PANELS, strict=True):
            for family, look in zip(
                dict.fromkeys(r["family"] for r in rows), looks(), strict=False
            ):
                _family(axes, rows, family, sizes, key, look)
            axes.set_yscale("log")
            axes.set_title(f"{title}, relative to its variance", fontsize=9)
            axes.set_xticks(range(len(names)), names, fontsize=7, rotation=60)
            axes.axvline(len(sizes) - 0.5, color="#9aa2ab", linewidth=0.8)
        panels[1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
        figure.supxlabel("encoder, width x hidden layers; then search", fontsize=9)
    return figure


def variance(rows: Sequence[Row]) -> Figure:
    """Draw cycles, identified latents, IMA contrast and posterior variance along the sweep."""
    with styled((8.4, 5.4)) as figure:
        panels: Any = figure.subplots(2, 2, sharex=True)
        cycles, mcc, ima, ratio = panels.flat
        _swept(cycles, rows, {"x_cycle": "x-cycle", "z_cycle": "z-cycle, codes of data",
                              "z_cycle_recombined": "z-cycle, recombined codes"})  # fmt: skip
        cycles.set_yscale("log")
        cycles.set_title("errors of the cycles, relative to the variance", fontsize=9)
        _swept(mcc, rows, {"mcc": "MCC of the codes", "mcc_raw": "MCC of raw observations"})
        mcc.set_title("latents identified one for one", fontsize=9)
        _swept(ima, rows, {"ima": "mean", "ima_p95": "95th percentile"})
        ima.set_title("local IMA contrast of the decoder, per latent", fontsize=9)
        _swept(ratio, rows, {"variance_ratio": "median"})
        ratio.set_title("posterior variance over its limit", fontsize=9)
        ratio.axhline(1, color="#9aa2ab", linestyle=":", linewidth=1)
        for axes in panels.flat:
            axes.set_xscale("log")
            axes.legend(fontsize=7)
        cycles.invert_xaxis()
        figure.supxlabel("decoder variance (falling)", fontsize=9)
    return figure


def _family(
    axes: Axes,
    rows: Sequence[Row],
    family: str,
    sizes: Sequence[tuple[int, int]],
    key: str,
    look: dict[str, Any],
) -> None:
    encoders = [
        _mean(rows, f"nmse_{key}", family=family, width=width, depth=depth)
        for width, depth in sizes
    ]
    axes.plot(range(len(sizes)), encoders, label=family, **look)
    searches = [_mean(rows, f"{start}_nmse_{key}", family=family, width=0) for start, _ in SEARCHES]
    width, depth = sizes[-1]
    searches.append(_mean(rows, f"encoder_nmse_{key}", family=family, width=width, depth=depth))
    places = [len(sizes) + i for i in range(len(searches))]
    axes.plot(places, searches, **{**look, "linestyle": "none", "markerfacecolor": "white"})


def _mean(rows: Sequence[Row], key: str, **where: object) -> float:
    """Average over seeds: errors differ by factors. Not a number when no row matches."""
    values = [row[key] for row in rows if all(row[name] == one for name, one in where.items())]
    return geometric_mean(values) if values else math.nan


def _swept(axes: Axes, rows: Sequence[Row], keys: dict[str, str]) -> None:
    for (key, label), look in zip(keys.items(), looks(), strict=False):
        known = [row for row in rows if row[key] is not None]
        at = list(dict.fromkeys(row["variance"] for row in known))
        means = [_mean(known, key, variance=variance) for variance in at]
        axes.plot(at, means, label=label, **look)
        dots = {"color": look["color"], "marker": ".", "linestyle": "none", "alpha": 0.4}
        axes.plot([row["variance"] for row in known], [row[key] for row in known], **dots)
