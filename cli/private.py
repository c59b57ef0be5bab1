"""`private`: seasons with secret combinations, for organisers; and their audit, for everyone."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.leaderboard.seasons.season import Season
    from recombine.renderer.store.dataset import Dataset


@dataclass(frozen=True)
class Private:
    """Run a season on data whose held-out combinations nobody knows, and check it afterwards.

    open: draw a 256-bit key, and from it the held-out combinations, all labels and all image
    seeds; publish commitments. Prints how to render. Again with --data: commit to the images.
    score: log one attempt of a team and answer it in whole percent; at most ten per team. The
    result comes from `recombine score` on the season's data: the method is trained here, and no
    image leaves this machine before the end, since training images show what they lack.
    reveal: end the season and publish the key.
    audit: check log, signatures, commitments and limits, from public files alone; after the end
    also that combinations, labels and seeds follow from the key. With --out: write what the
    images can be rendered from again.

    Publish `season.json` and `log.jsonl` after every step, and the printed head where you cannot
    change it. Needs the library cryptography.

    Example: recombine private open season-1 --preset object-background
    """

    action: Annotated[Literal["open", "score", "reveal", "audit"], tyro.conf.Positional]
    """What to do."""
    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the season."""
    preset: str = "smoke"
    """Dataset recipe of a new season; its factors need numbers of values with a common divisor."""
    scale: float = 1.0
    """Share of the matched blocks, as for `recombine render`."""
    values: int | None = None
    """Values per recombined factor to keep; all by default."""
    resolution: int | None = None
    """Image edge in pixels; the preset's own by default."""
    data: Path | None = None
    """The season's rendered dataset."""
    team: str = ""
    """Who is scored."""
    result: Path | None = None
    """Result file on the season's data."""
    head: str = ""
    """A published head that the log must contain, for `audit`."""
    out: Path | None = None
    """New folder for what a revealed season is rendered from, for `audit`."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Do what was asked."""
        actions = {
            "open": self._open,
            "score": self._score,
            "reveal": self._reveal,
            "audit": self._audit,
        }
        return actions[self.action]()

    def _open(self) -> int:
        from recombine.leaderboard.seasons.season import Season, commit_data, open_season
        from recombine.leaderboard.seasons.terms import Recipe

        if self.data is not None:
            commit_data(Season(self.folder), self._dataset(), _now())
            return self._say_head(Season(self.folder), {})
        recipe = Recipe(
            preset=self.preset, scale=self.scale, values=self.values, resolution=self.resolution
        )
        name = self.folder.absolute().name
        season = open_season(self.folder, name, recipe, _now())
        data = str(season.split.parent / "data")
        commands = [
            _render_command(season),
            shlex.join(["recombine", "private", "open", str(self.folder), "--data", data]),
        ]
        if not self.json:
            say.line("keep the folder `secret` to yourself, and make a copy of it. Next:")
            for command in commands:
                say.line(f"  {command}")
        return self._say_head(season, {"next": commands})

    def _score(self) -> int:
        from recombine.leaderboard.board.entries import load_entry
        from recombine.leaderboard.seasons.season import Season, score_privately
        from recombine.renderer.core.errors import UsageError

        if self.result is None or not self.team:
            raise UsageError("private score: expected --team and --result, got less; give both")
        result = load_entry(self.result).result
        season = Season(self.folder)
        answer = score_privately(season, self.team, result, _now())
        if not self.json:
            say.line(f"OOC {answer['ooc']} %, ID {answer['id']} %, gap {answer['gap']} points")
            say.line(f"scorings that {self.team} has left: {answer['left']}")
        return self._say_head(season, {"answer": answer})

    def _reveal(self) -> int:
        from recombine.leaderboard.seasons.season import Season, reveal

        season = Season(self.folder)
        line = reveal(season, self._dataset(), _now())
        return self._say_head(season, {"key": line.body["key"]})

    def _audit(self) -> int:
        from recombine.leaderboard.seasons.audit import audit_season
        from recombine.leaderboard.seasons.season import Season, write_revealed

        season = Season(self.folder)
        dataset = None if self.data is None else self._dataset()
        found = audit_season(season, dataset, self.head)
        failed = [one.claim for one in found if not one.holds]
        if self.json:
            say.emit({one.claim: one.holds for one in found})
        else:
            rows = [(one.claim, "holds" if one.holds else "FAILS") for one in found]
            say.table(f"season {self.folder}", ("claim", "outcome"), rows)
        if self.out is not None:
            command = _render_command(write_revealed(season, self.out))
            if not self.json:
                say.line("the same images again, for `private audit --data`:")
                say.line(f"  {command}")
        return 5 if failed else 0

    def _dataset(self) -> Dataset:
        from recombine.renderer.core.errors import UsageError
        from recombine.renderer.store.dataset import Dataset

        if self.data is None:
            raise UsageError(f"private {self.action}: expected --data, got none; give the dataset")
        return Dataset(self.data)

    def _say_head(self, season: Season, more: dict[str, object]) -> int:
        from recombine.leaderboard.ledger.chain import head_of

        head = head_of(season.lines())
        if self.json:
            say.emit({"head": head, **more})
        else:
            say.line(f"head of the log, to be published: {head}")
        return 0


def _render_command(season: Season) -> str:
    keys = ["--split", str(season.split), "--season-key", str(season.seeds)]
    out = str(season.split.parent / "data")
    return shlex.join(["recombine", "render", *season.terms.recipe.options(), *keys, "--out", out])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
