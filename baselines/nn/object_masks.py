"""Where predicted objects lie in the image, so that exchangeable slots can be told apart.

Two objects with the same factors have no order. A scorer may match a method's slots to objects on
masks, never on a scored factor, so methods that predict factors say where in the image each slot's
object is: a soft disc at the place and size that its pose stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.nn.decoders import MARGIN, Placement, centres, pose_columns
from recombine.baselines.nn.losses import match

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.baselines.nn.slots import SlotLayout

SHARPNESS = 8.0


class Outlines(nn.Module):
    """Slot vectors to soft masks: a disc per object, the rest for the first other slot."""

    fitted: Tensor

    def __init__(self, layout: SlotLayout, image_hw: tuple[int, int]) -> None:
        super().__init__()
        self.layout, self.image_hw = layout, image_hw
        self.columns = list(pose_columns(layout))
        self.placement = Placement(len(self.columns))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def needed(self) -> bool:
        """Return whether some slots are exchangeable."""
        return any(len(group) > 1 for group in self.layout.groups)

    def fit(
        self,
        slots: Float[Tensor, "images slots dim"],
        masks: Int[Tensor, "images height width"] | None,
    ) -> None:
        """Learn from training masks where a pose lies, if slots are exchangeable."""
        if masks is not None and self.needed:
            values = slots[:, list(self.layout.posed)][:, :, self.columns]
            self.placement.fit_masks(values, masks)
            self.fitted = torch.ones_like(self.fitted)

    @torch.no_grad()
    def forward(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images slots height width"] | None:
        """Return the masks of slot vectors in [0, 1]; None where they are not needed."""
        if not self.fitted:
            return None
        objects = list(self.layout.posed)
        values = slots[:, objects][:, :, self.columns]
        pose = self.placement(values.flatten(0, 1)).view(len(slots), -1, 3)
        rows, columns = (centres(pixels, slots.device) for pixels in self.image_hw)
        across = columns - pose[:, :, None, 0:1]
        down = rows[:, None] - pose[:, :, None, 1:2]
        radius = pose[:, :, 2].clamp(-6, 2).exp()[:, :, None, None] / MARGIN
        discs = torch.sigmoid(SHARPNESS * (1 - (across**2 + down**2).sqrt() / radius))
        out = slots.new_zeros(*slots.shape[:2], *self.image_hw)
        out[:, objects] = discs
        others = [k for k in range(self.layout.count) if k not in objects]
        if others:
            out[:, others[0]] = 1 - discs.amax(1)
        return out


def aligned(
    layout: SlotLayout,
    guess: Float[Tensor, "images slots dim"],
    reference: Float[Tensor, "images slots dim"],
) -> Int[Tensor, "images slots"]:
    """Return which slot of a guess stands for each slot of another guess about the same images."""
    order = torch.arange(layout.count, device=guess.device).repeat(len(guess), 1)
    for group in layout.groups:
        if len(group) > 1:
            index = torch.tensor(group, device=guess.device)
            costs = torch.cdist(reference[:, index], guess[:, index]).square()
            order[:, index] = index[match(costs)]
    return order
