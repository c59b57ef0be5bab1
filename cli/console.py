"""What commands print: tables for people, JSON for programs, progress with time left."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

Progress = Callable[[int, int], None]


def line(text: str = "") -> None:
    """Write one line for people, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Write one remark for people beside the progress, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def emit(data: Any) -> None:
    """Write one JSON document for programs."""
    sys.stdout.write(json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table; cells are plain text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        view.add_column(name, overflow="fold")
    for row in rows:
        view.add_row(*(Text(cell) for cell in row))
    # A log file has no width: do not fold its tables to 80 columns.
    width = None if sys.stdout.isatty() else 140
    Console(file=sys.stdout, width=width).print(view)


@contextmanager
def progress(label: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Yield a callable of (done, total) that shows progress and the time left."""
    # On a terminal it is a bar; in a log it is one line every ten per cent.
    if quiet:
        yield lambda _done, _total: None
    elif sys.stderr.isatty():
        with _bar(label) as report:
            yield report
    else:
        yield _Log(label)


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn(label),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(elapsed_when_finished=False),
    )
    with bars.Progress(*columns, console=Console(file=sys.stderr)) as view:
        task = view.add_task(label, total=None)
        yield lambda done, total: view.update(task, completed=done, total=total)


class _Log:
    def __init__(self, label: str) -> None:
        self.label, self.began, self.said = label, time.monotonic(), -1
        self.first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        if self.first is None:
            self.first = done
        tenth = 10 * done // max(total, 1)
        if tenth == self.said:
            return
        self.said = tenth
        spent, fresh = time.monotonic() - self.began, done - self.first
        left = f", {spent / fresh * (total - done):.0f} s left" if fresh and done < total else ""
        sys.stderr.write(f"{self.label}: {done}/{total}, {spent:.0f} s{left}\n")
        sys.stderr.flush()


@dataclass(frozen=True, kw_only=True)
class Command:
    """What every command takes and does."""

    json: bool = False
    """Print JSON, for programs."""

    def run(self) -> int:
        """Do what was asked and return the exit code."""
        raise NotImplementedError

    def reply(self, data: Any, *lines: str) -> None:
        """Write what was found: a JSON document for programs, or lines for people."""
        if self.json:
            emit(data)
        else:
            line("\n".join(lines))

    def progress(self, label: str) -> AbstractContextManager[Progress]:
        """Show progress to people; see `progress`."""
        return progress(label, quiet=self.json)
