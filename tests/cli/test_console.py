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


BAD = "\x1b[2J\x1b]0;owned\x07\u202egood\u200b\u2028\x9b\udce9"


def test_a_strangers_words_do_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.line(f"name: {BAD}")
    console.note(f"recombine: {BAD}")
    console.table(BAD, (BAD,), [(BAD,)])
    console.emit({BAD: BAD})
    with console.progress(BAD) as report:
        report(1, 1)
    printed = "".join(capsys.readouterr())
    assert "\\x1b[2J\\x1b]0;owned\\x07\\u202egood\\u200b\\u2028\\x9b\\udce9" in printed
    assert not set(printed) & set(BAD.replace("\x1b[2J", "").replace("]0;owned", "")) - set("good")
    assert "\x1b" not in printed


def test_lines_and_tables_of_our_own_stay(capsys: pytest.CaptureFixture[str]) -> None:
    console.line("one\n\ttwo \u2013 \u00e9 \u4f60 \U0001f600")
    assert capsys.readouterr().out == "one\n\ttwo \u2013 \u00e9 \u4f60 \U0001f600\n"
