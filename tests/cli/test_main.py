from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from recombine.cli.console import Command
from recombine.cli.main import NOUNS, RENAMED, VERBS, main

HEAVY = ("torch", "bpy", "blenderproc", "sklearn", "scipy", "pydantic", "jinja2", "h5py")


COMMANDS = [name for name in NOUNS if not any(verb.startswith(name + " ") for verb in VERBS)]
COMMANDS += VERBS


@pytest.mark.parametrize("argv", [["--help"], *([*name.split(), "--help"] for name in COMMANDS)])
def test_help_teaches_and_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys\nfrom recombine.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"heavy = [m for m in {HEAVY} if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "usage: recombine" in ran.stdout
    assert "recombine render smoke" in ran.stdout if len(argv) == 1 else "Example" in ran.stdout


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["rendr"], 2, "Did you mean 'render'?"),
        (["dataset", "plan", "smok"], 2, "Did you mean 'smoke'?"),
        (["render", "smoke", "--workers", "0", "--out", "OUT"], 2, "--workers"),
        (["render", "smoke", "--scale", "-1", "--out", "OUT"], 2, "--scale"),
        (["dataset", "verify", "OUT/nowhere"], 3, "recombine render"),
        (["dataset", "preview", "OUT/nowhere"], 3, "sealed dataset"),
        (["score", "supervised", "--data", "OUT/nowhere"], 3, "sealed dataset"),
        (["board", "build", "--results", "OUT"], 2, "recombine score"),
    ],
)
def test_bad_input_is_one_line_and_a_stable_code(
    argv: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([a.replace("OUT", str(tmp_path)) for a in argv]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert error.startswith("recombine: ")


def test_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["render", "--wrokers", "2"])
    assert caught.value.code == 2
    assert "wrokers" in capsys.readouterr().err


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 14, 0)])
def test_wrong_python_is_one_line(
    version: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert main(["dataset", "plan", "smoke"]) == 4
    said = capsys.readouterr().err
    assert "needs Python 3.11, 3.12 or 3.13" in said
    assert said.count("\n") == 1


def test_help_is_one_screen_and_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    page = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == page
    lines = page.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    about: dict[str, str] = {}
    noun = ""
    for line in lines:
        if line.startswith("  "):  # a long list goes on below, further in
            noun = noun if line.startswith(" " * 14) else line.split()[0]
            about[noun] = about.get(noun, "") + line
    for verb in VERBS:
        noun, word = verb.split()
        assert word in about[noun], verb


@pytest.mark.parametrize("noun", sorted({name.split()[0] for name in VERBS}))
def test_a_noun_lists_its_verbs(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([noun, "--help"]) == 0
    page = capsys.readouterr().out
    assert main([noun]) == 0
    assert capsys.readouterr().out == page
    assert page.startswith(f"usage: recombine {noun} VERB")
    listed = [line.split()[0] for line in page.splitlines() if line.startswith("  ")]
    assert [f"{noun} {verb}" for verb in listed] == [v for v in VERBS if v.split()[0] == noun]
    assert max(map(len, page.splitlines())) <= 80
    assert main([noun, "nothing"]) == 2
    assert "expected one of " + listed[0] in capsys.readouterr().err


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_verb_names_the_new_one(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([old, "--whatever", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"recombine: `{old}` is now ")
    assert error.count("\n") == 1
    for new in re.findall("`recombine ([a-z -]+)`", error):
        words = new.split()
        assert words[0] in NOUNS
        assert len(words) == 1 or words[1].startswith("--") or new in VERBS
    assert old not in NOUNS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(name: str) -> None:
    module, verb = name.split()[0], name.split()[-1]
    kind = getattr(import_module(f"recombine.cli.{module}"), verb.capitalize())
    assert issubclass(kind, Command)
