"""The twin knows what was known when it was made, and never stops the first process."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from recombine.benchmark.inference import twin as twins
from recombine.benchmark.inference.twin import Twin

CPU = torch.device("cpu")
PIXELS = np.zeros((2, 4, 4, 3), np.uint8)


def test_it_knows_what_was_known_and_nothing_later():
    seen = [1]
    with Twin(lambda pixels: [{"slots": np.array([*seen, len(pixels)])}], CPU) as twin:
        seen.append(2)
        (answer,) = twin.ask(PIXELS, 0.0)
        assert answer["slots"].tolist() == [1, 2]  # what it was made with, and two images
        assert twin.reason == ""
    assert twin.ask(PIXELS, 0.0) is None


def fails(pixels):
    raise RuntimeError("not here")


WRONG = {
    "it died": lambda pixels: os._exit(1),
    "it failed with RuntimeError: not here": fails,
    "it did not answer within 0 s": lambda pixels: time.sleep(600),
}


@pytest.mark.parametrize("reason", WRONG)
def test_whatever_happens_to_it_the_first_process_goes_on(monkeypatch, reason):
    monkeypatch.setattr(twins, "LEAST_SECONDS", 20.0 if "within" not in reason else 0.2)
    with Twin(WRONG[reason], CPU) as twin:
        pid = twin._pid
        assert twin.ask(PIXELS, 0.0) is None
        assert twin.reason == reason
        assert twin.ask(PIXELS, 0.0) is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_there_is_none_beside_an_accelerator_and_when_forking_is_refused(monkeypatch):
    assert "accelerator" in Twin(lambda _: [], torch.device("cuda")).reason

    def refuse():
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    assert "refused to fork: Resource" in Twin(lambda _: [], CPU).reason


AFTER_THREADS = """
import numpy as np, torch
from recombine.benchmark.inference.twin import Twin
torch.set_num_threads(4)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.Conv2d(32, 32, 3))
images = torch.rand(16, 3, 48, 48)
for _ in range(2):
    net(images).square().mean().backward()
answer = lambda _: [{"slots": net(images).detach().numpy()}]
with Twin(answer, torch.device("cpu")) as twin:
    (found,) = twin.ask(np.zeros(1, np.uint8), 1.0)
assert np.allclose(found["slots"], answer(0)[0]["slots"], atol=1e-5), twin.reason
print("equal")
"""


def test_it_computes_after_the_first_process_used_many_threads():
    done = subprocess.run(
        [sys.executable, "-c", AFTER_THREADS], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "equal", done.stderr
