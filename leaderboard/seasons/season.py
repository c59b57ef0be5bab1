"""A private season: secret combinations, committed to before the first score, revealed after.

Public are ``season.json`` and ``log.jsonl``; ``secret/`` never leaves the organiser before the
end. Every scoring is in the log before its answer exists, at most ten per team, and answers are
rounded to whole percent: a team cannot probe for labels, and nobody can forget an attempt.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from recombine.leaderboard.ledger.chain import Line, append, read_chain
from recombine.leaderboard.ledger.signing import Ed25519Signer
from recombine.leaderboard.seasons.rule import KEY_BYTES, commitment, derive, secret_split
from recombine.leaderboard.seasons.terms import (
    MAX_SCORINGS,
    Recipe,
    Terms,
    draw_terms,
    read_terms,
    season_plan,
    seeds_key,
)
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.files import locked, write_bytes, write_json
from recombine.renderer.core.strict import parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.ledger.signing import Signer
    from recombine.renderer.planning.plan import Plan

TEAM = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class SeasonData(Protocol):
    """The part of ``recombine.renderer.store.dataset.Dataset`` that a season looks at."""

    @property
    def identity(self) -> str: ...  # noqa: D102
    @property
    def plan(self) -> Plan: ...  # noqa: D102
    def check(self) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Season:
    """A season on the organiser's disk."""

    folder: Path  # holds ``season.json``, ``log.jsonl`` and, until the end, ``secret/``

    @property
    def log(self) -> Path:
        """Return the path of the log."""
        return self.folder / "log.jsonl"

    @property
    def split(self) -> Path:
        """Return the path of the secret split file."""
        return self.folder / "secret" / "split.toml"

    @property
    def seeds(self) -> Path:
        """Return the path of the secret that keys the image seeds."""
        return self.folder / "secret" / "seeds.key"

    @property
    def terms(self) -> Terms:
        """Return what ``season.json`` says."""
        path = self.folder / "season.json"
        return read_terms(_read_json(path), str(path))

    @property
    def public_key(self) -> bytes:
        """Return whose signatures the log carries."""
        return bytes.fromhex(self.terms.public_key)

    def lines(self, head: str = "") -> list[Line]:
        """Return the checked log."""
        return read_chain(self.log, self.public_key, head)

    def key(self) -> bytes:
        """Return the secret key.

        Raises
        ------
        UsageError
            When this is not the organiser's copy.
        """
        path = self.folder / "secret" / "key"
        if not path.is_file():
            raise UsageError(
                f"{path}: expected the season's key, found none; only the organiser can do this"
            )
        return bytes.fromhex(path.read_text())

    def signer(self) -> Signer:
        """Return what signs the log."""
        return Ed25519Signer(derive(self.key(), "signing"))


def open_season(
    folder: Path, name: str, recipe: Recipe, time: str, key: bytes | None = None
) -> Season:
    """Draw a season's secrets and commit to them."""
    season = Season(folder)
    if season.log.exists():
        raise UsageError(f"{folder}: expected a new folder, found a season; choose another one")
    key = secrets.token_bytes(KEY_BYTES) if key is None else key
    terms = draw_terms(
        name, recipe, time, key, Ed25519Signer(derive(key, "signing")).public_key
    ).model_dump(mode="json")
    _write_secrets(season, key, recipe)
    write_json(folder / "season.json", terms)
    append(season.log, "open", terms, time, season.signer())
    return season


def commit_data(season: Season, dataset: SeasonData, time: str) -> Line:
    """Commit to the rendered data, before anything is scored on them."""
    if _events(season, "data"):
        raise UsageError(f"{season.folder}: expected no data yet, got a second set; open a season")
    key = season.key()
    if dataset.plan.digest() != season_plan(season.terms.recipe, key).digest():
        raise InvalidInputError(
            f"{season.folder}: expected data with the season's combinations, seeds and size, got "
            f"{dataset.plan.dataset}; render with the command that `recombine season open` printed"
        )
    dataset.check()
    body = {"images": _images(key, dataset.identity)}
    return append(season.log, "data", body, time, season.signer())


