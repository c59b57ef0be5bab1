"""Scores with known truth: seeds, cells, their interaction, images and noise, all random."""

import numpy as np

TRUTH = 0.7
SETTINGS = {"seed": (0.03, 0.02), "cell": (0.01, 0.10)}
"""Standard deviation between seeds and between cells; which of the two dominates."""


def draw(rng, seeds, cells, spread, images=25, cell_effect=None):
    """Return a (seeds, cells) matrix of scores whose expectation is TRUTH.

    All seeds see the same images, so the images' difficulty belongs to the cell.
    """
    between_seeds, between_cells = spread
    if cell_effect is None:
        cell_effect = rng.normal(0, between_cells, cells)
    image = rng.normal(0, 0.2, (cells, images)).mean(axis=1)
    return (
        TRUTH
        + rng.normal(0, between_seeds, (seeds, 1))
        + cell_effect[None, :]
        + rng.normal(0, 0.02, (seeds, cells))
        + image[None, :]
        + rng.normal(0, 0.4 / np.sqrt(images), (seeds, cells))
    )


def draw_counts(rng, seeds, cells, mean, spread, images=25):
    """Return (hits, truth): right answers under a probit model with shared image difficulty."""
    latent = (
        mean
        + rng.normal(0, spread[0], (seeds, 1, 1))
        + rng.normal(0, spread[1], (1, cells, 1))
        + rng.normal(0, 1, (1, cells, images))
        + rng.normal(0, 1, (seeds, cells, images))
    )
    return (latent > 0).sum(axis=2)


def another_image(images, seed):
    """Return for every image a different one, at random: predictions that saw something else."""
    order = np.random.default_rng(seed).permutation(images)
    other = np.empty(images, dtype=np.int64)
    other[order] = np.roll(order, 1)
    return other
