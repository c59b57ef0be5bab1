"""The clauses of the contract for methods that search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from recombine.benchmark.check.trial import (
    FEW,
    THRESHOLD,
    BrokenError,
    DoubtError,
    Trial,
    detached,
)
from recombine.benchmark.protocol.contract import Inverter

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

STEPS = 10


def state(trial: Trial) -> str:
    """Check that reading needs no images and leaves the search alone."""
    method = _inverter(trial)
    images = trial.images[:FEW]
    runs = []
    for reads in (True, False):
        now = method.step(images.clone(), method.init(images.clone()))
        if reads:
            once, twice = (detached(method.read(now)).slots for _ in range(2))
            if not torch.equal(once, twice):
                raise BrokenError("read gives two answers for one state", "read only the state")
        now = method.step(images.clone(), now)
        runs.append(detached(method.read(now)).slots.flatten(1).double())
    change = trial.change(*runs)
    if not change <= THRESHOLD:
        raise BrokenError(
            f"the search goes on differently after a read ({change:.1e})",
            "let read leave the state as it is",
        )
    return "read twice, and between steps, without effect"


def step(trial: Trial) -> str:
    """Check that ten steps run, and whether they bring the decoded image closer to the real one."""
    method = _inverter(trial)
    images = trial.images[:FEW]
    now = method.init(images.clone())
    before = _misfit(method, now, images)
    for _ in range(STEPS):
        now = method.step(images.clone(), now)
    after = _misfit(method, now, images)
    text = f"squared error of the decoded image {before:.4g} -> {after:.4g} in {STEPS} steps"
    if not after < before:
        raise DoubtError(text, "search does not improve the image; check its sign and its rate")
    return text


def decode(trial: Trial) -> str:
    """Check that slots decode to images in [0, 1]."""
    method = _inverter(trial)
    slots = detached(method.read(method.init(trial.images[:FEW].clone()))).slots
    with torch.no_grad():
        image = method.decode(slots)
    wanted = (FEW, *trial.images.shape[1:])
    if not isinstance(image, torch.Tensor) or tuple(image.shape) != wanted:
        got = tuple(getattr(image, "shape", ())) or type(image).__name__
        raise BrokenError(f"expected an image {wanted}, got {got}", "return (B, 3, H, W)")
    low, high = float(image.min()), float(image.max())
    if image.dtype != torch.float32 or not (low >= -1e-6 and high <= 1 + 1e-6):
        raise BrokenError(
            f"expected float32 in [0, 1], got {image.dtype} in [{low:.3g}, {high:.3g}]",
            "end the decoder with a sigmoid, or clamp",
        )
    return f"images {wanted} in [{low:.2g}, {high:.2g}]"


def _misfit(method: Inverter, now: Any, images: Float[Tensor, "images 3 height width"]) -> float:
    slots = detached(method.read(now)).slots
    with torch.no_grad():
        return float((method.decode(slots) - images).square().mean())


def _inverter(trial: Trial) -> Inverter:
    if not isinstance(trial.method, Inverter):
        raise BrokenError("expected an Inverter", "give it init, step, read and decode")
    return trial.method


SEARCH_CLAUSES: dict[str, Callable[[Trial], str]] = {"state": state, "step": step, "decode": decode}
