from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering.render import render_dataset
from tests.renderer.drawn_fixture import DRAWN


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "data"
    preset = load_preset("smoke", scale=0.07, resolution=16)
    render_dataset(preset, out, shard_size=20, engine=DRAWN)
    return out


def test_parts_are_joined(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = Path(shutil.copytree(whole, tmp_path / "part"))
    (part / "shards" / "shard-00000.h5").unlink()
    assert main(["merge", str(part), str(whole), "--out", str(tmp_path / "all"), "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["passed"]
    assert reply["shards_found_twice"] == reply["shards"] - 1
    assert main(["merge", str(whole), "--out", str(tmp_path / "again")]) == 0
    assert "every check passed" in capsys.readouterr().out


def test_one_folder_is_sealed_in_place(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (whole / "manifest.json").unlink()
    assert main(["merge", str(whole)]) == 0
    assert "sealed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["merge", "WHOLE", "WHOLE"], 2, "expected --out"),
        (["merge", "NOWHERE"], 3, "plan.h5"),
        (["merge", "NOWHERE", "--out", "OUT"], 3, "plan.h5"),
        (["rerender", "WHOLE", "--index", "0"], 2, "--check, --out FILE"),
        (["rerender", "WHOLE", "--index", "0", "--check", "--resolution", "64"], 2, "--out only"),
        (["rerender", "WHOLE", "--index", "-1", "--check"], 3, "--index expects"),
        (["rerender", "NOWHERE", "--index", "0", "--check"], 3, "sealed dataset"),
        (["preview", "NOWHERE", "--html"], 3, "sealed dataset"),
        (["render", "smoke", "--out", "OUT", "--shard", "3/2"], 2, "--shard"),
        (["render", "smoke", "--out", "OUT", "--max-memory", "0"], 2, "--max-memory"),
        (
            ["render", "smoke", "--out", "OUT", "--shard", "1/2", "--cluster", "tcp://x:1"],
            2,
            "both",
        ),
        (
            ["render", "smoke", "--out", "OUT", "--shard", "1/2", "--existing", "overwrite"],
            2,
            "Remove the folder",
        ),
        (["plan", "smoke", "--estimate", "--workers", "-1"], 2, "--workers"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str],
    code: int,
    message: str,
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"WHOLE": str(whole), "NOWHERE": str(tmp_path / "no"), "OUT": str(tmp_path / "out")}
    assert main([places.get(w, w) for w in words]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_page_is_written_beside_the_data(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", str(whole), "--html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["preview"] == str(whole / "preview.html")
    assert (whole / "preview.html").stat().st_size > 10_000
    assert main(["preview", str(whole), "--html", "--out", "/dev/full/page.html"]) == 4
