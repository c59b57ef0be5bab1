"""`render`: what its options choose, scripts and estimates; nothing is rendered here."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import tyro

from recombine.cli.main import main
from recombine.cli.render import PresetOptions, Render
from recombine.renderer.core.errors import UsageError
from recombine.renderer.presets.table import Preset, load_preset
from recombine.renderer.rendering.estimate import Estimate, Range
from tests.renderer.drawn_fixture import drawn_dataset


def test_options_choose_values_parts_and_a_commitment(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret of many bytes")
    some = {"preset": "object-texture", "scale": 0.01, "resolution": 64, "values": 8}
    preset = PresetOptions(**some, ooc_val=True, hidden_key=key).chosen()
    assert preset.name == "object-texture--values-8--ooc-val"
    assert preset.settings.resolution == 64
    assert len(preset.commitment) == 64
    assert not preset.secret
    hidden = PresetOptions(**some, hidden_key=key, hidden=True).chosen()
    assert hidden.secret
    assert hidden.commitment == preset.commitment


def test_a_season_key_stands_alone(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef")
    season = PresetOptions(season_key=key).chosen()
    assert season.season
    assert season.name == "smoke--season"
    with pytest.raises(UsageError, match="got both"):
        PresetOptions(season_key=key, hidden_key=key).chosen()


def test_hidden_set_needs_its_key() -> None:
    with pytest.raises(UsageError, match="--hidden-key FILE"):
        PresetOptions(hidden=True).chosen()


def scripts(out: Path, *more: str) -> tuple[str, str]:
    assert main(["render", "smoke", "--out", str(out), "--slurm", "8", *more]) == 0
    return tuple((out / "slurm" / n).read_text() for n in ("render.sh", "seal.sh"))  # type: ignore[return-value]


def test_scripts_are_valid_and_say_how_to_submit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a dataset"
    render, seal = scripts(out, "--workers", "4", "--hours", "2")
    printed = capsys.readouterr().out
    assert "sbatch --dependency=afterany:$job" in printed
    for line in printed.splitlines():
        assert line in render
    for wanted in ("--array=1-8", "--cpus-per-task=4", "--mem=8G", "--time=2:00:00", "--requeue"):
        assert f"#SBATCH {wanted}\n" in render
    for name in ("render.sh", "seal.sh"):
        subprocess.run(["bash", "-n", str(out / "slurm" / name)], check=True)
    assert "dataset merge" in seal


def test_logs_go_into_folders_of_any_name(tmp_path: Path) -> None:
    render, seal = scripts(tmp_path / 'a "b" 50%')
    logs = str(tmp_path) + r"/a \"b\" 50%%/slurm"
    assert f'#SBATCH --output="{logs}/%A-%a.log"\n' in render
    assert f'#SBATCH --output="{logs}/seal-%j.log"\n' in seal


def test_a_path_of_two_lines_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "smoke", "--out", str(tmp_path / "a\nb"), "--slurm", "2"]) == 2
    assert "fits on one line" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_array_runs_every_group_once(tmp_path: Path) -> None:
    out = tmp_path / "data"
    render, _ = scripts(out, "--scale", "0.5", "--resolution", "32")
    # The script is run with a stand-in for the program that writes down its arguments.
    script = tmp_path / "render.sh"
    recorder = tmp_path / "recorder"
    recorder.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    recorder.chmod(0o755)
    script.write_text(render.replace(f"{sys.executable} -P -m recombine.cli.main", str(recorder)))
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
    # Slurm starts tasks in the folder of `sbatch`, whose files are nobody's modules.
    (tmp_path / "random.py").write_text("raise SystemExit('a file of the current folder')")
    seal = ["bash", str(out / "slurm" / "seal.sh")]
    subprocess.run(seal, cwd=tmp_path, check=True, capture_output=True)
    assert (out / "certificate.json").is_file()


def test_options_are_passed_on_if_they_are_given() -> None:
    words = Render("smoke", out=Path("/x"), slurm=3).task_words()
    assert words == ["smoke", "--out", "/x", "--shard-size", "64"]
    secret = Render("smoke", out=Path("/x"), slurm=3, season_key=Path("/key"))
    assert secret.task_words()[5:] == ["--season-key", "/key"]
    more = Render(hidden=True, ooc_val=True, hidden_key=Path("/key"), max_memory=8)
    assert more.task_words()[5:-2] == ["--ooc-val", "--hidden-key", "/key", "--hidden"]
    assert more.task_words()[-2:] == ["--max-memory", "8"]


def test_every_option_that_decides_the_images_is_passed_on() -> None:
    values = {"scale": 0.5, "values": 8, "split": Path("s.toml"), "resolution": 96}
    values |= {"ooc_val": True, "hidden": True}
    values |= {name: Path("/key") for name in ("hidden_key", "season_key", "assets")}
    assert {f.name for f in fields(PresetOptions)} == {"preset", "json", *values}
    there = tyro.cli(Render, args=Render("four-slot", **values, slurm=2).task_words())
    assert {name: getattr(there, name) for name in values} == {
        **values, "split": Path("s.toml").absolute(),
    }  # fmt: skip
    assert (there.preset, there.slurm) == ("four-slot", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["smoke", "--slurm", "0"], "--slurm"),
        (["smok", "--slurm", "2"], "Did you mean 'smoke'?"),
        (["smoke", "--slurm", "2", "--shard", "1/2"], "got both"),
        (["smoke", "--slurm", "2", "--existing", "overwrite"], "--slurm: tasks share a folder"),
        (["smoke", "--estimate", "--cluster", "tcp://x:1"], "--cluster and --estimate"),
    ],
)
def test_wrong_options_write_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", *words, "--out", str(tmp_path / "d")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_an_estimate_is_of_the_same_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, some = [], Range(2.0, 1.0, 3.0)

    def estimate(preset: Preset, *, workers: int, progress: object) -> Estimate:
        asked.append((preset.settings.resolution, workers))
        return Estimate(1024, workers, 128, 12, some, 1.5, some, some)

    monkeypatch.setattr("recombine.renderer.rendering.estimate.estimate", estimate)
    argv = ["render", "smoke", "--out", str(tmp_path / "d"), "--estimate", "--workers", "5000"]
    assert main([*argv, "--resolution", "128"]) == 0
    assert asked == [(128, 5000)]
    out = capsys.readouterr().out
    assert "5000 workers" in out
    assert "1 to 3" in out
    assert not (tmp_path / "d").exists()
