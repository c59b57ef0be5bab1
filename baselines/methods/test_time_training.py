"""Control: a direct encoder that is adapted to every test image, without decoder inversion.

    training:  L = l(x, y) + w |p(t(x o m)) - x|^2 on hidden pixels, one trunk t for both terms
    test:      a* = Adam on sum |p(t_a(x o m_i)) - x|^2, steps i = 1, 2, ..., from a = a_0
    answer:    slots of t_a*(x)

with l the loss of `supervised`, p a small network that paints hidden squares of 8 x 8 pixels, m
masks that hide half of them, and a the gains and offsets of the trunk's normalisations. Test-time
training with masked images: Gandelsman et al. 2022, arXiv 2209.07522; joint training
and the Y shape: Sun et al. 2020, arXiv 1909.13231 (their rotations are too easy where the camera
is always upright).

Differs in that only gains and offsets adapt (as in Tent, arXiv 2006.10726), so that a batch adapts
image by image in one pass, from the trained weights each time: every image has its own copy, all
see the same masks in the same order, and nothing is kept. There are as many steps as search takes,
by the same optimiser. The step size is chosen on in-combination validation images: the lowest error
on masks that adaptation did not use, among those that raise the supervised loss by at most a tenth
(the first rule alone takes steps that unlearn the labels, the second alone takes no step).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from recombine.baselines.methods.supervised import Supervised
from recombine.baselines.nn.conv_decoders import cropped
from recombine.baselines.nn.losses import slot_loss
from recombine.baselines.nn.slots import activate, factors_of
from recombine.baselines.training.device import generator_of, on_device
from recombine.baselines.training.loop import Sizes, autocast
from recombine.baselines.training.slot_encoder import Recognition, RecognitionEncoder
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from recombine.baselines.nn.encoders import ConvTokens, SlotEncoder
    from recombine.baselines.nn.slots import SlotLayout
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

EDGE = 8  # pixels of a hidden square; the trunk has one token for each
HELD_OUT = 8  # masks that no adaptation step uses, to choose the step size by
TOLERANCE = 0.1  # share by which adaptation may raise the supervised loss in combination


class MaskedRecognition(Recognition):
    """A recognition model whose trunk also serves to paint hidden squares of the image."""

    masks: Tensor

    def __init__(
        self,
        layout: SlotLayout,
        image_hw: tuple[int, int],
        *,
        weight: float,
        hidden: float,
        adapt_steps: int,
        **usual: Any,
    ) -> None:
        super().__init__(layout, image_hw, **usual)
        self.weight, self.hidden, self.adapt_steps = weight, hidden, adapt_steps
        self.grid = tuple(-(-edge // EDGE) for edge in image_hw)
        width = self.slot_dim
        self.painter = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, 3 * EDGE**2, 1),
            nn.PixelShuffle(EDGE),
        )
        # From a source of their own, so that training draws the same however many there are.
        masks = self.draw_masks(adapt_steps + HELD_OUT, generator_of(0))
        self.register_buffer("masks", masks)

    @property
    def trunk(self) -> ConvTokens:
        """Return the part that both terms share."""
        return cast("ConvTokens", self.slot_encoder.tokens)

    @property
    def slot_encoder(self) -> SlotEncoder:
        """Return the encoder; rows of this kind have no other."""
        return cast("SlotEncoder", self.encoder)

    def draw_masks(
        self, n: int, generator: torch.Generator | None = None
    ) -> Bool[Tensor, "n 1 height width"]:
        """Draw which pixels are hidden: the same share of squares in every mask, at least one."""
        squares = self.grid[0] * self.grid[1]
        ranks = torch.rand(n, squares, generator=generator).argsort(1).argsort(1)
        chosen = ranks < max(1, round(self.hidden * squares))
        cells = chosen.view(n, 1, *self.grid)
        whole = cells.repeat_interleave(EDGE, dim=2).repeat_interleave(EDGE, dim=3)
        return cropped(whole, self.image_hw)

    def loss(
        self,
        images: Float[Tensor, "images 3 height width"],
        targets: Float[Tensor, "images slots dim"],
    ) -> Float[Tensor, ""]:
        """Return the supervised loss and, in training, the error on hidden pixels."""
        if not self.training:
            return super().loss(images, targets)
        masks = self.draw_masks(len(images))
        # Both kinds of images pass together, so that one set of statistics normalises both.
        both = torch.cat([images, blanked(images, masks)])
        with autocast(self.precision, images.device.type):
            clean, masked = self.trunk(both.contiguous(memory_format=torch.channels_last)).chunk(2)
            outputs = self.slot_encoder.read(clean)[1]
            errors = self.painted_errors(masked, images, masks)
        supervised = slot_loss(self.layout, outputs, targets, self.pose_weight)
        return supervised + self.weight * errors.mean()

    def painted_errors(
        self,
        tokens: Float[Tensor, "images tokens width"],
        images: Float[Tensor, "images 3 height width"],
        masks: Bool[Tensor, "masks 1 height width"],
    ) -> Float[Tensor, " images"]:
        """Return the mean squared error of every image on its hidden pixels."""
        cells = tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)
        painted = cropped(0.5 + self.painter(cells).float(), self.image_hw)
        squares = (painted - images).square() * masks
        return squares.sum(dim=(1, 2, 3)) / (3 * masks.sum(dim=(1, 2, 3)))

    def norms(self) -> Float[Tensor, "two channels"]:
        """Return the trained gains and offsets of the trunk's normalisations, side by side."""
        layers = [layer for layer in self.trunk.stem if isinstance(layer, nn.BatchNorm2d)]
        return torch.stack(
            [torch.cat([layer.weight for layer in layers]), torch.cat([x.bias for x in layers])]
        ).detach()

    def tokens_with(
        self,
        images: Float[Tensor, "images 3 height width"],
        norms: Float[Tensor, "images two channels"],
    ) -> Float[Tensor, "images tokens width"]:
        """Return the trunk's tokens when every image has gains and offsets of its own."""
        values, start = (images - 0.5) * 4.0, 0
        values = values.contiguous(memory_format=torch.channels_last)
        for layer in self.trunk.stem:
            if not isinstance(layer, nn.BatchNorm2d):
                values = layer(values)
                continue
            gain, offset = norms[:, :, start : start + layer.num_features].unbind(1)
            start += layer.num_features
            mean, variance = (cast("Tensor", x) for x in (layer.running_mean, layer.running_var))
            gain = gain * (variance + layer.eps).rsqrt()
            offset = offset - mean * gain
            values = torch.addcmul(offset[:, :, None, None], values, gain[:, :, None, None])
        return values.flatten(2).transpose(1, 2) + self.trunk.position

    def adapted(
        self, images: Float[Tensor, "images 3 height width"], rate: float
    ) -> Float[Tensor, "images two channels"]:
        """Return every image's own gains and offsets after all steps."""
        norms = self.norms().repeat(len(images), 1, 1)
        first, second = torch.zeros_like(norms), torch.zeros_like(norms)
        for step, mask in enumerate(self.masks[: self.adapt_steps], 1):
            norms.requires_grad_()
            tokens = self.tokens_with(blanked(images, mask[None]), norms)
            errors = self.painted_errors(tokens, images, mask[None])
            (gradient,) = torch.autograd.grad(errors.sum(), norms)  # no image enters another's
            first = 0.9 * first + 0.1 * gradient
            second = 0.99 * second + 0.01 * gradient.square()
            # Gradients that are nothing but rounding must not move anything.
            move = (first / (1 - 0.9**step)) / ((second / (1 - 0.99**step)).sqrt() + 1e-8)
            norms = norms.detach() - rate * move
        return norms

    @torch.no_grad()
    def held_out_error(
        self,
        images: Float[Tensor, "images 3 height width"],
        norms: Float[Tensor, "images two channels"],
    ) -> float:
        """Return the mean error on masks that adaptation did not use."""
        errors = []
        for mask in self.masks[self.adapt_steps :]:
            tokens = self.tokens_with(blanked(images, mask[None]), norms)
            errors.append(self.painted_errors(tokens, images, mask[None]).mean())
        return float(torch.stack(errors).mean())

    @torch.no_grad()
    def adapted_loss(self, batch: Batch, norms: Float[Tensor, "images two channels"]) -> float:
        """Return the supervised loss of adapted images."""
        outputs = self.slot_encoder.read(self.tokens_with(batch.images, norms))[1]
        targets = self.targets(batch.factors)
        return float(slot_loss(self.layout, outputs, targets, self.pose_weight))


