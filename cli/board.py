"""`board`: result files to a static site; look at it, check files, see what a change does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.renderer.core.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer


@dataclass(frozen=True)
class Build(Command):
    """Build the static leaderboard from result files.

    It needs no server: open OUT/index.html from disk. Entries of different data or metric
    versions never share a board, verdicts hold for the entries that are judged together, and an
    old site stays until the new one is complete.

    Example: recombine board build --results runs/results --data runs/smoke
    """

    results: Path = Path("runs/results")
    """Folder with result files (*.json)."""
    data: tuple[Path, ...] = ()
    """Dataset folders whose contact sheet and certificate the page shows."""
    out: Path = Path("runs/site")
    """Folder of the site."""

    def run(self) -> int:
        """Build and say where it is."""
        index = build(self.results, self.out, self.data)
        self.reply({"index": str(index)}, f"open {index.absolute().as_uri()}")
        return 0


@dataclass(frozen=True)
class Serve(Build):
    """Build the site, then show it on this machine only, until Ctrl-C.

    Example: recombine board serve --results runs/results --data runs/smoke
    """

    port: int = 8000
    """Port; 0 takes a free one."""

    def run(self) -> int:
        """Build and serve."""
        index = build(self.results, self.out, self.data)
        with server(index.parent, self.port) as running:
            address = f"http://127.0.0.1:{running.server_port}/"
            self.reply({"address": address}, f"{address} until Ctrl-C")
            running.serve_forever()
        return 0


@dataclass(frozen=True)
class Check(Command):
    """Verify result files: schema, identity, every interval from its counts, and the ledger.

    `scripts/pre-commit` is a git hook that does so. Exit code 5 when a file was changed.

    Example: recombine board check leaderboard/results
    """

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files, or folders of them."""

    def run(self) -> int:
        """Verify, one line per file."""
        from recombine.leaderboard.board.entries import find_results, load_boards

        if not self.paths:
            raise UsageError("board check: expected result files or folders; got none")
        files = [
            one for path in self.paths for one in (find_results(path) if path.is_dir() else [path])
        ]
        entries = [entry for board in load_boards(files) for entry in board.entries]
        self.reply(
            [{"file": str(e.path), "result_id": e.result.result_id} for e in entries],
            *(
                f"ok {e.path}: {e.result.method.name}, result {e.result.result_id[:16]}"
                for e in entries
            ),
        )
        return 0


@dataclass(frozen=True)
class Diff(Command):
    """Say what the result files of NEW change on the boards of OLD.

    Exit code 3 when entries were removed: they are superseded by newer files, never removed.

    Example: recombine board diff leaderboard/results runs/reviewed
    """

    old: Annotated[Path, tyro.conf.Positional]
    """Folder of result files."""
    new: Annotated[Path, tyro.conf.Positional]
    """Folder of result files to compare it with."""

    def run(self) -> int:
        """Compare, one row per change."""
        from recombine.leaderboard.board.entries import find_results
        from recombine.leaderboard.submissions.changes import diff

        changes = diff(find_results(self.old), find_results(self.new))
        removed = [one for one in changes if one.kind == "removed"]
        if self.json:
            console.emit([one.plain for one in changes])
        elif changes:
            rows = [[str(value) for value in one.plain.values()] for one in changes]
            title = f"{len(changes)} changes from {self.old} to {self.new}"
            console.table(title, ("change", "board", "entry", "n_train", "before", "after"), rows)
        else:
            console.line("no change")
        if removed and not self.json:
            console.line("entries are superseded by newer files, never removed: put the files back")
        return 3 if removed else 0


@dataclass(frozen=True)
class Export(Command):
    """Write the entries of the board as data.

    every-eval-ever is one record per entry in the schema that the EvalEval coalition shares
    between benchmarks; csv and json are one file for all.

    Example: recombine board export --results leaderboard/results --format csv
    """

    results: Path = Path("runs/results")
    """Folder with result files (*.json)."""
    out: Path = Path("runs/export")
    """Folder to write."""
    format: Literal["every-eval-ever", "csv", "json"] = "every-eval-ever"
    """What to write."""

    def run(self) -> int:
        """Write and count the files."""
        from recombine.leaderboard.exports.tables import write_export

        paths = write_export(_result_files(self.results), self.out, self.format)
        line = f"{self.out}: {len(paths)} files, {self.format}"
        self.reply([str(path) for path in paths], line)
        return 0


def build(results: Path, out: Path, data: tuple[Path, ...]) -> Path:
    """Build the site from every result file in a folder."""
    from recombine.leaderboard.site.build import build_site

    return build_site(_result_files(results), out, data)


def _result_files(results: Path) -> list[Path]:
    """Return the result files of a folder."""
    files = sorted(results.glob("*.json"))
    if not files:
        raise UsageError(
            f"board: {results} must hold result files (*.json); found none. "
            "Make some with `recombine score`."
        )
    return files


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of a site that only this machine can reach."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing about requests."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise ResourceError(
            f"board serve: expected a free port, got {port} ({error}); choose another with --port"
        ) from error
