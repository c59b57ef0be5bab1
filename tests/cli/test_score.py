from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from recombine.baselines.registry import BASELINES
from recombine.benchmark.results.result import Result
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from recombine.cli.main import main
from recombine.cli.score import training_sets
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import UsageError
from recombine.renderer.measure.tangents import render_tangents
from recombine.renderer.scenes.scene import RenderSettings, Scene
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("drawn") / "data"
    drawn_dataset(folder, scale=0.07)
    assert verify(folder).passed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recombine.renderer.blender.draw.render_radiance", _radiance)
        render_tangents(folder, images=24, make_executor=partial(ThreadPoolExecutor, 1))
    return folder


def _radiance(scene: Scene, settings: RenderSettings) -> np.ndarray:
    thing = scene.objects[0]
    assert thing is not None
    return np.full((settings.resolution, settings.resolution, 3), 0.2 + 0.1 * thing.scale)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all rows, so that those with a common first stage find it trained."""
    return tmp_path_factory.mktemp("results")


def _train(data: Path, out: Path, *argv: str) -> int:
    common = ["--data", str(data), "--out", str(out), "--size", "tiny", "--workers", "1"]
    return main(["score", *argv, *common, "--readout-labels", "48", "--steps", "0", "2", "--json"])


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_row_trains_and_is_scored(
    name: str, data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--tangents", str(data / "tangents.h5")) if name == "tangent-penalty-oracle" else ()
    assert _train(data, out, name, "--seeds", "1", *more) == 0
    results = [Result.load(path) for path in json.loads(capsys.readouterr().out)]
    search = len(results) == 2
    assert len(results) == 1 + search
    assert results[0].method.id == name
    assert results[0].method.settings["size"] == "tiny"
    replays = results[0].method.inference == "replay"
    assert [r.method.inference for r in results][1:] == [
        "replay+search" if replays else "search"
    ] * search
    for result in results:
        assert result.checks.batch_invariance.passed
        assert result.checks.repeatability.passed
        assert (result.training.generated_images_seen > 0) == (
            replays or name.startswith("tangent-penalty")
        )


def test_a_grid_is_scored_per_training_set_and_found_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("constant", "constant-set", "--seeds", "2", "--n", "all,48")
    assert _train(data, tmp_path, *argv) == 0
    first = [Result.load(path) for path in json.loads(capsys.readouterr().out)]
    assert sorted((r.method.id, r.data.n_train, r.seeds) for r in first) == [
        ("constant", 48, (0, 1)),
        ("constant", 72, (0, 1)),
        ("constant-set", 48, (0, 1)),
        ("constant-set", 72, (0, 1)),
    ]
    files = sorted((tmp_path / "runs").rglob("*.safetensors"))
    assert len(files) == 8
    before = [path.stat().st_mtime_ns for path in files]
    assert _train(data, tmp_path, *argv) == 0
    assert [path.stat().st_mtime_ns for path in files] == before


def test_the_oracle_stands_beside_replay(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--data", str(data), "--out", str(tmp_path), "--size", "tiny", "--workers", "1"]
    argv += ["--readout-labels", "48", "--steps", "0", "--seeds", "1"]
    assert main(["score", "cut-and-paste", *argv]) == 0
    assert "beside replay: recombine score oracle" in capsys.readouterr().out
    assert main(["score", "oracle", *argv]) == 0
    (bound,) = [Result.load(path) for path in tmp_path.glob("oracle--*.json")]
    assert "beside replay" not in capsys.readouterr().out
    assert main(["score", "cut-and-paste", *argv]) == 0
    found = re.search(r"all combinations\): OOC ([0-9.]+)", capsys.readouterr().out)
    assert found is not None
    assert float(found[1]) == pytest.approx(bound.scores.ooc_test.estimate, abs=5e-4)


def test_training_curves_are_there_for_tensorboard(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    board = tmp_path / "board"
    argv = ("supervised", "--seeds", "1", "--tensorboard", str(board))
    assert _train(data, tmp_path, *argv) == 0
    assert len(list(board.glob("supervised/tiny-nall/seed-0/events.*"))) == 1


def test_a_rung_is_trained_beside_the_others(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(data, tmp_path, "constant", "--seeds", "1") == 0
    wanted = Dataset(data).rungs
    assert _train(data, tmp_path, "constant", "--seeds", "1", "--rung", str(wanted)) == 2
    assert f"rungs 0..{wanted - 1}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["score", "submission check", "quickstart"])
def test_all_sizes_are_named_and_a_missing_gpu_is_found_first(
    command: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    words = " ".join(re.sub(r"[^\w(),.]", " ", capsys.readouterr().out).split())
    assert "tiny (seconds), cpu (minutes) or gpu (hours of one CUDA GPU)." in words
    if torch.cuda.is_available():
        return
    argv = {
        "score": ["diet", "--data", str(data), "--out", str(tmp_path / "q")],
        "submission check": ["diet"],
        "quickstart": ["--out", str(tmp_path / "q")],
    }
    assert main([*command.split(), *argv[command], "--size", "gpu"]) == 4
    assert "--size cpu" in capsys.readouterr().err
    assert not (tmp_path / "q").exists()


def test_early_stopping_is_an_option_of_supervised_rows(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(data, tmp_path, "supervised", "--seeds", "1", "--patience", "1") == 0
    (result,) = [Result.load(path) for path in json.loads(capsys.readouterr().out)]
    assert result.method.settings["patience"] == 1
    (look,) = (tmp_path / "runs").rglob("configurations.jsonl")
    assert json.loads(look.read_text())["config"] == {"steps": 12}  # one, at the end
    assert _train(data, tmp_path, "vae", "--seeds", "1", "--patience", "1") == 2
    assert "--patience: expected a baseline such as supervised" in capsys.readouterr().err


def test_every_compared_setting_is_logged(data: Path, tmp_path: Path) -> None:
    assert _train(data, tmp_path, "leak", "constant", "--seeds", "1", "--n", "48") == 0
    text = (tmp_path / "runs" / "leak" / "tiny-n48" / "configurations.jsonl").read_text()
    (line,) = [json.loads(one) for one in text.splitlines()]
    assert (line["method"], line["size"], line["n"], line["run"]) == ("leak", "tiny", 48, "seed-0")
    assert line["config"]["steps"] == 3
    assert 0 <= line["score"] <= 1


def test_finished_rows_are_scored_when_another_fails(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("constant", "dinov2-lora", "--seeds", "1", "--weights", "nowhere.safetensors")
    assert _train(data, tmp_path, *argv) == 2
    assert "trains from scratch" in capsys.readouterr().err
    assert _train(data, tmp_path, *argv[1:]) == 2
    assert "nowhere.safetensors" in capsys.readouterr().err


def test_a_training_set_and_a_rung_have_folders_of_their_own(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["score", "pixels", "--data", str(data), "--out", str(tmp_path), "--seeds", "1"]
    argv += ["--readout-labels", "24", "--workers", "1", "--json"]
    assert main([*argv, "--n", "48,all"]) == 0
    results = [Result.load(Path(path)) for path in json.loads(capsys.readouterr().out)]
    assert [result.data.n_train for result in results] == [48, 72]
    assert len({result.file_name for result in results}) == 2
    assert {p.name for p in (tmp_path / "runs" / "pixels").iterdir()} == {"cpu-n48", "cpu-nall"}
    assert main([*argv, "--rung", "1"]) == 2
    assert "has rungs 0..0; got 1" in capsys.readouterr().err
    assert main([*argv, "--n", "1000"]) == 2
    assert "72 ID training images" in capsys.readouterr().err


SMALL = """
import torch
from recombine.benchmark.protocol.contract import SlotOutput

