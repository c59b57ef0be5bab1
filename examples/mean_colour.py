"""The smallest submission: two slots that hold the mean colour of the picture's two halves.

It learns nothing, so it is also a floor: any score above chance comes from colour alone.
"""

import torch

from recombine.benchmark.protocol.contract import SlotOutput, SplitSpec


class MeanColour:
    """An `Encoder`: images in, slots out."""

    slot_dim = 3

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Remember how many slots a scene has."""
        self.slots = spec.max_slots

    def encode(self, images: torch.Tensor) -> SlotOutput:
        """Return slots (B, K, 3): the mean colour of K horizontal stripes."""
        stripes = images.tensor_split(self.slots, dim=2)
        return SlotOutput(slots=torch.stack([s.mean(dim=(2, 3)) for s in stripes], dim=1))
