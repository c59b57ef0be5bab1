"""A decoder that draws every slot on its own and composites the results.

An object slot becomes a small picture of the object (colour, opacity, shadow) that is placed at
the slot's position and size; a frame slot (background) becomes a full-size picture. Layers
meet in the compositing only, so a slot looks the same next to any other slot: this is the
structure that lets the decoder extrapolate to unseen combinations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recombine.baselines.nn.compositing import composite, hat

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from recombine.baselines.nn.slots import SlotLayout


OUTSIDE = 6.0  # Opacity and shadow logits are -6 outside the patch: sigmoid(-6) = 0.0025.
# Logits stay within +-12. Without a bound, weights underflow to denormal numbers, on which
# processors compute several times more slowly.
BOUND = 12.0
MIN_PIXELS = 9  # A smaller visible part says nothing about an object's size.
MARGIN = 2.2  # Half-width of the patch over the radius of the object, so that shadows fit in.


@dataclass(frozen=True)
class Layers:
    """A decoded batch."""

    image: Float[Tensor, "images 3 height width"]  # ``(B, 3, H, W)``, not clamped
    # ``(B, objects, H, W)`` opacity logits of the objects against the background's 0; None for a
    # decoder that does not composite
    opacity: Float[Tensor, "images objects height width"] | None = None
    # scalar to add to the training loss, for a decoder that regularises itself
    penalty: Float[Tensor, ""] | None = None
    # how slots share out the pixels, for a decoder to which no slot is the background
    shares: Float[Tensor, "images slots height width"] | None = None


def axes(
    pose: Float[Tensor, "images 3"], image_hw: tuple[int, int], cells: int
) -> tuple[Float[Tensor, "images height cells"], Float[Tensor, "images cells width"]]:
    """Return what places square patches of some cells: weights of rows, and of columns."""
    half = pose[:, 2:].exp()
    down, across = (
        hat(((centres(pixels, pose.device) - center) / half + 1) * (cells / 2) - 0.5, cells)
        for pixels, center in zip(image_hw, (pose[:, 1:2], pose[:, 0:1]), strict=True)
    )
    return down, across.transpose(1, 2)


def place(
    patches: Float[Tensor, "images channels patch patch"],
    down: Float[Tensor, "images height patch"],
    across: Float[Tensor, "images patch width"],
) -> Float[Tensor, "images channels height width"]:
    """Draw square patches into an empty frame, by bilinear sampling."""
    # A placement without rotation is separable, so it is two small matrix products instead of a
    # gather; the result equals ``grid_sample`` with zero padding.
    return down[:, None] @ patches @ across[:, None]


def centres(pixels: int, device: torch.device) -> Float[Tensor, " pixels"]:
    """Return where the centres of pixels lie, from -1 to 1."""
    return (torch.arange(pixels, device=device) * 2 + 1) / pixels - 1


class Placement(nn.Module):
    """Slot pose (scene units) to image pose, a quadratic map fitted in closed form."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(self._features(torch.zeros(1, inputs)).shape[1], 3))

    @staticmethod
    def _features(values: Tensor) -> Tensor:
        i, j = torch.triu_indices(values.shape[1], values.shape[1], device=values.device)
        products = values[:, i] * values[:, j]
        return torch.cat([torch.ones_like(values[:, :1]), values, products], dim=1)

    def forward(self, values: Float[Tensor, "images inputs"]) -> Float[Tensor, "images 3"]:
        """Return the image pose that `place` takes."""
        pose: Tensor = self._features(values) @ self.weight
        return pose

    @torch.no_grad()
    def fit(self, values: Float[Tensor, "n inputs"], poses: Float[Tensor, "n 3"]) -> None:
        """Set the map to the ridge solution of measured image poses."""
        features = self._features(values)
        gram = features.T @ features + 1e-2 * torch.eye(features.shape[1])
        self.weight.copy_(torch.linalg.solve(gram, features.T @ poses))

    def fit_masks(
        self,
        values: Float[Tensor, "images objects inputs"],
        masks: Int[Tensor, "images height width"],
    ) -> None:
        """Set the map from where objects lie in instance masks."""
        seen = torch.stack([(masks == k + 1).float() for k in range(values.shape[1])], dim=1)
        visible = seen.sum(dim=(2, 3)) >= MIN_PIXELS
        self.fit(values[visible], moments(seen[visible]))


