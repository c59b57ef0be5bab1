"""Asking a method for its slots, blindly: mixed images, checked output, repeated questions.

What an image's slots are must not depend on what else was asked. Some images are therefore asked
again: in the same batch, among other images, and by a twin of the process that has seen nothing
else (`twin`). How much the slots change is measured in standard deviations over the images, number
by number, because the readout standardises as well: a big constant beside them hides nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch

from recombine.benchmark.inference.clocks import AnswerClock
from recombine.benchmark.inference.twin import Twin
from recombine.benchmark.protocol.outputs import (
    Output,
    WrongAnswerError,
    checked_output,
    run_method,
)
from recombine.benchmark.protocol.rounding import HEARD, spread_of
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
MIN_REPEATED = 64
FIRST = 8  # images of the first batch, which is asked again at once
# Rounding in 32 bits changes slots by about 1e-6, by 1e-3 after thirty steps of a search.
MARKED_CHANGE = 1e-2
# In standard deviations. Rounding to bfloat16 moves networks by up to 0.1, to float16 by 0.01;
# batch statistics move them by 0.3 and more. The same batch is rounded the same way.
REFUSED_CHANGE = {"repeat": 0.02, "batch": 0.1, "twin": 0.1}
REFUSED_SHARE = 0.01  # of the images asked again; one may always flip where two answers are close
SINGLE = 0.07  # of the change of the number that changes most
Reason: TypeAlias = Literal["not-repeatable", "batch-statistics", "memory-between-calls"]
HOW: dict[Reason, str] = {
    "not-repeatable": "when the same batch is asked again",
    "batch-statistics": "among other images",
    "memory-between-calls": "in a fresh process that saw few other images before",
}


class DependentAnswersError(InvalidInputError):
    """An image's slots depend on more than the image."""

    def __init__(self, who: str, reason: Reason, got: str) -> None:
        super().__init__(f"{who}: refused [{reason}]: {got}")
        self.reason: Reason = reason
        self.got = got


