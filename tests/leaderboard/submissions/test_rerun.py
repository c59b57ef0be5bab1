"""A bundle that carries its code is run again, shut in; its tier follows from what comes out."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from shut_in import need_bwrap

from recombine.benchmark.predictions.file import read_predictions, write_predictions
from recombine.benchmark.results.result import Result
from recombine.benchmark.sandbox import bubblewrap
from recombine.benchmark.scoring.score import score_predictions
from recombine.cli.main import main
from recombine.leaderboard.ledger.records import read_ledger
from recombine.leaderboard.submissions import bundle as bundles
from recombine.leaderboard.submissions.rerun import POINTS, allowed, require_agreement
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset

pytestmark = pytest.mark.long

WEIGHTED = """
from pathlib import Path

import numpy as np
import torch
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from inner.stripes import stripes


class Weighted:
    slot_dim = 3
    card = MethodCard(id="weighted", name="Weighted", data="open", slots="fixed")

    def setup(self, spec, device):
        self.slots = spec.max_slots
        self.weight = torch.from_numpy(np.load(Path(__file__).with_name("weights.npy")))

    def encode(self, images):
        return SlotOutput(slots=stripes(images, self.slots) * self.weight)


class Fitted(Weighted):
    card = MethodCard(id="fitted", name="Fitted", supervision="supervised", slots="fixed")

    def fit(self, data, val, *, seed, budget, log):
        batch = next(iter(data.batches(32, seed=seed)))
        self.mean = batch.images.mean(dim=(0, 2, 3))
        return self

    def setup(self, spec, device):
        self.slots, self.weight = spec.max_slots, 1 + self.mean
"""
STRIPES = """
import torch


def stripes(images, slots):
    return torch.stack([one.mean(dim=(2, 3)) for one in images.tensor_split(slots, dim=2)], dim=1)
"""
WHO = ["--authors", "A. Name", "--licence", "MIT", "--code", "https://example.org/x"]


class Place:
    """Data, two methods and their results."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "data"
        drawn_dataset(self.data)
        verify(self.data)
        for name in ("weighted", "fitted"):
            code = folder / name
            (code / "inner").mkdir(parents=True)
            (code / "method.py").write_text(WEIGHTED)
            (code / "inner" / "__init__.py").touch()
            (code / "inner" / "stripes.py").write_text(STRIPES)
            (code / ".secret.py").write_text("mine = 1")
            (code / "link.py").symlink_to("method.py")
        np.save(folder / "weighted" / "weights.npy", np.ones(3, np.float32))
        for name, seeds in (("weighted", "1"), ("fitted", "2")):
            words = ["--data", self.data, "--seeds", seeds, "--workers", "1"]
            self.call("score", self.spec(name), *words, "--out", folder / "out")

    def spec(self, name):
        return f"{self.folder / name / 'method.py'}:{name.capitalize()}"

    def call(self, *words, code=0):
        assert main(list(map(str, words))) == code

    def bundle(self, name, out, *more, code=0):
        (result,) = (self.folder / "out").glob(f"{name}--*.json")
        words = ["--predictions", self.folder / "out" / "runs", "--out", out, *WHO, *more]
        self.call("submission", "bundle", result, *words, code=code)
        return next((path for path in out.glob(f"{name}-*") if path.is_dir()), None)

    def review(self, bundle, board, *more, code=0):
        words = ["--data", self.data, "--results", board / "new", "--out", board / "new"]
        self.call("submission", "review", bundle, *words, *more, code=code)

    def rerun(self, bundle, board, code=0):
        words = ["--rerun", "--update", "--workers", "1", "--work", board / "work"]
        self.review(bundle, board, *words, code=code)
        files = sorted((board / "new").glob("*.json"))
        return files, read_ledger(board / "new")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    need_bwrap()
    return Place(tmp_path_factory.mktemp("rerun"))


@pytest.fixture(scope="module")
def carrying(place):
    """Return the bundle of given weights."""
    return place.bundle("weighted", place.folder / "s", "--with-code", place.spec("weighted"))


@pytest.mark.parametrize(("name", "tier"), [("weighted", "rerun"), ("fitted", "retrained")])
def test_what_agrees_is_on_record_with_its_own_result(place, tmp_path, name, tier, capsys):
    bundle = place.bundle(name, tmp_path / "s", "--with-code", place.spec(name))
    assert "left out: link.py" in capsys.readouterr().err
    code = {path.relative_to(bundle / "code").as_posix() for path in (bundle / "code").rglob("*.*")}
    assert code - {"weights.npy"} == {"method.py", "inner/__init__.py", "inner/stripes.py"}
    place.review(bundle, tmp_path)
    files, ledger = place.rerun(bundle, tmp_path)
    assert f"superseded: {name}" in capsys.readouterr().out
    (claim,) = bundles.open_bundle(bundle).results
    (result,) = (one for one in map(Result.load, files) if one.trust != "rescored")
    assert len(files) == 2
    assert result.trust == ledger.tier(result.result_id) == tier
    assert ledger.holders[name].owner == "https://example.org/x"
    assert result.credit.authors == ("A. Name",)
    assert result.sources.sandbox == "bubblewrap"
    assert result.compute.seconds_per_image != claim.compute.seconds_per_image, "measured here"
    assert result.scores.ooc_test.hits == claim.scores.ooc_test.hits, "one machine"


