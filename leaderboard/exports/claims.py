"""The registered comparisons of the reference study, from result files.

`CLAIMS` is docs/study.md as a table: which entry is held against which, on which data. Differences
are those of `recombine.benchmark.statistics`: cells and blocks paired, seeds not. P-values are
corrected together by Holm (1979), over the comparisons that are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.compare import require_same
from recombine.benchmark.statistics.design import paired_terms, scores_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recombine.benchmark.protocol.contract import Inference
    from recombine.benchmark.results.result import Result
    from recombine.benchmark.statistics.intervals import Estimate

    # Method id and how it was read.
    Who = tuple[str, Inference]


@dataclass(frozen=True)
class Claim:
    """One registered difference of out-of-combination scores."""

    name: str  # its letter in docs/study.md
    data: str  # how the name of the data begins
    first: Who
    second: Who


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
    """Return the outcome of every claim whose two entries are there.

    Parameters
    ----------
    results : iterable of Result
        On whatever data; those of the narrowest rung and of most training images count.
    claims : sequence of Claim
        What to look at.

    Returns
    -------
    list of Outcome
        In the order of the claims.
    """
    every, found = list(results), []
    for claim in claims:
        first, second = (_pick(every, claim.data, who) for who in (claim.first, claim.second))
        if first is None or second is None:
            continue
        require_same(first, second)
        tables = scores_of(first.ooc), scores_of(second.ooc)
        terms = paired_terms(*tables) or []
        total = sum(term.variance for term in terms) or 1.0
        shares = tuple((term.name, term.variance / total) for term in terms)
        difference = stats.paired_difference(*tables)
        found.append(Outcome(claim, (first, second), difference, shares))
    told = stats.holm([one.difference.p_value for one in found])
    return [
        Outcome(o.claim, o.results, o.difference, o.components, rejected)
        for o, rejected in zip(found, told, strict=True)
    ]


def _pick(results: Sequence[Result], data: str, who: Who) -> Result | None:
    """Return the result of a method, read in one way, on the whole narrowest rung of the data."""
    same = [
        r
        for r in results
        if (r.method.id, r.method.inference) == who
        and r.data.dataset.startswith(data)
        and not (r.data.recipe or {}).get("rung")
    ]
    return max(same, key=lambda r: (r.data.n_train, len(r.seeds)), default=None)
