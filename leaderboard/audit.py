"""What anyone can check of a revealed season, from its public files alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.leaderboard.season import MAX_SCORINGS, labels_digest
from recombine.leaderboard.season_rule import commitment, key_commitment, secret_split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recombine.benchmark.data import DatasetLike
    from recombine.leaderboard.chain import Line
    from recombine.leaderboard.season import Season
    from recombine.renderer.factors import Schema


@dataclass(frozen=True)
class Finding:
    """One claim of a season.

    Attributes
    ----------
    claim : str
        What should hold.
    holds : bool
        Whether it does.
    """

    claim: str
    holds: bool


def audit(
    season: Season, schema: Schema, dataset: DatasetLike | None = None, head: str = ""
) -> list[Finding]:
    """Check a season from its public files.

    Parameters
    ----------
    season : Season
        Its folder; the organiser's secrets are not needed.
    schema : Schema
        The preset's factors.
    dataset : DatasetLike, optional
        The data as rendered or downloaded, to check the commitments to labels and images.
    head : str
        A published head of the log.

    Returns
    -------
    list of Finding
        An unrevealed season has only the findings that need no key.

    Raises
    ------
    IntegrityError
        When the log itself was edited, cut or reordered.
    """
    lines = season.lines(head)
    found = [*_order(season, lines), *_limits(lines)]
    revealed = [line.body for line in lines if line.event == "reveal"]
    if len(revealed) == 1:
        key = bytes.fromhex(revealed[0]["key"])
        found += _revealed(lines, key, schema, revealed[0]["split"])
        if dataset is not None:
            found += _data(lines, key, dataset)
    return found


def _order(season: Season, lines: list[Line]) -> Iterator[Finding]:
    events = [line.event for line in lines]
    scored = [i for i, event in enumerate(events) if event in ("attempt", "answer")]
    yield Finding(
        "season.json is what the first line committed to",
        bool(lines) and events[0] == "open" and dict(lines[0].body) == season.public,
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


def _revealed(lines: list[Line], key: bytes, schema: Schema, shown: str) -> Iterator[Finding]:
    opened = lines[0].body
    yield Finding("the key is the committed one", key_commitment(key) == opened["key_commitment"])
    split = secret_split(key, schema)
    yield Finding("the revealed split is the drawn one", shown == split)
    yield Finding(
        "the combinations were drawn with the committed key",
        commitment(key, "split", split.encode()) == opened["split_commitment"],
    )


def _data(lines: list[Line], key: bytes, dataset: DatasetLike) -> Iterator[Finding]:
    body = next(line.body for line in lines if line.event == "data")
    labels = commitment(key, "labels", labels_digest(dataset).encode())
    yield Finding("labels are the committed ones", labels == body["labels"])
    images = commitment(key, "images", dataset.root.encode())
    yield Finding("images are the committed ones", images == body["images"])
