"""A patch whose outline and shading come from form factors and whose colour from surface factors.

A slot decoder is free to draw every pair of factors *inside* a slot in its own way, so it need not
extrapolate to new pairs. This one cannot: the outline never sees the surface, and the surface
enters as a product of colour and shading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.nn.decoders import Patch

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.baselines.nn.slots import SlotLayout

SURFACE = ("material", "texture", "hue", "colour")


class FactoredPatch(nn.Module):
    """Object slot to a canonical patch, factorised into form and surface.

    Parameters
    ----------
    layout : SlotLayout
        Factors named in `SURFACE` are surface, all others form.
    width : int
        Channels of the patch networks' last hidden layer.
    """

    surface: Tensor

    def __init__(self, layout: SlotLayout, width: int) -> None:
        super().__init__()
        surface = torch.zeros(layout.dim)
        for columns in layout.slots[layout.posed[0]] if layout.posed else ():
            if columns.factor in SURFACE:
                surface[columns.span] = 1
        self.register_buffer("surface", surface)
        self.form = Patch(layout.dim, width)
        self.colour = Patch(layout.dim, width)

    def forward(self, slots: Float[Tensor, "images dim"]) -> Float[Tensor, "images 5 32 32"]:
        """Return the canonical patches: colour times shading, opacity and shadow logits."""
        shading, logits = self.form(slots * (1 - self.surface)).split((3, 2), dim=1)
        colours = self.colour(slots * self.surface)[:, :3]
        return torch.cat([colours * (2 * shading).clamp_min(0), logits], dim=1)
