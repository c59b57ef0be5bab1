"""Encoders without labels: SimCLR, MoCo, VICReg and DIET; one trunk, one training, other losses.

They see no factor and no mask; a linear readout tells what the vector of an image holds. It is
repeated for every slot, so a readout of any slot sees all of it. All differ from their sources in
size, AdamW, and views that keep handedness and colour.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from recombine.baselines.nn.encoders import ConvTokens
from recombine.baselines.nn.slots import check_image_size
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import (
    Precision,
    Schedule,
    Sizes,
    autocast,
    budget_share,
    deadline_of,
    endless,
    seeded,
    train,
)
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Int

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.serving.data import Batch, TrainData

    # What is kept (an `nn.Module` with ``out_dim``), all that is trained, and the loss of images.
    Parts = tuple[Any, nn.Module, Callable[[Tensor], Tensor]]


class Trunk(nn.Module):
    """An image becomes one vector: convolutions, then mean and linear map over an 4 x 4 grid."""

    def __init__(self, width: int, dim: int, image_hw: tuple[int, int]) -> None:
        super().__init__()
        self.image_hw, self.out_dim = tuple(image_hw), dim
        self.tokens = ConvTokens(width, image_hw)
        self.grid = tuple(-(-edge // 8) for edge in image_hw)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.out = nn.Sequential(nn.Flatten(), nn.Linear(16 * width, dim))

    def forward(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images dim"]:
        """Return the vectors, float32."""
        cells = self.tokens(images).transpose(1, 2).unflatten(2, self.grid)
        vectors: Tensor = self.out(self.pool(cells))
        return vectors.float()


class VectorEncoder:
    """A fitted trunk as a submission."""

    def __init__(self, trunk: nn.Module, dim: int, image_hw: tuple[int, int]) -> None:
        self.trunk = trunk.eval().requires_grad_(False)
        self.slot_dim, self.image_hw, self.slots = dim, tuple(image_hw), 1

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check the image size and move to the device."""
        check_image_size(spec, self.image_hw)
        self.slots = spec.max_slots
        self.trunk.to(device)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return the image's vector once per slot, ``(B, K, D)``."""
        return SlotOutput(slots=self.trunk(images)[:, None].repeat(1, self.slots, 1))


def projector(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return the small network between a trunk and its loss, thrown away after training."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def augment(
    images: Float[Tensor, "images 3 height width"], strength: float = 1.0
) -> Float[Tensor, "images 3 height width"]:
    """Return a random view of every image: cropped, brightened, tinted, noisy."""
    # No flips and no greyscale: handedness and colour are factors here, and an encoder that is
    # taught to ignore them cannot report them. Crops keep at least 60 % of each edge.
    n, device = len(images), images.device
    scale = 1 - 0.4 * strength * torch.rand(n, device=device)
    shift = (torch.rand(n, 2, device=device) * 2 - 1) * (1 - scale[:, None])
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    views = nn.functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    gain = 1 + 0.2 * strength * torch.randn(n, 1, 1, 1, device=device)
    tint = 1 + 0.05 * strength * torch.randn(n, 3, 1, 1, device=device)
    noise = 0.02 * strength * torch.randn_like(views)
    return (views * gain * tint + noise).clamp(0, 1)


_SCHEDULE = Schedule(steps=900, batch_size=64, rate=1e-3, weight_decay=0.05)


@dataclass(frozen=True)
class SelfSupervised:
    """Settings that every row has; a row adds a card, its own settings and `parts`."""

    card: ClassVar[MethodCard]
    SIZES: ClassVar[Sizes] = {
        "tiny": {
            "width": 32,
            "dim": 32,
            "schedule": Schedule(steps=8, batch_size=16, rate=1e-3, weight_decay=0.05),
        },
        "cpu": {},
        "gpu": {
            "width": 256,
            "dim": 512,
            "schedule": Schedule(
                steps=50_000, batch_size=512, rate=1e-3, weight_decay=0.05, compile=True
            ),
        },
    }

    width: int = 64  # channels of the convolutions
    dim: int = 128  # columns of the image's vector
    schedule: Schedule = _SCHEDULE
    precision: Precision = "bf16"  # arithmetic of the networks
    size: str = "cpu"  # named size that these settings came from; set by `load_baseline`

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> VectorEncoder:
        """Train on images alone; nothing is selected on ``val``."""
        del val
        with seeded(seed):
            trunk, model, loss_of = self.parts(data)
            schedule = self.schedule.within(budget_share(budget, self.schedule.images))

            def loss(batch: Batch) -> Tensor:
                with autocast(self.precision, batch.images.device.type):
                    return loss_of(batch.images)

            batches = endless(data, schedule.batch_size, schedule.steps, seed)
            name, deadline = self.card.id, deadline_of(budget)
            train(model, loss, batches, schedule, log=log, name=name, deadline=deadline)
        return VectorEncoder(trunk, trunk.out_dim, data.spec.image_hw)

    def parts(self, data: TrainData) -> Parts:
        """Return the untrained networks and the loss."""
        raise NotImplementedError


