"""A budget of operations is counted, kept on record, and enforced."""

from dataclasses import dataclass

import pytest
import torch
from fakes import FakeDataset, Pixels

from recombine.benchmark.protocol.contract import MethodCard, TrainBudget
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.renderer.core.errors import ResourceError

IMAGES, BATCH = 160, 32
STEP = 2 * BATCH * 2 * 192 * 8  # forward, and the gradient into the weights
EPOCH = 1e-9 * STEP * IMAGES / BATCH


@dataclass(frozen=True)
class Linear:
    """Trains one linear layer for one epoch."""

    card = MethodCard(id="linear", name="Linear")

    def fit(self, data, val, *, seed, budget, log):
        layer = torch.nn.Linear(192, 8)
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
        for batch in data.batches(BATCH, seed=seed):
            loss = layer(batch.images.flatten(1)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return Pixels()


def run(tmp_path, max_gflop):
    options = RunOptions(steps=(0,), budget=TrainBudget(max_gflop=max_gflop))
    (result,) = score_submission(
        Linear(), FakeDataset(), seeds=(0, 1), out_dir=tmp_path, options=options
    )
    return result


def test_training_within_the_budget_is_on_record(tmp_path):
    assert run(tmp_path, 2 * EPOCH).training.gflop == pytest.approx(EPOCH, rel=1e-3)


def test_training_beyond_the_budget_is_stopped(tmp_path):
    with pytest.raises(ResourceError, match=r"TrainBudget\.max_gflop"):
        run(tmp_path, 0.7 * EPOCH)
    assert not list(tmp_path.glob("*.safetensors"))


def test_without_a_budget_nothing_is_counted(tmp_path):
    assert run(tmp_path, None).training.gflop is None