class Small:
    slot_dim = 3

    def setup(self, spec, device):
        self.slots = spec.max_slots

    def encode(self, images):
        return SlotOutput(slots=images.mean((2, 3))[:, None].repeat(1, self.slots, 1))
"""


def test_baselines_and_other_methods_are_scored_in_one_call(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own" / "small.py"
    own.parent.mkdir()
    own.write_text(SMALL)
    argv = ["score", "constant", f"{own}:Small", "--data", str(data), "--out", str(tmp_path / "r")]
    argv += ["--seeds", "1", "--readout-labels", "24", "--workers", "1", "--trust-local"]
    assert main([*argv, "--n", "48,all"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("joint slot accuracy") == 1
    assert printed.out.count("result: ") == 4
    assert printed.err.count("score 4 settings, runs: 4/4") == 1
    runs = tmp_path / "r" / "runs"
    assert {p.name for p in (runs / "small").iterdir() if p.is_dir()} == {"n48"}
    assert (runs / "small" / "seed-0.safetensors").is_file()
    assert (runs / "constant" / "cpu-n48" / "seed-0.safetensors").is_file()
    assert main([*argv, "--n", "48,all"]) == 0
    assert "4 of 4 runs found of an earlier call, kept" in capsys.readouterr().err
    for option in (["--longer", "2"], ["--patience", "1"]):
        assert main([*argv, *option]) == 2
        assert f"{option[0]}: expected" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["73", "0", "a", "", "48,-1", "48;72"])
def test_impossible_training_sets_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="72 ID training images"):
        training_sets(text, 72)


def test_names_are_listed_and_checked(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "list"]) == 0
    assert capsys.readouterr().out.split() == list(BASELINES)
    assert _train(data, tmp_path) == 2
    assert "recombine score list" in capsys.readouterr().err
    assert _train(data, tmp_path, "leek") == 2
    assert "leak" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def answer(questions: Path, out: Path, seed: int) -> None:
    """Answer as the guide for submitters has it."""
    with safe_open(questions, "np") as file:
        ids, images = file.get_tensor("image_id"), file.get_tensor("images")
        identity = file.metadata()["identity"]
    colours = images.reshape(len(images), 2, -1, 3).mean(axis=2) / 255
    run = {"seed": seed, "card": {"id": "halves", "name": "Colour of halves", "data": "open"}}
    metadata = {"format": "recombine.answers/2", "identity": identity, "run": json.dumps(run)}
    save_file({"image_id": ids, "slots": colours.astype(np.float32)}, out, metadata)


def test_questions_answers_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, questions, key = tmp_path / "data", tmp_path / "q.safetensors", tmp_path / "season.key"
    drawn_dataset(data)
    assert verify(data).passed
    common = ["--data", str(data), "--key", str(key)]
    assert main(["submission", "inputs", *common, "--out", str(questions)]) == 0
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


def test_scoring_refuses_unverified_and_failed_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_dataset(tmp_path / "data")
    argv = ["score", "supervised", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "r")]
    assert main(argv) == 3
    assert "recombine dataset verify" in capsys.readouterr().err
    shard = tmp_path / "data" / "shards" / "shard-00001.h5"
    shard.write_bytes(shard.read_bytes()[:-9])
    assert not verify(tmp_path / "data").passed
    assert main(argv) == 5
    assert "certificate fails on files" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
