"""The decoders of slots by name: what methods are compared for, everything else being equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from recombine.baselines.nn.attention_decoder import CrossAttention
from recombine.baselines.nn.conv_decoders import Additive, Bilinear, BroadcastMixture, Unstructured
from recombine.baselines.nn.decoders import Compositor, FactoredPatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from recombine.baselines.nn.slots import SlotLayout

DecoderKind = Literal[
    "patch", "leak", "factored", "unstructured", "broadcast", "additive", "bilinear", "attention"
]


def build_decoder(
    kind: DecoderKind,
    layout: SlotLayout,
    image_hw: tuple[int, int],
    width: int,
    *,
    light: bool,
    objects: tuple[int, ...] | None = None,
) -> nn.Module:
    """Return an untrained decoder of slots to `recombine.baselines.nn.decoders.Layers`.

    Parameters
    ----------
    kind : DecoderKind
        Which decoder.
    layout : SlotLayout
        What the K slots of D columns hold.
    image_hw : tuple of int
        Height and width of the images, in pixels.
    width : int
        Channels of its networks.
    light : bool
        Whether the background tints the objects, in decoders that place them.
    objects : tuple of int, optional
        Slots composited over the others; by default those with a place in the scene.

    Returns
    -------
    nn.Module
        Takes slots (B, K, D) and returns `Layers` with images (B, 3, H, W).
    """
    groups, dim = layout.groups, layout.dim
    things = layout.posed if objects is None else objects
    makers: dict[DecoderKind, Callable[[], nn.Module]] = {
        "patch": lambda: Compositor(layout, image_hw, width, light=light),
        "leak": lambda: Compositor(layout, image_hw, width, light=light, leak=True),
        "factored": lambda: Compositor(
            layout, image_hw, width, light=light, patch=FactoredPatch(layout, width)
        ),
        "unstructured": lambda: Unstructured(layout.count, dim, image_hw, width),
        "broadcast": lambda: BroadcastMixture(groups, dim, image_hw, width, things),
        "additive": lambda: Additive(groups, dim, image_hw, width),
        "bilinear": lambda: Bilinear(groups, dim, image_hw, width),
        "attention": lambda: CrossAttention(dim, image_hw, 2 * width, layout.count),
    }
    return makers[kind]()
