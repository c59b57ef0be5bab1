"""Decoder variance of a VAE: self-consistency, orthogonality of the decoder, identified latents.

Reizinger et al. (2022, arXiv 2206.02416): as the decoder's variance goes to 0 the optimal encoder
inverts the decoder (self-consistency), the posterior variance of a latent tends to the decoder
variance over the squared length of its Jacobian column (plus the curvature of the prior), and the
ELBO tends to the likelihood minus the IMA contrast. Data: Moebius maps of uniform latents, which
preserve angles, so the true contrast is 0.

Latents are uniform, so the code is standard normal and the decoder reads its distribution function
``Phi(code)``: the prior is then uniform, too, and the ELBO stays exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from recombine.baselines.studies.study import Claim, Row, Work, jacobians, mean_of
from recombine.benchmark.metrics.decoder_jacobian import (
    condition_number,
    gram,
    local_ima,
    summarise,
)
from recombine.benchmark.metrics.identifiability import Codes, mcc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Generator as Random
    from torch import Tensor

NAME = "variance"
VERSION = "1.0"


@dataclass(frozen=True)
class Settings:
    """Size of the sweep."""

    seeds: int = 5  # mixings, each with its nets; fewer than five say little, runs differ a lot
    # decoder variances, descending; observations have unit variance
    variances: tuple[float, ...] = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
    dim: int = 3  # latents, and observed numbers
    width: int = 64  # of the two hidden layers of encoder and decoder
    samples: int = 20_000  # data and training
    steps: int = 3_000  # data and training
    batch: int = 256  # data and training
    test: int = 1024  # scenes measured


TINY = Settings(seeds=1, variances=(1.0, 1e-3), width=16, samples=512, steps=80, batch=64, test=64)


@dataclass(frozen=True)
class Unit:
    """One VAE."""

    variance: float  # of its decoder
    seed: int  # decides mixing, data, nets
    settings: Settings = field(default_factory=Settings)  # the rest


class Moebius:
    """``a' + A (z - a) / |z - a|^2``: bends space and keeps all angles."""

    def __init__(self, dim: int, random: Random) -> None:
        self.rotation = torch.linalg.qr(torch.randn(dim, dim, generator=random))[0]
        direction = torch.randn(dim, generator=random)
        self.centre = 0.5 + 0.5 * math.sqrt(dim) * 1.3 * direction / direction.norm()

    def __call__(self, latents: Float[Tensor, "scenes dim"]) -> Float[Tensor, "scenes dim"]:
        """Return the images of some latents."""
        away = latents - self.centre
        out: Tensor = away / away.square().sum(dim=1, keepdim=True) @ self.rotation
        return out


