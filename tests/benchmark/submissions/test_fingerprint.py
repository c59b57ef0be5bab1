"""Equal runs have equal identities; whatever matters changes them."""

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from fakes import Pixels, Trained

from recombine.benchmark.submissions import fingerprint as identity
from recombine.benchmark.submissions.loading import load_learner


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    sizes: tuple = (1, 2)
    limit: float = float("inf")
    network: object = None
    name: str = "x"
    cache: str = field(default="here", compare=False)


def test_settings_are_nested_and_plain():
    settings = identity.settings_of(Outer(network=torch.nn.Linear(2, 2)))
    assert settings["inner"] == {"rate": 0.1}
    assert settings["sizes"] == [1, 2]
    assert settings["limit"] == "inf"
    assert "cache" not in settings
    assert settings["network"] == "<torch.nn.modules.linear.Linear>"


def test_a_file_is_known_by_its_content_and_never_by_its_folder(tmp_path):
    @dataclass
    class Read:
        file: Path

    found = {}
    for folder, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.bin").write_bytes(content)
        found[folder] = identity.settings_of(Read(tmp_path / folder / "x.bin"))["file"]
    assert found["a"] == found["b"] == f"x.bin {hashlib.sha256(b'1').hexdigest()[:16]}"
    assert found["c"].startswith("x.bin ")
    assert found["c"] != found["a"]
    assert identity.settings_of(Read(tmp_path / "nowhere.bin")) == {"file": "nowhere.bin"}


def test_settings_of_a_plain_object_leave_out_private_parts_and_the_card():
    method = Pixels()
    method.alpha, method._cache, method.card = np.float64(0.5), 3, "card"
    assert identity.settings_of(method) == {"alpha": 0.5}


def test_flat_settings():
    flat = identity.flat(identity.settings_of(Outer()))
    assert flat["inner.rate"] == 0.1
    assert flat["sizes"] == "[1, 2]"
    assert all(value is None or isinstance(value, str | int | float) for value in flat.values())


def test_keys_ignore_order_and_see_values():
    key = identity.content_key
    assert key({"a": 1, "b": [2]}) == key({"b": [2], "a": 1})
    assert key({"a": 1}) != key({"a": 2})
    assert key({"a": 1}) != key({"a": "1"})


def test_code_names_hold_no_path(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = tmp_path / "mine.py"
    file.write_text("class Mine:\n    def fit(self): ...\n")
    learner = load_learner(f"{file}:Mine")
    assert identity.code_name(learner) == "mine.py:Mine"
    assert identity.code_name(Trained()) == "fakes:Trained"


def test_source_changes_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    hashes = set()
    for text in ("", "# comment", ""):
        folder = tmp_path / str(len(hashes)) / text.strip("# ")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "mine.py"
        file.write_text(f"class Mine:\n    def fit(self): ...\n{text}")
        hashes.add(identity.source_sha256(load_learner(f"{file}:Mine")))
    assert len(hashes) == 2


def test_a_class_of_a_package_stands_for_its_folder():
    from recombine.benchmark.predictions.file import RunFacts

    class Local:
        pass

    Local.__module__ = RunFacts.__module__
    whole = identity.source_sha256(Local())
    Local.__module__ = "fakes"
    assert whole != identity.source_sha256(Local())


def test_environment_fits_the_result():
    from recombine.benchmark.results.parts import Environment

    environment = Environment.model_validate(identity.environment("cpu"))
    assert environment.gpu is None
    assert environment.torch == str(torch.__version__)


@pytest.mark.parametrize("value", [None, True, 1, 0.5, "text"])
def test_scalars_stay(value):
    assert identity.flat({"a": value}) == {"a": value}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("", True),
        ("unused = 3", True),
        ("RATE = 0.2", False),
        ("def helper(x): return x + 1", False),
        ("class Typed:\n    def fit(self): return helper(RATE) * 2", False),
    ],
)
def test_what_is_typed_in_a_notebook_has_an_identity(monkeypatch, change, same):
    cells = (
        "RATE = 0.1\ndef helper(x): return x\nclass Typed:\n    def fit(self): return helper(RATE)"
    )

    def typed(code):
        module = ModuleType("typed_in")
        monkeypatch.setitem(sys.modules, "typed_in", module)
        exec(code, vars(module))
        return identity.source_sha256(module.Typed())

    assert (typed(cells) == typed(f"{cells}\n{change}")) is same
