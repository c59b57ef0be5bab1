"""Controls without generation: supervised encoders that are trained against shortcuts.

Each row has the labels, the encoder and the schedule of `supervised`, and one more or another term
in its training loss. With ``l(x, y)`` the supervised loss of an image and ``z_k`` slot k's vector:

* `SupervisedAugmented`: ``l(a(x), y)`` of jittered views; half of a batch is cut and mixed,
  ``m * x_i + (1 - m) * x_j`` with ``w CE(y_i) + (1 - w) CE(y_j)``, w the share of pixels of x_i;
* `SupervisedAdversarial`: ``l + sum_k sum_f CE(h_kf(R(z_k)), y_f)`` over objects k and categorical
  factors f of all other slots; R is the identity whose gradient is multiplied by ``-s``;
* `SupervisedHsic`: ``l + w sum_(k < j) tr(K_k H K_j H) / (n - 1)^2`` over a batch of n images;
* `SupervisedGroupDro`: ``max_q sum_g q_g l_g`` over combinations g, by exponentiated gradients.

Validation losses (`EarlyStop`) are the supervised loss alone, so that rows can be compared by them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine.baselines.methods.supervised import Supervised
from recombine.baselines.nn.losses import matched_targets, slot_loss, slot_losses
from recombine.baselines.training.slot_encoder import Recognition
from recombine.benchmark.protocol.contract import MethodCard
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.baselines.nn.slots import Columns, SlotLayout
    from recombine.baselines.training.slot_encoder import RecognitionEncoder
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

    Images = Float[Tensor, "images 3 height width"]
    Slots = Float[Tensor, "images slots dim"]


class Augmented(Recognition):
    """A recognition model that trains on jittered images, some of them cut and mixed."""

    def __init__(
        self, layout: SlotLayout, image_hw: tuple[int, int], *, mixed: float, **usual: Any
    ) -> None:
        super().__init__(layout, image_hw, **usual)
        self.mixed = mixed

    def loss(self, images: Images, targets: Slots) -> Float[Tensor, ""]:
        """Return the loss of augmented images; outside training that of the images themselves."""
        if not self.training:
            return super().loss(images, targets)
        views, n = jittered(images), round(self.mixed * len(images))
        pasted, own = cut_mix(views[:n], views[:n].roll(1, dims=0))
        outputs = self.run(torch.cat([pasted, views[n:]]))[1]
        total = slot_losses(self.layout, outputs[n:], targets[n:], self.pose_weight).sum()
        # No pose between two poses is in the picture, so poses are learnt from the others.
        one, other = (
            slot_losses(self.layout, outputs[:n], part, pose_weight=0.0)
            for part in (targets[:n], targets[:n].roll(1, dims=0))
        )
        return (total + (own * one + (1 - own) * other).sum()) / len(images)


@dataclass(frozen=True)
class SupervisedAugmented(Supervised):
    """Augmentation: small changes of place, size and light, and CutMix (arXiv 1905.04899).

    Views are turned by up to 3 degrees, shifted by up to 3 % of an edge, scaled by up to 5 %,
    brightened, contrasted, tinted, and noisy; nothing is cropped or flipped and no hue is turned,
    since places, handedness and colours are factors. Labels stay, so places are off by that much.

    In half of every batch a box of an image is replaced by that of another, its area share uniform
    before it is cut at the image's edge. Classes of *every* slot are mixed by area, whether or not
    the box meets the slot's object: the label noise of CutMix, kept because a better rule needs
    masks, which `supervised` does not use. Poses are not learnt from these images.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-augmented",
        name="Supervised slot encoder, augmentation and CutMix",
        inference="direct",
        supervision="supervised",
        source="arXiv 1905.04899, Eq. 1 (CutMix)",
        paper="https://arxiv.org/abs/1905.04899",
        note="Control: the supervised slot encoder trained on jittered images, half of them mixed "
        "by CutMix; classes of all slots are mixed by area, poses are not learnt from mixed "
        "images. No crops, no flips.",
        role="control",
    )
    network: ClassVar[type[Recognition]] = Augmented

    mixed: float = 0.5  # share of the images of a batch that are mixed

    def options(self, layout: SlotLayout, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the model is made with."""
        return {**super().options(layout, image_hw), "mixed": self.mixed}


def jittered(images: Images) -> Images:
    """Return a random view of every image; see `SupervisedAugmented`."""
    n, device = len(images), images.device

    def uniform(reach: float, *shape: int) -> Tensor:
        return reach * (2 * torch.rand(n, *shape, device=device) - 1)

    angle, scale = uniform(math.radians(3)), 1 + uniform(0.05)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale * angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = -scale * angle.sin(), scale * angle.sin()
    theta[:, :, 2] = uniform(2 * 0.03, 2)  # the grid is two units wide
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    views = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    middle = views.mean(dim=(1, 2, 3), keepdim=True)
    views = middle + (views - middle) * (1 + uniform(0.2, 1, 1, 1))
    views = views * (1 + uniform(0.2, 1, 1, 1)) * (1 + uniform(0.05, 3, 1, 1))
    return (views + 0.02 * torch.randn_like(views)).clamp(0, 1)


def cut_mix(images: Images, others: Images) -> tuple[Images, Float[Tensor, " images"]]:
    """Paste a random box of another image into every image; return them and what is left of it."""
    n, device = len(images), images.device
    half = (1 - torch.rand(n, 1, device=device)).sqrt() / 2
    down, across = (
        ((torch.arange(pixels, device=device) + 0.5) / pixels - torch.rand(n, 1, device=device))
        .abs()
        .lt(half)
        for pixels in images.shape[2:]
    )
    box = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(box, others, images), 1 - box.float().mean(dim=(1, 2, 3))


class _Reverse(torch.autograd.Function):
    """The identity whose gradient is turned round."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


class Adversarial(Recognition):
    """A recognition model whose objects hide the classes of all other slots from critics."""

    seen: Tensor

    def __init__(
        self,
        layout: SlotLayout,
        image_hw: tuple[int, int],
        *,
        weight: float,
        steps: int,
        **usual: Any,
    ) -> None:
        super().__init__(layout, image_hw, **usual)
        self.weight, self.steps = weight, steps
        self.pairs = foreign_classes(layout)
        if not self.pairs:
            raise InvalidInputError(
                "supervised-adversarial: expected a categorical factor in another slot than an "
                f"object's; got slots {layout.names} without one, so there is nothing to hide and "
                "the row would be `supervised`; train that instead"
            )
        width = self.slot_dim
        self.critics = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, c.width))
            for _, _, c in self.pairs
        )
        self.register_buffer("seen", torch.tensor(0))  # steps so far, also after a restart

    def loss(self, images: Images, targets: Slots) -> Float[Tensor, ""]:
        """Return the supervised loss and, in training, the critics' reversed one."""
        slots, outputs = self.run(images)
        total = slot_loss(self.layout, outputs, targets, self.pose_weight)
        if not self.training:
            return total
        truth = matched_targets(self.layout, outputs, targets, self.pose_weight)
        strength = self.weight * ramp(int(self.seen) / self.steps)
        self.seen += 1
        return total + self.critics_loss(slots, truth, strength)

    def critics_loss(
        self, slots: Float[Tensor, "images slots width"], truth: Slots, strength: float
    ) -> Float[Tensor, ""]:
        """Return the summed cross-entropy of all critics, its gradient into the slots reversed."""
        hidden: Tensor = _Reverse.apply(slots, strength)  # type: ignore[no-untyped-call]
        total = slots.new_zeros(())
        for (k, other, c), critic in zip(self.pairs, self.critics, strict=True):
            classes = truth[:, other, c.span].argmax(1)
            total = total + functional.cross_entropy(critic(hidden[:, k]), classes)
        return total


