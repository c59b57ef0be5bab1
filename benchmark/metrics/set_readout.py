"""Readouts of a scene as a whole: one that cannot know the order of the slots, and one that can.

*Deep Sets* (Zaheer et al. 2017, arXiv 1703.06114, theorem 2): a function of a set has the form
``rho(sum_k phi(s_k))``. The control is a network of as many parameters on the slots laid side by
side, which may read an answer off the place of a slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from recombine.benchmark.metrics.identifiability import Standardiser, standardiser
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from recombine.renderer.core.types import Array

Pooling: TypeAlias = Literal["sum", "concatenated"]
Answer: TypeAlias = Literal["number", "yes-no"]
WIDTH, STEPS, RATE, DECAY = 64, 300, 3e-3, 1e-3


class _DeepSet(nn.Module):
    """``rho(sum_k phi(s_k))``."""

    def __init__(self, dim: int, answers: int, width: int) -> None:
        super().__init__()
        self.phi = _network(dim, width, width)
        self.rho = _network(width, width, answers)

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Float[Tensor, "images answers"]:
        """Return the answers."""
        out: Tensor = self.rho(self.phi(slots).sum(dim=1))
        return out


class _InOrder(nn.Module):
    """A network on all slots side by side, of about the parameters of `_DeepSet`."""

    def __init__(self, slots: int, dim: int, answers: int, width: int) -> None:
        super().__init__()
        budget = sum(p.numel() for p in _DeepSet(dim, answers, width).parameters())
        inputs = slots * dim
        # One hidden layer: width * (inputs + 1) + answers * (width + 1) parameters.
        self.net = _network(inputs, max(1, (budget - answers) // (inputs + 1 + answers)), answers)

    def forward(self, slots: Float[Tensor, "images slots dim"]) -> Float[Tensor, "images answers"]:
        """Return the answers."""
        out: Tensor = self.net(slots.flatten(1))
        return out


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


@dataclass(frozen=True)
class SetReadout:
    """A fitted readout of whole scenes.

    Attributes
    ----------
    answer : {"number", "yes-no"}
        What it answers.
    """

    answer: Answer
    _model: nn.Module
    _slots: Standardiser
    _targets: Standardiser

    def predict(self, slots: Float[Array, "images slots dim"]) -> Float[Array, "images answers"]:
        """Return numbers in the unit of the training targets, or 1.0 for yes and 0.0 for no.

        Parameters
        ----------
        slots : array
            ``(N, S, D)``. With pooling "sum" their order does not matter (up to rounding), and S
            may differ from that of training.

        Returns
        -------
        array
            ``(N, A)``.
        """
        with torch.no_grad():
            raw: Array = self._model(_scaled(self._slots, slots)).numpy().astype(np.float64)
        if self.answer == "yes-no":
            return (raw > 0).astype(np.float64)
        return raw * self._targets.scale + self._targets.mean


def fit_set_readout(
    slots: Float[Array, "images slots dim"],
    targets: Float[Array, "images answers"],
    *,
    answer: Answer,
    pooling: Pooling = "sum",
    seed: int = 0,
    width: int = WIDTH,
    steps: int = STEPS,
) -> SetReadout:
    """Fit a readout of whole scenes on labelled in-combination images.

    Parameters
    ----------
    slots : array
        ``(N, S, D)``. Columns are standardised over images and slots together, so that nothing
        depends on which slot is which.
    targets : array
        ``(N, A)`` numbers, or 0 and 1 for A yes-no questions that share one network.
    answer : {"number", "yes-no"}
        Squared error on standardised numbers, or binary cross-entropy.
    pooling : {"sum", "concatenated"}
        Deep Sets, or the control that knows the order.
    seed : int
        Of the first weights.
    width, steps : int
        Of the hidden layers, and of AdamW on all images at once with a cosine to zero; the same for
        both poolings, nothing is chosen on any image.

    Returns
    -------
    SetReadout
        The fitted readout.

    Raises
    ------
    InvalidInputError
        When slots and targets do not belong together.
    """
    if slots.ndim != 3 or targets.ndim != 2 or len(slots) != len(targets) or len(slots) == 0:
        raise InvalidInputError(
            f"set readout: expected slots (N, S, D) and targets (N, A) of the same images; got "
            f"{slots.shape} and {targets.shape}"
        )
    scale = standardiser(np.asarray(slots, np.float64).reshape(-1, slots.shape[2]))
    to = standardiser(np.asarray(targets, np.float64))
    wanted = torch.from_numpy((targets if answer == "yes-no" else to(targets)).astype(np.float32))
    inputs = _scaled(scale, slots)
    loss = nn.BCEWithLogitsLoss() if answer == "yes-no" else nn.MSELoss()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dim, answers = slots.shape[2], targets.shape[1]
        model: nn.Module = (
            _DeepSet(dim, answers, width)
            if pooling == "sum"
            else _InOrder(slots.shape[1], dim, answers, width)
        )
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(model(inputs), wanted).backward()
        optimiser.step()
        schedule.step()
    return SetReadout(answer, model.eval().requires_grad_(False), scale, to)


def _scaled(scale: Standardiser, slots: Array) -> Float[Tensor, "images slots dim"]:
    flat = scale(np.asarray(slots, np.float64).reshape(-1, slots.shape[-1]))
    return torch.from_numpy(flat.reshape(slots.shape).astype(np.float32))
