"""The one training loop, and the cache of finished training stages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import safetensors.torch
import torch

from recombine.baselines.device import generator_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from recombine.benchmark.data import Batch, TrainData
    from recombine.benchmark.protocol import RunLog, TrainBudget

Precision = Literal["bf16", "float32"]


@dataclass(frozen=True)
class Schedule:
    """Optimiser settings of one training stage.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    batch_size : int
        Real images per step.
    rate : float
        Peak learning rate of AdamW, reached after a linear warm-up over the first tenth of the
        steps and followed by a cosine to zero.
    weight_decay : float
        Decoupled weight decay.
    clip : float
        Largest gradient norm.
    """

    steps: int
    batch_size: int = 64
    rate: float = 3e-3
    weight_decay: float = 0.1
    clip: float = 1.0

    @property
    def images(self) -> int:
        """Return the real images that the stage sees at most."""
        return self.steps * self.batch_size

    def within(self, share: float) -> Schedule:
        """Return the schedule with its steps scaled down by a budget share in (0, 1]."""
        return Schedule(**{**asdict(self), "steps": max(1, int(self.steps * share))})


def budget_share(budget: TrainBudget, planned_images: int) -> float:
    """Return how much of a planned training fits into the image budget.

    Parameters
    ----------
    budget : TrainBudget
        Only ``max_images_seen`` is planned for.
    planned_images : int
        Real images that all stages together would see.

    Returns
    -------
    float
        In (0, 1]; 1 when everything fits.
    """
    if budget.max_images_seen is None:
        return 1.0
    return min(1.0, budget.max_images_seen / max(planned_images, 1))


def learning_rate(schedule: Schedule, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine to zero.

    Examples
    --------
    >>> [round(learning_rate(Schedule(steps=100, rate=1.0), s), 2) for s in (0, 9, 55, 99)]
    [0.1, 1.0, 0.49, 0.0]
    """
    warm = max(1, schedule.steps // 10)
    if step < warm:
        return schedule.rate * (step + 1) / warm
    done = (step + 1 - warm) / max(1, schedule.steps - warm)
    return schedule.rate * 0.5 * (1 + math.cos(math.pi * done))


def endless(data: TrainData, batch_size: int, steps: int, seed: int) -> Iterator[Batch]:
    """Yield ``steps`` batches, epoch after epoch, each in an order of its own.

    Parameters
    ----------
    data : TrainData
        Served images; a last batch smaller than the others is left out.
    batch_size : int
        Images per batch, cut to the size of the data.
    steps : int
        Number of batches.
    seed : int
        Epoch e is ordered by ``seed + e``.

    Yields
    ------
    Batch
        The next batch.
    """
    size, done, epoch = min(batch_size, len(data)), 0, 0
    while done < steps:
        for batch in data.batches(size, seed=seed + epoch, drop_last=True):
            yield batch
            done += 1
            if done == steps:
                return
        epoch += 1


def autocast(precision: Precision, device: str = "cpu") -> contextlib.AbstractContextManager[Any]:
    """Return the context in which networks run: bfloat16 where it pays, or plain float32."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


def train(
    model: nn.Module,
    loss: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    schedule: Schedule,
    *,
    log: RunLog,
    name: str,
    deadline: float | None = None,
) -> None:
    """Train a model in place and leave it in evaluation mode.

    Parameters
    ----------
    model : Module
        Its parameters that require gradients are trained.
    loss : callable
        Batch to scalar loss.
    batches : iterable of Batch
        One per step.
    schedule : Schedule
        Optimiser settings.
    log : RunLog
        Gets the loss of every 20th step under ``name``.
    name : str
        Name of the curve.
    deadline : float, optional
        `time.monotonic` value after which training stops early.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=schedule.rate, weight_decay=schedule.weight_decay, foreach=True
    )
    model.train()
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(schedule, step)
        value = loss(batch)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, schedule.clip)
        optimiser.step()
        if step % 20 == 0:
            log.scalar(name, float(value.detach()), step)
        if deadline is not None and time.monotonic() > deadline:
            break
    model.eval()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Make everything random inside depend on a seed only, and nothing outside.

    Parameters
    ----------
    seed : int
        Seed of PyTorch's global CPU generator inside the block.

    Yields
    ------
    Generator
        A generator of its own for explicit draws.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield generator_of(seed + 0x5EED)


def fingerprint(data: TrainData) -> str:
    """Return a hash of the served training images and labels.

    Parameters
    ----------
    data : TrainData
        Read through ``arrays``, so nothing is counted.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    batch = data.arrays()
    digest = hashlib.sha256()
    tensors = {"images": (batch.images * 255).round().to(torch.uint8), **batch.factors}
    if batch.masks is not None:
        tensors["masks"] = batch.masks.to(torch.uint8)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def cached_stage(
    cache_dir: Path | None, identity: Mapping[str, Any], build: Callable[[], dict[str, Tensor]]
) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors of a training stage, from the cache when they are there.

    Parameters
    ----------
    cache_dir : Path, optional
        Folder of the cache; None builds always and stores nothing.
    identity : Mapping
        Everything that decides the result, as plain JSON values.
    build : callable
        Trains the stage.

    Returns
    -------
    tuple
        The tensors, and whether they came from the cache. A damaged file is built again.
    """
    if cache_dir is None:
        return build(), False
    text = json.dumps({**identity, "torch": torch.__version__}, sort_keys=True, allow_nan=False)
    path = cache_dir / f"stage-{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"
    if path.exists():
        with contextlib.suppress(safetensors.SafetensorError, OSError):
            return safetensors.torch.load_file(path), True
    tensors = {key: value.detach().contiguous() for key, value in build().items()}
    cache_dir.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    safetensors.torch.save_file(tensors, part)
    part.replace(path)
    return tensors, False
