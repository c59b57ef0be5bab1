"""Running a method on one batch, and checking what it returns.

An output is a mapping of arrays: ``slots``, and where the method offers them ``presence`` and
``segments`` (the slot of every pixel, from its masks).
"""

from __future__ import annotations

import operator
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
TODO: dict[Clause, str] = {
    "shapes": "return SlotOutput(slots=...): one row per image, then at least spec.max_slots slots "
    "(repeat a single vector), then slot_dim numbers; presence and masks of that shape or none",
    "dtype": "call .float()",
    "range": "find the first NaN, normalise the slots; end presence and masks with a sigmoid",
}


class WrongAnswerError(ValueError):
    """Arguments: what was expected, what came; the broken clause of the contract; what to do."""

    def __init__(
        self, expected: object, got: object, clause: Clause = "shapes", todo: str = ""
    ) -> None:
        super().__init__(expected, got)
        self.clause = clause
        self.todo = todo or TODO[clause]


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
    slots = _slots_of(output)
    if slots.ndim == 2 and len(slots) == len(images):
        todo = "repeat the vector of an image: slots[:, None].repeat(1, spec.max_slots, 1)"
        raise WrongAnswerError(f"slots ({len(images)}, S, D)", tuple(slots.shape), todo=todo)
    if slots.ndim != 3 or len(slots) != len(images):
        raise WrongAnswerError(f"slots ({len(images)}, S, D)", tuple(slots.shape))
    check_slot_dim(method)
    if slots.shape[2] != method.slot_dim:
        got = f"{slots.shape[2]} in slots {tuple(slots.shape)}"
        todo = "let slot_dim say how long a slot is"
        raise WrongAnswerError(f"D = slot_dim = {method.slot_dim}", got, todo=todo)
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


def check_slot_dim(method: object, *, least: int = 1) -> None:
    """Check how long a method says its slots are; 0 stands for not known before ``setup``."""
    try:
        size = operator.index(getattr(method, "slot_dim", 1))
    except (TypeError, ValueError, RuntimeError) as error:
        got = type(getattr(method, "slot_dim", None)).__name__
        raise WrongAnswerError(
            "slot_dim as a whole number", got, todo="set it to the length of a slot"
        ) from error
    if size > MAX_DIM:
        todo = f"project slots to {MAX_DIM} numbers, for example by PCA of ID training images"
        raise WrongAnswerError(f"slot_dim of at most {MAX_DIM}", size, todo=todo)
    if size < least:
        todo = "set it to the length of a slot, in setup at the latest"
        raise WrongAnswerError(f"slot_dim of at least {least}", size, todo=todo)


def _slots_of(output: object) -> Tensor:
    """Return an answer's slots if they are a tensor, whatever shape."""
    expected, kind = "a SlotOutput with a tensor of slots", type(output).__name__
    slots = getattr(output, "slots", None)
    if slots is None:
        todo = "wrap the tensor: SlotOutput(slots=slots)"
        raise WrongAnswerError(expected, f"a {kind}", todo=todo)
    if isinstance(slots, torch.Tensor):
        return slots
    got = f"a {kind} whose slots are a {type(slots).__module__}.{type(slots).__name__}"
    numpy = isinstance(slots, np.ndarray)
    todo = "torch.from_numpy(slots).float()" if numpy else "torch.as_tensor(slots).float()"
    raise WrongAnswerError(expected, got, todo=f"return SlotOutput(slots={todo})")


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
