"""One run: what the learner gets, what is kept, when it is found again, how it fails."""

import json
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from fakes import Approach, FakeDataset, Pixels, Trained

from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, TrainBudget
from recombine.benchmark.running.grid import Job, run_grid
from recombine.benchmark.running.harness import (
    DEFAULT_STEPS,
    RunOptions,
    given_folder,
    readout_indices,
    run_folder,
    run_key,
    run_seed,
    scored_indices,
)
from recombine.benchmark.sandbox.process import RefusedError
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)

pytestmark = pytest.mark.long

QUICK = RunOptions(steps=(0, 2), batch_size=32, readout_labels=50)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=8, val=2, test=3)


def run(submission, dataset, tmp_path, seed=0, options=QUICK):
    return run_seed(submission, dataset, seed=seed, out_dir=tmp_path, options=options)


def test_facts_of_a_trained_search(dataset, tmp_path):
    done = run(Trained(width=5), dataset, tmp_path, seed=4)
    read = read_predictions(done.path)
    facts = read.facts
    assert done.path.name == "seed-4.safetensors"
    assert (facts.seed, facts.steps, facts.kind, facts.trained) == (4, (0, 2), "inverter", True)
    assert facts.training["real"] == facts.training["generated"] == 64 == facts.n_train
    assert facts.training["configs"] == 2
    assert facts.settings == {"width": 5}
    assert facts.card["id"] == "approach"
    assert facts.dataset["root"] == dataset.root
    assert facts.dataset["identity"] == dataset.identity
    assert facts.cost["step_gflop"] == 0
    assert facts.environment["threads"] == 1
    assert len(facts.batch_change) == 2
    assert np.array_equal(read.image_index, scored_indices(dataset, QUICK))


def test_an_encoder_is_read_once(dataset, tmp_path):
    facts = read_predictions(run(Pixels(), dataset, tmp_path).path).facts
    assert (facts.steps, facts.kind, facts.trained) == ((0,), "encoder", False)
    assert facts.training["real"] == 0


def test_slots_that_are_too_long_are_refused_before_anything_runs(dataset, tmp_path):
    class Wide(Pixels):
        slot_dim = 2048

        def setup(self, spec, device):
            raise AssertionError("it ran")

    @dataclass(frozen=True)
    class WideLearner(Trained):
        slot_dim: int = 2048

        def fit(self, data, val, *, seed, budget, log):
            raise AssertionError("it ran")

    for method in (Wide(), WideLearner()):
        with pytest.raises(InvalidInputError, match=r"slot_dim of at most 512, got 2048; project"):
            run(method, dataset, tmp_path)


def test_the_length_of_a_slot_is_known_after_setup_at_the_latest(dataset, tmp_path):
    class Late(Pixels):
        slot_dim = 0

        def __init__(self, size):
            self.size = size

        def setup(self, spec, device):
            self.slot_dim = self.size

    assert run(Late(96), dataset, tmp_path).path.is_file()
    with pytest.raises(InvalidInputError, match=r"slot_dim of at least 1, got 0; set it"):
        run(Late(0), dataset, tmp_path)


def test_a_finished_run_is_found_again(dataset, tmp_path):
    first = run(Trained(), dataset, tmp_path)
    before = first.path.stat()
    again = run(Trained(), dataset, tmp_path)
    assert (first.skipped, again.skipped) == (False, True)
    assert first.path.stat().st_mtime_ns == before.st_mtime_ns


def test_runs_of_another_method_of_one_id_have_a_folder_of_their_own(dataset, tmp_path):
    base = tmp_path / "runs"
    assert run_folder(base, Trained(), dataset) == base
    done = run(Trained(), dataset, base)
    assert run_folder(base, Trained(), dataset) == base
    assert given_folder(base, read_predictions(done.path).facts) == base
    homes = [
        run_folder(base, Trained(width=9), dataset),
        run_folder(base, Pixels(), dataset),
        run_folder(base, Trained(), FakeDataset(train=8, val=2, test=3, identity="feed" * 16)),
    ]
    assert len({base, *homes}) == 4
    assert {home.parent for home in homes} == {base}
    run(Trained(width=9), dataset, homes[0])
    assert run_folder(base, Trained(width=9), dataset) == homes[0]
    assert done.path.is_file()
    done.path.write_bytes(b"damaged")
    assert run_folder(base, Trained(width=9), dataset) == base