def score_privately(season: Season, team: str, result: Result, time: str) -> dict[str, Any]:
    """Log an attempt, then answer it with rounded scores."""
    if not TEAM.fullmatch(team):
        raise UsageError(
            f"--team: expected lower-case letters, digits and hyphens, got {team[:40]!r}"
        )
    with locked(season.folder / "attempts"):
        attempt = _attempt(season, team, result)
        if attempt["number"] > MAX_SCORINGS:
            raise UsageError(
                f"season: expected at most {MAX_SCORINGS} scorings of team {team}, got one more; "
                "the season's end reveals everything"
            )
        if attempt not in [line.body for line in _events(season, "attempt")]:
            append(season.log, "attempt", attempt, time, season.signer())
        answered = [line.body for line in _events(season, "answer")]
        found = [one for one in answered if one["attempt"] == attempt]
        answer = found[0] if found else {"attempt": attempt, "scores": rounded(result)}
        if not found:
            append(season.log, "answer", answer, time, season.signer())
        used = sum(line.body["team"] == team for line in _events(season, "attempt"))
    return {**answer["scores"], "left": MAX_SCORINGS - used}


def rounded(result: Result) -> dict[str, Any]:
    """Return all that a team learns."""
    parts: dict[str, Any] = {
        "ooc": result.scores.ooc_test,
        "id": result.scores.id_test,
        "gap": result.gap,
    }
    out: dict[str, Any] = {}
    for name, part in parts.items():
        out[name] = round(100 * part.estimate)
        out[f"{name}_ci95"] = [round(100 * end) for end in part.ci95] if part.ci95 else None
    return out


def reveal(season: Season, dataset: SeasonData, time: str) -> Line:
    """End a season: publish the key, the split and the identity of the data."""
    if _events(season, "reveal"):
        raise UsageError(f"{season.folder}: expected an open season, got one that is revealed")
    _require_committed(season, dataset)
    body = {
        "key": season.key().hex(),
        "split": season.split.read_text(),
        "identity": dataset.identity,
    }
    return append(season.log, "reveal", body, time, season.signer())


def write_revealed(season: Season, out: Path) -> Season:
    """Write a copy of a revealed season with its secrets, to render its data from."""
    found = _events(season, "reveal")
    if not found:
        raise UsageError(
            f"{season.folder}: expected a revealed season, got an open one; wait for its end"
        )
    key = bytes.fromhex(found[0].body["key"])
    copy = Season(out)
    write_json(out / "season.json", season.terms.model_dump(mode="json"))
    _write_secrets(copy, key, season.terms.recipe)
    return copy


def _write_secrets(season: Season, key: bytes, recipe: Recipe) -> None:
    private = season.folder / "secret"
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, content in (
        (private / "key", key.hex().encode()),
        (season.seeds, seeds_key(key)),
        (season.split, secret_split(key, recipe.load().schema).encode()),
    ):
        write_bytes(path, content)
        path.chmod(0o600)


def _images(key: bytes, identity: str) -> str:
    return commitment(key, "images", identity.encode())


def _require_committed(season: Season, dataset: SeasonData) -> None:
    committed = [line.body["images"] for line in _events(season, "data")]
    if committed != [_images(season.key(), dataset.identity)]:
        raise IntegrityError(
            f"{season.folder}: expected the data that the season committed to, got "
            f"{'others' if committed else 'a season without data'}; give the committed dataset"
        )


def _attempt(season: Season, team: str, result: Result) -> dict[str, Any]:
    """Return the attempt that a result is: an old one with equal predictions, or the next."""
    if _events(season, "reveal") or not _events(season, "data"):
        raise UsageError(
            f"{season.folder}: expected an open season with data; see `recombine season --help`"
        )
    images = _images(season.key(), result.data.identity)
    if [line.body["images"] for line in _events(season, "data")] != [images]:
        raise InvalidInputError(
            f"season: expected a result on the season's data, got {result.data.identity[:12]}; "
            "run `recombine score` on the rendered season"
        )
    predictions = sorted(one.sha256 for one in result.artifacts.predictions)
    content = {"team": team, "entry": result.method.entry, "predictions": predictions}
    own = [line.body for line in _events(season, "attempt") if line.body["team"] == team]
    same = [dict(one) for one in own if {k: one[k] for k in content} == content]
    return same[0] if same else {**content, "number": len(own) + 1}


def _events(season: Season, event: str) -> Sequence[Line]:
    return [line for line in season.lines() if line.event == event]


def _read_json(path: Path) -> object:
    try:
        return cast("object", parse_json(path.read_bytes(), str(path)))
    except (OSError, IntegrityError) as error:
        raise InvalidInputError(f"{path}: expected a season, got {error}; check the path") from None
