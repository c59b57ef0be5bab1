"""Whether simple classifiers tell ID-test from OOC-test inside blocks.

    python benchmarks/tell_apart.py runs/object-background

Every test image is described by 30 global statistics, and by its 8 x 8 thumbnail; of both the mean
of its block is taken away, so that only what differs inside a block is left. A linear classifier is
fitted on all blocks but some and asked about those ("leave-blocks-out"): on data without a confound
it is right half of the time. Fitted on all cells but some ("leave-cells-out") it should be right
less often than that: single factors are exactly balanced, so what the training cells lack the
others have. The certificate states the size of each difference; this asks for all of them at once.

Needs scikit-learn. With one test block there is nothing to leave out: render more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recombine.renderer.core.types import Array
from recombine.renderer.store.dataset import Dataset

FOLDS = 8
LIMIT = 0.02
"""How far from one half the share of right answers may lie."""


def global_statistics(image: Array) -> Array:
    """Return 30 statistics of an image: moments, shares, gradients and a spectrum."""
    colour = image.astype(float) / 255
    light = colour @ [0.2126, 0.7152, 0.0722]
    down, across = np.diff(light, axis=0), np.diff(light, axis=1)
    saturation = colour.max(axis=-1) - colour.min(axis=-1)
    power = np.abs(np.fft.rfft2(light - light.mean()))
    rows, columns = np.meshgrid(
        np.fft.fftfreq(light.shape[0]), np.fft.rfftfreq(light.shape[1]), indexing="ij"
    )
    radius = np.hypot(rows, columns)
    bands = [
        np.log1p(power[(radius >= a) & (radius < b)].mean())
        for a, b in ((0.01, 0.06), (0.06, 0.12), (0.12, 0.25), (0.25, 0.5))
    ]
    third = len(light) // 3
    return np.array(
        [
            *colour.mean(axis=(0, 1)),
            *colour.std(axis=(0, 1)),
            light.mean(),
            light.std(),
            *np.quantile(light, (0.05, 0.25, 0.5, 0.75, 0.95)),
            (light < 1 / 16).mean(),
            (light > 15 / 16).mean(),
            saturation.mean(),
            saturation.std(),
            np.abs(down).mean(),
            np.abs(across).mean(),
            down.std(),
            across.std(),
            (np.abs(across) > 0.1).mean(),
            ((light - light.mean()) ** 3).mean(),
            light[:third].mean(),
            light[third:-third].mean(),
            light[-third:].mean(),
            *bands,
        ]
    )


def thumbnail(image: Array) -> Array:
    """Return an image as 8 x 8 pixels, flat."""
    edge = len(image) // 8
    cut = image[: 8 * edge, : 8 * edge].astype(float).reshape(8, edge, 8, edge, 3)
    return np.asarray(cut.mean(axis=(1, 3)).ravel())


def within(values: Array, blocks: Array) -> Array:
    """Return values without the mean of their block."""
    names, place = np.unique(blocks, return_inverse=True)
    means = np.stack([values[place == b].mean(axis=0) for b in range(len(names))])
    return np.asarray(values - means[place])


def share_right(values: Array, outside: Array, groups: Array) -> float:
    """Return the share of right answers on groups left out, ID and OOC weighed alike."""
    right = np.zeros(len(outside), bool)
    for fit, ask in GroupKFold(min(FOLDS, len(np.unique(groups)))).split(values, outside, groups):
        model = make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced")
        )
        right[ask] = model.fit(values[fit], outside[fit]).predict(values[ask]) == outside[ask]
    return float((right[outside].mean() + right[~outside].mean()) / 2)


def main() -> None:
    """Print one line per description of the images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    data = Dataset(parser.parse_args().data)
    rows = np.concatenate([data.indices("id_test"), data.indices("ooc_test")])
    outside = np.isin(rows, data.indices("ooc_test"))
    blocks = data.blocks[rows]
    cells = np.unique(data.cells[rows], axis=0, return_inverse=True)[1].reshape(-1)
    n = len(np.unique(blocks))
    print(f"{data.name}: {len(rows)} test images, {n} blocks, {cells.max() + 1} cells")
    if n < 2:
        raise SystemExit(
            "needs at least 2 test blocks to leave one out; render at a larger --scale"
        )
    # One image at a time: the test parts may be larger than memory.
    told = [(global_statistics(i), thumbnail(i)) for i in (data.image(int(r)) for r in rows)]
    chance = 0.5 / np.sqrt(len(rows))  # standard error of guessing
    for k, name in enumerate(("30 statistics", "thumbnail")):
        values = within(np.stack([pair[k] for pair in told]), blocks)
        found = share_right(values, outside, blocks)
        verdict = "pass" if abs(found - 0.5) <= LIMIT else "DIFFERS"
        by_cell = share_right(values, outside, cells)
        print(
            f"{name:14s} leave-blocks-out {found:.3f} +- {chance:.3f} ({verdict}: .50 +- {LIMIT}), "
            f"leave-cells-out {by_cell:.3f}"
        )


if __name__ == "__main__":
    main()
