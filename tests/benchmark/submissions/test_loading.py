"""Submissions are found by name, and what is wrong is said with the nearest right thing."""

import sys

import pytest
from fakes import Pixels, Trained

from recombine.benchmark.protocol.contract import MethodCard
from recombine.benchmark.submissions.loading import card_of, check_submission, load_learner
from recombine.renderer.core.errors import InvalidInputError, UsageError

SUBMISSION = """
from dataclasses import dataclass
from helper import WIDTH

@dataclass(frozen=True)
class Mine:
    width: int = WIDTH

    def fit(self, data, val, *, seed, budget, log):
        raise NotImplementedError

class Half:
    slot_dim = 3

    def setup(self, spec, device): ...
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(SUBMISSION)
    (tmp_path / "helper.py").write_text("WIDTH = 7\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("helper", None)


def test_class_of_a_file_with_a_sibling(folder):
    learner = load_learner(f"{folder}/mine.py:Mine")
    assert learner.width == 7
    assert load_learner(f"{folder}/mine.py:Mine", settings={"width": 3}).width == 3


def test_class_of_a_module():
    assert type(load_learner("fakes:Trained")).__name__ == "Trained"


def test_short_names():
    assert type(load_learner("short", names={"short": "fakes:Pixels"})).__name__ == "Pixels"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("autoencodr", "Did you mean 'autoencoder'"),
        ("nothing:", "expected file.py:Class"),
        ("fakes:Traind", "Did you mean 'Trained'"),
        ("no_such_package.module:Class", "no module 'no_such_package.module'"),
        ("{folder}/mine.py:Min", "Did you mean 'Mine'"),
        ("{folder}/mne.py:Mine", "Did you mean 'mine.py'"),
    ],
)
def test_near_misses(folder, spec, message):
    with pytest.raises(UsageError, match=message):
        load_learner(spec.format(folder=folder), names={"autoencoder": "x:Y"})


def test_unknown_settings(folder):
    with pytest.raises(UsageError, match=r"given settings.*'depth'"):
        load_learner(f"{folder}/mine.py:Mine", settings={"depth": 3})


def test_a_file_that_fails_on_import(folder):
    with pytest.raises(InvalidInputError, match="fails on import with ZeroDivisionError"):
        load_learner(f"{folder}/broken.py:Mine")
    assert not [name for name in sys.modules if name.startswith("submission_broken")]


def test_a_module_that_needs_another_one(folder, monkeypatch):
    (folder / "needy.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(InvalidInputError, match="needs the module 'no_such_dependency'"):
        load_learner("needy:Mine")


def test_what_is_missing_is_listed(folder):
    with pytest.raises(InvalidInputError, match="to be an Encoder it lacks encode"):
        load_learner(f"{folder}/mine.py:Half")
    with pytest.raises(InvalidInputError, match="got int"):
        check_submission(3, "three")


def test_cards():
    assert card_of(Trained()).id == "approach"

    class MyNewMethod(Pixels):
        card = None

    plain = card_of(MyNewMethod())
    assert (plain.id, plain.name, plain.data) == ("my-new-method", "MyNewMethod", "open")
    assert plain == MethodCard(id="my-new-method", name="MyNewMethod", data="open")


def test_a_card_of_another_type_is_refused():
    method = Pixels()
    method.card = {"id": "x"}
    with pytest.raises(InvalidInputError, match="must be a MethodCard"):
        card_of(method)


@pytest.mark.parametrize(
    "said", [{"authors": "A. Name"}, {"authors": {"A. Name"}}, {"paper": "arXiv 2512.08854"}]
)
def test_a_card_that_misleads_is_refused_before_anything_is_trained(said):
    method = Pixels()
    method.card = MethodCard(id="x", name="X", **said)
    with pytest.raises(InvalidInputError, match=f"got {next(iter(said))}"):
        card_of(method)