class GaussianVae(nn.Module):
    """Gaussian VAE with a fixed decoder variance; the decoder reads ``Phi(code)``."""

    def __init__(self, dim: int, width: int, variance: float) -> None:
        super().__init__()
        self.dim, self.variance = dim, variance
        self.encoder = _mlp(dim, width, 2 * dim)
        self.decoder = _mlp(dim, width, dim)

    def posterior(self, seen: Float[Tensor, "scenes dim"]) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the codes."""
        mean, log_variance = self.encoder(seen).chunk(2, dim=1)
        return mean, log_variance.clamp(-18.0, 4.0)

    def decode(self, codes: Float[Tensor, "scenes dim"]) -> Float[Tensor, "scenes dim"]:
        """Return the mean observation of some codes."""
        out: Tensor = self.decoder(2 * torch.special.ndtr(codes) - 1)
        return out

    def loss(self, seen: Float[Tensor, "scenes dim"], random: Random) -> Float[Tensor, " scenes"]:
        """Return the negative ELBO in nats, up to the constant of the prior."""
        mean, log_variance = self.posterior(seen)
        noise = torch.randn(mean.shape, generator=random)
        codes = mean + noise * (log_variance / 2).exp()
        error = (self.decode(codes) - seen).square().sum(dim=1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        normaliser = 0.5 * self.dim * math.log(2 * math.pi * self.variance)
        return error / (2 * self.variance) + normaliser + divergence


def work(settings: Settings) -> Work[Unit]:
    """Return every VAE of the sweep."""
    pairs = product(range(settings.seeds), settings.variances)
    each = replace(settings, seeds=1, variances=())  # a longer sweep keeps what is there
    units = [Unit(variance, seed, each) for seed, variance in pairs]
    return Work(NAME, units, compute, VERSION)


def compute(unit: Unit) -> Row:
    """Train one VAE and return what became of it."""
    settings = unit.settings
    random = torch.Generator().manual_seed(unit.seed)
    mixing = Moebius(settings.dim, random)
    latents = torch.rand(settings.samples + settings.test, settings.dim, generator=random)
    seen = mixing(latents)
    seen = (seen - seen.mean(dim=0)) / seen.std(dim=0).square().mean().sqrt()
    train, test = seen[: settings.samples], seen[settings.samples :]
    torch.manual_seed(1000 + unit.seed)
    model = GaussianVae(settings.dim, settings.width, unit.variance)
    _fit(model, train, settings, random)
    return _cycles(model, test, random) | _identified(model, test, latents[settings.samples :])


def claims(rows: Sequence[Row], settings: Settings) -> list[Claim]:
    """Return the orderings that the sweep is about, each decided by the rows."""
    largest, smallest = settings.variances[0], settings.variances[-1]

    def curve(key: str) -> dict[str, float]:
        return {f"{v:g}": mean_of(rows, key, variance=v) for v in settings.variances}

    consistency, recombined = curve("z_cycle"), curve("z_cycle_recombined")
    identified, ratio = curve("mcc"), curve("variance_ratio")
    raw = mean_of(rows, "mcc_raw")
    best = max(identified, key=identified.__getitem__)
    return [
        Claim(
            "self-consistency improves as the decoder variance falls, by more than ten times",
            consistency[f"{smallest:g}"] * 10 < consistency[f"{largest:g}"],
            consistency,
        ),
        Claim(
            "also on recombined codes, where it is worse than on codes of data",
            recombined[f"{smallest:g}"] * 10 < recombined[f"{largest:g}"]
            and recombined[f"{smallest:g}"] >= consistency[f"{smallest:g}"],
            recombined,
        ),
        Claim(
            "a large variance collapses: little is reconstructed, and latents are identified no "
            "better than by the raw observation",
            mean_of(rows, "x_cycle", variance=largest) > 0.5 and identified[f"{largest:g}"] < raw,
            {
                "x_cycle": mean_of(rows, "x_cycle", variance=largest),
                "mcc": identified[f"{largest:g}"],
                "mcc_raw": raw,
            },
        ),
        Claim(
            "the best variance for identified latents lies inside the sweep, above the raw floor",
            best not in (f"{largest:g}", f"{smallest:g}") and identified[best] > raw,
            identified | {"raw": raw},
        ),
        Claim(
            "over most of the sweep posterior variances are at their limit, the decoder variance "
            "over the squared column length, with the curvature of the prior",
            sum(0.8 < value < 1.25 for value in ratio.values()) > len(ratio) / 2,
            ratio,
        ),
    ]


def _mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
        nn.Linear(width, outputs),
    )  # fmt: skip


def _fit(model: GaussianVae, train: Tensor, settings: Settings, random: Random) -> None:
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=settings.steps)
    for _ in range(settings.steps):
        batch = train[torch.randint(len(train), (settings.batch,), generator=random)]
        loss = model.loss(batch, random).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0 / model.variance)
        optimiser.step()
        schedule.step()


@torch.no_grad()
def _cycles(model: GaussianVae, test: Tensor, random: Random) -> Row:
    codes, _ = model.posterior(test)
    order = [torch.randperm(len(codes), generator=random) for _ in range(model.dim)]
    mixed = torch.stack([codes[rows, i] for i, rows in enumerate(order)], dim=1)
    spread = codes.var(dim=0).clamp_min(1e-12)

    def again(start: Tensor) -> float:
        back, _ = model.posterior(model.decode(start))
        return float(((back - start).square().mean(dim=0) / spread).mean())

    return {
        "elbo": -float(model.loss(test, random).mean()),
        "x_cycle": float((model.decode(codes) - test).square().mean() / test.var(dim=0).mean()),
        "z_cycle": again(codes),
        "z_cycle_recombined": again(mixed),
    }


def _identified(model: GaussianVae, test: Tensor, latents: Tensor) -> Row:
    with torch.no_grad():
        codes, log_variance = model.posterior(test)
    uniform = torch.special.ndtr(codes).numpy().astype(float)
    truth = latents.numpy().astype(float)
    squares = gram(jacobians(model.decode, codes)[:, None].numpy())
    contrast, condition = summarise(local_ima(squares)), condition_number(squares)
    # With the prior's curvature: 1 / (1 + |J_k|^2 / variance).
    limit = 1 / (1 + np.diagonal(squares, axis1=1, axis2=2) / model.variance)
    finite = bool(np.isfinite(condition).all())
    return {
        "mcc": mcc(Codes(uniform, truth)).value,
        "mcc_raw": mcc(Codes(test.numpy().astype(float), truth)).value,
        "ima": None if contrast.mean is None else contrast.mean / model.dim,
        "ima_p95": None if contrast.p95 is None else contrast.p95 / model.dim,
        "condition": float(np.median(condition)) if finite else None,
        "variance_ratio": float(np.median(log_variance.exp().numpy() / limit)),
    }
