"""Where a baseline trains: the processor, or one GPU for the size ``gpu``."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from recombine.benchmark.serving.data import Batch
from recombine.renderer.core.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from recombine.benchmark.serving.data import TrainData

Fit = TypeVar("Fit", bound="Callable[..., Any]")


def on_device(fit: Fit) -> Fit:
    """Make a learner's ``fit`` build its networks, and get its images, where its size belongs."""
    # Inside, everything that PyTorch makes without naming a device is made there, random draws too.

    @functools.wraps(fit)
    def inside(self: Any, data: TrainData, val: TrainData, **rest: Any) -> Any:
        device = device_of(getattr(self, "size", ""))
        if device.type == "cpu":
            return fit(self, data, val, **rest)
        with device:
            return fit(self, OnDevice(data, device), OnDevice(val, device), **rest)

    return cast("Fit", inside)


def device_of(size: str) -> torch.device:
    """Return where a size trains.

    Parameters
    ----------
    size : str
        Named size of a baseline.

    Returns
    -------
    torch.device
        A GPU for ``"gpu"``, the processor for all others.

    Raises
    ------
    ResourceError
        When a GPU is needed and there is none.
    """
    if size != "gpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ResourceError(
            "baselines: size 'gpu' needs a CUDA device, and PyTorch finds none; use --size cpu"
        )
    return torch.device("cuda")


class OnDevice:
    """Training data whose batches come on a device."""

    def __init__(self, data: TrainData, device: torch.device) -> None:
        self.data, self.device = data, device

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def __len__(self) -> int:
        return len(self.data)

    def batches(self, batch_size: int, *, seed: int, drop_last: bool = False) -> Iterator[Batch]:
        """Yield the data's batches, moved."""
        for batch in self.data.batches(batch_size, seed=seed, drop_last=drop_last):
            yield self._moved(batch)

    def arrays(self) -> Batch:
        """Return all images at once, moved."""
        return self._moved(self.data.arrays())

    def _moved(self, batch: Batch) -> Batch:
        return Batch(
            batch.images.to(self.device, non_blocking=True),
            {k: v.to(self.device, non_blocking=True) for k, v in batch.factors.items()},
            None if batch.masks is None else batch.masks.to(self.device, non_blocking=True),
        )


def generator_of(seed: int) -> torch.Generator:
    """Return a seeded generator of the device on which things are being made."""
    return torch.Generator(device=torch.get_default_device()).manual_seed(seed)


@contextmanager
def compiled(model: nn.Module, wanted: bool, backend: str = "") -> Iterator[None]:
    """Run a model and its direct parts compiled inside, and as they were outside."""
    # What the compiler cannot do runs uncompiled, and it logs why.
    if not (backend or (wanted and _can_compile())):
        yield
        return
    from torch import _dynamo

    modules = [model, *model.children()]
    for module in modules:
        module.compile(backend=backend or "inductor")
    try:
        with _dynamo.config.patch(suppress_errors=True):
            yield
    finally:
        for module in modules:
            module._compiled_call_impl = None  # as `Module.compile` leaves no way back


def _can_compile() -> bool:
    if not torch.cuda.is_available():
        return False
    if importlib.util.find_spec("triton") is None:
        note = "baselines: Triton is not installed, so networks train uncompiled, to equal results"
        warnings.warn(note, RuntimeWarning, stacklevel=4)
        return False
    return True
