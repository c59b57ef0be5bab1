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

    from recombine.leaderboard.board.entries import Refused


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
    archive: tuple[Path, ...] = ()
    """Folders of results on data of earlier versions, for a page that only lists them."""

    def run(self) -> int:
        """Build and say where it is."""
        index, refused = build(self.results, self.out, self.data, self.archive)
        self.reply(
            {"index": str(index), "refused": [str(one.path) for one in refused]},
            f"open {index.absolute().as_uri()}",
        )
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
        index, _ = build(self.results, self.out, self.data, self.archive)
        with server(index.parent, self.port) as running:
            address = f"http://127.0.0.1:{running.server_port}/"
            self.reply({"address": address}, f"{address} until Ctrl-C")
            running.serve_forever()
        return 0


@dataclass(frozen=True)
class Release(Command):
    """Build the site as a release that stays as it is, and put it into the archive.

    OUT then holds VERSION/index.html, the same site as board-VERSION.zip, releases.json with the
    SHA-256 of every release, and index.html, which lists them. A version is never made twice.

    Example: recombine board release 2026.1 --results leaderboard/results --out runs/archive
    """

    version: Annotated[str, tyro.conf.Positional]
    """Of the board, such as 2026.1."""
    results: Path = Path("runs/results")
    """Folder with result files (*.json)."""
    data: tuple[Path, ...] = ()
    """Dataset folders whose contact sheet and certificate the page shows."""
    out: Path = Path("runs/archive")
    """Folder of all releases."""
    date: str = ""
    """Its date, YYYY-MM-DD; empty is today (UTC)."""

    def run(self) -> int:
        """Build, pack, and put on record."""
        from datetime import UTC, datetime

        from recombine.leaderboard.site.archive import release_site
        from recombine.leaderboard.site.pages import Release as Named

        named = Named(self.version, self.date or datetime.now(UTC).strftime("%Y-%m-%d"))
        made = release_site(_result_files(self.results), self.out, named, self.data)
        self.reply(
            made.model_dump(mode="json"),
            f"{self.out / made.file}: {made.entries} entries, SHA-256 {made.sha256}",
            f"open {(self.out / 'index.html').absolute().as_uri()}",
        )
        return 0


@dataclass(frozen=True)
class Check(Command):
    """Verify result files: schema, identity, every interval from its counts, and the ledger.

    Every page that a build would make of them is drawn, too, so what passes here is shown there.
    With --head, the ledger must still begin with what was published under that head: this alone
    finds a ledger that was written anew as a whole, or cut off. `scripts/pre-commit` is a git hook
    that checks. Exit code 5 when a file or ledger was changed.

    Example: recombine board check leaderboard/results
    """

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files, or folders of them."""
    head: str = ""
    """A head of the ledger that was published: LENGTH:HASH, as this command prints it."""

    def run(self) -> int:
        """Verify, one line per file."""
        from recombine.leaderboard.board.entries import find_results, load_boards, refusal
        from recombine.leaderboard.ledger.records import ledger_head
        from recombine.leaderboard.site.build import check_site

        if not self.paths:
            raise UsageError("board check: expected result files or folders; got none")
        files = [
            one for path in self.paths for one in (find_results(path) if path.is_dir() else [path])
        ]
        heads = {folder: ledger_head(folder, self.head) for folder in {f.parent for f in files}}
        boards = load_boards(files)
        if broken := check_site(files)[1]:
            raise refusal(broken)
        entries = [entry for board in boards for entry in board.entries]
        self.reply(
            {
                "results": [{"file": str(e.path), "id": e.result.result_id} for e in entries],
                "ledgers": {str(folder): head for folder, head in heads.items() if head},
            },
            *(
                f"ok {e.path}: {e.result.method.name}, result {e.result.result_id[:16]}"
                for e in entries
            ),
            *(f"ledger {folder}: {head}" for folder, head in sorted(heads.items()) if head),
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
class Mark(Command):
    """Put on record that a result is disputed or withdrawn, with the reason, or that this is over.

    The line in the ledger beside the result file has today's date. The entry says so on its page
    and in every export, and takes no part in headline, figures and ranks. Nothing is removed.

    Example: recombine board mark leaderboard/results/my-method--smoke.json --state disputed
    --reason "The predictions of two seeds are equal; see issue 12."
    """

    result: Annotated[Path, tyro.conf.Positional]
    """Result file, in the folder of the board's ledger."""
    state: Literal["disputed", "withdrawn", "settled"]
    """disputed: doubted; withdrawn: taken back; settled: neither any longer."""
    reason: str
    """One sentence for readers: what is wrong, and where that can be read."""
    key: Path | None = None
    """File with the private key that signs the ledger."""

    def run(self) -> int:
        """Add the line."""
        from datetime import UTC, datetime

        from recombine.leaderboard.board.entries import load_entry
        from recombine.leaderboard.ledger.records import record_mark
        from recombine.leaderboard.ledger.signing import read_key

        result = load_entry(self.result).result
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        signer = read_key(self.key) if self.key else None
        line = record_mark(self.result.parent, result, self.state, self.reason, now, signer)
        self.reply(
            {"result_id": result.result_id, "state": self.state, "line": line.index},
            f"{self.result.name} is {self.state} since {now}: line {line.index} of the ledger",
        )
        return 0


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


@dataclass(frozen=True)
class Register(Command):
    """Make rendered data the data of a board.

    Writes OUT/NAME.toml: the recipe, from which anybody draws every label again in seconds, and the
    digests that say which images a submission must be about. Nothing is uploaded; --archive and
    --url say where a tar file of the folder is hosted, if it is.

    Example: recombine board register runs/smoke --minutes 6

    Example: recombine board register runs/smoke --archive smoke.tar --url https://example.org/smoke.tar
    """

    data: Annotated[Path, tyro.conf.Positional]
    """Dataset folder, rendered from a preset and verified."""
    out: Path = Path("leaderboard/datasets")
    """Folder of the registry."""
    name: str = ""
    """What to call the board; the name of its preset by default."""
    minutes: float | None = None
    """Minutes that rendering took with two workers."""
    archive: Path | None = None
    """Tar file of the folder: tar --create --file smoke.tar --directory runs/smoke ."""
    url: tuple[str, ...] = ()
    """https addresses of that very file."""

    def run(self) -> int:
        """Register and say where the file is."""
        from recombine.leaderboard.board.registry import register

        board = register(
            self.data,
            name=self.name,
            minutes=self.minutes,
            archive=self.archive,
            urls=self.url,
        )
        path = board.saved(self.out)
        self.reply(
            {"file": str(path), "identity": board.identity},
            f"wrote {path}: {board.images} images, identity {board.identity[:16]}",
        )
        return 0


def build(
    results: Path, out: Path, data: tuple[Path, ...], archive: tuple[Path, ...] = ()
) -> tuple[Path, list[Refused]]:
    """Build the site from every result file in a folder; warn of those that do not hold."""
    from recombine.leaderboard.site.build import build_site

    refused: list[Refused] = []
    index = build_site(_result_files(results), out, data, tell=refused.append, archive=archive)
    for one in refused:
        console.note(f"recombine: warning: refused, and on no board: {one.error}")
    return index, refused


def _result_files(results: Path) -> list[Path]:
    """Return the result files of a folder."""
    from recombine.renderer.core.files import visible

    files = sorted(visible(results, "*.json"))
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
