from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.cli.render import Render
from recombine.cli.slurm import Slurm
from recombine.renderer.presets.table import load_preset
from tests.renderer.drawn_fixture import drawn_dataset


def scripts(out: Path, *more: str) -> tuple[str, str]:
    assert main(["slurm", "smoke", "--out", str(out), "--tasks", "8", *more]) == 0
    return tuple((out / "slurm" / n).read_text() for n in ("render.sh", "seal.sh"))  # type: ignore[return-value]


def test_scripts_are_valid_and_say_how_to_submit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a dataset"
    render, seal = scripts(out, "--cores", "4", "--hours", "2")
    printed = capsys.readouterr().out
    assert "sbatch --dependency=afterany:$job" in printed
    for line in printed.splitlines():
        assert line in render
    for wanted in ("--array=1-8", "--cpus-per-task=4", "--mem=8G", "--time=2:00:00", "--requeue"):
        assert f"#SBATCH {wanted}\n" in render
    for name in ("render.sh", "seal.sh"):
        subprocess.run(["bash", "-n", str(out / "slurm" / name)], check=True)
    assert "merge" in seal


def test_the_array_runs_every_group_once(tmp_path: Path) -> None:
    out = tmp_path / "data"
    render, _ = scripts(out, "--scale", "0.5", "--resolution", "32")
    # The script is run with a stand-in for the program that writes down its arguments.
    script = tmp_path / "render.sh"
    recorder = tmp_path / "recorder"
    recorder.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    recorder.chmod(0o755)
    script.write_text(render.replace(f"{sys.executable} -m recombine.cli.main", str(recorder)))
    groups = []
    for task in range(1, 9):
        environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "3"}
        ran = subprocess.run(
            ["bash", str(script)], env=environment, capture_output=True, text=True, check=True
        )
        words = ran.stdout.splitlines()
        groups.append(words[words.index("--shard") + 1])
        assert words[:4] == ["render", "smoke", "--out", str(out)]
        assert words[words.index("--scale") + 1] == "0.5"
        assert words[words.index("--workers") + 1] == "3"
    assert groups == [f"{i}/8" for i in range(1, 9)]


def test_the_seal_script_seals_what_the_tasks_left(tmp_path: Path) -> None:
    out = tmp_path / "data"
    scripts(out)
    drawn_dataset(out, preset=load_preset("smoke", scale=0.07, resolution=16), shard_size=64)
    (out / "manifest.json").unlink()
    subprocess.run(["bash", str(out / "slurm" / "seal.sh")], check=True, capture_output=True)
    assert (out / "certificate.json").is_file()


def test_options_are_passed_on_if_they_are_given() -> None:
    words = Slurm("smoke", Path("x"), 3)._arguments(Path("/x"))
    assert words == ["smoke", "--out", "/x", "--shard-size", "64"]
    secret = Slurm("smoke", Path("x"), 3, season_key=Path("/key"))
    assert secret._arguments(Path("/x"))[5:] == ["--season-key", "/key"]
    more = Slurm("smoke", Path("x"), 3, hidden=True, ooc_val=True, hidden_key=Path("/key"))
    assert more._arguments(Path("/x"))[5:] == ["--hidden-key", "/key", "--ooc-val", "--hidden"]


def test_every_option_that_decides_the_images_can_be_passed_on() -> None:
    here = {"workers", "max_memory", "cluster", "shard", "existing"}  # how, not what
    assert {f.name for f in fields(Render)} - here <= {f.name for f in fields(Slurm)}


def test_wrong_numbers_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slurm", "smoke", "--out", str(tmp_path / "d"), "--tasks", "0"]) == 2
    assert "--tasks" in capsys.readouterr().err
    assert main(["slurm", "smok", "--out", str(tmp_path / "d"), "--tasks", "2"]) == 2
    assert not (tmp_path / "d").exists()