@dataclass(frozen=True)
class SupervisedAdversarial(Supervised):
    """Gradient reversal (arXiv 1505.07818): an object's vector must not tell other slots' classes.

    A small network per object slot and categorical factor of another slot (background or object)
    learns to read the factor from the object's vector, and the encoder learns the opposite, with a
    strength that grows from 0 to ``weight`` as ``2 / (1 + exp(-10 p)) - 1`` over the share p of the
    schedule, as there. Which factors a split recombines is not served, so all of them count.
    Two recombined factors of *one* slot stay together: there the row hides what is left, the
    background's classes, and where no other slot has any it is refused.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-adversarial",
        name="Supervised slot encoder, adversarial object slots",
        inference="direct",
        supervision="supervised",
        source="arXiv 1505.07818 (gradient reversal)",
        paper="https://arxiv.org/abs/1505.07818",
        note="Control: critics read the classes of the other slots from an object's vector, and "
        "the encoder is trained against them by gradient reversal. It does nothing about two "
        "factors of one slot.",
        role="control",
    )
    network: ClassVar[type[Recognition]] = Adversarial

    weight: float = 1.0  # greatest strength of the reversed gradient

    def options(self, layout: SlotLayout, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the model is made with."""
        own = {"weight": self.weight, "steps": self.schedule.steps}
        return {**super().options(layout, image_hw), **own}

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
        """Train, then drop the critics: they are no part of the answer."""
        fitted = super().fit(data, val, seed=seed, budget=budget, log=log)
        fitted.model.critics = nn.ModuleList()
        return fitted


