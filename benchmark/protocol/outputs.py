"""Running a method on one batch, and checking what it returns.

An output is a mapping of arrays: ``slots``, and where the method offers them ``presence`` and
``segments`` (the slot of every pixel, from its masks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch

from recombine.benchmark.protocol.contract import Encoder, Inverter, SlotOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from recombine.renderer.core.types import Array

MAX_DIM = 512
MAX_SLOTS = 64
MAX_ABS = 1e6
Clause = Literal["shapes", "dtype", "range"]
Output: TypeAlias = "dict[str, Array]"


class WrongAnswerError(ValueError):
    """Arguments: what was expected, what came; and the clause of the contract that is broken."""

    def __init__(self, expected: object, got: object, clause: Clause = "shapes") -> None:
        super().__init__(expected, got)
        self.clause = clause


def run_method(
    method: Encoder | Inverter, images: Float[Tensor, "images 3 height width"], steps: Sequence[int]
) -> list[SlotOutput]:
    """Ask a method about one batch.

    Parameters
    ----------
    method : Encoder or Inverter
        After ``setup``.
    images : Tensor
        ``(B, 3, H, W)`` float32 in [0, 1].
    steps : sequence of int
        Ascending search steps at which slots are read; ``(0,)`` for an encoder.

    Returns
    -------
    list of SlotOutput
        One per step count; not checked.

    Raises
    ------
    WrongAnswerError
        When a searching method changed the images.
    """
    if not isinstance(method, Inverter):
        with torch.inference_mode():
            return [method.encode(images)]
    outputs = []
    version = images._version
    state: Any = method.init(images)
    done = 0
    for target in steps:
        while done < target:
            state = method.step(images, state)
            done += 1
        # A later step may change the state in place, and what was read with it.
        outputs.append(_cloned(method.read(state)))
    if images._version != version:
        raise WrongAnswerError("images left as they are", "a method that changed them in place")
    return outputs


def checked_output(
    output: object,
    method: Encoder | Inverter,
    images: Float[Tensor, "images 3 height width"],
    *,
    min_slots: int,
    extras: bool = True,
) -> Output:
    """Return what a method answered to one batch as arrays.

    Parameters
    ----------
    output : object
        What it returned.
    method : Encoder or Inverter
        Says ``slot_dim``.
    images : Tensor
        What it was asked about.
    min_slots : int
        The least number of slots.
    extras : bool
        Keep presence and segments as well.

    Returns
    -------
    dict of str to array
        ``slots`` ``(B, S, D)`` float32; ``presence`` ``(B, S)`` float32 and ``segments``
        ``(B, H, W)`` uint8 where offered.

    Raises
    ------
    WrongAnswerError
        With the first thing that is wrong.
    """
    slots = getattr(output, "slots", None)
    if not isinstance(slots, torch.Tensor):
        raise WrongAnswerError("a SlotOutput with a tensor of slots", type(output).__name__)
    if slots.ndim != 3 or len(slots) != len(images):
        raise WrongAnswerError(f"slots ({len(images)}, S, D)", tuple(slots.shape))
    if slots.shape[2] != method.slot_dim or not 1 <= slots.shape[2] <= MAX_DIM:
        raise WrongAnswerError(f"D = slot_dim = {method.slot_dim}, 1 to {MAX_DIM}", slots.shape[2])
    if not min_slots <= slots.shape[1] <= MAX_SLOTS:
        raise WrongAnswerError(f"{min_slots} to {MAX_SLOTS} slots", slots.shape[1])
    parts = _parts(output, slots, images.shape[2:]) if extras else {}
    if slots.dtype != torch.float32:
        raise WrongAnswerError("slots torch.float32", slots.dtype, "dtype")
    array: Array = slots.detach().cpu().numpy()
    if not np.all(np.abs(array) <= MAX_ABS):  # also False for NaN
        raise WrongAnswerError(
            f"finite slots of at most {MAX_ABS:g}", "NaN, infinite or bigger values", "range"
        )
    out = {"slots": array}
    if "presence" in parts:
        out["presence"] = _fractions(parts, "presence").cpu().numpy()
    if "masks" in parts:
        out["segments"] = _fractions(parts, "masks").argmax(dim=1).to(torch.uint8).cpu().numpy()
    return out


def _parts(output: object, slots: Tensor, edges: Sequence[int]) -> dict[str, Tensor]:
    """Return presence and masks where they are offered, their shapes and types checked."""
    shapes = {"presence": slots.shape[:2], "masks": (*slots.shape[:2], *edges)}
    parts = {name: getattr(output, name, None) for name in shapes}
    found = {name: value for name, value in parts.items() if value is not None}
    for name, value in found.items():
        if not isinstance(value, torch.Tensor) or value.shape != shapes[name]:
            got = tuple(getattr(value, "shape", ())) or type(value).__name__
            raise WrongAnswerError(f"{name} {tuple(shapes[name])}", got)
    for name, value in found.items():
        if value.dtype != torch.float32:
            raise WrongAnswerError(f"{name} torch.float32", value.dtype, "dtype")
    return found


def _fractions(parts: dict[str, Tensor], name: str) -> Tensor:
    """Return a part that lies in [0, 1], rounding errors cut off."""
    if not bool(((parts[name] >= -1e-4) & (parts[name] <= 1 + 1e-4)).all()):  # also False for NaN
        raise WrongAnswerError(f"{name} in [0, 1]", "NaN or values outside", "range")
    return parts[name].detach().clamp(0, 1)


def _cloned(output: object) -> Any:
    """Return a copy that later steps cannot change; anything wrong is left to the check."""
    slots, presence, masks = (
        value.detach().clone() if isinstance(value, torch.Tensor) else value
        for value in (getattr(output, name, None) for name in ("slots", "presence", "masks"))
    )
    return output if slots is None else SlotOutput(slots, presence, masks)
