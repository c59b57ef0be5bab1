"""`questions`, then `score` of predictions made elsewhere; `doctor` on isolation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from recombine.benchmark.results.result import Result
from recombine.benchmark.sandbox import bubblewrap as isolation_bwrap
from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from recombine.cli.doctor import _isolation
from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from tests.renderer.drawn_fixture import drawn_dataset


def answer(questions: Path, out: Path, seed: int) -> None:
    """Answer as the guide for submitters has it."""
    with safe_open(questions, "np") as file:
        ids, images = file.get_tensor("image_id"), file.get_tensor("images")
        root = file.metadata()["root"]
    colours = images.reshape(len(images), 2, -1, 3).mean(axis=2) / 255
    run = {"seed": seed, "card": {"id": "halves", "name": "Colour of halves", "data": "open"}}
    metadata = {"format": "recombine.answers/1", "root": root, "run": json.dumps(run)}
    save_file({"image_id": ids, "slots": colours.astype(np.float32)}, out, metadata)


def test_questions_answers_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, questions, key = tmp_path / "data", tmp_path / "q.safetensors", tmp_path / "season.key"
    drawn_dataset(data)
    assert verify(data).passed
    common = ["--data", str(data), "--key", str(key)]
    assert main(["questions", *common, "--out", str(questions)]) == 0
    assert "112 images" in capsys.readouterr().out
    folder = tmp_path / "answers"
    folder.mkdir()
    for seed in (0, 1):
        answer(questions, folder / f"mine-{seed}.safetensors", seed)
    out = str(tmp_path / "results")
    assert main(["score", str(folder), *common, "--out", out, "--json"]) == 0
    (path,) = json.loads(capsys.readouterr().out)
    result = Result.load(path)
    assert (result.trust, result.seeds, result.method.id) == ("rescored", (0, 1), "halves")
    assert result.sources is not None
    assert result.sources.sandbox == "file"
    stored = str(tmp_path / "results" / "runs" / "halves" / "seed-1.safetensors")
    assert main(["score", stored, *common, "--out", out, "--json"]) == 0
    capsys.readouterr()
    # Without the key, the answers are about images that nobody asked about.
    assert main(["score", str(folder), "--data", str(data), "--out", out]) == 3
    error = capsys.readouterr().err
    assert "[unknown-image]" in error
    assert error.count("\n") == 1
    assert main(["score", str(folder), *common, "--out", out, "--n", "8"]) == 2
    assert "Leave --n out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("submission", "code", "words"),
    [
        ("timm:?x", 2, "expected timm:NAME"),
        ("nothing.safetensors", 3, "[no-file]"),
    ],
)
def test_bad_ways_in_are_one_line(
    submission: str, code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_dataset(tmp_path / "data")
    assert verify(tmp_path / "data").passed
    argv = ["score", submission, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main(argv) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_doctor_tells_how_to_get_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    require_bwrap.cache_clear()
    monkeypatch.setattr(isolation_bwrap.shutil, "which", lambda _name: None)
    told = _isolation()
    assert told.startswith("not ready: ")
    assert "sudo apt-get install -y bubblewrap" in told
    monkeypatch.undo()
    require_bwrap.cache_clear()
    assert _isolation().startswith(("ok: bubblewrap", "not ready: "))


def test_local_weights_of_a_library_model_are_no_predictions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready_torchvision()
    timm = pytest.importorskip("timm")
    data, weights = tmp_path / "data", tmp_path / "weights.safetensors"
    drawn_dataset(data, scale=0.07)
    assert verify(data).passed
    save_torch(timm.create_model("test_resnet", num_classes=0).state_dict(), weights)
    argv = ["score", f"timm:test_resnet?weights={weights}&size=32", "--data", str(data)]
    argv += ["--out", str(tmp_path / "out"), "--seeds", "1", "--readout-labels", "24", "--json"]
    assert main([*argv, "--workers", "1"]) == 0
    (path,) = json.loads(capsys.readouterr().out)
    result = Result.load(path)
    assert (result.method.id, result.track.data) == ("timm-test-resnet", "pretrained")
    assert str(tmp_path) not in Path(path).read_text()
