"""A map-style torch dataset on top of `Dataset`, for training loops with several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils import data

if TYPE_CHECKING:
    from recombine.renderer.store.dataset import Dataset


class TorchDataset(data.Dataset[dict[str, torch.Tensor]]):
    """Images of one split with masks and factors; see `Dataset.torch`."""

    def __init__(self, source: Dataset, split: str, *, rung: int = 0) -> None:
        self.source = source
        self.index = source.indices(split, rung=rung)
        self.factors = {k: torch.as_tensor(v[self.index]) for k, v in source.latents.items()}

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        return self.__getitems__([item])[0]

    def __getitems__(self, items: list[int]) -> list[dict[str, torch.Tensor]]:
        """Return a batch; `DataLoader` asks for one, and one read is faster than many."""
        index = self.index[items]
        pixels = torch.from_numpy(self.source.images(index)).permute(0, 3, 1, 2).float() / 255
        found = [{"image": image} for image in pixels]
        if "mask" in self.source.annotations:
            for one, mask in zip(found, torch.from_numpy(self.source.masks(index)), strict=True):
                one["mask"] = mask.long()
        return [
            one | {k: v[item] for k, v in self.factors.items()}
            for item, one in zip(items, found, strict=True)
        ]