class Patch(nn.Module):
    """Object slot to a square picture of five channels: colour, opacity logit, shadow logit."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Linear(inputs, 4 * width), nn.GELU(), nn.Linear(4 * width, 16 * 2 * width)
        )
        self.grow = nn.Sequential(
            nn.GELU(),
            nn.ConvTranspose2d(2 * width, 2 * width, 4, stride=2, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(width, 5, 4, stride=2, padding=1),
        )
        with torch.no_grad():
            bias = self.grow[-1].bias
            assert isinstance(bias, Tensor)  # noqa: S101
            bias.copy_(torch.tensor([0.5, 0.5, 0.5, 0.0, -2.0]))

    def forward(self, slots: Float[Tensor, "images dim"]) -> Float[Tensor, "images 5 32 32"]:
        """Return the canonical patches."""
        colours, logits = self.grow(self.first(slots).unflatten(1, (-1, 4, 4))).split((3, 2), 1)
        return torch.cat([colours, BOUND * torch.tanh(logits / BOUND)], dim=1).float()


class Frame(nn.Module):
    """Frame slot to a full-size picture: a sum of learned basis pictures.

    The coefficients are the slot itself (so that the picture of every categorical value can be set
    in closed form) and a few learned features of it.
    """

    def __init__(self, inputs: int, features: int, image_hw: tuple[int, int]) -> None:
        super().__init__()
        self.image_hw = image_hw
        self.features = nn.Sequential(nn.Linear(inputs, 64), nn.GELU(), nn.Linear(64, features))
        self.basis = nn.Parameter(
            torch.randn(inputs + features, 3 * image_hw[0] * image_hw[1]) * 1e-3
        )

    def forward(self, slots: Float[Tensor, "images dim"]) -> Float[Tensor, "images 3 height width"]:
        """Return the pictures."""
        coefficients = torch.cat([slots, self.features(slots).float()], dim=1)
        with torch.autocast(slots.device.type, enabled=False):
            picture: Tensor = coefficients @ self.basis
        return picture.view(-1, 3, *self.image_hw)

    @torch.no_grad()
    def fit_basis(
        self,
        slots: Float[Tensor, "images dim"],
        images: Float[Tensor, "images 3 height width"],
        free: Bool[Tensor, "images height width"] | None = None,
    ) -> None:
        """Set the basis so that a slot gives the mean of its pictures (ridge regression)."""
        inputs = slots.shape[1]
        gram = slots.T @ slots + 1e-2 * torch.eye(inputs)
        pictures = images.flatten(1)
        basis = torch.linalg.solve(gram, slots.T @ pictures)
        if free is not None:
            hidden = ~free[:, None].expand_as(images).flatten(1)
            for _ in range(10):
                pictures = torch.where(hidden, slots @ basis, images.flatten(1))
                basis = torch.linalg.solve(gram, slots.T @ pictures)
        self.basis[:inputs] = basis


class Compositor(nn.Module):
    """Slots to an image: frame slots add up, objects are composited over them.

    The compositing formula stands at `recombine.baselines.nn.compositing.composite`.
    """

    def __init__(
        self,
        layout: SlotLayout,
        image_hw: tuple[int, int],
        width: int,
        *,
        light: bool = False,
        leak: bool = False,
        patch: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.image_hw = image_hw
        self.leak = leak
        seen = layout.dim * (layout.count if leak else 1)
        self.objects = layout.posed
        self.frames = tuple(k for k in range(layout.count) if k not in layout.posed)
        self.pose_columns = pose_columns(layout)
        self.patch = Patch(seen, width) if patch is None else patch
        self.placement = Placement(len(self.pose_columns))
        self.light = nn.Linear(layout.dim, 3, bias=False) if light else None
        if self.light is not None:
            nn.init.zeros_(self.light.weight)
        self.frame = nn.ModuleList(Frame(seen, 4, image_hw) for _ in self.frames)

    def seen(
        self, slots: Float[Tensor, "images slots dim"], k: int
    ) -> Float[Tensor, "images inputs"]:
        """Return what the branch of slot k sees: that slot, or with ``leak`` all, it first."""
        if not self.leak:
            return slots[:, k]
        return torch.cat([slots[:, k:], slots[:, :k]], dim=1).flatten(1)

    def poses(self, slots: Float[Tensor, "images slots dim"]) -> Float[Tensor, "images objects 3"]:
        """Return where the objects of a batch are placed; see `place`."""
        values = slots[:, list(self.objects)][:, :, list(self.pose_columns)]
        poses: Tensor = self.placement(values.flatten(0, 1))
        return poses.view(len(slots), -1, 3)

    def background(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Return the picture of the frame slots alone."""
        total = torch.zeros(len(slots), 3, *self.image_hw, device=slots.device)
        for module, k in zip(self.frame, self.frames, strict=True):
            total = total + module(self.seen(slots, k))
        return total

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Layers:
        """Decode a batch."""
        picture = self.background(slots)
        if not self.objects:
            return Layers(picture)
        seen = torch.stack([self.seen(slots, k) for k in self.objects], dim=1)
        patches = self.patch(seen.flatten(0, 1))
        with torch.autocast(slots.device.type, enabled=False):
            ways = axes(self.poses(slots).flatten(0, 1), self.image_hw, patches.shape[2])
            colours, logits = patches.split((3, 2), dim=1)
            if self.light is not None:
                gain = self.light(slots[:, list(self.frames)].sum(1)).tanh().exp()
                gain = gain.repeat_interleave(len(self.objects), dim=0)
                colours = colours * gain[:, :, None, None]
            colours = place(colours, *ways)
            logits = place(logits + OUTSIDE, *ways) - OUTSIDE
            shape = (len(slots), len(self.objects), -1, *self.image_hw)
            opacity, shadow = logits.view(shape).unbind(2)
            return Layers(composite(picture, colours.view(shape), opacity, shadow), opacity)


