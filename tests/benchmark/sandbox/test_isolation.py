"""An isolated submission is scored like any other, and only its process is elsewhere."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from fakes import Pixels, Segmenter, Trained
from shut_in import ATTACKS, FAKES, TIGHT, StoredDataset, need_bwrap

from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.protocol.contract import MethodCard, TrainBudget
from recombine.benchmark.running.grid import Job, run_grid
from recombine.benchmark.running.harness import RunOptions, run_key, run_seed
from recombine.benchmark.sandbox import bubblewrap as isolation_bwrap
from recombine.benchmark.sandbox.isolation import check_isolated, isolate, workplace
from recombine.benchmark.sandbox.process import GIB, RefusedError
from recombine.benchmark.scoring.score import score_submission
from recombine.benchmark.submissions.loading import card_of
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError

pytestmark = pytest.mark.long

QUICK = RunOptions(steps=(0, 2), batch_size=32, readout_labels=50)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "data"
    return StoredDataset(folder, train=8, val=2, test=3)


@pytest.fixture(scope="module")
def trained():
    need_bwrap()
    return isolate(f"{FAKES}:Trained", settings={"width": 5})


@pytest.fixture(scope="module")
def trusted():
    return isolate(f"{FAKES}:Trained", settings={"width": 5}, trust_local=True)


def run(submission, dataset, out_dir, seed=0, options=QUICK):
    return run_seed(submission, dataset, seed=seed, out_dir=out_dir, options=options)


def test_it_is_described_without_being_imported(trained):
    assert card_of(trained).id == "approach"
    assert trained.kind == "Learner"
    assert trained.settings == trained.given == {"width": 5}
    assert trained.backend == "bubblewrap"
    assert trained.located.code == "fakes.py:Trained"
    assert pickle.loads(pickle.dumps(trained)) == trained


@pytest.mark.parametrize("backend", ["trained", "trusted"])
def test_a_run_equals_one_in_this_process(backend, dataset, tmp_path, request):
    submission = request.getfixturevalue(backend)
    shut_in = read_predictions(run(submission, dataset, tmp_path / "in", seed=3).path)
    here = read_predictions(run(Trained(width=5), dataset, tmp_path / "here", seed=3).path)
    assert np.array_equal(shut_in.image_index, here.image_index)
    for step in (0, 2):
        assert np.allclose(shut_in.slots[step], here.slots[step], atol=1e-5)
    one, other = shut_in.facts, here.facts
    assert one.isolation == submission.backend
    assert other.isolation == "none"
    for name in ("seed", "steps", "card", "kind", "trained", "settings", "dataset", "options"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.n_train == other.n_train == 64
    clocks = {"wall_s": 0, "cpu_s": 0}
    assert one.training | clocks == other.training | clocks
    assert isinstance(one.training["cpu_s"], float)
    assert one.training["generated"] == one.training["real"] == 64
    for name in ("start_gflop", "step_gflop", "uncounted", "params"):
        assert one.cost[name] == other.cost[name], name
    assert one.environment["threads"] == 1
    assert max(one.batch_change) < 1e-3
    assert sorted(p.name for p in (tmp_path / "in").iterdir()) == [
        ".order-key",
        "seed-3.log.jsonl",
        "seed-3.safetensors",
    ]
    lines = (tmp_path / "in" / "seed-3.log.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events == [*["scalar"] * 2, "config", "config", "end"]


def test_an_encoder_is_read_once(dataset, tmp_path):
    pixels = isolate(f"{FAKES}:Pixels", trust_local=True)
    shut_in = read_predictions(run(pixels, dataset, tmp_path / "in").path)
    here = read_predictions(run(Pixels(), dataset, tmp_path / "here").path)
    assert shut_in.facts.steps == (0,)
    assert not shut_in.facts.trained
    assert np.allclose(shut_in.slots[0], here.slots[0], atol=1e-6)
    assert not (tmp_path / "in" / "seed-0.log.jsonl").exists()


def test_a_finished_run_is_found_again(trusted, dataset, tmp_path):
    first = run(trusted, dataset, tmp_path)
    again = run(trusted, dataset, tmp_path)
    assert (first.skipped, again.skipped) == (False, True)
    longer = replace(trusted, limits=replace(trusted.limits, seconds=7))
    assert run(longer, dataset, tmp_path).skipped  # limits do not change what is computed


@pytest.mark.parametrize(
    "change",
    [
        {"source_sha256": "0" * 64},
        {"backend": "bubblewrap"},
        {"given": {"width": 6}},
        {"card": MethodCard(id="other", name="Other")},
    ],
)
def test_whatever_matters_changes_the_key(trusted, dataset, change):
    keys = {
        run_key(s, dataset, seed=0, options=QUICK) for s in (trusted, replace(trusted, **change))
    }
    assert len(keys) == 2


def test_results_come_out_of_the_grid(trusted, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("recombine.renderer.certificate.verify.recheck", lambda _folder: None)
    runs = run_grid([Job(trusted, dataset, seed, tmp_path, QUICK) for seed in (0, 1)], workers=2)
    assert [one.seed for one in runs] == [0, 1]
    direct, search = score_submission(
        trusted, dataset, seeds=[0, 1], out_dir=tmp_path, options=QUICK
    )
    assert (direct.trust, search.method.entry) == ("retrained", "approach-search")
    assert search.method.code == "fakes.py:Trained"


def test_code_that_changed_since_is_refused(dataset, tmp_path):
    path = tmp_path / "mine" / "fakes.py"
    path.parent.mkdir()
    shutil.copy(FAKES, path)
    submission = isolate(f"{path}:Pixels", trust_local=True)
    path.write_text(path.read_text() + "\n# changed\n")
    with pytest.raises(InvalidInputError, match="must stay as they are"):
        run(submission, dataset, tmp_path / "out")


@pytest.mark.parametrize("supervision", ["unsupervised", "weak", "supervised"])
def test_the_card_decides_which_labels_cross(supervision, dataset, tmp_path):
    mine = tmp_path / "mine" / "curious.py"
    mine.parent.mkdir()
    mine.write_text(CURIOUS.format(supervision=supervision))
    submission = isolate(f"{mine}:Curious", trust_local=True)
    with pytest.raises(InvalidInputError, match="fit failed with RuntimeError: found") as caught:
        run(submission, dataset, tmp_path / "out")
    found = str(caught.value).partition("found ")[2].partition(";")[0].split()
    labels = {
        "unsupervised": [],
        "weak": ["masks.npy"],
        "supervised": [*(f"factor-{n}.npy" for n in range(4)), "masks.npy"],
    }[supervision]
    files = [f"{part}/{n}" for part in ("train", "val") for n in (*labels, "images.npy")]
    assert sorted(found) == sorted(["batch.npy", *files])
    report = (tmp_path / "out" / "seed-0.error.txt").read_text()
    assert "Traceback" in report
    assert "curious.py" in report


CURIOUS = """
import sys
import numpy as np
from pathlib import Path
from recombine.benchmark.protocol.contract import MethodCard

