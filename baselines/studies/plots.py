"""Pictures of the studies, from their rows, on an empty figure of the caller's style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recombine.baselines.studies.study import mean_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recombine.baselines.studies.study import Row

    # Colour and marker of one line after the other, without end.
    Looks = Callable[[], Iterator[dict[str, Any]]]

INCHES = {"invertibility": (9.4, 3.6), "variance": (8.4, 5.4), "granularity": (8.4, 3.4)}
PANELS = (("z", "error of the latents"), ("x", "error of the regenerated observation"))
SEARCHES = (("random", "search,\n1 start"), ("best", "best of\nstarts"))


def invertibility(rows: Sequence[Row], figure: Figure, looks: Looks) -> None:
    """Draw the errors of encoders of growing size, and of search, per kind of generator."""
    sizes = list(dict.fromkeys((r["width"], r["depth"]) for r in rows if r["width"]))
    names = [f"{width}x{depth}" for width, depth in sizes]
    names += [label for _, label in SEARCHES] + ["search from\nencoder"]
    families = dict.fromkeys(r["family"] for r in rows)
    panels: Any = figure.subplots(1, 2, sharex=True)
    for axes, (key, title) in zip(panels, PANELS, strict=True):
        for family, look in zip(families, looks(), strict=False):
            _family(axes, rows, family, sizes, key, look)
        axes.set_yscale("log")
        axes.set_title(f"{title}, relative to its variance", fontsize=9)
        axes.set_xticks(range(len(names)), names, fontsize=7, rotation=60)
        axes.axvline(len(sizes) - 0.5, color="#9aa2ab", linewidth=0.8)
    panels[1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
    figure.supxlabel("encoder, width x hidden layers; then search", fontsize=9)


def variance(rows: Sequence[Row], figure: Figure, looks: Looks) -> None:
    """Draw cycles, identified latents, IMA contrast and posterior variance along the sweep."""
    panels: Any = figure.subplots(2, 2, sharex=True)
    cycles, mcc, ima, ratio = panels.flat
    labels = {"x_cycle": "x-cycle", "z_cycle": "z-cycle, codes of data"}
    labels["z_cycle_recombined"] = "z-cycle, recombined codes"
    _swept(cycles, looks, rows, labels)
    cycles.set_yscale("log")
    cycles.set_title("errors of the cycles, relative to the variance", fontsize=9)
    _swept(mcc, looks, rows, {"mcc": "MCC of the codes", "mcc_raw": "MCC of raw observations"})
    mcc.set_title("latents identified one for one", fontsize=9)
    _swept(ima, looks, rows, {"ima": "mean", "ima_p95": "95th percentile"})
    ima.set_title("local IMA contrast of the decoder, per latent", fontsize=9)
    _swept(ratio, looks, rows, {"variance_ratio": "median"})
    ratio.set_title("posterior variance over its limit", fontsize=9)
    ratio.axhline(1, color="#9aa2ab", linestyle=":", linewidth=1)
    for axes in panels.flat:
        axes.set_xscale("log")
        axes.legend(fontsize=7)
    cycles.invert_xaxis()
    figure.supxlabel("decoder variance (falling)", fontsize=9)


def granularity(rows: Sequence[Row], figure: Figure, looks: Looks) -> None:
    """Draw accuracy and linear R2, ID and OOC, against the detail of the labels."""
    levels = list(dict.fromkeys(row["level"] for row in rows))
    panels: Any = figure.subplots(1, 2)
    titles = {"": "joint slot accuracy", "_r2": "linear R2 of numbers and angles"}
    for axes, (end, title) in zip(panels, titles.items(), strict=True):
        for key, look in zip(("id", "ooc"), looks(), strict=False):
            name = f"{key}{end}"
            known = [row for row in rows if row[name] is not None]
            kept = [level for level in levels if any(row["level"] == level for row in known)]
            means = []
            for level in kept:
                values = [row[name] for row in known if row["level"] == level]
                means.append(sum(values) / len(values))
            axes.plot([levels.index(level) for level in kept], means, label=key.upper(), **look)
            dots = {"color": look["color"], "marker": ".", "linestyle": "none", "alpha": 0.4}
            axes.plot([levels.index(r["level"]) for r in known], [r[name] for r in known], **dots)
        axes.set_xticks(range(len(levels)), [x.replace(" ", "\n") for x in levels], fontsize=7)
        axes.set_title(title, fontsize=9)
    panels[0].legend(fontsize=7)
    figure.supxlabel("labels", fontsize=9)


def _family(
    axes: Axes,
    rows: Sequence[Row],
    family: str,
    sizes: Sequence[tuple[int, int]],
    key: str,
    look: dict[str, Any],
) -> None:
    encoders = [
        mean_of(rows, f"nmse_{key}", family=family, width=width, depth=depth)
        for width, depth in sizes
    ]
    axes.plot(range(len(sizes)), encoders, label=family, **look)
    searches = [
        mean_of(rows, f"{start}_nmse_{key}", family=family, width=0) for start, _ in SEARCHES
    ]
    width, depth = sizes[-1]
    searches.append(mean_of(rows, f"encoder_nmse_{key}", family=family, width=width, depth=depth))
    places = [len(sizes) + i for i in range(len(searches))]
    axes.plot(places, searches, **{**look, "linestyle": "none", "markerfacecolor": "white"})


def _swept(axes: Axes, looks: Looks, rows: Sequence[Row], keys: dict[str, str]) -> None:
    for (key, label), look in zip(keys.items(), looks(), strict=False):
        known = [row for row in rows if row[key] is not None]
        at = list(dict.fromkeys(row["variance"] for row in known))
        means = [mean_of(known, key, variance=variance) for variance in at]
        axes.plot(at, means, label=label, **look)
        dots = {"color": look["color"], "marker": ".", "linestyle": "none", "alpha": 0.4}
        axes.plot([row["variance"] for row in known], [row[key] for row in known], **dots)