def pose_columns(layout: SlotLayout) -> tuple[int, ...]:
    """Return the continuous columns of an object slot, from which `Placement` places it."""
    if not layout.posed:
        return ()
    return tuple(c.start for c in layout.slots[layout.posed[0]] if c.kind == "float")


def moments(
    weights: Float[Tensor, "images height width"],
) -> Float[Tensor, "images 3"]:
    """Return where a blob lies: the image pose of a patch that would cover it."""
    total = weights.sum(dim=(1, 2)).clamp_min(1e-6)
    down, across = (centres(pixels, weights.device) for pixels in weights.shape[1:])
    x = (weights.sum(1) * across).sum(1) / total
    y = (weights.sum(2) * down).sum(1) / total
    var_x = (weights.sum(1) * (across - x[:, None]).square()).sum(1) / total
    var_y = (weights.sum(2) * (down - y[:, None]).square()).sum(1) / total
    radius = (1.5 * (var_x + var_y)).clamp_min(1e-6).sqrt()
    return torch.stack([x, y, (MARGIN * radius).log()], dim=1)


@torch.no_grad()
def initialise(
    decoder: Compositor,
    slots: Float[Tensor, "images slots dim"],
    images: Float[Tensor, "images 3 height width"],
    masks: Int[Tensor, "images height width"] | None = None,
    *,
    background: bool = True,
) -> None:
    """Set a decoder's background pictures and placement in closed form."""
    # Backgrounds start as the mean picture of their slot vector, by least squares. The placement
    # starts from where objects lie: their masks, or, without masks, what the mean picture does not
    # explain (which tells one object from the background, but not several from one another).
    for module, k in zip(decoder.frame, decoder.frames, strict=True):
        assert isinstance(module, Frame)  # noqa: S101
        if not background:
            continue
        module.fit_basis(decoder.seen(slots, k), images, None if masks is None else masks == 0)
    if not decoder.objects:
        return
    values = slots[:, list(decoder.objects)][:, :, list(decoder.pose_columns)]
    if masks is None:
        residual = (images - decoder.background(slots)).square().sum(1)
        blobs = residual * (residual > 4 * residual.mean(dim=(1, 2), keepdim=True))
        decoder.placement.fit(values.mean(1), moments(blobs))
        return
    decoder.placement.fit_masks(values, masks)


# A patch whose outline and shading come from form factors and whose colour from surface factors.

SURFACE = ("material", "texture", "hue", "colour")


class FactoredPatch(nn.Module):
    """Object slot to a canonical patch, factorised into form and surface."""

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
