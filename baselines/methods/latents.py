"""Inferred slots: a variational encoder, and search in the space of its latents."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.nn.losses import slot_loss
from recombine.baselines.nn.slots import Columns, SlotLayout, slot_vectors, standard
from recombine.baselines.training.device import generator_of
from recombine.baselines.training.loop import Precision, autocast
from recombine.baselines.training.search import Inversion, SearchSettings
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec
    from recombine.benchmark.serving.data import TrainData

LATENT_CANDIDATES: tuple[SearchSettings, ...] = (
    SearchSettings(pose_rate=0.03),
    SearchSettings(pose_rate=0.1),
)


def latent_layout(slots: int, dim: int) -> SlotLayout:
    """Return a layout of unnamed continuous columns, so that one search serves all models."""
    # Every slot keeps its role and has decoder networks of its own.
    columns = tuple((Columns(f"slot{k}.latent{k}", "float", 0, dim),) for k in range(slots))
    return SlotLayout(tuple(f"slot{k}" for k in range(slots)), columns)


class LatentEncoder(nn.Module):
    """Image to a Gaussian per slot: the posterior of a variational autoencoder."""

    def __init__(
        self,
        slots: int,
        dim: int,
        image_hw: tuple[int, int],
        *,
        width: int,
        layers: int,
        precision: Precision,
    ) -> None:
        super().__init__()
        self.layout, self.image_hw = latent_layout(slots, dim), tuple(image_hw)
        self.precision: Precision = precision
        self.network = SlotEncoder(slots, 2 * dim, width=width, image_hw=image_hw, layers=layers)

    def posterior(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images slots dim"], Float[Tensor, "images slots dim"]]:
        """Return mean and log-variance; the latter within +-8."""
        precision: Precision = self.precision if self.training else "float32"
        with autocast(precision, images.device.type):
            mean, spread = self.network(images)[1].chunk(2, dim=2)
        return mean, 8 * torch.tanh((spread - 4) / 8)

    def guess(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return the posterior means."""
        return self.posterior(images)[0]


def divergence(
    mean: Float[Tensor, "images slots dim"], log_variance: Float[Tensor, "images slots dim"]
) -> Float[Tensor, ""]:
    """Return the KL divergence from a standard normal, summed over latents, mean over images."""
    terms = mean.square() + log_variance.exp() - 1 - log_variance
    return 0.5 * terms.sum(dim=(1, 2)).mean()


class Labels(nn.Module):
    """A linear readout of posterior means, through which labels act on the slots."""

    center: Tensor
    spread: Tensor

    def __init__(self, layout: SlotLayout, dim: int) -> None:
        super().__init__()
        self.layout = layout
        self.weight = nn.Parameter(torch.randn(layout.count, layout.dim, dim) * dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(layout.count, layout.dim))
        self.register_buffer("center", torch.zeros(layout.count, layout.dim))
        self.register_buffer("spread", torch.ones(layout.count, layout.dim))

    def standardise(self, factors: Mapping[str, Tensor]) -> None:
        """Set the scale of continuous columns from labels of training images."""
        self.center, self.spread = standard(self.layout, slot_vectors(self.layout, factors))

    def loss(
        self, means: Float[Tensor, "images slots dim"], factors: Mapping[str, Tensor]
    ) -> Float[Tensor, ""]:
        """Return the supervised loss of the readout; see `recombine.baselines.nn.losses.slot_loss`."""
        outputs = torch.einsum("bkd,kod->bko", means, self.weight) + self.bias
        targets = (slot_vectors(self.layout, factors) - self.center) / self.spread
        return slot_loss(self.layout, outputs, targets, pose_weight=0.3)


class LatentInversion(Inversion):
    """A decoder of inferred slots, inverted from the posterior mean by plain Adam."""

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Check the image size and move to the device."""
        if tuple(spec.image_hw) != tuple(self.recognition.image_hw):
            raise InvalidInputError(
                f"baselines: this model was trained on images of {self.recognition.image_hw}, got "
                f"{tuple(spec.image_hw)}; train it anew"
            )
        self.move(device)

    @torch.no_grad()
    def masks(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images slots height width"] | None:
        """Return the mixing weights of a decoder that composites; None for any other."""
        decoder: Any = self.decoder
        opacity = decoder(slots).opacity
        if opacity is None:
            return None
        shares = nn.functional.pad(opacity.float(), (0, 0, 0, 0, 1, 0)).softmax(1)
        out = shares.new_zeros(*slots.shape[:2], *shares.shape[2:])
        out[:, decoder.others[0]] = shares[:, 0]
        out[:, decoder.objects] = shares[:, 1:]
        return out


def latent_recovery(
    inversion: LatentInversion, images: Float[Tensor, "images 3 height width"], seed: int
) -> float:
    """Return how often a search from a foreign slot finds the way back: ID recovery without labels."""
    # One slot of every image starts as that of another image. After the search it should be nearer
    # to its own posterior mean than to that of any other image.
    generator = generator_of(seed)
    with torch.no_grad():
        own = inversion.recognition.guess(images)
    n, rows = len(own), torch.arange(len(own))
    slot = torch.randint(own.shape[1], (n,), generator=generator)
    start = own.clone()
    start[rows, slot] = own.roll(1, dims=0)[rows, slot]
    state = inversion.start(start)
    for _ in range(inversion.settings.steps):
        state = inversion.step(images, state)
    found = state.best[rows, slot]
    banks = own[:, slot].transpose(0, 1)  # for every image the slot in question of all images
    nearest = (banks - found[:, None]).square().sum(2).argmin(1)
    return float((nearest == rows).float().mean())


def select_latent_search(
    encoder: LatentEncoder,
    decoder: nn.Module,
    val: TrainData,
    *,
    seed: int,
    log: RunLog,
    candidates: Sequence[SearchSettings] = LATENT_CANDIDATES,
    images: int = 96,
) -> LatentInversion:
    """Return the inverter whose settings recover foreign slots best on validation images."""
    batch = next(iter(val.batches(min(images, len(val)), seed=seed)))
    tried = [LatentInversion(encoder, decoder, one, encoder.precision) for one in candidates]
    scores = []
    for inversion in tried:
        scores.append(latent_recovery(inversion, batch.images, seed))
        log.config_tried(asdict(inversion.settings), scores[-1])
    return tried[scores.index(max(scores))]
