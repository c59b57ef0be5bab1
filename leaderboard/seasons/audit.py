"""What anyone can check of a revealed season, from its public files alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.leaderboard.seasons.rule import commitment, key_commitment, secret_split
from recombine.leaderboard.seasons.terms import MAX_SCORINGS, season_plan
from recombine.renderer.core.errors import InvalidInputError, RecombineError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recombine.leaderboard.ledger.chain import Line
    from recombine.leaderboard.seasons.season import Season, SeasonData
    from recombine.leaderboard.seasons.terms import Recipe


@dataclass(frozen=True)
class Finding:
    """One claim of a season."""

    claim: str  # what should hold
    holds: bool  # whether it does


def audit_season(
    season: Season, dataset: SeasonData | None = None, head: str = ""
) -> list[Finding]:
    """Check a season from its public files."""
    recipe = _recipe(season)
    lines = season.lines(head)
    found = [*_order(season, lines), *_limits(lines)]
    revealed = [line.body for line in lines if line.event == "reveal"]
    if len(revealed) == 1:
        key = bytes.fromhex(revealed[0]["key"])
        found += _revealed(lines, key, recipe, revealed[0]["split"])
        if dataset is not None:
            found += _data(lines, key, recipe, dataset)
    return found


def _recipe(season: Season) -> Recipe:
    terms = season.terms
    version = terms.recipe.load().version
    if version != terms.version:
        raise InvalidInputError(
            f"{season.folder}: expected {terms.recipe.preset} {terms.version}, got {version} "
            "installed; audit with the release that the season was played with"
        )
    return terms.recipe


def _order(season: Season, lines: list[Line]) -> Iterator[Finding]:
    events = [line.event for line in lines]
    scored = [i for i, event in enumerate(events) if event in ("attempt", "answer")]
    yield Finding(
        "season.json is what the first line committed to",
        bool(lines)
        and events[0] == "open"
        and dict(lines[0].body) == season.terms.model_dump(mode="json"),
    )
    yield Finding("data were committed to once", events.count("data") == 1)
    yield Finding(
        "data were committed to before anything was scored",
        not scored or ("data" in events and events.index("data") < scored[0]),
    )
    yield Finding(
        "nothing was scored after the key was revealed",
        "reveal" not in events or not scored or events.index("reveal") > scored[-1],
    )
    times = [line.time for line in lines]
    yield Finding("times do not run backwards", times == sorted(times))


def _limits(lines: list[Line]) -> Iterator[Finding]:
    attempts = [line.body for line in lines if line.event == "attempt"]
    answers = [line.body["attempt"] for line in lines if line.event == "answer"]
    most = max(Counter(one["team"] for one in attempts).values(), default=0)
    yield Finding(f"no team has more than {MAX_SCORINGS} scorings", most <= MAX_SCORINGS)
    yield Finding(
        "attempts of every team are numbered without a gap",
        all(
            [one["number"] for one in attempts if one["team"] == team] == list(range(1, n + 1))
            for team, n in Counter(one["team"] for one in attempts).items()
        ),
    )
    yield Finding(
        "every answer belongs to an attempt that was logged before it, once",
        _answered_in_order(lines) and all(answers.count(one) == 1 for one in answers),
    )


def _answered_in_order(lines: list[Line]) -> bool:
    seen: list[object] = []
    for line in lines:
        if line.event == "attempt":
            seen.append(line.body)
        if line.event == "answer" and line.body["attempt"] not in seen:
            return False
    return True


def _revealed(lines: list[Line], key: bytes, recipe: Recipe, shown: str) -> Iterator[Finding]:
    opened = lines[0].body
    yield Finding("the key is the committed one", key_commitment(key) == opened["key_commitment"])
    split = secret_split(key, recipe.load().schema)
    yield Finding("the revealed split is the drawn one", shown == split)
    yield Finding(
        "the combinations were drawn with the committed key",
        commitment(key, "split", split.encode()) == opened["split_commitment"],
    )
    planned = season_plan(recipe, key).digest()
    yield Finding(
        "every label and image seed was drawn with the committed key",
        commitment(key, "plan", planned.encode()) == opened["plan_commitment"],
    )


def _data(lines: list[Line], key: bytes, recipe: Recipe, dataset: SeasonData) -> Iterator[Finding]:
    yield Finding(
        "the data have the drawn labels and seeds",
        dataset.plan.digest() == season_plan(recipe, key).digest(),
    )
    yield Finding("the data match their certificate", _certified(dataset))
    body = next(line.body for line in lines if line.event == "data")
    images = commitment(key, "images", dataset.identity.encode())
    yield Finding("images are the committed ones", images == body["images"])


def _certified(dataset: SeasonData) -> bool:
    try:
        dataset.check()
    except ResourceError:
        raise  # what the system refuses says nothing about the data
    except RecombineError:
        return False
    return True
