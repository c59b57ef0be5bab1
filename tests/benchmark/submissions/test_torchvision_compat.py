"""torchvision beside a torch that it was not built for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from recombine.benchmark.submissions import torchvision_compat as hub_vision
from recombine.renderer.core.errors import ResourceError

FAKE = """
import torch

@torch.library.register_fake("torchvision::nms")
def fake_nms(dets, scores, iou_threshold):
    return dets

from torchvision import later
"""
LATER = "import torch\ntorch.library.register_fake('torchvision::qnms')(lambda a, b, c: a)\n"
TRY = """
import sys
sys.path.insert(0, sys.argv[1])
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
assert ready_torchvision() is False
import torch, torchvision
assert torchvision.later
try:
    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except (NotImplementedError, RuntimeError) as error:
    print("torchvision::nms" in str(error))
"""


def test_missing_operators_are_declared_and_still_fail_when_called(tmp_path):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(FAKE)
    (package / "later.py").write_text(LATER)
    ran = subprocess.run(
        [sys.executable, "-c", TRY, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "True", ran.stderr


@pytest.fixture
def fresh():
    hub_vision.ready_torchvision.cache_clear()
    yield
    hub_vision.ready_torchvision.cache_clear()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("error", [OSError("libcudart.so"), RuntimeError("something else")])
def test_what_cannot_be_helped_names_the_matching_wheel(monkeypatch, error):
    def fails(name):
        raise error

    monkeypatch.setattr(hub_vision.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(hub_vision.importlib, "import_module", fails)
    with pytest.raises(ResourceError, match=r"download\.pytorch\.org/whl/cpu"):
        hub_vision.ready_torchvision()


@pytest.mark.usefixtures("fresh")
def test_absent_is_fine(monkeypatch):
    monkeypatch.setattr(hub_vision.importlib.util, "find_spec", lambda name: None)
    assert hub_vision.ready_torchvision() is False


@pytest.mark.usefixtures("fresh")
def test_a_complete_one_is_left_alone(monkeypatch):
    monkeypatch.setattr(hub_vision.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(hub_vision.importlib, "import_module", lambda name: importlib)
    assert hub_vision.ready_torchvision() is True
