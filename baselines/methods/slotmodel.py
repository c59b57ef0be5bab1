"""Encoder and decoder of an autoencoder on known slots, and how the two are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.nn.decoders import Compositor, initialise
from recombine.baselines.nn.losses import mask_loss, object_weights
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.training.loop import autocast, endless, train
from recombine.baselines.training.slot_encoder import Recognition, first_images, train_recognition

if TYPE_CHECKING:
    from collections.abc import Callable

    from recombine.baselines.methods.slotwise import SlotAutoencoder
    from recombine.baselines.nn.slots import SlotLayout
    from recombine.benchmark.protocol.contract import RunLog
    from recombine.benchmark.serving.data import Batch, TrainData

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
    """Return an untrained decoder of slots to `recombine.baselines.nn.decoders.Layers`."""
    from recombine.baselines.nn import conv_decoders
    from recombine.baselines.nn.attention_decoder import CrossAttention
    from recombine.baselines.nn.decoders import FactoredPatch

    groups, dim = layout.groups, layout.dim
    things = layout.posed if objects is None else objects
    makers: dict[DecoderKind, Callable[[], nn.Module]] = {
        "patch": lambda: Compositor(layout, image_hw, width, light=light),
        "leak": lambda: Compositor(layout, image_hw, width, light=light, leak=True),
        "factored": lambda: Compositor(
            layout, image_hw, width, light=light, patch=FactoredPatch(layout, width)
        ),
        "unstructured": lambda: conv_decoders.Unstructured(layout.count, dim, image_hw, width),
        "broadcast": lambda: conv_decoders.BroadcastMixture(groups, dim, image_hw, width, things),
        "additive": lambda: conv_decoders.Additive(groups, dim, image_hw, width),
        "bilinear": lambda: conv_decoders.Bilinear(groups, dim, image_hw, width),
        "attention": lambda: CrossAttention(dim, image_hw, 2 * width, layout.count),
    }
    return makers[kind]()


class SlotModel(nn.Module):
    """Encoder and decoder of one autoencoder."""

    def __init__(self, settings: SlotAutoencoder, data: TrainData) -> None:
        super().__init__()
        layout = layout_of(data.spec)
        self.recognition = Recognition(
            layout,
            data.spec.image_hw,
            width=settings.width,
            layers=settings.layers,
            pose_weight=settings.pose_weight,
            precision=settings.precision,
        )
        self.decoder = build_decoder(
            settings.kind,
            layout,
            data.spec.image_hw,
            settings.decoder_width,
            light=settings.light,
        )

    def train_stage(
        self,
        settings: SlotAutoencoder,
        data: TrainData,
        *,
        seed: int,
        share: float,
        log: RunLog,
        deadline: float | None = None,
    ) -> None:
        """Train both halves; the arguments are those of `SlotAutoencoder.stage`."""
        recognition = self.recognition
        first = first_images(data, first_count(data, share), seed)
        recognition.standardise(first)
        encoder = settings.encoder.within(share)
        train_recognition(recognition, data, encoder, seed=seed, log=log, deadline=deadline)
        if isinstance(self.decoder, Compositor):
            masks = first.masks if settings.mask_weight > 0 else None
            targets = recognition.targets(first.factors)
            initialise(self.decoder, targets, first.images, masks, background=settings.closed_form)
        schedule = settings.decoder.within(share)
        train(
            self.decoder,
            lambda batch: decoder_loss(self.decoder, recognition, batch, settings),
            endless(data, schedule.batch_size, schedule.steps, seed + 5_000),
            schedule,
            log=log,
            name="decoder",
            deadline=deadline,
        )


def decoder_loss(
    decoder: nn.Module, recognition: Recognition, batch: Batch, settings: SlotAutoencoder
) -> Tensor:
    """Return 100 times the pixel error at the true slots, plus mask loss and penalty."""
    with autocast(settings.precision, batch.images.device.type):
        layers = decoder(recognition.targets(batch.factors))
    masks = batch.masks if settings.mask_weight > 0 else None
    weights = None if masks is None else object_weights(masks, settings.object_weight)
    error = 100 * squared_error(layers.image, batch.images, weights).mean()
    if masks is not None and layers.opacity is not None:
        error = error + settings.mask_weight * mask_loss(layers.opacity, masks)
    return error if layers.penalty is None else error + layers.penalty


def first_count(data: TrainData, share: float) -> int:
    """Return the images of the closed-form fits: at most 2,048, within the budget."""
    return max(1, min(2048, int(share * len(data))))
