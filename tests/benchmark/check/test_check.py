"""Contract checks: a good submission passes, and each planted fault fails its own check."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from shut_in import need_bwrap

from recombine.benchmark.check import trial as check_trial
from recombine.benchmark.check.checker import NAMES, run_checks
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.sandbox.isolation import check_isolated
from recombine.benchmark.submissions.examples.encoder import MyEncoder
from recombine.benchmark.submissions.examples.inverter import MyInverter, State

pytestmark = pytest.mark.long


def statuses(submission, **over):
    return {c.name: c.status for c in run_checks(submission, resolution=16, **over).checks}


def failing(submission, **over):
    report = run_checks(submission, resolution=16, **over)
    return [c for c in report.checks if c.status == "fail"]


class Base(MyEncoder):
    """An encoder to be broken; ``change`` gets the slots."""

    def encode(self, images):
        return SlotOutput(slots=self.change(super().encode(images).slots, images))

    def change(self, slots, images):
        return slots


class BaseSearch(MyInverter):
    """An inverter to be broken."""


def test_an_encoder_passes():
    report = run_checks(MyEncoder())
    assert report.passed
    assert (report.kind, report.card.id) == ("Encoder", "my-encoder")
    names = [c.name for c in report.checks]
    assert names == [n for n in NAMES if n not in ("fit", "state", "step", "decode")]
    assert {c.status for c in report.checks} == {"pass"}
    assert all(c.why and not c.todo for c in report.checks)


def test_an_inverter_passes_with_three_more():
    report = run_checks(MyInverter())
    assert report.passed
    assert [c.name for c in report.checks][-3:] == ["state", "step", "decode"]
    assert {c.status for c in report.checks} == {"pass"}


@dataclass(frozen=True)
class Quick:
    """A learner that looks at its data and returns what it is told to."""

    returns: object
    card: ClassVar = MethodCard(id="quick", name="Quick", supervision="supervised")

    def fit(self, data, val, *, seed, budget, log):
        for batch in data.batches(16, seed=seed):
            assert set(batch.factors) == set(data.spec.factors)
            assert batch.masks.shape == batch.images[:, 0].shape
            log.count_generated(1)
            log.scalar("loss", 0.0, 0)
        log.config_tried({}, 0.0)
        return self.returns


def test_a_learner_is_fitted_on_labelled_images():
    report = run_checks(Quick(MyEncoder()))
    assert report.passed
    assert report.kind == "Learner"
    (fit,) = [c for c in report.checks if c.name == "fit"]
    assert "32 images seen, 2 generated; labels served: factors, masks" in fit.why


def broken(name):
    """Make a class whose slots are changed in one way."""
    calls = iter(range(10**6))
    ways = {
        "nan": lambda s, x: s * torch.where(x.mean() > 0, torch.nan, 1.0),
        "infinite": lambda s, x: s / 0,
        "huge": lambda s, x: s * 0 + 1e7,
        "double": lambda s, x: s.double(),
        "half": lambda s, x: s.half(),
        "flat": lambda s, x: s[:, 0],
        "transposed": lambda s, x: s.transpose(0, 1),
        "short batch": lambda s, x: s[:-1],
        "too few slots": lambda s, x: s[:, :1],
        "too many slots": lambda s, x: s.repeat(1, 40, 1),
        "another size": lambda s, x: s[..., :-1],
        "slots by batch": lambda s, x: s.repeat(1, 1 + len(x) % 2, 1),
        "numpy": lambda s, x: s.numpy(),
        "random": lambda s, x: s + torch.rand_like(s),
        "counting": lambda s, x: s + next(calls),
        "batch statistics": lambda s, x: s - s.mean(dim=0),
        "neighbour": lambda s, x: s + 0.1 * s.roll(1, 0),
        "place": lambda s, x: s + torch.arange(len(s))[:, None, None],
        "in place": lambda s, x: s + 0 * x.mul_(0.5).sum(),
    }
    return type("Broken", (Base,), {"change": lambda self, s, x: ways[name](s, x)})()


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("nan", "range"),
        ("infinite", "range"),
        ("huge", "range"),
        ("double", "dtype"),
        ("half", "dtype"),
        ("flat", "shapes"),
        ("transposed", "shapes"),
        ("short batch", "shapes"),
        ("too few slots", "shapes"),
        ("too many slots", "shapes"),
        ("another size", "shapes"),
        ("slots by batch", "shapes"),
        ("numpy", "shapes"),
        ("random", "determinism"),
        ("counting", "determinism"),
        ("batch statistics", "batch"),
        ("neighbour", "order"),
        ("place", "order"),
        ("in place", "input"),
    ],
)
def test_every_fault_fails_its_check(name, check):
    found = failing(broken(name))
    assert check in [c.name for c in found]
    first = next(c for c in found if c.name == check)
    assert first.why
    assert first.todo
    if check in ("shapes", "dtype"):
        assert len(found) == 1  # the rest cannot be tried


def test_what_cannot_be_tried_is_skipped_and_says_why():
    report = run_checks(broken("flat"), resolution=16)
    skipped = [c for c in report.checks if c.status == "skip"]
    assert {c.name for c in skipped} >= {"range", "batch", "flops"}
    assert all("'shapes'" in c.why for c in skipped)
    assert not report.passed


class TrainMode(torch.nn.Module):
    """Batch normalisation that was left in training mode: the usual mistake."""

    slot_dim = 8

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))

    def setup(self, spec, device):
        self.slots = spec.max_slots

    def encode(self, images):
        flat = self.body(images).mean(dim=(2, 3))
        return SlotOutput(slots=flat[:, None].repeat(1, self.slots, 1))


def test_batch_normalisation_in_training_mode():
    torch.manual_seed(0)
    model = TrainMode()
    assert "batch" in [c.name for c in failing(copy.deepcopy(model))]
    assert not failing(model.eval())


@pytest.mark.parametrize(
    ("extra", "check"),
    [
        ({"presence": torch.ones(1)}, "shapes"),
        ({"masks": "H"}, "shapes"),
        ({"presence": "double"}, "dtype"),
        ({"presence": "two"}, "range"),
    ],
)
def test_presence_and_masks_count_too(extra, check):
    def encode(self, images):
        slots = MyEncoder.encode(self, images).slots
        shape = slots.shape[:2]
        values = {
            "H": torch.ones(*shape, 3, 3),
            "double": torch.ones(shape, dtype=torch.float64),
            "two": torch.full(shape, 2.0),
        }
        parts = {k: values[v] if isinstance(v, str) else v for k, v in extra.items()}
        return SlotOutput(slots=slots, **parts)

    method = type("Masked", (Base,), {"encode": encode})()
    assert [c.name for c in failing(method)] == [check]


def test_all_zero_slots_are_worth_a_look():
    method = type("Zero", (Base,), {"change": lambda self, s, x: s * 0})()
    assert statuses(method)["range"] == "warn"
    assert run_checks(method, resolution=16).passed


def test_uncounted_operators_are_listed():
    method = type(
        "Fourier", (Base,), {"change": lambda self, s, x: s + 0 * torch.fft.fft(s).real}
    )()
    (flops,) = [c for c in run_checks(method, resolution=16).checks if c.name == "flops"]
    assert flops.status == "warn"
    assert "fft" in flops.why


def test_memory_has_a_limit():
    assert [c.name for c in failing(MyEncoder(), memory_bytes=2**20)] == ["memory"]


SEARCH_FAULTS = {
    "read changes the state": ("state", {"read": lambda self, s: _spoil(self, s)}),
    "read is random": (
        "determinism",
        {"read": lambda self, s: SlotOutput(slots=s.slots + torch.rand_like(s.slots))},
    ),
    "decode shape": (
        "decode",
        {"decode": lambda self, z: torch.zeros(len(z), 3, 2, 2), "step": lambda self, x, s: s},
    ),
    "decode range": ("decode", {"decode": lambda self, z: MyInverter.decode(self, z) * 3 + 1}),
    "decode type": ("decode", {"decode": lambda self, z: MyInverter.decode(self, z).double()}),
    "step crashes late": ("step", {"step": lambda self, x, s: _fail_late(self, x, s)}),
}


def _spoil(self, state):
    out = SlotOutput(slots=state.slots.clone())
    state.slots.add_(1.0)
    return out


def _fail_late(self, images, state):
    done = getattr(state, "done", 0) + 1
    if done > 4:
        raise RuntimeError("too far")
    new = MyInverter.step(self, images, state)
    object.__setattr__(new, "done", done)
    return new


@pytest.mark.parametrize("name", SEARCH_FAULTS)
def test_faults_of_a_search(name):
    check, members = SEARCH_FAULTS[name]
    method = type("Faulty", (BaseSearch,), members)()
    assert check in [c.name for c in failing(method)], failing(method)


def test_a_search_that_does_not_improve_is_worth_a_look():
    def away(self, images, state):
        better = MyInverter.step(self, images, state)
        return State(2 * state.slots - better.slots)

    method = type("Away", (BaseSearch,), {"step": away})()
    report = run_checks(method, resolution=16)
    (step,) = [c for c in report.checks if c.name == "step"]
    assert step.status == "warn"
    assert "->" in step.why


@pytest.mark.parametrize(
    ("returns", "words"),
    [(None, "NoneType"), (Quick(None), "Learner"), (3, "int")],
)
def test_fit_must_return_a_method(returns, words):
    (found,) = failing(Quick(returns))
    assert found.name == "fit"
    assert words in found.why


def test_fit_that_ignores_the_clock(monkeypatch):
    clock = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(check_trial.time, "monotonic", lambda: next(clock))
    report = run_checks(Quick(MyEncoder()))
    assert {check.status for check in report.checks} == {"pass"}  # no clock decides
    (fit,) = [check for check in report.checks if check.name == "fit"]
    assert "TrainBudget.max_seconds" in fit.why


@dataclass(frozen=True)
class Endless(Quick):
    """A learner whose schedule does not end in a trial."""

    def fit(self, data, val, *, seed, budget, log):
        for epoch in range(10**9):
            for _ in data.batches(16, seed=epoch):
                pass


def test_training_that_does_not_end_is_noted_and_the_rest_left_out(monkeypatch):
    monkeypatch.setattr(check_trial, "LONGEST_CPU_SECONDS", 0.05)
    report = run_checks(Endless(None), resolution=16)
    assert report.passed
    found = {check.name: check for check in report.checks}
    assert found["fit"].status == "warn"
    assert "did not end" in found["fit"].why
    assert list(found) == ["load", "card", "fit"]  # the others need what fit returns


def test_an_exception_is_told_with_its_place():
    class Raises(MyEncoder):
        def setup(self, spec, device):
            raise KeyError("weights")

    (found,) = failing(Raises())
    assert found.name == "setup"
    assert "KeyError" in found.why
    assert "test_check.py, line" in found.todo
    assert 'raise KeyError("weights")' in found.todo


@pytest.mark.parametrize(
    "card",
    [
        MethodCard(id="Not A Slug", name="x"),
        MethodCard(id="ok", name=""),
        MethodCard(id="ok", name="x", inference="magic"),
        {"id": "x"},
    ],
)
def test_cards(card):
    method = MyEncoder()
    method.card = card
    (found,) = failing(method)
    assert found.name == "card"


@pytest.mark.parametrize("spec", ["nowhere.py:Class", "no_such_thing", "json:JSONDecoder"])
def test_what_cannot_be_loaded(spec):
    report = run_checks(spec)
    assert [(c.name, c.status) for c in report.checks] == [("load", "fail")]
    assert report.card is report.kind is None


def test_threads_are_given_back():
    before = torch.get_num_threads()
    run_checks(broken("flat"), resolution=16)
    assert torch.get_num_threads() == before


PLANTED = """
import socket
from recombine.benchmark.submissions.examples.encoder import MyEncoder

class Curious(MyEncoder):
    def setup(self, spec, device):
        super().setup(spec, device)
        try:
            socket.create_connection(("1.1.1.1", 443), timeout=1)
        except OSError:
            pass

class Fine(MyEncoder):
    pass
"""


@pytest.mark.parametrize("trusted", [False, True])
def test_in_isolation_the_network_is_one_more_check(tmp_path, trusted):
    if not trusted:
        need_bwrap()
    (tmp_path / "planted.py").write_text(PLANTED)
    fine = check_isolated(f"{tmp_path}/planted.py:Fine", trust_local=trusted)
    assert [c.status for c in fine.checks] == ["pass"] * len(fine.checks)
    assert fine.checks[-1].name == "network"
    assert fine.card.id == "my-encoder"
    if trusted:
        return
    curious = check_isolated(f"{tmp_path}/planted.py:Curious")
    assert [c.name for c in curious.checks if c.status == "fail"] == ["network"]
    assert "1.1.1.1" in curious.checks[-1].why