@dataclass(frozen=True)
class SimClr(SelfSupervised):
    """Two views of an image attract, views of other images repel.

    ``L = - log exp(s_ij / t) / sum_{k != i} exp(s_ik / t)`` with cosine similarities s of projected
    vectors, over all 2 B views of a batch. Source: Chen et al. 2020, arXiv 2002.05709, Eq. 1 (NT-
    Xent).
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="simclr",
        name="SimCLR",
        source="arXiv 2002.05709, Eq. 1",
        paper="https://arxiv.org/abs/2002.05709",
        note="Temperature 0.2, crops and colour changes, AdamW.",
    )

    temperature: float = 0.2  # t in the loss

    def parts(self, data: TrainData) -> Parts:
        """Return trunk, trunk with projector, and the loss."""
        trunk = Trunk(self.width, self.dim, data.spec.image_hw)
        model = nn.Sequential(trunk, projector(self.dim, self.dim, 64))

        def loss(images: Tensor) -> Tensor:
            views = torch.cat([augment(images), augment(images)])
            return contrast(model(views), self.temperature)

        return trunk, model, loss


def contrast(vectors: Float[Tensor, "views dim"], temperature: float) -> Float[Tensor, ""]:
    """Return the NT-Xent loss of 2 B views; view i and view i + B show the same image."""
    unit = nn.functional.normalize(vectors.float(), dim=1)
    similarity = unit @ unit.T / temperature
    own = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    partner = torch.arange(len(unit), device=unit.device).roll(len(unit) // 2)
    return nn.functional.cross_entropy(similarity.masked_fill(own, -torch.inf), partner)


@dataclass(frozen=True)
class MoCo(SelfSupervised):
    """Contrast against a queue of keys from a slowly moving copy of the network.

    ``L = - log exp(q k+ / t) / (exp(q k+ / t) + sum_queue exp(q k / t))``, keys from an exponential
    moving average of the weights. It has many negatives where batches are small. Source: He et al.
    2020, arXiv 1911.05722, Eq. 1; Chen et al. 2020, arXiv 2003.04297. Batch statistics are plain:
    there is one process, and nothing to shuffle.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="moco",
        name="MoCo v2",
        source="arXiv 1911.05722, Eq. 1; arXiv 2003.04297",
        paper="https://arxiv.org/abs/1911.05722",
        note="Queue of 2,048 keys, momentum 0.99, temperature 0.2.",
    )
    SIZES: ClassVar[Sizes] = {
        **SelfSupervised.SIZES,
        "tiny": {**SelfSupervised.SIZES["tiny"], "queue": 64},
    }

    temperature: float = 0.2  # t in the loss
    queue: int = 2048  # keys kept
    momentum: float = 0.99  # share of the old weights in the moving average, in [0, 1)

    def parts(self, data: TrainData) -> Parts:
        """Return trunk, network with slow copy and queue, and the loss."""
        outputs = 64
        trunk = Trunk(self.width, self.dim, data.spec.image_hw)
        model = nn.Sequential(trunk, projector(self.dim, self.dim, outputs))
        slow = copy.deepcopy(model).requires_grad_(False)
        keys = nn.functional.normalize(torch.randn(self.queue, outputs), dim=1)
        both = WithQueue(model, slow, keys)

        def loss(images: Tensor) -> Tensor:
            ema_update(slow, model, self.momentum)
            with torch.no_grad():
                key = nn.functional.normalize(slow(augment(images)).float(), dim=1)
            value = queue_loss(model(augment(images)), key, both.keys, self.temperature)
            both.keys = torch.cat([key, both.keys])[: self.queue]
            return value

        return trunk, both, loss


class WithQueue(nn.Module):
    """All that changes while MoCo trains: the network, its slow copy and the queue of keys."""

    keys: Tensor

    def __init__(self, fast: nn.Module, slow: nn.Module, keys: Tensor) -> None:
        super().__init__()
        self.fast, self.slow = fast, slow
        self.register_buffer("keys", keys)