@pytest.mark.parametrize(
    "change",
    [
        {"submission": Trained(width=9)},
        {"options": replace(QUICK, steps=(0, 1))},
        {"options": replace(QUICK, budget=TrainBudget(max_images_seen=1000))},
        {"dataset": FakeDataset(train=8, val=2, test=3, root="feed" * 16)},
        {"dataset": FakeDataset(train=8, val=2, test=3, identity="feed" * 16)},
        {"seed": 1},
    ],
    ids=["settings", "steps", "budget", "pixels", "data", "seed"],
)
def test_whatever_matters_changes_the_key(dataset, change):
    base = {"submission": Trained(), "dataset": dataset, "seed": 0, "options": QUICK}
    keys = [
        run_key(a["submission"], a["dataset"], seed=a["seed"], options=a["options"])
        for a in (base, base | change)
    ]
    assert keys[0] != keys[1]


def test_a_changed_setting_or_a_damaged_file_runs_anew(dataset, tmp_path):
    path = run(Trained(), dataset, tmp_path).path
    assert not run(Trained(width=8), dataset, tmp_path).skipped
    path.write_bytes(path.read_bytes()[:-10])
    assert not run(Trained(width=8), dataset, tmp_path).skipped
    assert run(Trained(width=8), dataset, tmp_path).skipped


def test_the_log_is_written(dataset, tmp_path):
    run(Trained(), dataset, tmp_path)
    lines = (tmp_path / "seed-0.log.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines[-3:]] == ["config", "config", "end"]


@dataclass(frozen=True)
class Curious:
    """Checks what it is given; ``card`` decides the labels."""

    supervision: str = "unsupervised"

    @property
    def card(self):
        return MethodCard(id="curious", name="Curious", supervision=self.supervision)

    def fit(self, data, val, *, seed, budget, log):
        for part in (data, val):
            batch = part.arrays()
            assert bool(batch.factors) == (self.supervision == "supervised")
            assert (batch.masks is not None) == (self.supervision != "unsupervised")
        assert len(data) == 64
        assert len(val) == 16
        return Pixels()


@pytest.mark.parametrize("supervision", ["unsupervised", "weak", "supervised"])
def test_the_card_decides_which_labels_are_served(dataset, tmp_path, supervision):
    run(Curious(supervision), dataset, tmp_path)


class Failing:
    def __init__(self, stage):
        self.stage = stage

    def fit(self, data, val, *, seed, budget, log):
        if self.stage == "fit":
            raise RuntimeError("no luck")
        if self.stage == "nothing":
            return None
        if self.stage == "learner":
            return Trained()
        method = Pixels()
        if self.stage == "setup":
            method.setup = lambda spec, device: 1 / 0
        if self.stage == "inference":
            method.encode = lambda images: {}["missing"]
        return method


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("fit", "failing, seed 0: fit failed with RuntimeError: no luck"),
        ("setup", "setup failed with ZeroDivisionError"),
        ("inference", "inference failed with KeyError"),
        ("nothing", "got NoneType"),
        ("learner", "must return an Encoder or an Inverter"),
    ],
)
def test_failures_are_one_line_and_keep_their_traceback(dataset, tmp_path, stage, message):
    with pytest.raises(InvalidInputError, match=message):
        run(Failing(stage), dataset, tmp_path)
    report = tmp_path / "seed-0.error.txt"
    assert report.exists() == (stage in ("fit", "setup", "inference"))
    assert not (tmp_path / "seed-0.safetensors").exists()
    if report.exists():
        assert "Traceback" in report.read_text()
    run(Failing("none"), dataset, tmp_path)
    assert not report.exists()


def test_image_budget(dataset, tmp_path):
    options = replace(QUICK, budget=TrainBudget(max_images_seen=40))
    with pytest.raises(ResourceError, match="may see 40 images"):
        run(Trained(), dataset, tmp_path, options=options)


def test_time_budget(dataset, tmp_path, monkeypatch):
    from recombine.benchmark.running import harness

    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(harness.time, "monotonic", lambda: next(clock))
    options = replace(QUICK, budget=TrainBudget(max_seconds=1.0))
    with pytest.raises(ResourceError, match="may take 1 s"):
        run(Trained(), dataset, tmp_path, options=options)


def test_threads_are_given_back(dataset, tmp_path):
    before = torch.get_num_threads()
    run(Pixels(), dataset, tmp_path)
    with pytest.raises(InvalidInputError):
        run(Failing("fit"), dataset, tmp_path / "other")
    assert torch.get_num_threads() == before


def test_readout_images_are_trained_on_and_shared_by_all_methods(dataset):
    chosen = readout_indices(dataset, QUICK)
    assert len(chosen) == 50
    assert set(dataset.splits[chosen]) == {"id_train"}
    assert np.array_equal(chosen, readout_indices(dataset, replace(QUICK, steps=(0, 5))))
    nested = readout_indices(dataset, replace(QUICK, n_train=20))
    assert nested.max() < dataset.indices("id_train")[20]


