"""`season`: seasons with secret combinations, for organisers; and their audit, for everyone."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import console
from recombine.cli.console import Command

if TYPE_CHECKING:
    from recombine.leaderboard.seasons.season import Season


@dataclass(frozen=True)
class OfSeason(Command):
    """What every command of a season takes and does."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the season."""

    def finish(self, season: Season, more: dict[str, object], *lines: str) -> int:
        """Print what was found and the head of the log."""
        from recombine.leaderboard.ledger.chain import head_of

        head = head_of(season.lines())
        last = f"head of the log, to be published: {head}"
        self.reply({"head": head, **more}, *lines, last)
        return 0


@dataclass(frozen=True)
class Open(OfSeason):
    """Open a season with secret combinations, or commit it to its images.

    Draws a 256-bit key, and from it the held-out combinations, all labels and all image seeds;
    publishes commitments, and prints how to render. Again with --data: commits to the images.
    Publish `season.json` and `log.jsonl` after this and every later step, and the printed head
    where you cannot change it. Keep the folder `secret` to yourself. Needs the library
    cryptography.

    Example: recombine season open season-1 --preset object-background
    """

    preset: str = "smoke"
    """Dataset recipe of a new season; its factors need numbers of values with a common divisor."""
    scale: float = 1.0
    """Share of the matched blocks, as for `recombine render`."""
    values: int | None = None
    """Values per recombined factor to keep; all by default."""
    resolution: int | None = None
    """Image edge in pixels; the preset's own by default."""
    data: Path | None = None
    """The season's rendered dataset, to commit to."""

    def run(self) -> int:
        """Draw the key, or commit to the data."""
        from recombine.leaderboard.seasons.season import Season, commit_data, open_season
        from recombine.leaderboard.seasons.terms import Recipe
        from recombine.renderer.store.dataset import Dataset

        if self.data is not None:
            commit_data(Season(self.folder), Dataset(self.data), _now())
            return self.finish(Season(self.folder), {})
        recipe = Recipe(
            preset=self.preset, scale=self.scale, values=self.values, resolution=self.resolution
        )
        name = self.folder.absolute().name
        season = open_season(self.folder, name, recipe, _now())
        data = str(season.split.parent / "data")
        commands = [
            _render_command(season),
            shlex.join(["recombine", "season", "open", str(self.folder), "--data", data]),
        ]
        return self.finish(
            season,
            {"next": commands},
            "keep the folder `secret` to yourself, and make a copy of it. Next:",
            *(f"  {command}" for command in commands),
        )


@dataclass(frozen=True)
class Score(OfSeason):
    """Log one attempt of a team and answer it in whole percent; at most ten per team.

    The result comes from `recombine score` on the season's data: the method is trained here, and
    no image leaves this machine before the end, since training images show what they lack.

    Example: recombine season score season-1 --team TEAM --result season-1/secret/TEAM/RESULT.json
    """

    team: str
    """Who is scored."""
    result: Path
    """Result file on the season's data."""

    def run(self) -> int:
        """Log and answer."""
        from recombine.leaderboard.board.entries import load_entry
        from recombine.leaderboard.seasons.season import Season, score_privately

        result = load_entry(self.result).result
        season = Season(self.folder)
        answer = score_privately(season, self.team, result, _now())
        return self.finish(
            season,
            {"answer": answer},
            f"OOC {answer['ooc']} %, ID {answer['id']} %, gap {answer['gap']} points",
            f"scorings that {self.team} has left: {answer['left']}",
        )


@dataclass(frozen=True)
class Reveal(OfSeason):
    """End the season and publish the key, from which everything can be checked.

    Example: recombine season reveal season-1 --data season-1/secret/data
    """

    data: Path
    """The season's rendered dataset."""

    def run(self) -> int:
        """Publish the key."""
        from recombine.leaderboard.seasons.season import Season, reveal
        from recombine.renderer.store.dataset import Dataset

        season = Season(self.folder)
        line = reveal(season, Dataset(self.data), _now())
        return self.finish(season, {"key": line.body["key"]})


@dataclass(frozen=True)
class Audit(OfSeason):
    """Check log, signatures, commitments and limits of a season, from public files alone.

    After the end it also checks that combinations, labels and seeds follow from the key. With
    --out it writes what the images can be rendered from again, and prints how. Exit code 5 when a
    claim fails.

    Example: recombine season audit season-1 --out season-1-again
    """

    data: Path | None = None
    """The season's dataset, rendered again."""
    head: str = ""
    """A published head that the log must contain."""
    out: Path | None = None
    """New folder for what a revealed season is rendered from."""

    def run(self) -> int:
        """Check every claim."""
        from recombine.leaderboard.seasons.audit import audit_season
        from recombine.leaderboard.seasons.season import Season, write_revealed
        from recombine.renderer.store.dataset import Dataset

        season = Season(self.folder)
        found = audit_season(season, None if self.data is None else Dataset(self.data), self.head)
        if self.json:
            console.emit({one.claim: one.holds for one in found})
        else:
            rows = [(one.claim, "holds" if one.holds else "FAILS") for one in found]
            console.table(f"season {self.folder}", ("claim", "outcome"), rows)
        if self.out is not None:
            command = _render_command(write_revealed(season, self.out))
            if not self.json:
                console.line("the same images again, for `recombine season audit --data`:")
                console.line(f"  {command}")
        return 0 if all(one.holds for one in found) else 5


def _render_command(season: Season) -> str:
    keys = ["--split", str(season.split), "--season-key", str(season.seeds)]
    out = str(season.split.parent / "data")
    return shlex.join(["recombine", "render", *season.terms.recipe.options(), *keys, "--out", out])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
