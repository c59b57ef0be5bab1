from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recombine.cli.main import COMMANDS, main
from recombine.renderer.verify import verify
from tests.renderer.drawn_fixture import drawn_dataset

HEAVY = ("torch", "bpy", "blenderproc", "sklearn", "scipy", "pydantic", "jinja2", "h5py")


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in COMMANDS)])
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
        (["plan", "smok"], 2, "Did you mean 'smoke'?"),
        (["render", "smoke", "--workers", "0", "--out", "OUT"], 2, "--workers"),
        (["render", "smoke", "--scale", "-1", "--out", "OUT"], 2, "--scale"),
        (["verify", "OUT/nowhere"], 3, "recombine render"),
        (["preview", "OUT/nowhere"], 3, "sealed dataset"),
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
    assert main(["plan", "smoke"]) == 4
    said = capsys.readouterr().err
    assert "needs Python 3.11, 3.12 or 3.13" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("version", [(3, 12, 1), (3, 13, 0)])
def test_rendering_on_another_python_is_one_line_that_says_what_to_do(
    version: tuple[int, int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert main(["render", "smoke", "--scale", "0.08", "--out", str(tmp_path / "data")]) == 4
    said = capsys.readouterr().err
    assert "rendering needs Python 3.11" in said
    assert "python3.11 -m venv" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_doctor_on_another_python_is_ready_for_all_but_rendering(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["renderer"].startswith("not here: render: rendering needs Python 3.11")
    assert found["torch"]
    assert main(["doctor"]) == 0
    assert "ready for all but rendering" in capsys.readouterr().out


def test_plan_prints_counts_for_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "smoke"]) == 0
    assert "1024" in capsys.readouterr().out
    assert main(["plan", "smoke", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"]["ooc_test"] == 192


def test_verify_exits_5_on_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn_dataset(tmp_path / "data")
    assert main(["verify", str(tmp_path / "data")]) == 0
    (tmp_path / "data" / "shards" / "shard-00000.h5").unlink()
    assert main(["verify", str(tmp_path / "data"), "--json"]) == 5
    out = capsys.readouterr().out
    checks = json.loads(out[out.index("{") :])["checks"]
    assert next(c for c in checks if c["name"] == "files")["status"] == "fail"


def test_scoring_refuses_unverified_and_failed_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_dataset(tmp_path / "data")
    argv = ["score", "supervised", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "r")]
    assert main(argv) == 3
    assert "recombine verify" in capsys.readouterr().err
    shard = tmp_path / "data" / "shards" / "shard-00001.h5"
    shard.write_bytes(shard.read_bytes()[:-9])
    assert not verify(tmp_path / "data").passed
    assert main(argv) == 5
    assert "certificate fails on files" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_full_disk_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn_dataset(tmp_path / "data")
    assert main(["preview", str(tmp_path / "data"), "--out", "/dev/full/sheet.png"]) == 4
    assert "must be writable" in capsys.readouterr().err
