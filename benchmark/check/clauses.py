"""The clauses of the contract for every method, one function each.

A clause returns what it measured, in words, or raises `BrokenError` with what was expected, what
came, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from recombine.benchmark.check.trial import FEW, THRESHOLD, BrokenError, DoubtError, Trial, detached
from recombine.benchmark.inference.cost import peak_rss, reset_peak_rss
from recombine.benchmark.inference.flops import count_flops
from recombine.benchmark.protocol.contract import Inverter, SlotOutput
from recombine.benchmark.protocol.outputs import MAX_ABS, MAX_DIM, MAX_SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor


MIB = 2**20


def shapes(trial: Trial) -> str:
    """Check that batches of 1, 5 and 32 images give (B, S, D), with one S and one D."""
    seen = set()
    for size in (1, 5, len(trial.images)):
        for output in trial.outputs(trial.images[:size].clone()):
            if not isinstance(output, SlotOutput) or not isinstance(output.slots, torch.Tensor):
                raise BrokenError(
                    f"expected a SlotOutput with a tensor of slots, got {type(output).__name__}",
                    "return SlotOutput(slots=...)",
                )
            if output.slots.ndim != 3 or len(output.slots) != size:
                raise BrokenError(
                    f"expected slots ({size}, S, D), got {tuple(output.slots.shape)}",
                    "return one row per image, then slots, then numbers",
                )
            _check_masks(output, trial)
            seen.add(tuple(output.slots.shape[1:]))
    if len(seen) != 1:
        raise BrokenError(f"expected one (S, D) for every batch, got {sorted(seen)}", "fix S and D")
    slots, dim = seen.pop()
    if not trial.slots_needed <= slots <= MAX_SLOTS:
        raise BrokenError(
            f"expected {trial.slots_needed} to {MAX_SLOTS} slots, got {slots}",
            "return at least spec.max_slots slots; repeat a single vector",
        )
    if dim != trial.method.slot_dim or not 1 <= dim <= MAX_DIM:
        raise BrokenError(
            f"expected D = slot_dim = {trial.method.slot_dim}, 1 to {MAX_DIM}, got {dim}",
            "set slot_dim to the size of a slot",
        )
    return f"slots (B, {slots}, {dim}) for B = 1, 5, {len(trial.images)}"


def _check_masks(output: SlotOutput, trial: Trial) -> None:
    batch, slots = output.slots.shape[:2]
    wanted = {
        "presence": (batch, slots),
        "masks": (batch, slots, *trial.images.shape[2:]),
    }
    for name, shape in wanted.items():
        value = getattr(output, name)
        if value is not None and tuple(value.shape) != shape:
            raise BrokenError(
                f"expected {name} {shape}, got {tuple(value.shape)}",
                "fix its shape or leave it out",
            )


def dtype(trial: Trial) -> str:
    """Check that every tensor is float32."""
    for output in trial.outputs(trial.images.clone()):
        for name in ("slots", "presence", "masks"):
            value = getattr(output, name)
            if value is not None and value.dtype != torch.float32:
                raise BrokenError(f"expected {name} float32, got {value.dtype}", "call .float()")
    return "float32"


def value_range(trial: Trial) -> str:
    """Check that slots are finite and moderate, and that presence and masks lie in [0, 1]."""
    biggest = 0.0
    for output in trial.outputs(trial.images.clone()):
        if not bool(torch.isfinite(output.slots).all()):
            raise BrokenError("expected finite slots, got NaN or infinity", "find the first NaN")
        biggest = max(biggest, float(output.slots.abs().max()))
        for name in ("presence", "masks"):
            value = getattr(output, name)
            if value is not None and not bool(((value >= 0) & (value <= 1)).all()):
                raise BrokenError(f"expected {name} in [0, 1]", "use a sigmoid or a softmax")
    if biggest > MAX_ABS:
        raise BrokenError(f"expected at most {MAX_ABS:g}, got {biggest:.3g}", "normalise the slots")
    if biggest == 0.0:
        raise DoubtError("all slots are 0", "an untrained output layer? nothing can be read out")
    return f"finite, at most {biggest:.3g}"


def determinism(trial: Trial) -> str:
    """Check that the same batch gives the same slots."""
    change = trial.change(trial.slots(trial.images), trial.slots(trial.images))
    return _small(
        change, "when asked twice", "draw no random numbers at test time: .eval(), fixed seeds"
    )


def batch_independence(trial: Trial) -> str:
    """Check that an image's slots do not depend on the other images of its batch."""
    together = trial.slots(trial.images)
    n = len(trial.images)
    alone = torch.cat([trial.slots(trial.images[i : i + 1]) for i in range(FEW)])
    fives = torch.cat([trial.slots(trial.images[i : i + 5]) for i in range(0, n, 5)])
    change = max(trial.change(together[:FEW], alone), trial.change(together, fives))
    return _small(
        change,
        "between batches of 32, 5 and 1",
        "treat every image on its own: .eval() for batch normalisation, no statistics over a batch",
    )


def order_independence(trial: Trial) -> str:
    """Check that an image's slots do not depend on its place in the batch."""
    back = trial.slots(trial.images.flip(0)).flip(0)
    return _small(
        trial.change(trial.slots(trial.images), back),
        "when the batch is reversed",
        "let no image see its neighbours or its place in the batch",
    )


def _small(change: float, when: str, todo: str) -> str:
    text = f"slots change by {change:.1e} {when}"
    if not change <= THRESHOLD:
        raise BrokenError(f"{text}, at most {THRESHOLD:g} is allowed", todo)
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