def foreign_classes(layout: SlotLayout) -> list[tuple[int, int, Columns]]:
    """Return every object slot with each categorical factor of each other slot."""
    objects = layout.posed or tuple(range(layout.count - 1))  # the background comes last
    return [
        (k, other, c)
        for k in objects
        for other in range(layout.count)
        if other != k
        for c in layout.slots[other]
        if c.kind == "categorical"
    ]


def ramp(share: float) -> float:
    """Return the strength of gradient reversal after a share of training, from 0 to 1."""
    return 2 / (1 + math.exp(-10 * min(share, 1.0))) - 1


class Independent(Recognition):
    """A recognition model whose slots are kept from depending on each other."""

    def __init__(
        self, layout: SlotLayout, image_hw: tuple[int, int], *, weight: float, **usual: Any
    ) -> None:
        super().__init__(layout, image_hw, **usual)
        self.weight = weight

    def loss(self, images: Images, targets: Slots) -> Float[Tensor, ""]:
        """Return the supervised loss and, in training, the dependence between slots."""
        slots, outputs = self.run(images)
        total = slot_loss(self.layout, outputs, targets, self.pose_weight)
        if not self.training:
            return total
        for k, other in combinations(range(self.layout.count), 2):
            total = total + self.weight * hsic(slots[:, k], slots[:, other])
        return total


@dataclass(frozen=True)
class SupervisedHsic(Supervised):
    """A penalty on the Hilbert-Schmidt independence criterion between slots.

    ``HSIC = tr(K H L H) / (n - 1)^2`` with ``H = I - 1 / n`` and Gaussian kernels
    ``exp(-|a - b|^2 / (2 m^2))`` of two slots' vectors, m their median distance in the batch
    (Gretton et al. 2005, "Measuring Statistical Dependence with Hilbert-Schmidt Norms", Eq. 9),
    summed over pairs of slots. Where a split makes the *factors* dependent in combination, right
    slots are dependent too, and the penalty works against the labels as well as the shortcut.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-hsic",
        name="Supervised slot encoder, independent slots",
        inference="direct",
        supervision="supervised",
        source="Gretton et al. 2005, Eq. 9 (HSIC, biased estimate)",
        paper="https://doi.org/10.1007/11564089_7",
        note="Control: HSIC between the vectors of every two slots of a batch is added to the "
        "loss; Gaussian kernels, median distance as width.",
        role="control",
    )
    network: ClassVar[type[Recognition]] = Independent

    weight: float = 10.0  # of the penalty; HSIC of equal vectors is about 0.05

    def options(self, layout: SlotLayout, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the model is made with."""
        return {**super().options(layout, image_hw), "weight": self.weight}


def hsic(
    first: Float[Tensor, "images width"], second: Float[Tensor, "images width"]
) -> Float[Tensor, ""]:
    """Return the biased estimate of the dependence of two vectors; see `SupervisedHsic`."""
    centred = []
    for vectors in (first, second):
        squared = torch.cdist(
            vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist"
        ).square()
        apart = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        width = squared.detach()[apart].median().clamp_min(1e-6)
        kernel = (-squared / (2 * width)).exp()
        centred.append(kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean())
    return (centred[0] * centred[1]).sum() / (len(first) - 1) ** 2