@dataclass(frozen=True)
class Change:
    """How much the slots of images change when they are asked again, per step count.

    A change is the root mean square over the numbers of a slot, each in standard deviations over
    all answered images; or `SINGLE` times the change of a single number, which cannot hide among
    others. The greatest over the slots.
    """

    images: int  # asked again
    typical: tuple[float, ...]  # 95th percentile over these images
    largest: tuple[float, ...]
    share: tuple[float, ...]  # of the images whose slots change by more than the limit
    limit: float

    def refused(self) -> str | None:
        """Return what is too much, in words; None when nothing is."""
        worst = max(range(len(self.share)), key=lambda i: (self.share[i], self.largest[i]))
        changed = round(self.share[worst] * self.images)
        if changed <= max(REFUSED_SHARE * self.images, self.images >= MIN_REPEATED // 2):
            return None
        return (
            f"the slots of {changed} of {self.images} images change by more than {self.limit:g} "
            f"standard deviations, at most by {self.largest[worst]:.2g},"
        )


@dataclass(frozen=True)
class Answers:
    """What a method answered."""

    image_index: Int[Array, " images"]  # ``(N,)`` int64, ascending
    slots: Mapping[int, Float[Array, "images slots dim"]]  # search steps to ``(N, S, D)`` float32
    among: Change  # among other images. 0 for a method that treats images one by one
    again: Change  # one batch unchanged. 0 for a deterministic method
    # ``presence/<steps>`` ``(N, S)`` float32 and ``segments/<steps>`` ``(N, H, W)`` uint8, the slot
    # of every pixel, where the method offers them; at the first and last step count
    extras: Mapping[str, Array] = field(default_factory=dict)
    twin: Change | None = None  # asked in a twin of the process; 0 for a method without memory
    no_twin: str = ""  # why it was not

    def check(self, who: str) -> None:
        """Refuse answers that depend on more than the image."""
        parts: dict[Reason, Change | None] = {
            "not-repeatable": self.again,
            "batch-statistics": self.among,
            "memory-between-calls": self.twin,
        }
        for reason, change in parts.items():
            if change is not None and (got := change.refused()):
                raise DependentAnswersError(who, reason, f"{got} {HOW[reason]}")

    def facts(self) -> dict[str, Any]:
        """Return what is known of the answers' dependence, as fields of ``RunFacts``."""
        parts = {"batch": self.among, "repeat": self.again, "twin": self.twin}
        return {
            "batch_change": self.among.typical,
            "repeat_change": self.again.typical,
            "dependence": {
                **{name: asdict(one) for name, one in parts.items() if one is not None},
                "no_twin": self.no_twin,
            },
        }


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
    before: Callable[[], object] = lambda: None,
    read: Int[Array, " n"] | None = None,
) -> Answers:
    """Ask for the slots of images in secret order, some of them twice."""
    # All images are shuffled together. 2 % are asked again among other images, as many by a twin,
    # and one batch is asked again unchanged. What happens ``before`` the first question, such as
    # measuring costs, is out of the twin's sight.
    indices = np.sort(indices)
    asked = make_queries(len(indices), batch_size, key)

    def pixels(query: Query) -> Array:
        return dataset.images(indices[query.rows])

    def images(batches: Iterable[Array]) -> Iterator[Float[Tensor, "images 3 height width"]]:
        return (to_images(one).to(device) for one in batches)

    def answer(batches: Iterable[Float[Tensor, "images 3 height width"]]) -> Iterator[list[Output]]:
        return answer_batches(method, batches, steps=steps, min_slots=min_slots, who=who)

    timed = clock or AnswerClock()
    with Twin(lambda one: next(answer(images([one]))), device) as twin:

        def answered() -> Iterator[tuple[Query, list[Output]]]:
            first = [one for one in asked if one.purpose != "twin"]
            begin = time.monotonic()
            yield from zip(first, answer(timed.over(images(map(pixels, first)))), strict=True)
            each = (time.monotonic() - begin) / sum(len(one.rows) for one in first)
            for one in asked[len(first) :]:
                answers = twin.ask(pixels(one), each * len(one.rows))
                if answers is None:
                    return
                yield one, answers

        before()
        return gather(indices, steps, answered(), twin, read=read)


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
    before: Tensor | None = None
    for number, images in enumerate(batches):
        with named_answers(who):
            answers = [
                checked_output(
                    output, method, images, min_slots=min_slots, extras=step in (0, steps[-1])
                )
                for step, output in zip(steps, run_method(method, images, steps), strict=True)
            ]
            first = answers if first is None else first
            _same_form(answers, first)
        if number == 1 and before is not None and torch.equal(before, images):
            check_repeated(first, answers, who)
        before = images if number == 0 else None
        yield answers


def check_repeated(first: list[Output], second: list[Output], who: str) -> None:
    """Refuse answers to one batch that differ when it is asked again."""
    # Otherwise a method that draws random numbers would be refused only after all answers.
    slots, again = ([output["slots"] for output in answers] for answers in (first, second))
    found = measured_change(slots, np.arange(len(slots[0])), again, "repeat")
    if got := found.refused():
        raise DependentAnswersError(who, "not-repeatable", f"{got} {HOW['not-repeatable']}")


def gather(
    indices: Int[Array, " images"],
    steps: tuple[int, ...],
    answered: Iterable[tuple[Query, list[Output]]],
    twin: Twin | None = None,
    no_twin: str = "",
    read: Int[Array, " n"] | None = None,
) -> Answers:
    """Put answers back into the order of the images, and compare the repeated ones."""
    first: dict[str, Array] = {}
    repeated: list[tuple[Query, list[Output]]] = []
    for query, answers in answered:
        if query.purpose == "score":
            for step, output in zip(steps, answers, strict=True):
                _store(first, step, query.rows, output, len(indices))
        else:
            repeated.append((query, answers))
    slots = {step: first.pop(f"slots/{step}") for step in steps}
    no_twin = twin.reason if twin is not None else no_twin
    return Answers(
        indices,
        slots,
        _change(slots, repeated, "batch", read),
        _change(slots, repeated, "repeat", read),
        first,
        None if no_twin else _change(slots, repeated, "twin", read),
        no_twin,
    )


