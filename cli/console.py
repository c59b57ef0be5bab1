"""What commands print: tables for people, JSON for programs, progress with time left."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.machine import crowding
from recombine.renderer.core.text import shown

Progress = Callable[[int, int], None]


def open_streams() -> None:
    """Give this process and its children the three standard streams, where one is closed."""
    # A file that is opened later would take the free number, and output would go into it.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
            os.set_inheritable(null, True)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def write(text: str) -> None:
    """Write to stdout at once; where nobody reads any more, go on without."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise ResourceError(
            f"stdout: expected a place to write to; got {error.strerror}. Send it elsewhere."
        ) from error


def silence(stream: Any) -> None:
    """Send what a stream still holds, and what follows, to nowhere."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def line(text: str = "") -> None:
    """Write one line for people, at once; what a stranger wrote in it does nothing."""
    write(shown(text) + "\n")


def note(text: str) -> None:
    """Write one remark for people beside the progress, at once."""
    try:
        sys.stderr.write(shown(text) + "\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)  # the exit code tells what matters


def note_crowding(workers: int) -> None:
    """Warn of the memory of more Blender workers than there are cores."""
    if words := crowding(workers):
        note(f"recombine: {words}")


def emit(data: Any) -> None:
    """Write one JSON document for programs."""
    write(json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table; cells are plain text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(title=Text(shown(title)), title_justify="left", header_style="bold")
    for name in columns:
        view.add_column(Text(shown(name)), overflow="fold")
    for row in rows:
        view.add_row(*(Text(shown(cell)) for cell in row))
    # A log file has no width: do not fold its tables to 80 columns.
    width = None if sys.stdout.isatty() else 140
    console = Console(file=sys.stdout, width=width)
    with console.capture() as captured:
        console.print(view)
    write(captured.get())


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
        bars.TextColumn(shown(label, ""), markup=False),
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
        note(f"{self.label}: {done}/{total}, {spent:.0f} s{left}")


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