class WorstCombinations(Recognition):
    """A recognition model that trains most on the combinations it is worst at."""

    known: Tensor
    weights: Tensor

    def __init__(
        self, layout: SlotLayout, image_hw: tuple[int, int], *, rate: float, **usual: Any
    ) -> None:
        super().__init__(layout, image_hw, **usual)
        self.rate = rate
        self.register_buffer("known", torch.zeros(0, dtype=torch.long))
        self.register_buffer("weights", torch.zeros(0))

    def standardise(self, first: Batch) -> None:
        """Set scales, and which combinations there are, from labelled images."""
        super().standardise(first)
        self.known = torch.unique(combination_of(self.layout, self.targets(first.factors)))
        # The last weight is that of combinations which a small budget did not show before.
        groups = len(self.known) + 1
        self.weights = torch.full((groups,), 1 / groups, device=self.known.device)

    def loss(self, images: Images, targets: Slots) -> Float[Tensor, ""]:
        """Return the weighted loss of the batch's combinations; outside training the mean."""
        losses = slot_losses(self.layout, self.run(images)[1], targets, self.pose_weight)
        if not self.training:
            return losses.mean()
        groups, inverse = torch.unique(self.group_of(targets), return_inverse=True)
        each = losses.new_zeros(len(groups)).index_add(0, inverse, losses)
        each = each / torch.bincount(inverse)
        self.weights = raised(self.weights, groups, each.detach(), self.rate)
        share = self.weights[groups]
        return (share / share.sum() * each).sum()

    def group_of(self, targets: Slots) -> Int[Tensor, " images"]:
        """Return the place of every image's combination among those known."""
        number = combination_of(self.layout, targets)
        place = torch.searchsorted(self.known, number).clamp_max(len(self.known) - 1)
        return torch.where(self.known[place] == number, place, len(self.known))


@dataclass(frozen=True)
class SupervisedGroupDro(Supervised):
    """Distributionally robust training over combinations (arXiv 1911.08731, Algorithm 1).

    ``q_g <- q_g exp(rate * l_g)`` for the combinations g of a batch, then q is normalised, and the
    loss is ``sum_g q_g l_g / sum_g q_g`` over these g. A combination is one of all categorical
    factors of an image, since which of them a split recombines is not served; exchangeable objects
    have no order. Differs in that combinations are drawn as they come, not evenly (they are about
    equally frequent), and in the second normalisation, as a batch holds few of many combinations.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="supervised-groupdro",
        name="Supervised slot encoder, GroupDRO over combinations",
        inference="direct",
        supervision="supervised",
        source="arXiv 1911.08731, Algorithm 1",
        paper="https://arxiv.org/abs/1911.08731",
        note="Control: the loss of the worst in-combination combinations of all categorical "
        "factors; weights of the batch's combinations sum to 1.",
        role="control",
    )
    network: ClassVar[type[Recognition]] = WorstCombinations

    # step size of the combinations' weights. 0.01 in the source, which has four groups and sees
    # each of them in every step
    rate: float = 0.05

    def options(self, layout: SlotLayout, image_hw: tuple[int, int]) -> dict[str, Any]:
        """Return what the model is made with."""
        return {**super().options(layout, image_hw), "rate": self.rate}


def combination_of(layout: SlotLayout, targets: Slots) -> Int[Tensor, " images"]:
    """Return one number per combination of all categorical factors."""
    number = torch.zeros(len(targets), dtype=torch.long, device=targets.device)
    for group in layout.groups:
        parts, size = [], 1
        for k in group:
            part, size = torch.zeros_like(number), 1
            for c in layout.slots[k]:
                if c.kind == "categorical":
                    part = part * c.width + targets[:, k, c.span].argmax(1)
                    size *= c.width
            parts.append(part)
        for part in torch.stack(parts, dim=1).sort(dim=1).values.unbind(1):
            number = number * size + part
    return number


def raised(
    weights: Float[Tensor, " groups"],
    places: Int[Tensor, " shown"],
    losses: Float[Tensor, " shown"],
    rate: float,
) -> Float[Tensor, " groups"]:
    """Return the weights after one step of exponentiated gradient ascent, summing to 1."""
    factors = torch.ones_like(weights)
    factors[places] = (rate * losses).exp()
    return weights * factors / (weights * factors).sum()
