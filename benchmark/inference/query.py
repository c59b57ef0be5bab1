"""Asking a method for its slots, blindly: mixed images, checked output, repeated questions."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from recombine.benchmark.inference.clocks import AnswerClock
from recombine.benchmark.protocol.outputs import (
    Output,
    WrongAnswerError,
    checked_output,
    run_method,
)
from recombine.benchmark.serving.data import to_images
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float, Int
    from torch import Tensor

    from recombine.benchmark.protocol.contract import Encoder, Inverter
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

REPEATED_SHARE = 0.02
MIN_REPEATED = 8


@dataclass(frozen=True)
class Answers:
    """What a method answered."""

    image_index: Int[Array, " images"]  # ``(N,)`` int64, ascending
    slots: Mapping[int, Float[Array, "images slots dim"]]  # search steps to ``(N, S, D)`` float32
    # per step count, how much an image's slots change among other images: 95th percentile over the
    # repeated images of |change| / |slots|. 0 for a method that treats images one by one
    batch_change: tuple[float, ...]
    # the same when one batch is asked again unchanged. 0 for a deterministic method
    repeat_change: tuple[float, ...]
    # ``presence/<steps>`` ``(N, S)`` float32 and ``segments/<steps>`` ``(N, H, W)`` uint8, the slot
    # of every pixel, where the method offers them; at the first and last step count
    extras: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """A batch: rows of the image list, and what its answer is for."""

    rows: Int[Array, " rows"]  # rows of the sorted image list
    purpose: str  # counts as the answer, or is compared with it
    compared: int = 0  # how many of the first rows are compared


def run_inference(
    method: Encoder | Inverter,
    dataset: DatasetLike,
    indices: Int[Array, " images"],
    *,
    steps: tuple[int, ...],
    batch_size: int,
    device: torch.device,
    min_slots: int,
    who: str = "submission",
    key: bytes | None = None,
    clock: AnswerClock | None = None,
) -> Answers:
    """Ask for the slots of images in secret order, some of them twice."""
    # All images are shuffled together. 2 % are asked again among other images, and one batch is
    # asked again unchanged.
    indices = np.sort(indices)
    asked = make_queries(len(indices), batch_size, key)
    batches = (to_images(dataset.images(indices[one.rows])).to(device) for one in asked)
    timed = (clock or AnswerClock()).over(batches)
    answers = answer_batches(method, timed, steps=steps, min_slots=min_slots, who=who)
    return gather(indices, steps, zip(asked, answers, strict=True))


def answer_batches(
    method: Encoder | Inverter,
    batches: Iterable[Float[Tensor, "images 3 height width"]],
    *,
    steps: tuple[int, ...],
    min_slots: int,
    who: str = "submission",
) -> Iterator[list[Output]]:
    """Yield a method's checked answers to batches of images, one output per step count."""
    first: list[Output] | None = None
    for images in batches:
        with _named(who):
            answers = [
                checked_output(
                    output, method, images, min_slots=min_slots, extras=step in (0, steps[-1])
                )
                for step, output in zip(steps, run_method(method, images, steps), strict=True)
            ]
            first = answers if first is None else first
            _same_form(answers, first)
        yield answers


def gather(
    indices: Int[Array, " images"],
    steps: tuple[int, ...],
    answered: Iterable[tuple[Query, list[Output]]],
) -> Answers:
    """Put answers back into the order of the images, and compare the repeated ones."""
    first: dict[str, Array] = {}
    again: list[tuple[Query, list[Output]]] = []
    for query, answers in answered:
        if query.purpose == "score":
            for step, output in zip(steps, answers, strict=True):
                _store(first, step, query.rows, output, len(indices))
        else:
            again.append((query, answers))
    slots = {step: first.pop(f"slots/{step}") for step in steps}
    return Answers(
        indices,
        slots,
        _change(slots, again, steps, "batch"),
        _change(slots, again, steps, "repeat"),
        first,
    )


def make_queries(n: int, batch_size: int, key: bytes | None = None) -> list[Query]:
    """Return batches that ask for every image once, and for some of them again."""
    # Every row is asked once to score, 2 % in other company and one batch twice, in secret order.
    rng = np.random.default_rng(int.from_bytes(key or secrets.token_bytes(16), "big"))
    order = rng.permutation(n)
    scored = [order[i : i + batch_size] for i in range(0, n, batch_size)]
    asked = [Query(rows, "score") for rows in scored]
    repeated = rng.permutation(n)[: min(n, max(MIN_REPEATED, round(REPEATED_SHARE * n)))]
    share = max(1, batch_size // 2)
    for start in range(0, len(repeated), share):
        rows = repeated[start : start + share]
        others = rng.permutation(np.setdiff1d(order, rows))[: max(1, len(rows) // 2)]
        asked.append(Query(np.concatenate([rows, others]), "batch", len(rows)))
    asked.append(Query(scored[0], "repeat", len(scored[0])))
    return [asked[i] for i in rng.permutation(len(asked))]


@contextmanager
def _named(who: str) -> Iterator[None]:
    try:
        yield
    except WrongAnswerError as error:
        raise InvalidInputError(
            f"{who}: expected {error.args[0]}, got {error.args[1]}; see "
            "recombine.benchmark.protocol.contract.SlotOutput"
        ) from None


def _same_form(answers: list[Output], first: list[Output]) -> None:
    """Check that every batch and step has one number of slots, and offers the same parts."""
    shapes = {output["slots"].shape[1:] for output in (*answers, first[0])}
    if len(shapes) != 1:
        raise WrongAnswerError("one number of slots for every batch and step", sorted(shapes))
    for output, before in zip(answers, first, strict=True):
        if output.keys() != before.keys():
            raise WrongAnswerError(f"{sorted(before)} for every batch", sorted(output))


def _store(into: dict[str, Array], step: int, rows: Array, output: Output, n: int) -> None:
    for name, values in output.items():
        key = f"{name}/{step}"
        if key not in into:
            into[key] = np.zeros((n, *values.shape[1:]), values.dtype)
        into[key][rows] = values


def _change(
    first: Mapping[int, Array],
    again: list[tuple[Query, list[Output]]],
    steps: tuple[int, ...],
    purpose: str,
) -> tuple[float, ...]:
    out = []
    for number, step in enumerate(steps):
        changes = [
            _relative(first[step][query.rows], answers[number]["slots"])[: query.compared]
            for query, answers in again
            if query.purpose == purpose
        ]
        out.append(float(np.quantile(np.concatenate(changes), 0.95)))
    return tuple(out)


def _relative(before: Array, after: Array) -> Array:
    flat = before.reshape(len(before), -1).astype(np.float64)
    distance = np.linalg.norm(flat - after.reshape(len(after), -1), axis=1)
    out: Array = distance / np.maximum(np.linalg.norm(flat, axis=1), 1e-12)
    return out
