"""Images of other people, from a folder to a board: the front door and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import recombine as rc
from recombine.baselines.registry import BASELINES, load_baseline
from recombine.benchmark.submissions.examples.inverter import MyInverter
from recombine.cli.main import main
from tests.renderer.importing import worlds


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images whose licence forbids training generative models."""
    folder = worlds.photos(tmp_path_factory.mktemp("source") / "photos", each=12)
    with (folder / "split.toml").open("a") as split:
        split.write("training_generative_models = false\n")
    return folder


@pytest.fixture(scope="module")
def data(source: Path, tmp_path_factory: pytest.TempPathFactory) -> rc.Dataset:
    """Return the dataset that they become."""
    out = tmp_path_factory.mktemp("data") / "photos"
    made = rc.import_dataset(
        source, source / "split.toml", out, labels=source / "labels.csv", progress=False
    )
    return rc.load(made.folder)


def test_a_floor_is_scored_and_its_intervals_name_no_blocks(
    data: rc.Dataset, tmp_path: Path
) -> None:
    found = rc.score("pixels", data, seeds=2, size="tiny", out=tmp_path, progress=False)
    (result,) = found
    assert result.scores.id_test.estimate > result.scores.ooc_test.chance
    for score in (result.scores.id_test, result.scores.ooc_test):
        assert score.blocks is None
        assert "no matched blocks" in score.ci_method
        assert not any(factor.per_block for factor in score.per_factor.values())
    assert "no matched blocks" in result.gap.ci_method
    assert result.paired_gap is None
    assert result.further.by_visibility is None
    assert "no blocks match" in str(found)
    rc.board(found, tmp_path / "site")
    assert (tmp_path / "site" / "index.html").is_file()


def test_the_command_line_imports_and_scores(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "results"
    labels = str(source / "labels.csv")
    where = ["--split", str(source / "split.toml"), "--out", str(data), "--labels", labels]
    assert main(["dataset", "import", str(source), *where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["certificate"]["passed"] is True
    assert set(told["shift"]["factors"]) >= {"object.shape", "background.place", "object.x"}
    assert "luminance" in told["shift"]["statistics"]
    assert main(["dataset", "verify", str(data)]) == 0
    assert "NOT APPLICABLE" in capsys.readouterr().out
    asked = ["--data", str(data), "--out", str(out), "--size", "tiny", "--seeds", "1"]
    assert main(["score", "constant", *asked, "--workers", "1"]) == 0
    assert len(list(out.glob("*.json"))) == 1
    assert main(["score", "constant", "autoencoder", *asked]) == 2
    assert "generative models may be trained on" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["autoencoder", "vae-additive-replay", "mae", "best-of-classes"])
def test_a_generative_baseline_is_refused_before_it_trains(
    name: str, data: rc.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(rc.UsageError, match=r"licence of photos/1.0 forbids it: CC0-1.0"):
        rc.score(name, data, seeds=1, size="tiny", out=tmp_path, progress=False)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.log.jsonl"))


class Unsaid:
    """A learner whose card forgets that it has a decoder."""

    def fit(self, data: Any, val: Any, *, seed: int, budget: Any, log: Any) -> Any:
        return MyInverter()


def test_a_decoder_that_the_card_does_not_name_gives_no_result(
    data: rc.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(rc.UsageError, match="forbids it"):
        rc.score(Unsaid(), data, seeds=1, out=tmp_path, progress=False)
    assert not list(tmp_path.glob("*.json"))


def test_a_method_that_needs_masks_is_told_that_there_are_none(
    source: Path, tmp_path: Path
) -> None:
    split = tmp_path / "free.toml"
    split.write_text(worlds.PHOTOS)
    made = rc.import_dataset(
        source, split, tmp_path / "data", labels=source / "labels.csv", progress=False
    )
    for name in ("vae-broadcast-masks", "slot-attention"):
        if load_baseline(name, "tiny").card.supervision == "supervised":
            continue
        with pytest.raises(rc.UsageError, match="expected images with masks"):
            rc.score(name, made.folder, seeds=1, size="tiny", out=tmp_path, progress=False)


def test_every_baseline_says_whether_it_trains_a_decoder() -> None:
    found = {name for name in BASELINES if load_baseline(name, "tiny").card.generative}
    with_decoder = ("autoencoder", "broadcast", "additive", "bilinear", "cross-attention", "factor")
    with_decoder += ("vae", "leak", "unstructured", "best-of", "random-start", "multi-start", "mae")
    with_decoder += ("paper-vae", "typed-vae", "slot-attention-unsupervised")
    with_decoder += ("compositional-consistency", "masked-auxiliary", "test-time-training")
    expected = {name for name in BASELINES if name.startswith((*with_decoder, "tangent-penalty"))}
    assert found == expected
