"""DIET: every training image is a class of its own.

``L = - sum_n q_n(i) log softmax_n(W f(T(x_i)))`` with ``q(i) = (1 - eps) e_i + eps / N``: a linear
classifier over image numbers, label smoothing eps, and augmentation T. Cross-entropy over instances
identifies the latents up to a linear map under the assumptions of Reizinger et al. (arXiv
2410.21869), which is why a *linear* readout of f is the right question.
Source: Ibrahim et al. 2023, arXiv 2302.10260. Differs in the views, which keep handedness and
colour, and in its size.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from recombine.baselines.methods.unlabelled import (
    Trunk,
    Unlabelled,
    VectorEncoder,
    altered,
    fit_unlabelled,
    sizes_of,
)
from recombine.baselines.training.device import on_device
from recombine.baselines.training.loop import seeded
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData

_DIGEST = 16


@dataclass(frozen=True)
class Diet(Unlabelled):
    """Settings of DIET; ``fit`` trains it."""

    card: ClassVar[MethodCard] = MethodCard(
        id="diet",
        name="DIET",
        source="arXiv 2302.10260; identifiability: arXiv 2410.21869",
        note="Instance index as class, label smoothing 0.8, crops and colour changes.",
    )

    smoothing: float = 0.8  # eps in [0, 1)

    @on_device
    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> VectorEncoder:
        """Train on images alone; nothing is selected on ``val``."""
        del val
        with seeded(seed):
            trunk = Trunk(self.width, self.dim, data.spec.image_hw)
            model = nn.ModuleDict(
                {
                    "trunk": trunk,
                    "classes": nn.Linear(self.dim, len(data), bias=False),
                    "numbers": (numbers := ImageNumbers()),
                }
            )

            def loss(images: Tensor) -> Tensor:
                logits = model["classes"](trunk(altered(images)))
                return instance_loss(logits, numbers(images), self.smoothing)

            fit_unlabelled(self, model, loss, data, seed=seed, budget=budget, log=log, name="diet")
        return VectorEncoder(trunk, self.dim, data.spec.image_hw)


class ImageNumbers(nn.Module):
    """Numbers images in the order in which they first come; equal images share a number."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[bytes, int] = {}

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Int[Tensor, " images"]:
        """Return the numbers of a batch, from 0."""
        pixels = (images * 255).round().byte().cpu()
        keys = [hashlib.blake2b(image.numpy().tobytes(), digest_size=_DIGEST) for image in pixels]
        numbers = [self.known.setdefault(key.digest(), len(self.known)) for key in keys]
        return images.new_tensor(numbers).long()

    def get_extra_state(self) -> Tensor:
        """Return the digests of the known images in their order, for `state_dict`."""
        return torch.tensor([list(digest) for digest in self.known], dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take them back."""
        digests = state.cpu().reshape(-1, _DIGEST).numpy()
        self.known = {digest.tobytes(): number for number, digest in enumerate(digests)}


def instance_loss(
    logits: Float[Tensor, "images classes"], numbers: Int[Tensor, " images"], smoothing: float
) -> Float[Tensor, ""]:
    """Return the smoothed cross-entropy over instances, averaged over images."""
    return nn.functional.cross_entropy(logits.float(), numbers, label_smoothing=smoothing)


SIZES: dict[str, dict[str, Unlabelled]] = {"Diet": sizes_of(Diet)}
