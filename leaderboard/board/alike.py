"""Entries that are one answer under several names.

Methods that put different decoders behind the same encoder give the same answers when they are read
without search. All stay entries with their own pages; tables list them as one, and they take one
rank.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from recombine.leaderboard.board.roles import role_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.entries import Entry


def groups(entries: Sequence[Entry]) -> list[tuple[int, ...]]:
    """Put together the entries that read the same answers at the start of their searches.

    Parameters
    ----------
    entries : sequence of Entry
        Of one track, best first.

    Returns
    -------
    list of tuple of int
        Positions, in ascending order within a group and by first member; every position once.
        Entries without a search are alone, even where their numbers agree.
    """
    found: dict[object, list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        found[_answers(entry.result) or i].append(i)
    return [tuple(group) for group in found.values()]


def _answers(result: Result) -> tuple[object, ...]:
    """Return what equal answers agree in, image by image as far as the file tells."""
    compute, scores = result.compute, result.scores
    if compute.steps or len(result.compute_curve.steps) < 2:
        return ()
    return (
        role_of(result).key,
        result.method.inference,
        compute.gflop_per_image,
        result.training.generated_images_seen,
        result.seeds,
        *((part.hits, part.counts) for part in (scores.id_test, scores.ooc_test)),
        *(
            (name, factor.model_dump_json())
            for part in (scores.id_test, scores.ooc_test)
            for name, factor in sorted(part.per_factor.items())
        ),
    )
