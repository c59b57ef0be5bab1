"""The Moebius map keeps angles, the ELBO is what it is said to be, claims follow the rows."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recombine.baselines.studies import study as analysis
from recombine.baselines.studies import variance as study
from recombine.baselines.studies.variance import GaussianVae, Moebius
from recombine.benchmark.metrics.decoder_jacobian import gram, local_ima


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def test_moebius_maps_keep_angles():
    mixing = Moebius(3, random())
    points = torch.rand(32, 3, generator=random(1))
    assert float((points - mixing.centre).norm(dim=1).min()) > 0.1
    jacobian = analysis.jacobians(mixing, points)
    assert local_ima(gram(jacobian[:, None].numpy())) == pytest.approx(np.zeros(32), abs=1e-5)
    lengths = jacobian.norm(dim=1)
    assert torch.allclose(lengths, lengths[:, :1].expand(-1, 3), rtol=1e-4)
    assert float(lengths.max() / lengths.min()) > 1.5  # it is not merely a rotation


def test_elbo_is_below_the_likelihood_of_a_solved_case():
    """Decoder 0 and posterior = prior: the ELBO is the likelihood itself, N(0, variance)."""
    model = GaussianVae(2, 8, 0.5)
    for parameter in model.parameters():
        parameter.data.zero_()
    seen = torch.randn(16, 2, generator=random())
    expected = -torch.distributions.Normal(0.0, math.sqrt(0.5)).log_prob(seen).sum(dim=1)
    assert torch.allclose(model.loss(seen, random()), expected, atol=1e-5)


def test_the_tiny_sweep_runs_and_repeats(tmp_path):
    settings = replace(study.TINY, steps=30)
    rows = analysis.run(study.work(settings), tmp_path)
    assert [row["variance"] for row in rows] == [1.0, 1e-3]
    for row in rows:
        assert 0 <= row["mcc"] <= 1
        assert 0 <= row["mcc_raw"] <= 1
        assert row["z_cycle"] > 0
        assert row["ima"] is None or row["ima"] >= 0
        assert row["variance_ratio"] > 0
    again = study.compute(study.Unit(1e-3, 0, settings))
    assert again["elbo"] == pytest.approx(rows[1]["elbo"], rel=1e-3)
    assert len(study.claims(rows, settings)) == 5


def made_up(change=None):
    rows = []
    for variance, z, x, mcc, ratio in ((1.0, 2.0, 0.99, 0.4, 9.0), (0.1, 0.5, 0.6, 0.7, 3.0),
                                       (1e-2, 0.1, 0.1, 0.98, 1.1), (1e-3, 0.02, 0.02, 0.97, 1.0),
                                       (1e-4, 0.01, 0.01, 0.9, 1.05),
                                       (1e-5, 0.005, 0.001, 0.8, 1.2)):  # fmt: skip
        row = {"variance": variance, "z_cycle": z, "z_cycle_recombined": 2 * z, "x_cycle": x,
               "mcc": mcc, "mcc_raw": 0.75, "variance_ratio": ratio}  # fmt: skip
        rows.append(row | (change or {}))
    return rows


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (None, None),
        ({"z_cycle": 0.01}, 0),
        ({"z_cycle_recombined": 0.001}, 1),
        ({"x_cycle": 0.1}, 2),
        ({"mcc_raw": 0.99}, 3),
        ({"variance_ratio": 40.0}, 4),
    ],
)
def test_claims_follow_the_rows(change, broken):
    holds = [claim.holds for claim in study.claims(made_up(change), study.Settings())]
    assert holds == [number != broken for number in range(5)]
