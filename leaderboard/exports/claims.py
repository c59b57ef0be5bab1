"""The registered comparisons of the reference study, from result files.

`CLAIMS` is docs/study.md as a table: which entry is held against which, on which data. Differences
are those of `recombine.benchmark.statistics`: cells and blocks paired, seeds not. P-values are
corrected together by Holm (1979), over the comparisons that are there; a claim that was looked at
on several renders of its data is as many comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.compare import require_same
from recombine.benchmark.statistics.design import gap_terms, paired_terms, scores_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recombine.benchmark.protocol.contract import Inference
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.statistics.design import Term
    from recombine.benchmark.statistics.intervals import Estimate

    # Method id and how it was read.
    Who = tuple[str, Inference]


@dataclass(frozen=True)
class Claim:
    """One registered difference of out-of-combination scores, or of gaps."""

    name: str  # its letter in docs/study.md
    data: str  # how the name of the data begins
    first: Who
    second: Who
    rung: int = 0  # of the second's training ladder; another than 0 compares gaps, not OOC scores


_MASKS = "typed-vae-masks"
CLAIMS = (
    Claim("b1", "object-background", (f"{_MASKS}-replay", "replay+search"), (_MASKS, "direct")),
    Claim(
        "b2",
        "object-background",
        (f"{_MASKS}-replay", "replay+search"),
        (f"{_MASKS}-leak-replay", "replay+search"),
    ),
    Claim("c", "object-background", ("segment-then-encode", "direct"), ("autoencoder", "search")),
    Claim(
        "c",
        "object-background",
        ("segment-then-encode", "direct"),
        ("autoencoder-replay", "replay+search"),
    ),
    Claim("e", "object-background", ("supervised", "direct"), ("supervised", "direct"), rung=2),
    Claim(
        "d", "object-texture", ("factor-replay", "replay+search"), ("segment-then-encode", "direct")
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What result files say about a claim."""

    claim: Claim
    results: tuple[Result, Result]
    difference: Estimate
    components: tuple[tuple[str, float], ...]  # share of every part in the variance
    rejected: bool = False  # told from 0 after correction


def outcomes(results: Iterable[Result], claims: Sequence[Claim] = CLAIMS) -> list[Outcome]:
    """Return the outcome of every claim whose two entries are there, for every render of its data.

    Parameters
    ----------
    results : iterable of Result
        On whatever data; of a render those of the narrowest rung and most training images count.
    claims : sequence of Claim
        What to look at.

    Returns
    -------
    list of Outcome
        In the order of the claims, and of a claim in that of training images.
    """
    every, found = list(results), []
    for claim, first, second in _pairs(every, claims):
        if claim.rung:
            difference, terms = _gaps_apart(first, second)
        else:
            require_same(first, second)
            tables = scores_of(first.ooc), scores_of(second.ooc)
            difference, terms = stats.paired_difference(*tables), paired_terms(*tables) or []
        variances: dict[str, float] = {}
        for term in terms:
            variances[term.name] = variances.get(term.name, 0.0) + term.variance
        total = sum(variances.values()) or 1.0
        shares = tuple((name, variance / total) for name, variance in variances.items())
        found.append(Outcome(claim, (first, second), difference, shares))
    told = stats.holm([one.difference.p_value for one in found])
    return [
        Outcome(o.claim, o.results, o.difference, o.components, rejected)
        for o, rejected in zip(found, told, strict=True)
    ]


def _gaps_apart(first: Result, second: Result) -> tuple[Estimate, list[Term]]:
    """Return the difference of two gaps as if nothing were paired: the wide side."""
    # Rungs differ in their ID cells, so no cell of one gap stands against one of the other.
    terms = [
        term
        for one in (first, second)
        for term in gap_terms(scores_of(one.id), scores_of(one.ooc)) or ()
    ]
    value = first.gap.estimate - second.gap.estimate
    return stats.estimate(value, terms, (-2.0, 2.0)), terms


def _pairs(
    results: Sequence[Result], claims: Sequence[Claim]
) -> Iterator[tuple[Claim, Result, Result]]:
    for claim in claims:
        renders: dict[str, list[Result]] = {}
        for r in results:
            if r.data.dataset.startswith(claim.data):
                renders.setdefault(r.data.identity, []).append(r)
        for same in sorted(renders.values(), key=lambda them: max(r.data.n_train for r in them)):
            first, second = _pick(same, claim.first, 0), _pick(same, claim.second, claim.rung)
            if first and second:
                yield claim, first, second


def _pick(results: Sequence[Result], who: Who, rung: int) -> Result | None:
    """Return the result of a method, read in one way, on all images of a rung of one render."""
    same = [
        r
        for r in results
        if (r.method.id, r.method.inference) == who
        and int(str((r.data.recipe or {}).get("rung") or 0)) == rung
    ]
    return max(same, key=lambda r: (r.data.n_train, len(r.seeds)), default=None)
