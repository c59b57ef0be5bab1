"""`dataset`: plan, verify, preview, card, export, merge and rerender, on drawn data."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.files import disk_error
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering.render import render_dataset
from tests.renderer.drawn_fixture import DRAWN, drawn_dataset

pytestmark = pytest.mark.long

UNCOVERED = """geometry = "orthotopic"
at_most = 0
thresholds = {"object.shape" = "star", "background.environment" = "city"}
require = {coverage = 1}
"""


def test_plan_prints_counts_for_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "plan", "smoke"]) == 0
    assert "1024" in capsys.readouterr().out
    assert main(["dataset", "plan", "smoke", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"]["ooc_test"] == 192


def test_plan_of_a_band_shows_the_law_of_its_draws(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "plan", "position-band", "--values", "8", "--scale", "0.01"]) == 0
    assert "as often as cells are drawn: TV 0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "content", "code", "line"),
    [
        (["object-objekt"], None, 2, "Did you mean 'object-object'?"),
        (["object-object", "--values", "5"], None, 2, "multiple of 4"),
        (
            ["smoke", "--split"],
            'geometry = "orbit"\nresidue = [0]\n',
            3,
            "split.toml, key 'residue'",
        ),
        (["smoke", "--split"], 'geometry = "orbit\n', 3, "Correct the syntax"),
        (
            ["smoke", "--split"],
            UNCOVERED,
            3,
            "coverage at least 1",
        ),
    ],
)
def test_bad_input_gives_one_clear_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    content: str | None,
    code: int,
    line: str,
) -> None:
    if content is not None:
        (tmp_path / "split.toml").write_text(content)
        arguments = [*arguments, str(tmp_path / "split.toml")]
    assert main(["dataset", "plan", *arguments]) == code
    error = capsys.readouterr().err
    assert line in error
    assert error.startswith("recombine: ")
    assert error.count("\n") == 1


def test_verify_exits_5_on_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn_dataset(tmp_path / "data")
    assert main(["dataset", "verify", str(tmp_path / "data")]) == 0
    (tmp_path / "data" / "shards" / "shard-00000.h5").unlink()
    assert main(["dataset", "verify", str(tmp_path / "data"), "--json"]) == 5
    out = capsys.readouterr().out
    checks = json.loads(out[out.index("{") :])["checks"]
    assert next(c for c in checks if c["name"] == "files")["status"] == "fail"


def test_data_that_are_read_only_are_verified_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_dataset(tmp_path / "data")
    command = ["dataset", "verify", str(tmp_path / "data"), "--json"]
    assert main([*command, "--no-seal"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown)["passed"] is True
    assert not (tmp_path / "data" / "certificate.json").exists()

    def read_only(path: Path, data: object) -> None:
        raise disk_error(path, OSError(errno.EROFS, "Read-only file system"))

    monkeypatch.setattr("recombine.renderer.certificate.verify.write_json", read_only)
    assert main(command) == 4
    told = capsys.readouterr()
    assert told.out == shown
    assert "not sealed" in told.err
    assert "Read-only file system" in told.err
    assert told.err.count("\n") == 1
    (tmp_path / "data" / "shards" / "shard-00000.h5").unlink()
    assert main(command) == 5


def test_full_disk_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn_dataset(tmp_path / "data")
    assert main(["dataset", "preview", str(tmp_path / "data"), "--out", "/dev/full/sheet.png"]) == 4
    assert "must be writable" in capsys.readouterr().err


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("drawn") / "data"
    drawn_dataset(folder)
    verify(folder)
    return str(folder)


def test_export_and_card_say_the_same(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--published", "2026-11-21", "--url", "https://example.org/x", "--json"]
    out, card = tmp_path / "out", tmp_path / "card"
    assert main(["dataset", "export", data, "--out", str(out), *options]) == 0
    assert json.loads(capsys.readouterr().out) == {"export": str(out)}
    assert main(["dataset", "card", data, "--out", str(card), *options]) == 0
    assert json.loads(capsys.readouterr().out) == {"card": str(card / "README.md")}
    found = json.loads((card / "croissant.json").read_text())
    assert (found["datePublished"], found["url"]) == ("2026-11-21", "https://example.org/x")
    for path in card.iterdir():
        assert path.read_bytes() == (out / path.name).read_bytes()


def test_export_knows_coco(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "coco"
    assert main(["dataset", "export", data, "--out", str(out), "--format", "coco"]) == 0
    assert (out / "annotations" / "amodal_ooc_test.json").is_file()
    assert (out / "metadata.json").is_file()
    assert str(out) in capsys.readouterr().out


@pytest.mark.parametrize("command", ["export", "card"])
@pytest.mark.parametrize("option", [("--published", "21.11."), ("--url", "ftp://a")])
def test_wrong_day_or_address_writes_nothing(
    command: str,
    option: tuple[str, str],
    data: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dataset", command, data, "--out", str(tmp_path / "out"), *option]) == 2
    assert option[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "data"
    preset = load_preset("smoke", scale=0.07, resolution=16)
    render_dataset(preset, out, shard_size=20, engine=DRAWN)
    return out


def test_parts_are_joined(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = Path(shutil.copytree(whole, tmp_path / "part"))
    (part / "shards" / "shard-00000.h5").unlink()
    assert (
        main(["dataset", "merge", str(part), str(whole), "--out", str(tmp_path / "all"), "--json"])
        == 0
    )
    reply = json.loads(capsys.readouterr().out)
    assert reply["passed"]
    assert reply["shards_found_twice"] == reply["shards"] - 1
    assert main(["dataset", "merge", str(whole), "--out", str(tmp_path / "again")]) == 0
    assert "every check passed" in capsys.readouterr().out


def test_one_folder_is_sealed_in_place(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (whole / "manifest.json").unlink()
    assert main(["dataset", "merge", str(whole)]) == 0
    assert "sealed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["dataset", "merge", "WHOLE", "WHOLE"], 2, "expected --out"),
        (["dataset", "merge", "NOWHERE"], 3, "plan.h5"),
        (["dataset", "merge", "NOWHERE", "--out", "OUT"], 3, "plan.h5"),
        (["dataset", "rerender", "WHOLE", "--index", "0"], 2, "--check, --out FILE"),
        (
            ["dataset", "rerender", "WHOLE", "--index", "0", "--check", "--resolution", "64"],
            2,
            "--out only",
        ),
        (["dataset", "rerender", "WHOLE", "--index", "-1", "--check"], 3, "--index expects"),
        (["dataset", "rerender", "NOWHERE", "--index", "0", "--check"], 3, "sealed dataset"),
        (["dataset", "preview", "NOWHERE", "--html"], 3, "sealed dataset"),
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
        (["render", "smoke", "--estimate", "--workers", "-1"], 2, "--workers"),
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
    assert main(["dataset", "preview", str(whole), "--html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["preview"] == str(whole / "preview.html")
    assert (whole / "preview.html").stat().st_size > 10_000
    assert main(["dataset", "preview", str(whole), "--html", "--out", "/dev/full/page.html"]) == 4