class Curious:
    card = MethodCard(id="curious", name="Curious", supervision={supervision!r})

    def fit(self, data, val, *, seed, budget, log):
        batch = data.arrays()
        assert bool(batch.factors) == (self.card.supervision == "supervised")
        assert (batch.masks is not None) == (self.card.supervision != "unsupervised")
        folder = Path(sys.argv[1]).parent
        assert not np.load(folder / "batch.npy").any()  # no test image yet
        names = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*.npy"))]
        raise RuntimeError("found " + " ".join(names))
"""


def test_budgets_hold_inside(trusted, dataset, tmp_path):
    options = replace(QUICK, budget=TrainBudget(max_images_seen=40))
    with pytest.raises(ResourceError, match="may see 40 images"):
        run(trusted, dataset, tmp_path, options=options)


@pytest.mark.parametrize("change", [{"n_train": 1000}, {"n_train": 0}])
def test_more_images_than_there_are(trusted, dataset, tmp_path, change):
    with pytest.raises(InvalidInputError):
        run(trusted, dataset, tmp_path, options=replace(QUICK, **change))


def test_without_bubblewrap_nothing_foreign_runs(monkeypatch, tmp_path):
    isolation_bwrap.require_bwrap.cache_clear()
    monkeypatch.setattr(isolation_bwrap.shutil, "which", lambda name: None)
    marker = tmp_path / "mine" / "marker"
    marker.parent.mkdir()
    (marker.parent / "eager.py").write_text(f"open({str(marker)!r}, 'w')\nclass A: pass\n")
    for ask in (isolate, check_isolated):
        with pytest.raises(ResourceError, match="apt-get install -y bubblewrap") as caught:
            ask(f"{marker.parent}/eager.py:A")
        assert caught.value.exit_code == 4
        assert "--trust-local" in str(caught.value)
    assert not marker.exists()
    monkeypatch.undo()
    isolation_bwrap.require_bwrap.cache_clear()


def test_a_bubblewrap_that_is_not_allowed_to_is_explained(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    for version, message in [("0.6.1", "0.8 or newer"), ("0.9.0", "cannot make namespaces here")]:
        told = f'[ "$1" = --version ] && echo bubblewrap {version} && exit 0'
        refused = 'echo "bwrap: No permissions to create new namespace" >&2; exit 1'
        fake.write_text(f"#!/bin/sh\n{told}\n{refused}\n")
        fake.chmod(0o755)
        isolation_bwrap.require_bwrap.cache_clear()
        monkeypatch.setattr(isolation_bwrap.shutil, "which", lambda name: str(fake))
        with pytest.raises(ResourceError, match=message):
            isolation_bwrap.require_bwrap()
    monkeypatch.undo()
    isolation_bwrap.require_bwrap.cache_clear()


def test_trusted_code_runs_without_bubblewrap_but_apart(monkeypatch):
    monkeypatch.setattr(isolation_bwrap, "require_bwrap", lambda: 1 / 0)
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with pytest.raises(InvalidInputError) as caught:
        isolate(f"{ATTACKS}:ShowEnvironment", trust_local=True, limits=TIGHT)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason", "limits"),  # all other limits are out of reach, however long it takes
    [
        ("Sleep", "time-limit", {"seconds": 2}),
        ("Allocate", "memory-limit", {}),
        ("AllocateTogether", "memory-limit", {}),
        ("Fork", "process-limit", {"memory_bytes": 64 * GIB}),
        ("Connect", "network", {}),
    ],
)
def test_trusted_code_has_limits_too(name, reason, limits):
    settings = {"host": "127.0.0.1", "port": 1} if name == "Connect" else {}
    with pytest.raises((InvalidInputError, ResourceError)) as caught:
        isolate(
            f"{ATTACKS}:{name}",
            settings=settings,
            trust_local=True,
            limits=replace(TIGHT, **limits),
        )
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{attacks}:Frok", "Did you mean 'Fork'"),
        ("{folder}/atacks.py:Fork", "Did you mean 'attacks.py'"),
        ("no_such_package.module:Class", "no module"),
        ("supervisd", "Did you mean 'supervised'"),
    ],
)
def test_near_misses_cost_no_process(spec, message, monkeypatch):
    monkeypatch.setattr(isolation_bwrap, "require_bwrap", lambda: 1 / 0)
    text = spec.format(attacks=ATTACKS, folder=ATTACKS.parent)
    with pytest.raises(UsageError, match=message):
        isolate(text, names={"supervised": "x:Y"})


def test_settings_must_be_plain():
    with pytest.raises(UsageError, match="plain JSON"):
        isolate(f"{ATTACKS}:Fork", settings={"a": object()})
    with pytest.raises(UsageError, match="plain JSON"):
        isolate(f"{ATTACKS}:Fork", settings={"a": float("nan")})


@pytest.mark.parametrize("card", ["id='../../up'", "id='A b'", "id='x', inference='magic'"])
def test_a_card_cannot_name_a_path(card, tmp_path):
    path = tmp_path / "carded.py"
    path.write_text(
        "from recombine.benchmark.protocol.contract import MethodCard\n"
        "class C:\n"
        "    slot_dim = 1\n"
        f"    card = MethodCard(name='n', **dict({card}))\n"
        "    def setup(self, spec, device): ...\n"
        "    def encode(self, images): ...\n"
    )
    with pytest.raises(InvalidInputError, match="card"):
        isolate(f"{path}:C", trust_local=True)


def test_what_an_earlier_run_left_behind_is_removed(tmp_path):
    for name in (".isolated-seed-0-abc", ".isolated-seed-1-abc"):
        (tmp_path / name).mkdir()
    with workplace(tmp_path, "seed-0") as folder:
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert [p.name for p in tmp_path.iterdir()] == [".isolated-seed-1-abc"]


def test_masks_and_presence_cross_over(dataset, tmp_path):
    need_bwrap()
    shut_in = isolate(f"{FAKES}:Segmenter", limits=TIGHT)
    inside = read_predictions(run(shut_in, dataset, tmp_path / "in").path)
    here = read_predictions(run(Segmenter(), dataset, tmp_path / "here").path)
    assert inside.extras.keys() == {"presence/0", "segments/0"}
    assert all(np.array_equal(inside.extras[name], here.extras[name]) for name in here.extras)


LOOKS_UP = """
from pathlib import Path
from fakes import Pixels, Trained
from recombine.benchmark.protocol.contract import MethodCard
class Scratch(Trained):
    card = MethodCard(id="scratch", name="Scratch", data="scratch")