def blanked(
    images: Float[Tensor, "images 3 height width"], masks: Bool[Tensor, "masks 1 height width"]
) -> Float[Tensor, "images 3 height width"]:
    """Return images whose hidden pixels are grey."""
    return images.masked_fill(masks, 0.5)


class AdaptedEncoder(RecognitionEncoder):
    """A fitted model that is adapted to each image before it answers."""

    model: MaskedRecognition

    def __init__(self, model: MaskedRecognition, rate: float) -> None:
        super().__init__(model.requires_grad_(False))
        self.rate = rate

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots ``(B, K, width)`` and factors, every image adapted on its own."""
        model = self.model
        # Tensors made in inference mode know no gradients, so the images are copied outside it.
        with torch.inference_mode(mode=False):
            images = images.clone()
            with torch.enable_grad():
                norms = model.adapted(images, self.rate)
            with torch.no_grad():
                slots, outputs = model.slot_encoder.read(model.tokens_with(images, norms))
                guess = activate(model.layout, outputs)
                factors = factors_of(model.layout, guess, model.center, model.spread)
                return SlotOutput(slots=slots, factors=factors, masks=model.outlines(guess))


@dataclass(frozen=True)
class MaskedAuxiliary(Supervised):
    """The same training as `TestTimeTraining`, without a step at test time."""

    card: ClassVar[MethodCard] = MethodCard(
        id="masked-auxiliary",
        name="Supervised slot encoder, masked images as second task",
        inference="direct",
        supervision="supervised",
        source="arXiv 2209.07522 (masked images); arXiv 1909.13231 (joint training)",
        paper="https://arxiv.org/abs/2209.07522",
        note="Control: trained as the row of test-time training, painting hidden squares beside "
        "the labels, and not adapted to test images.",
        role="control",
        generative=True,
    )
    network: ClassVar[type[Recognition]] = MaskedRecognition

    weight: float = 10.0  # of the squared error on hidden pixels
    hidden: float = 0.5  # share of hidden squares
    adapt_steps: int = 0  # gradient steps per test image

    def options(self, layout: SlotLayout, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the model is made with."""
        own = {"weight": self.weight, "hidden": self.hidden, "adapt_steps": self.adapt_steps}
        return {**super().options(layout, image_hw), **own}


