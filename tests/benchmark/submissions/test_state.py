"""The hash of an object changes with all that its answers follow from, and with nothing else."""

import copy
import functools
import pickle
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from fakes import Trained
from torch import nn

from recombine.benchmark.submissions.state import state_sha256

SCALE = torch.ones(2)


class Held:
    """Holds one thing, in a private attribute."""

    def __init__(self, thing):
        self._thing = thing

    def encode(self, images):
        return images * SCALE


def closure(thing):
    return lambda images: images * thing


HOLDERS = {
    "attribute": Held,
    "list": lambda thing: Held([0, thing]),
    "dict": lambda thing: Held({"a": {"b": thing}}),
    "object": lambda thing: Held(Held(thing)),
    "closure": lambda thing: Held(closure(thing)),
    "partial": lambda thing: Held(functools.partial(Held.encode, images=thing)),
    "method": lambda thing: Held(Held(thing).encode),
    "default": lambda thing: Held(lambda images, weight=thing: images * weight),
}


@pytest.mark.parametrize("name", list(HOLDERS))
@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_every_number_counts_wherever_it_is(name, kind):
    def held(value):
        thing = torch.full((3,), value) if kind == "tensor" else np.full(3, value)
        return state_sha256(HOLDERS[name](thing))

    assert held(1.0) == held(1.0) is not None
    assert held(1.0) != held(2.0)


def test_a_global_that_the_code_reads_counts(monkeypatch):
    before = state_sha256(Held(0))
    monkeypatch.setitem(globals(), "SCALE", torch.zeros(2))
    assert state_sha256(Held(0)) != before


def test_weights_buffers_mode_and_hooks_count():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    found = {state_sha256(net)}
    for change in (
        lambda one: one[1].running_mean.add_(1),
        lambda one: one.eval(),
        lambda one: one.register_forward_hook(lambda *_: None),
    ):
        other = copy.deepcopy(net)
        change(other)
        found.add(state_sha256(other))
    assert len(found) == 4
    assert state_sha256(copy.deepcopy(net)) == state_sha256(net)


def test_a_changed_class_of_a_notebook_counts(monkeypatch):
    def cell(body):
        notebook = ModuleType("notebook")
        monkeypatch.setitem(sys.modules, "notebook", notebook)
        code = f"class Mine:\n    def encode(self, x):\n        {body}\n        return x"
        exec(code, vars(notebook))
        return state_sha256(notebook.Mine())

    assert cell("x = x * 0") == cell("x = x * 0")
    assert cell("x = x * 0") != cell("pass")


def test_a_file_counts_by_its_content(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"1")
    before = [state_sha256(Held(path)) for path in (file, str(file), tmp_path)]
    file.write_bytes(b"22")
    assert all(
        state_sha256(Held(path)) != old
        for path, old in zip((file, str(file), tmp_path), before, strict=True)
    )


@dataclass(frozen=True)
class Cached:
    cache: Path = field(compare=False)
    width: int = 4


def test_fields_that_do_not_compare_are_left_out():
    assert state_sha256(Cached(Path("a"))) == state_sha256(Cached(Path("b")))
    assert state_sha256(Cached(Path("a"), 5)) != state_sha256(Cached(Path("a")))


@pytest.mark.parametrize("thing", [threading.Lock(), sys.__stdout__, (n for n in ())])
def test_what_cannot_be_read_has_no_hash(thing):
    assert state_sha256(Held(thing)) is None


def test_objects_that_hold_themselves_end():
    one = Held(None)
    one._thing = [one]
    assert state_sha256(one) is not None


def test_being_sent_to_a_worker_changes_nothing():
    before = state_sha256(Trained())
    assert state_sha256(pickle.loads(pickle.dumps(Trained()))) == before
    assert state_sha256(Trained()) == before
