"""Methods that know nothing score chance, on both splits, whatever readout looks at them."""

from __future__ import annotations

import pytest
import torch
from fakes import Constant, FakeDataset, Pixels, halves

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission


class Random(Pixels):
    """Numbers that differ from image to image, repeat, and say nothing about it."""

    slot_dim = 8
    card = MethodCard(id="random", name="Random", data="open")

    def encode(self, images):
        bits = (images * 255).round().flatten(1).double()
        weight = torch.sin(torch.arange(bits.shape[1] * 16, dtype=torch.float64)).reshape(-1, 16)
        return SlotOutput(slots=torch.sin(1e4 * bits @ weight).float().unflatten(1, (2, 8)))


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=20, val=4, test=16)


@pytest.mark.parametrize("method", [Constant(), Random()], ids=["constant", "random"])
def test_nothing_known_is_chance(method, dataset, tmp_path):
    options = RunOptions(readout_labels=160)
    (result,) = score_submission(method, dataset, seeds=[0], out_dir=tmp_path, options=options)
    for score in (result.scores.id_test, result.scores.ooc_test):
        assert score.chance == 1 / 16
        assert abs(score.estimate - score.chance) < 0.07  # 128 images, standard error 0.02
        for key in ("object.shape", "background.environment"):
            assert abs(score.per_factor[key].estimate) < 0.2, key
    assert abs(result.gap.estimate) < 0.13


def test_pixels_know_everything_here_on_both_splits(dataset, tmp_path):
    """Drawn images are linear in their factors; a rendered set is where this floor is low."""
    options = RunOptions(readout_labels=160)
    (result,) = score_submission(Pixels(), dataset, seeds=[0], out_dir=tmp_path, options=options)
    assert result.scores.id_test.estimate == result.scores.ooc_test.estimate == 1.0
    assert halves(torch.zeros(1, 3, 8, 8)).shape == (1, 2, 96)