@torch.no_grad()
def ema_update(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move the weights of a copy a little towards those of the original, in place."""
    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
        old.lerp_(new, 1 - momentum)


def queue_loss(
    queries: Float[Tensor, "images dim"],
    keys: Float[Tensor, "images dim"],
    queue: Float[Tensor, "others dim"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the InfoNCE loss of queries against their keys and a queue of others."""
    unit = nn.functional.normalize(queries.float(), dim=1)
    own = (unit * keys).sum(1, keepdim=True)
    logits = torch.cat([own, unit @ queue.T], dim=1) / temperature
    return nn.functional.cross_entropy(logits, logits.new_zeros(len(logits)).long())


@dataclass(frozen=True)
class VicReg(SelfSupervised):
    """Views agree, every column varies, no two columns say the same; no negatives.

    ``L = 25 * mean squared difference of the views + 25 * mean_j max(0, 1 - sd_j) + 1 * sum_{i !=
    j} cov_ij^2 / D``, the second term averaged and the third summed over the two views, as in the
    authors' code. Source: Bardes et al. 2022, arXiv 2105.04906, Eq. 6.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="vicreg",
        name="VICReg",
        source="arXiv 2105.04906, Eq. 6",
        paper="https://arxiv.org/abs/2105.04906",
        note="Weights 25, 25 and 1; projector of 256 columns.",
    )

    similar: float = 25.0  # weight of invariance
    vary: float = 25.0  # of variance
    apart: float = 1.0  # of covariance

    def parts(self, data: TrainData) -> Parts:
        """Return trunk, trunk with projector, and the loss."""
        trunk = Trunk(self.width, self.dim, data.spec.image_hw)
        model = nn.Sequential(trunk, projector(self.dim, 2 * self.dim, 2 * self.dim))
        weights = self.similar, self.vary, self.apart

        def loss(images: Tensor) -> Tensor:
            return vicreg_loss(model(augment(images)), model(augment(images)), weights)

        return trunk, model, loss


def vicreg_loss(
    first: Float[Tensor, "images dim"],
    second: Float[Tensor, "images dim"],
    weights: tuple[float, float, float] = (25.0, 25.0, 1.0),
) -> Float[Tensor, ""]:
    """Return the VICReg loss of two views of the same images."""
    first, second = first.float(), second.float()
    total = weights[0] * (first - second).square().mean()
    for view in (first, second):
        centred = view - view.mean(0)
        deviation = (centred.square().sum(0) / max(len(view) - 1, 1) + 1e-4).sqrt()
        total = total + weights[1] * (1 - deviation).clamp_min(0).mean() / 2
        covariance = centred.T @ centred / max(len(view) - 1, 1)
        off = covariance.square().sum() - covariance.diagonal().square().sum()
        total = total + weights[2] * off / view.shape[1]
    return total


@dataclass(frozen=True)
class Diet(SelfSupervised):
    """Every training image is a class of its own.

    ``L = - sum_n q_n(i) log softmax_n(W f(T(x_i)))`` with ``q(i) = (1 - eps) e_i + eps / N``: a
    linear classifier over image numbers, label smoothing eps, and augmentation T. Cross-entropy
    over instances identifies the latents up to a linear map under the assumptions of Reizinger et
    al. (arXiv 2410.21869), which is why a *linear* readout of f is the right question. Source:
    Ibrahim et al. 2023, arXiv 2302.10260.
    """

    card: ClassVar[MethodCard] = MethodCard(
        id="diet",
        name="DIET",
        source="arXiv 2302.10260; identifiability: arXiv 2410.21869",
        paper="https://arxiv.org/abs/2302.10260",
        note="Instance index as class, label smoothing 0.8, crops and colour changes.",
    )

    smoothing: float = 0.8  # eps in [0, 1)

    def parts(self, data: TrainData) -> Parts:
        """Return trunk, trunk with classifier, and the loss."""
        trunk = Trunk(self.width, self.dim, data.spec.image_hw)
        classes = nn.Linear(self.dim, len(data), bias=False)
        numbers = ImageNumbers()
        model = nn.ModuleDict({"trunk": trunk, "classes": classes, "numbers": numbers})

        def loss(images: Tensor) -> Tensor:
            logits = model["classes"](trunk(augment(images)))
            return instance_loss(logits, numbers(images), self.smoothing)

        return trunk, model, loss


class ImageNumbers(nn.Module):
    """Numbers images in the order in which they first come; equal images share a number."""

    DIGEST = 16  # bytes that tell images apart

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[bytes, int] = {}

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Int[Tensor, " images"]:
        """Return the numbers of a batch, from 0."""
        pixels = (images * 255).round().byte().cpu().numpy()
        keys = [hashlib.blake2b(image.tobytes(), digest_size=self.DIGEST) for image in pixels]
        numbers = [self.known.setdefault(key.digest(), len(self.known)) for key in keys]
        return images.new_tensor(numbers).long()

    def get_extra_state(self) -> Tensor:
        """Return the digests of the known images in their order, for `state_dict`."""
        return torch.tensor([list(digest) for digest in self.known], dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take them back."""
        digests = state.cpu().reshape(-1, self.DIGEST).numpy()
        self.known = {digest.tobytes(): number for number, digest in enumerate(digests)}


def instance_loss(
    logits: Float[Tensor, "images classes"], numbers: Int[Tensor, " images"], smoothing: float
) -> Float[Tensor, ""]:
    """Return the smoothed cross-entropy over instances, averaged over images."""
    return nn.functional.cross_entropy(logits.float(), numbers, label_smoothing=smoothing)
