"""Early stopping on in-combination validation images, and on nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from recombine.benchmark.serving.data import Batch
from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from recombine.benchmark.protocol.contract import RunLog
    from recombine.benchmark.serving.data import TrainData

CHUNK = 256


class EarlyStop:
    """Ends training when the loss on ID validation images stops falling.

    Every look is recorded as a configuration tried. Out-of-combination images cannot get here:
    a `TrainData` serves no test split.

    Parameters
    ----------
    val : TrainData
        In-combination validation images, with the fields that the loss needs.
    loss : callable
        Batch to scalar, as for training.
    patience : int
        Looks in a row without a new best loss after which training ends, at least 1.
    every : int
        Steps from one look to the next, at least 1.

    Raises
    ------
    UsageError
        When patience or interval is below 1.
    """

    def __init__(
        self,
        val: TrainData,
        loss: Callable[[Batch], Tensor],
        *,
        patience: int,
        every: int,
    ) -> None:
        if min(patience, every) < 1:
            raise UsageError(
                f"early stopping: expected patience and interval of at least 1, got {patience} "
                f"and {every}; set patience to 0 in the settings to train to the end"
            )
        self.val, self.loss = val, loss
        self.patience, self.every = patience, every
        self.best: dict[str, Tensor] = {}
        self.lowest, self.bad = torch.tensor(torch.inf), torch.tensor(0)

    def after(self, done: int, steps: int, model: nn.Module, log: RunLog) -> bool:
        """Look at the validation loss when it is time to, and say whether training ends.

        Parameters
        ----------
        done, steps : int
            Steps made, and of the whole stage; the last one is looked at too.
        model : Module
            Being trained; left in training mode, its random draws undisturbed.
        log : RunLog
            Gets the loss as the curve ``"id-val"`` and as a configuration tried.
        """
        if done % self.every and done != steps:
            return False
        with torch.random.fork_rng():
            value = self._value(model)
        log.scalar("id-val", float(value), done - 1)
        log.config_tried({"steps": done}, -float(value))
        if value < self.lowest:
            self.lowest, self.bad = value, torch.tensor(0)
            self.best = {key: kept.clone() for key, kept in model.state_dict().items()}
        else:
            self.bad = self.bad + 1
        return bool(self.bad >= self.patience)

    def give_best(self, model: nn.Module) -> None:
        """Set the model to the weights with the lowest validation loss so far."""
        if self.best:
            model.load_state_dict(self.best)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state."""
        best = {f"best/{key}": value for key, value in self.best.items()}
        return {"lowest": self.lowest, "bad": self.bad, **best}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take a state back."""
        self.lowest, self.bad = tensors["lowest"], tensors["bad"]
        begin = "best/"
        self.best = {k.removeprefix(begin): v for k, v in tensors.items() if k.startswith(begin)}

    @torch.no_grad()
    def _value(self, model: nn.Module) -> Tensor:
        model.eval()
        whole = self.val.arrays()
        total = torch.zeros(())
        for rows in torch.split(torch.arange(len(whole.images)), CHUNK):
            total += len(rows) * self.loss(_take(whole, rows)).cpu()
        model.train()
        return total / len(whole.images)


def _take(batch: Batch, rows: Tensor) -> Batch:
    factors = {key: value[rows] for key, value in batch.factors.items()}
    masks = None if batch.masks is None else batch.masks[rows]
    return Batch(batch.images[rows], factors, masks)