def test_every_test_image_is_asked(dataset):
    asked = set(scored_indices(dataset, QUICK))
    for split in ("id_val", "id_test", "ooc_test"):
        assert set(dataset.indices(split)) <= asked


def test_training_is_seeded(dataset, tmp_path):
    class Seeded:
        def fit(self, data, val, *, seed, budget, log):
            method = Approach()
            method.draw = torch.rand(1).item()
            self.drawn = method.draw
            return method

    drawn = []
    for seed in (1, 1, 2):
        learner = Seeded()
        run(learner, dataset, tmp_path / str(len(drawn)), seed=seed)
        drawn.append(learner.drawn)
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("steps", [(), (1, 2), (0, 5, 3), (0, 0)])
def test_steps_must_ascend_from_zero(steps):
    with pytest.raises(UsageError, match="ascending"):
        RunOptions(steps=steps)


def test_options_have_sane_defaults():
    assert RunOptions().steps == DEFAULT_STEPS
    with pytest.raises(UsageError, match="at least 1"):
        RunOptions(batch_size=0)


class Weights(Pixels):
    """Scales what it sees by private numbers, and remembers what it was set up for."""

    def __init__(self, scale):
        self._scale = torch.tensor(scale)

    def setup(self, spec, device):
        self.count = spec.max_slots

    def encode(self, images):
        return SlotOutput(slots=super().encode(images).slots * self._scale)


def test_changed_weights_are_asked_anew_and_all_seeds_are_of_one_method(dataset, tmp_path):
    def grid(scale):
        method = Weights(scale)
        runs = run_grid([Job(method, dataset, seed, tmp_path, QUICK) for seed in (0, 1)])
        return runs, [float(read_predictions(run.path).slots[0].mean()) for run in runs]

    grid(1.0)
    again, _ = grid(1.0)
    changed, means = grid(0.0)
    assert [run.skipped for run in again] == [True, True]
    assert [run.skipped for run in changed] == [False, False]
    assert means == [0.0, 0.0]


def test_an_object_that_cannot_be_read_completely_is_run_anew(dataset, tmp_path):
    method = Pixels()
    method._lock = threading.Lock()
    assert not run(method, dataset, tmp_path).skipped
    assert not run(method, dataset, tmp_path).skipped


def test_a_learner_that_fit_changes_keeps_its_key(dataset, tmp_path):
    class Changing:
        card = MethodCard(id="changing", name="Changing")

        def fit(self, data, val, *, seed, budget, log):
            self.net = torch.nn.Linear(2, 2)
            return Pixels()

    def keys(learner):
        runs = run_grid([Job(learner, dataset, seed, tmp_path, QUICK) for seed in (0, 1)])
        return [run.skipped for run in runs]

    assert keys(Changing()) == [False, False]
    assert keys(Changing()) == [True, True]


def test_a_flipped_bit_is_found_and_the_run_made_again(dataset, tmp_path):
    path = run(Pixels(), dataset, tmp_path).path
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="the file was damaged or changed"):
        read_predictions(path)
    with pytest.warns(RuntimeWarning, match="This run is made again"):
        assert not run(Pixels(), dataset, tmp_path).skipped
    assert run(Pixels(), dataset, tmp_path).skipped


class Memory(Pixels):
    """Adds the first image that it ever saw to every other."""

    first = None

    def encode(self, images):
        slots = super().encode(images).slots
        self.first = slots[:1] if self.first is None else self.first
        return SlotOutput(slots=torch.where(slots.mean() > 2, slots, slots + 9 * self.first))


@pytest.mark.parametrize(("kind", "reason"), [(Memory, "memory-between-calls")])
def test_memory_between_calls_is_refused_by_name(dataset, tmp_path, kind, reason):
    with pytest.raises(RefusedError, match=r"pixels, seed 0: refused .memory-between-calls.") as no:
        run(kind(), dataset, tmp_path)
    assert no.value.reason == reason


def test_torch_is_as_it_was_after_an_object_ran(dataset, tmp_path):
    class Careless(Pixels):
        def setup(self, spec, device):
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            torch.use_deterministic_algorithms(True)
            torch.autograd.set_detect_anomaly(True)
            torch.set_float32_matmul_precision("medium")
            torch.backends.cudnn.benchmark = True

    def state():
        return (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_anomaly_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.benchmark,
            torch.get_num_threads(),
            torch.get_default_device(),
            torch.get_rng_state().tolist(),
        )

    before = state()
    run(Careless(), dataset, tmp_path)
    assert state() == before