def test_answers_that_the_code_does_not_give_are_granted_nothing(place, tmp_path, capsys):
    dataset = Dataset(place.data)
    (source,) = (place.folder / "out" / "runs" / "weighted").rglob("seed-*.safetensors")
    run = read_predictions(source)
    cells = dataset.cells[run.image_index]
    labels = np.zeros_like(run.slots[0])
    for slot in range(labels.shape[1]):
        labels[:, slot, :2] = cells  # read by a linear readout, as good as labels
        labels[:, slot, 2] = np.prod(cells, axis=1)
    forged = tmp_path / "runs" / source.name
    write_predictions(forged, type(run)(run.facts, run.image_index, {0: labels}))
    (result,) = score_predictions([forged], dataset)
    claim = result.save(tmp_path / "claim.json")
    words = ["--predictions", tmp_path / "runs", "--out", tmp_path / "s", *WHO]
    more = ["--with-code", place.spec("weighted")]
    place.call("submission", "bundle", claim, *words, *more)
    (bundle,) = (path for path in (tmp_path / "s").iterdir() if path.is_dir())
    files, ledger = place.rerun(bundle, tmp_path, code=3)
    assert not files
    assert not ledger.tiers
    said = capsys.readouterr().err
    assert "in the rerun and" in said
    assert "granted nothing" in said


def test_other_code_is_refused_before_it_runs(place, carrying, tmp_path, capsys):
    changed = Path(shutil.copytree(carrying, tmp_path / carrying.name))
    with (changed / "code" / "method.py").open("a") as stream:
        stream.write("\n")
    place.rerun(changed, tmp_path, code=5)  # not its hash

    manifest = json.loads((changed / "manifest.json").read_text())
    for one in manifest["files"]:
        if one["path"] == "code/method.py":
            path = changed / one["path"]
            one |= {"bytes": path.stat().st_size, "sha256": bundles.file_sha256(path)}
    sealed = bundles.Manifest.model_validate_json(json.dumps(manifest))
    sealed = sealed.model_copy(update={"bundle_id": sealed.expected_id()})
    (changed / "manifest.json").write_bytes(bundles._canonical(sealed.model_dump(mode="json")))
    honest = changed.rename(tmp_path / f"weighted-{sealed.bundle_id[:10]}")
    assert place.rerun(honest, tmp_path, code=3) == ([], read_ledger(tmp_path))
    assert "with other files" in capsys.readouterr().err  # not what the key of the runs is of


def test_more_than_the_cap_is_refused(place, carrying, tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "MAX_CODE", 100)
    place.rerun(carrying, tmp_path, code=3)
    more = "--with-code", place.spec("weighted")
    assert place.bundle("weighted", tmp_path / "s", *more, code=3) is None


def test_nothing_runs_without_bubblewrap(place, carrying, tmp_path, monkeypatch, capsys):
    bubblewrap.require_bwrap.cache_clear()
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda *_, **__: None)
    try:
        assert place.rerun(carrying, tmp_path, code=4)[0] == []
        assert "runs under bubblewrap, which is not installed" in capsys.readouterr().err
    finally:
        bubblewrap.require_bwrap.cache_clear()


def test_a_bundle_without_code_is_not_run(place, tmp_path, capsys):
    bundle = place.bundle("weighted", tmp_path / "s")
    assert place.rerun(bundle, tmp_path, code=3)[0] == []
    assert "--with-code" in capsys.readouterr().err


def score(*seeds):
    return SimpleNamespace(estimate=sum(seeds) / len(seeds), per_seed=seeds)


def result(ooc, inside=(0.9,) * 5):
    scores = SimpleNamespace(ooc_test=score(*ooc), id_test=score(*inside))
    return SimpleNamespace(scores=scores, method=SimpleNamespace(entry="m"))


def test_two_points_or_the_spread_between_seeds_are_allowed():
    assert allowed(score(0.5), score(0.9)) == POINTS
    assert allowed(score(0.5, 0.5, 0.5), score(0.7, 0.7, 0.7)) == POINTS
    five, same = (0.4, 0.45, 0.5, 0.55, 0.6), (0.6,) * 5
    # 3.355 is the two-sided 99 % point of t with 8 degrees of freedom
    whole = 3.355 * 0.0790569 * (2 / 5) ** 0.5
    assert allowed(score(*five), score(*five)) == pytest.approx(whole, rel=1e-3)
    assert allowed(score(*five), score(*same)) == pytest.approx(whole / 2**0.5, rel=1e-3)
    require_agreement(result(five), result(same))
    with pytest.raises(InvalidInputError, match=r"50\.0 % in the rerun and 80\.0 %"):
        require_agreement(result(five), result((0.8,) * 5))
    with pytest.raises(InvalidInputError, match="id_test"):
        require_agreement(result(five, (0.9,) * 5), result(five, (0.95,) * 5))
