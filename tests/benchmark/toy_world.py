"""A world small enough to draw: an object on the left half, a background everywhere."""

import numpy as np
import torch

VALUES, BLOCKS = 4, 5


def world(seed=0):
    """Return cells, blocks, in-combination flags and slots of every cell in every block."""
    rng = np.random.default_rng(seed)
    cells = np.array([(a, b) for _ in range(BLOCKS) for a in range(VALUES) for b in range(VALUES)])
    blocks = np.repeat(np.arange(BLOCKS), VALUES**2)
    inside = (cells[:, 0] + cells[:, 1]) % VALUES < VALUES // 2
    nuisance = rng.normal(size=(BLOCKS, 1))
    thing, place = rng.normal(size=(2, VALUES, 3))
    # Slot 0 is the background, slot 1 the object; both know the nuisance of the block.
    slots = np.stack(
        [
            np.concatenate([table[codes], nuisance[blocks]], axis=1)
            for table, codes in ((place, cells[:, 1]), (thing, cells[:, 0]))
        ],
        axis=1,
    )
    return cells, blocks, inside, slots


def draw(slots):
    """Return the render of slots, ``(B, 3, 2, 2)``."""
    background, thing = slots[:, 0, :3, None, None], slots[:, 1, :3, None, None]
    light = slots[:, 1, 3, None, None, None]
    canvas = background * torch.ones(1, 1, 2, 2, dtype=slots.dtype)
    return canvas + thing * torch.tensor([1.0, 0.0], dtype=slots.dtype) + 0.1 * light
