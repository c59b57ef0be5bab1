from __future__ import annotations

import pytest

from recombine.cli import console


def test_log_progress_says_each_tenth_once_with_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.progress("render") as report:
        for done in range(101):
            report(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("render: 0/100")
    assert "s left" in lines[5]
    assert "left" not in lines[-1]


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("render", quiet=True) as report:
        report(1, 2)
    assert capsys.readouterr().err == ""


def test_table_cells_are_text_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("t", ("a",), [("[red]x[/red]",)])
    assert "[red]x[/red]" in capsys.readouterr().out