def make_queries(n: int, batch_size: int, key: bytes | None = None) -> list[Query]:
    """Return batches that ask for every image once, and for some of them again.

    The second batch is the first once more; those for the twin come last.
    """
    # Every row is asked once to score, 2 % in other company, as many by the twin, and one batch
    # twice, in secret order.
    rng = np.random.default_rng(int.from_bytes(key or secrets.token_bytes(16), "big"))
    order = rng.permutation(n)
    early = order[: min(FIRST, batch_size)]
    scored = [order[i : i + batch_size] for i in range(len(early), n, batch_size)]
    asked = [Query(rows, "score") for rows in scored]
    share = max(1, batch_size // 2)
    for rows in _sample(n, share, rng):
        others = rng.permutation(np.setdiff1d(order, rows))[: max(1, len(rows) // 2)]
        asked.append(Query(np.concatenate([rows, others]), "batch", len(rows)))
    again = scored[0] if scored else early
    asked.append(Query(again, "repeat", len(again)))
    return [
        Query(early, "score"),
        Query(early, "repeat", len(early)),
        *(asked[i] for i in rng.permutation(len(asked))),
        *(Query(rows, "twin", len(rows)) for rows in _sample(n, share, rng)),
    ]


def _sample(n: int, size: int, rng: np.random.Generator) -> list[Int[Array, " rows"]]:
    """Return batches of images to ask again."""
    rows = rng.permutation(n)[: min(n, max(MIN_REPEATED, round(REPEATED_SHARE * n)))]
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@contextmanager
def named_answers(who: str) -> Iterator[None]:
    """Turn an answer that breaks the contract into one line."""
    try:
        yield
    except WrongAnswerError as error:
        raise InvalidInputError(
            f"{who}: expected {error.args[0]}, got {error.args[1]}; {error.todo}; see "
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


def measured_change(
    first: Sequence[Float[Array, "images slots dim"]],
    rows: Int[Array, " n"],
    again: Sequence[Float[Array, "n slots dim"]],
    purpose: str,
    read: Int[Array, " labelled"] | None = None,
) -> Change:
    """Compare answers at every step count with what some of the images were answered again."""
    changes = [_changes(one, rows, other, read) for one, other in zip(first, again, strict=True)]
    limit = REFUSED_CHANGE[purpose]
    return Change(
        len(rows),
        tuple(float(np.quantile(one, 0.95)) for one in changes),
        tuple(float(one.max()) for one in changes),
        tuple(float(np.mean(one > limit)) for one in changes),
        limit,
    )


def _change(
    first: Mapping[int, Array],
    repeated: list[tuple[Query, list[Output]]],
    purpose: str,
    read: Int[Array, " n"] | None,
) -> Change:
    again = [pair for pair in repeated if pair[0].purpose == purpose]
    rows = np.concatenate([query.rows[: query.compared] for query, _ in again])
    slots = [
        np.concatenate([answers[number]["slots"][: query.compared] for query, answers in again])
        for number in range(len(first))
    ]
    return measured_change(list(first.values()), rows, slots, purpose, read)


def _changes(
    slots: Float[Array, "images slots dim"],
    rows: Int[Array, " n"],
    again: Array,
    read: Int[Array, " labelled"] | None = None,
) -> Float[Array, " n"]:
    """Return by how much the slots of some images changed, see `Change`."""
    spread, noise = spread_of(slots, read)
    moved = np.abs(again.astype(np.float64) - slots[rows])
    counted = spread > HEARD * noise  # in the others nothing is read
    parts = np.where(counted, moved / np.where(counted, np.hypot(spread, noise), 1.0), 0.0)
    together = np.sqrt((parts**2).sum(axis=2) / np.maximum(counted.sum(axis=1), 1))
    found: Array = np.maximum(together.max(axis=1), SINGLE * parts.max(axis=(1, 2)))
    return found