@dataclass(frozen=True)
class TestTimeTraining(MaskedAuxiliary):
    """Thirty gradient steps on every test image's own hidden squares; see the module."""

    card: ClassVar[MethodCard] = MethodCard(
        id="test-time-training",
        name="Supervised slot encoder, test-time training",
        inference="direct",
        supervision="supervised",
        source="arXiv 2209.07522 (masked images); arXiv 1909.13231 (joint training)",
        paper="https://arxiv.org/abs/2209.07522",
        note="Control: before every answer 30 gradient steps, as many as search takes, adapt the "
        "trunk's normalisation gains and offsets to the image's own hidden squares; no slot is "
        "decoded. Operations of all steps are part of an answer.",
        role="control",
        generative=True,
    )
    SIZES: ClassVar[Sizes] = {
        **Supervised.SIZES,
        "tiny": {**Supervised.SIZES["tiny"], "adapt_steps": 2, "selection_images": 16},
    }

    adapt_steps: int = 30
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)  # step sizes to choose from
    selection_images: int = 64  # validation images for that choice

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> AdaptedEncoder:
        """Train, then choose the step size on in-combination validation images."""
        fitted = super().fit(data, val, seed=seed, budget=budget, log=log)
        model = cast("MaskedRecognition", fitted.model)
        batch = next(iter(val.batches(min(self.selection_images, len(val)), seed=seed)))
        with torch.no_grad():
            most = (1 + TOLERANCE) * float(model.loss_of(batch))
        found = []
        for rate in self.rates:
            norms = model.adapted(batch.images, rate)
            error, loss = (
                model.held_out_error(batch.images, norms),
                model.adapted_loss(batch, norms),
            )
            log.config_tried({"rate": rate, "label_loss": loss}, -error)
            found.append((loss > most, loss if loss > most else error, rate))
        return AdaptedEncoder(model, min(found)[2])
