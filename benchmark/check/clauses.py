"""The clauses of the contract for every method, one function each.

A clause returns what it measured, in words, or raises `BrokenError` with what was expected, what
came, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recombine.benchmark.check.trial import FEW, BrokenError, DoubtError, Trial, detached
from recombine.benchmark.inference.cost import peak_rss, reset_peak_rss
from recombine.benchmark.inference.flops import count_flops
from recombine.benchmark.inference.query import MARKED_CHANGE, Change, measured_change
from recombine.benchmark.protocol.contract import Inverter
from recombine.benchmark.protocol.outputs import Clause, WrongAnswerError, checked_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.protocol.outputs import Output

MIB = 2**20


def _contract(trial: Trial, clause: Clause, size: int) -> list[Output]:
    """Return checked answers to some images; only the named clause is insisted on."""
    images, found = trial.images[:size], []
    for output in trial.outputs(images.clone()):
        try:
            found.append(checked_output(output, trial.method, images, min_slots=trial.slots_needed))
        except WrongAnswerError as error:
            if error.clause == clause:
                raise BrokenError(
                    f"expected {error.args[0]}, got {error.args[1]}", error.todo
                ) from error
    return found


def shapes(trial: Trial) -> str:
    """Check that batches of 1, 5 and 32 images give (B, S, D), with one S and one D."""
    sizes = (1, 5, len(trial.images))
    seen = {
        output["slots"].shape[1:] for size in sizes for output in _contract(trial, "shapes", size)
    }
    if len(seen) > 1:
        raise BrokenError(f"expected one (S, D) for every batch, got {sorted(seen)}", "fix S and D")
    slots, dim = seen.pop() if seen else ("S", trial.method.slot_dim)
    if isinstance(slots, int) and slots > trial.slots_allowed:
        raise BrokenError(
            f"expected at most {trial.slots_allowed} exchangeable slots, got {slots}",
            "return fewer slots, or give them fixed roles",
        )
    return f"slots (B, {slots}, {dim}) for B = 1, 5, {len(trial.images)}"


def dtype(trial: Trial) -> str:
    """Check that every tensor is float32."""
    _contract(trial, "dtype", len(trial.images))
    return "float32"


def value_range(trial: Trial) -> str:
    """Check that slots are finite and moderate, and that presence and masks lie in [0, 1]."""
    outputs = _contract(trial, "range", len(trial.images))
    biggest = max(float(abs(output["slots"]).max()) for output in outputs)
    if biggest == 0.0:
        raise DoubtError("all slots are 0", "an untrained output layer? nothing can be read out")
    return f"finite, at most {biggest:.3g}"


def determinism(trial: Trial) -> str:
    """Check that the same batch gives the same slots."""
    slots, rows = trial.slots(trial.images), np.arange(len(trial.images))
    return _small(
        measured_change(slots, rows, trial.slots(trial.images), "repeat"),
        "when asked twice",
        "draw no random numbers at test time: .eval(), fixed seeds",
    )


def batch_independence(trial: Trial) -> str:
    """Check that an image's slots do not depend on the other images of its batch."""
    n = len(trial.images)
    rows = [np.arange(i, i + 1) for i in range(FEW)]
    rows += [np.arange(i, min(i + 5, n)) for i in range(0, n, 5)]
    parts = zip(*(trial.slots(trial.images[one]) for one in rows), strict=True)
    again = [np.concatenate(slots) for slots in parts]
    return _small(
        measured_change(trial.slots(trial.images), np.concatenate(rows), again, "batch"),
        "between batches of 32, 5 and 1",
        "treat every image on its own: .eval() for batch normalisation, no statistics over a batch",
    )


def order_independence(trial: Trial) -> str:
    """Check that an image's slots do not depend on its place in the batch."""
    back, rows = trial.slots(trial.images.flip(0)), np.arange(len(trial.images))[::-1]
    return _small(
        measured_change(trial.slots(trial.images), rows, back, "batch"),
        "when the batch is reversed",
        "let no image see its neighbours or its place in the batch",
    )


def _small(change: Change, when: str, todo: str) -> str:
    """Judge a change as scoring does."""
    if got := change.refused():
        raise BrokenError(f"{got} {when}", todo)
    text = f"slots change by {max(change.largest):.1e} standard deviations {when}"
    if max(change.typical) > MARKED_CHANGE:
        raise DoubtError(f"{text}; above {MARKED_CHANGE:g} an entry is marked", todo)
    return text


def input_unchanged(trial: Trial) -> str:
    """Check that the images are left as they are."""
    images = trial.images.clone()
    trial.outputs(images)
    if not torch.equal(images, trial.images):
        raise BrokenError("expected images left as they are, got changed ones", "work on a copy")
    return "images left as they are"


def memory(trial: Trial, limit: int) -> str:
    """Check that answering fits into memory."""
    fresh = reset_peak_rss()
    trial.outputs(trial.images.clone())
    peak = peak_rss()
    if peak is None:
        raise DoubtError("this system does not tell (no VmHWM)", "nothing to do")
    text = f"peak {peak // MIB} MiB (VmHWM) {'while answering' if fresh else 'so far'}"
    if peak > limit:
        raise BrokenError(f"{text}, at most {limit // MIB} MiB is allowed", "use less memory")
    return f"{text} 32 images" if fresh else text


def flop_coverage(trial: Trial) -> str:
    """Check that operations can be counted, and list the ones that cannot."""
    images = trial.images[:4]
    try:
        report = count_flops(lambda: trial.outputs(images.clone()))
    except Exception as error:
        raise DoubtError(
            f"counting failed with {type(error).__name__}: {error}",
            "the entry will show no compute; avoid custom kernels",
        ) from error
    steps = " with 2 steps" if isinstance(trial.method, Inverter) else ""
    text = f"{report.flops / len(images) / 1e9:.3g} GFLOP per image{steps}"
    if report.uncounted:
        names = ", ".join(f"{name} x {n}" for name, n in sorted(report.uncounted.items()))
        raise DoubtError(
            f"{text}; not counted: {names}", "the entry will list them beside the count"
        )
    return f"{text}, every operator known"


CLAUSES: dict[str, Callable[[Trial], str]] = {
    "shapes": shapes,
    "dtype": dtype,
    "range": value_range,
    "determinism": determinism,
    "batch": batch_independence,
    "order": order_independence,
    "input": input_unchanged,
}


# The clauses of the contract for methods that search.

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
        runs.append(detached(method.read(now)).slots.detach().float().numpy())
    change = measured_change(runs[:1], np.arange(FEW), runs[1:], "repeat")
    if got := change.refused():
        raise BrokenError(
            f"the search goes on differently after a read: {got}",
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
