"""`board`: result files to a static site; look at it, check files, see what a change does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

SITE, EXPORT = Path("runs/site"), Path("runs/export")


@dataclass(frozen=True)
class Board:
    """Build the static leaderboard from result files, look at it, or see what a change does.

    build: write the site. It needs no server: open it from disk. Entries of different data or
    metric versions never share a board, ranks hold within a track, and an old site stays until
    the new one is complete.
    serve: build, then show the site on this machine only, until Ctrl-C.
    check FILE...: verify result files, or folders of them: schema, identity, every interval from
    its counts, and the ledger of trust tiers beside them. `scripts/pre-commit` is a git hook.
    diff OLD NEW: what the result files of NEW change on the boards of OLD.
    export: write the entries as data; every-eval-ever is one record per entry in the schema that
    the EvalEval coalition shares between benchmarks.

    Example: recombine board build --results runs/results --data runs/smoke
    """

    action: Annotated[
        Literal["build", "serve", "check", "diff", "export"], tyro.conf.Positional
    ] = "build"
    """What to do."""
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Result files or folders for `check`; two folders for `diff`."""
    results: Path = Path("runs/results")
    """Folder with result files (*.json)."""
    data: tuple[Path, ...] = ()
    """Dataset folders whose contact sheet and certificate the page shows."""
    out: Path | None = None
    """Folder of the site (runs/site) or of the export (runs/export)."""
    format: Literal["every-eval-ever", "csv", "json"] = "every-eval-ever"
    """What `export` writes."""
    port: int = 8000
    """Port of `serve`; 0 takes a free one."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Do what was asked."""
        _check_paths(self.action, len(self.paths))
        actions = {
            "build": self._build,
            "serve": self._serve,
            "check": self._check,
            "diff": self._diff,
            "export": self._export,
        }
        return actions[self.action]()

    def _build(self) -> int:
        index = build(self.results, self.out or SITE, self.data)
        if self.json:
            say.emit({"index": str(index)})
        else:
            say.line(f"open {index.absolute().as_uri()}")
        return 0

    def _serve(self) -> int:
        index = build(self.results, self.out or SITE, self.data)
        with server(index.parent, self.port) as running:
            say.line(f"http://127.0.0.1:{running.server_port}/ until Ctrl-C")
            running.serve_forever()
        return 0

    def _check(self) -> int:
        from recombine.leaderboard.board.entries import find_results, load_boards

        files = [
            one for path in self.paths for one in (find_results(path) if path.is_dir() else [path])
        ]
        boards = load_boards(files)
        rows = [(e.path, e.result) for b in boards for e in b.entries]
        if self.json:
            say.emit([{"file": str(path), "result_id": r.result_id} for path, r in rows])
        else:
            for path, result in rows:
                say.line(f"ok {path}: {result.method.name}, result {result.result_id[:16]}")
        return 0

    def _export(self) -> int:
        from recombine.leaderboard.exports.tables import write_export

        paths = write_export(result_files(self.results), self.out or EXPORT, self.format)
        if self.json:
            say.emit([str(path) for path in paths])
        else:
            say.line(f"{self.out or EXPORT}: {len(paths)} files, {self.format}")
        return 0

    def _diff(self) -> int:
        from recombine.leaderboard.board.entries import find_results
        from recombine.leaderboard.submissions.changes import diff

        changes = diff(*(find_results(folder) for folder in self.paths))
        removed = [one for one in changes if one.kind == "removed"]
        if self.json:
            say.emit([one.plain for one in changes])
        elif changes:
            rows = [[str(value) for value in one.plain.values()] for one in changes]
            title = f"{len(changes)} changes from {self.paths[0]} to {self.paths[1]}"
            say.table(title, ("change", "board", "entry", "n_train", "before", "after"), rows)
        else:
            say.line("no change")
        if removed and not self.json:
            say.line("entries are superseded by newer files, never removed: put the files back")
        return 3 if removed else 0


def build(results: Path, out: Path, data: tuple[Path, ...]) -> Path:
    """Build the site from every result file in a folder."""
    from recombine.leaderboard.site.build import build_site

    return build_site(result_files(results), out, data)


def result_files(results: Path) -> list[Path]:
    """Return the result files of a folder."""
    from recombine.renderer.core.errors import UsageError

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

    from recombine.renderer.core.errors import ResourceError

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing about requests."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise ResourceError(
            f"board serve: expected a free port, got {port} ({error}); choose another with --port"
        ) from error


def _check_paths(action: str, given: int) -> None:
    from recombine.renderer.core.errors import UsageError

    wanted = {"check": given > 0, "diff": given == 2}
    if not wanted.get(action, given == 0):
        expected = {"check": "result files or folders", "diff": "two folders, OLD and NEW"}
        raise UsageError(
            f"board {action}: expected {expected.get(action, 'no further path')}, got {given}; "
            "see `recombine board --help`"
        )