class Pretrained(Trained):
    card = MethodCard(id="pretrained", name="Pretrained", data="pretrained")
class Fitted(Pixels):
    card = MethodCard(id="fitted", name="Fitted", data="scratch")
"""


def test_a_learner_from_scratch_brings_source_only(tmp_path):
    shutil.copy(FAKES, tmp_path / "fakes.py")
    path = tmp_path / "method.py"
    path.write_text(LOOKS_UP)
    assert isolate(f"{path}:Scratch", trust_local=True).card.id == "scratch"
    np.save(tmp_path / "table.npy", np.arange(9))
    with pytest.raises(
        RefusedError, match=r"\[brought-data\].*table.npy \(200 bytes\).*card"
    ) as caught:
        isolate(f"{path}:Scratch", trust_local=True)
    assert caught.value.exit_code == 3
    for name in ("Pretrained", "Fitted"):  # fitted weights are of the tier rerun anyway
        isolate(f"{path}:{name}", trust_local=True)
    for name, status in (("Scratch", "fail"), ("Pretrained", "pass"), ("Fitted", "pass")):
        checks = {
            one.name: one for one in check_isolated(f"{path}:{name}", trust_local=True).checks
        }
        assert checks["files"].status == status


FILLS = """
import builtins, errno, recombine.benchmark.sandbox.child as child
from fakes import Pixels
class Full(Pixels):
    def setup(self, spec, device):
        super().setup(spec, device)
        def write(*_):
            raise OSError(errno.ENOSPC, "No space left on device")
        child.write_tensors = write
"""


def test_a_disk_without_room_for_the_answer_is_no_fault_of_a_submission(dataset, tmp_path):
    """The disk of the harness; scratch files of the submission have a limit of their own."""
    shutil.copy(FAKES, tmp_path / "fakes.py")
    (tmp_path / "method.py").write_text(FILLS)
    submission = isolate(f"{tmp_path}/method.py:Full", trust_local=True)
    with pytest.raises(ResourceError, match="the answer needs more disk space"):
        run(submission, dataset, tmp_path / "out")
