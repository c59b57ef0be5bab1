"""Asking a method for its slots, blindly: mixed images, checked output, repeated questions."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recombine.benchmark.data import to_images
from recombine.benchmark.protocol import Encoder, Inverter, SlotOutput
from recombine.renderer.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float, Int
    from torch import Tensor

    from recombine.benchmark.arrays import Array
    from recombine.benchmark.data import DatasetLike

MAX_DIM = 512
MAX_SLOTS = 64
MAX_ABS = 1e6
REPEATED_SHARE = 0.02
MIN_REPEATED = 8


@dataclass(frozen=True)
class Answers:
    """What a method answered.

    Attributes
    ----------
    image_index : array
        ``(N,)`` int64, ascending.
    slots : Mapping of int to array
        Search steps to ``(N, S, D)`` float32.
    batch_change : tuple of float
        Per step count, how much an image's slots change among other images: 95th percentile over
        the repeated images of |change| / |slots|. 0 for a method that treats images one by one.
    repeat_change : tuple of float
        The same when one batch is asked again unchanged. 0 for a deterministic method.
    """

    image_index: Int[Array, " images"]
    slots: Mapping[int, Float[Array, "images slots dim"]]
    batch_change: tuple[float, ...]
    repeat_change: tuple[float, ...]


class _WrongAnswerError(ValueError):
    """Arguments: what was expected, what came."""


@dataclass(frozen=True)
class Question:
    """A batch: rows of the image list, and what its answer is for.

    Attributes
    ----------
    rows : array
        Rows of the sorted image list.
    purpose : {"score", "batch", "repeat"}
        Counts as the answer, or is compared with it.
    compared : int
        How many of the first rows are compared.
    """

    rows: Int[Array, " rows"]
    purpose: str
    compared: int = 0


def ask(
    method: Encoder | Inverter,
    dataset: DatasetLike,
    indices: Int[Array, " images"],
    *,
    steps: tuple[int, ...],
    batch_size: int,
    device: torch.device,
    min_slots: int,
    who: str = "submission",
) -> Answers:
    """Ask for the slots of images in secret order, some of them twice.

    All images are shuffled together with a key that is drawn here and never stored. 2 % are asked
    again among other images, and one batch is asked again unchanged.

    Parameters
    ----------
    method : Encoder or Inverter
        After ``setup``.
    dataset : DatasetLike
        Where the images are.
    indices : array
        ``(N,)`` image indices, each once.
    steps : tuple of int
        Ascending search steps at which slots are read; ``(0,)`` for an encoder.
    batch_size : int
        Images per call; some calls get fewer.
    device : torch.device
        Where images go.
    min_slots : int
        The least number of slots a method must return.
    who : str
        Name of the method for messages.

    Returns
    -------
    Answers
        Slots of every image.

    Raises
    ------
    InvalidInputError
        When an answer has the wrong shape or type, or is not finite.
    """
    indices = np.sort(indices)
    asked = questions(len(indices), batch_size)
    batches = (to_images(dataset.images(indices[one.rows])).to(device) for one in asked)
    answers = answer(method, batches, steps=steps, min_slots=min_slots, who=who)
    return gather(indices, steps, zip(asked, answers, strict=True))


def answer(
    method: Encoder | Inverter,
    batches: Iterable[Float[Tensor, "images 3 height width"]],
    *,
    steps: tuple[int, ...],
    min_slots: int,
    who: str = "submission",
) -> Iterator[list[Float[Array, "images slots dim"]]]:
    """Yield a method's checked answers to batches of images, one array per step count.

    Parameters
    ----------
    method : Encoder or Inverter
        After ``setup``.
    batches : iterable of Tensor
        ``(B, 3, H, W)`` float32 in [0, 1].
    steps : tuple of int
        Ascending search steps at which slots are read; ``(0,)`` for an encoder.
    min_slots : int
        The least number of slots a method must return.
    who : str
        Name of the method for messages.

    Yields
    ------
    list of array
        Per step count ``(B, S, D)`` float32, finite; S and D never change.

    Raises
    ------
    InvalidInputError
        When an answer has the wrong shape or type, or is not finite.
    """
    shape: tuple[int, ...] | None = None
    for images in batches:
        with _named(who):
            outputs = _run(method, images, steps)
            answers = [_checked(output, method, len(images), min_slots) for output in outputs]
            _same_shape(answers, shape)
        shape = answers[0].shape[1:]
        yield answers


def gather(
    indices: Int[Array, " images"],
    steps: tuple[int, ...],
    answered: Iterable[tuple[Question, list[Array]]],
) -> Answers:
    """Put answers back into the order of the images, and compare the repeated ones.

    Parameters
    ----------
    indices : array
        ``(N,)`` image indices, ascending.
    steps : tuple of int
        Step counts of the answers.
    answered : iterable of (Question, list of array)
        Every question of `questions` with its answer per step count.

    Returns
    -------
    Answers
        Slots of every image.
    """
    first: dict[int, Array] = {}
    again: list[tuple[Question, list[Array]]] = []
    for question, answers in answered:
        if question.purpose == "score":
            _store(first, steps, question.rows, answers, len(indices))
        else:
            again.append((question, answers))
    return Answers(
        indices,
        first,
        _change(first, again, steps, "batch"),
        _change(first, again, steps, "repeat"),
    )


def questions(n: int, batch_size: int) -> list[Question]:
    """Return batches that ask for every image once, and for some of them again.

    Every row is asked once to score, 2 % in other company and one batch twice, in an order that
    is drawn anew by every call from the system's randomness and never stored.

    Parameters
    ----------
    n : int
        Number of images, at least 1.
    batch_size : int
        Images per batch; some hold fewer.

    Returns
    -------
    list of Question
        In the order in which they are asked.
    """
    rng = np.random.default_rng(secrets.randbits(128))
    order = rng.permutation(n)
    scored = [order[i : i + batch_size] for i in range(0, n, batch_size)]
    asked = [Question(rows, "score") for rows in scored]
    repeated = rng.permutation(n)[: min(n, max(MIN_REPEATED, round(REPEATED_SHARE * n)))]
    share = max(1, batch_size // 2)
    for start in range(0, len(repeated), share):
        rows = repeated[start : start + share]
        others = rng.permutation(np.setdiff1d(order, rows))[: max(1, batch_size - len(rows) - 1)]
        asked.append(Question(np.concatenate([rows, others]), "batch", len(rows)))
    asked.append(Question(scored[0], "repeat", len(scored[0])))
    return [asked[i] for i in rng.permutation(len(asked))]


@contextmanager
def _named(who: str) -> Iterator[None]:
    try:
        yield
    except _WrongAnswerError as error:
        raise InvalidInputError(
            f"{who}: expected {error.args[0]}, got {error.args[1]}; see "
            "recombine.benchmark.protocol.SlotOutput"
        ) from None


def _run(method: Encoder | Inverter, images: Tensor, steps: tuple[int, ...]) -> list[SlotOutput]:
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
        outputs.append(method.read(state))
        # A later step may change the state in place, and what was read with it.
        outputs[-1] = SlotOutput(slots=_cloned(outputs[-1]))
    if images._version != version:
        raise _WrongAnswerError("images left as they are", "a method that changed them in place")
    return outputs


def _cloned(output: object) -> Any:
    slots = getattr(output, "slots", None)
    return slots.detach().clone() if isinstance(slots, torch.Tensor) else slots


def _checked(
    output: object, method: Encoder | Inverter, batch: int, min_slots: int
) -> Float[Array, "images slots dim"]:
    slots = getattr(output, "slots", None)
    if not isinstance(slots, torch.Tensor):
        raise _WrongAnswerError("a SlotOutput with a tensor of slots", type(output).__name__)
    if slots.dtype != torch.float32 or slots.ndim != 3 or len(slots) != batch:
        raise _WrongAnswerError(
            f"slots ({batch}, S, D) torch.float32", f"{tuple(slots.shape)} {slots.dtype}"
        )
    if slots.shape[2] != method.slot_dim or not 1 <= slots.shape[2] <= MAX_DIM:
        raise _WrongAnswerError(f"D = slot_dim = {method.slot_dim}, 1 to {MAX_DIM}", slots.shape[2])
    if not min_slots <= slots.shape[1] <= MAX_SLOTS:
        raise _WrongAnswerError(f"{min_slots} to {MAX_SLOTS} slots", slots.shape[1])
    array: Array = slots.detach().cpu().numpy()
    if not np.all(np.abs(array) <= MAX_ABS):  # also False for NaN
        raise _WrongAnswerError(
            f"finite slots of at most {MAX_ABS:g}", "NaN, infinite or bigger values"
        )
    return array


def _same_shape(answers: list[Array], shape: tuple[int, ...] | None) -> None:
    shapes = {answer.shape[1:] for answer in answers} | ({shape} if shape is not None else set())
    if len(shapes) != 1:
        raise _WrongAnswerError("one number of slots for every batch and step", sorted(shapes))


def _store(
    into: dict[int, Array], steps: tuple[int, ...], rows: Array, answers: list[Array], n: int
) -> None:
    for step, slots in zip(steps, answers, strict=True):
        if step not in into:
            into[step] = np.full((n, *slots.shape[1:]), np.nan, np.float32)
        into[step][rows] = slots


def _change(
    first: Mapping[int, Array],
    again: list[tuple[Question, list[Array]]],
    steps: tuple[int, ...],
    purpose: str,
) -> tuple[float, ...]:
    out = []
    for number, step in enumerate(steps):
        changes = [
            _relative(first[step][question.rows], answers[number])[: question.compared]
            for question, answers in again
            if question.purpose == purpose
        ]
        out.append(float(np.quantile(np.concatenate(changes), 0.95)))
    return tuple(out)


def _relative(before: Array, after: Array) -> Array:
    flat = before.reshape(len(before), -1).astype(np.float64)
    distance = np.linalg.norm(flat - after.reshape(len(after), -1), axis=1)
    out: Array = distance / np.maximum(np.linalg.norm(flat, axis=1), 1e-12)
    return out
