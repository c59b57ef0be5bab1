"""A map-style torch dataset on top of `Dataset`, for training loops with several workers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils import data

from recombine.renderer.reader import Dataset


class TorchDataset(data.Dataset[dict[str, torch.Tensor]]):
    """Images of one split with masks and latents.

    Parameters
    ----------
    path : str or Path
        Dataset folder.
    split : str
        Part of the dataset.
    rung : int
        Rung of the training ladder.

    Notes
    -----
    Items are ``image`` (3, H, W) float32 in [0, 1], ``mask`` (H, W) int64, and one 0-d tensor
    per ``slot.factor``.
    """

    def __init__(self, path: str | Path, split: str, *, rung: int = 0) -> None:
        self.source = Dataset(path)
        self.index = self.source.indices(split, rung=rung)
        self.latents = {k: torch.as_tensor(v[self.index]) for k, v in self.source.latents.items()}

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        i = [int(self.index[item])]
        pixels = torch.from_numpy(self.source.images(i)[0])
        mask = torch.from_numpy(self.source.masks(i)[0])
        sample = {"image": pixels.permute(2, 0, 1).float() / 255, "mask": mask.long()}
        return sample | {k: v[item] for k, v in self.latents.items()}
