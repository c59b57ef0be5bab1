"""Invertibility of a generator against the capacity of its encoder.

Pareek and Risteski (2022, arXiv 2107.04652): an encoder a little larger than an invertible
generator can invert it; where the generator is not bijective, none of any reasonable size may. Here
generators of known difficulty (condition number, folds) meet encoders of growing size, trained on
unlimited generated pairs (replay), and search by gradient descent, from random starts and from the
encoder's answer. Two errors are kept apart: that of the latents, and that of the regenerated
observation (the cycle), which certifies nothing about the latents.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from torch import nn

from recombine.baselines.studies.study import Claim, Row, Work, jacobians, mean_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Generator as Random
    from torch import Tensor

NAME = "invertibility"
VERSION = "1.0"
Family: TypeAlias = Literal["cond 1", "cond 10", "cond 100", "one fold", "all folds"]
INVERTIBLE: tuple[Family, ...] = ("cond 1", "cond 10", "cond 100")
FOLDED: tuple[Family, ...] = ("one fold", "all folds")
FOLD = 0.15
NOISE = 0.01
CLAIMS: tuple[tuple[str, dict[str, tuple[str, Family, str]]], ...] = (
    ("well conditioned: a larger encoder is better, search from several starts is best", {
        "search": ("best_nmse_z", "cond 1", "search"),
        "large": ("nmse_z", "cond 1", "large"),
        "small": ("nmse_z", "cond 1", "small"),
    }),
    ("ill conditioning costs latents at equal capacity", {
        "cond_1": ("nmse_z", "cond 1", "large"),
        "cond_10": ("nmse_z", "cond 10", "large"),
        "cond_100": ("nmse_z", "cond 100", "large"),
    }),
    ("ill conditioning does not show in the cycle: regenerated observations get better", {
        "cond_100": ("nmse_x", "cond 100", "large"),
        "cond_1": ("nmse_x", "cond 1", "large"),
    }),
    ("ill conditioned: search from the encoder beats the encoder, which beats random starts", {
        "from_encoder": ("encoder_nmse_z", "cond 100", "large"),
        "encoder": ("nmse_z", "cond 100", "large"),
        "random": ("random_nmse_z", "cond 100", "search"),
    }),
    ("folds: with capacity the encoder's cycle gets worse, it answers the mean of branches", {
        "small": ("nmse_x", "all folds", "small"),
        "large": ("nmse_x", "all folds", "large"),
    }),
    ("folds: search regenerates the observation better than the encoder", {
        "search": ("random_nmse_x", "all folds", "search"),
        "encoder": ("nmse_x", "all folds", "large"),
    }),
    ("folds: and yet its latents are further off, on the wrong branch", {
        "encoder": ("nmse_z", "all folds", "large"),
        "search": ("random_nmse_z", "all folds", "search"),
    }),
)  # fmt: skip
"""Statements about errors, and the errors that must ascend for them to hold."""


@dataclass(frozen=True)
class Settings:
    """Size of the study."""

    seeds: int = 2  # generators, each with its encoders and searches
    dim: int = 6  # latents and observed numbers
    outputs: int = 24  # latents and observed numbers
    # width and number of hidden layers, ascending in size
    encoders: tuple[tuple[int, int], ...] = ((32, 1), (128, 1), (32, 3), (128, 3), (256, 4))
    steps: int = 3000  # training of an encoder
    batch: int = 512  # training of an encoder
    search_steps: int = 300  # steps of a search, random starts of "best of", and scenes searched
    starts: int = 4  # steps of a search, random starts of "best of", and scenes searched
    test: int = 512  # steps of a search, random starts of "best of", and scenes searched


TINY = Settings(seeds=1, encoders=((8, 1), (32, 2)), steps=60, batch=64, search_steps=20, test=64)


@dataclass(frozen=True)
class Unit:
    """One encoder on one generator; with width 0, search from random starts."""

    family: Family  # kind of generator
    seed: int  # decides generator, encoder, data and starts
    width: int  # of the encoder
    depth: int  # of the encoder
    from_encoder: bool  # whether search also starts at this encoder's answer
    settings: Settings = field(default_factory=Settings)  # the rest


class Generator(nn.Module):
    """``h <- leaky(3 h W)`` three times, after a fold or an ill-conditioned linear map."""

    def __init__(self, family: Family, dim: int, outputs: int, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        condition = float(family.split()[1]) if family in INVERTIBLE else 1.0
        scale = torch.logspace(0, -float(np.log10(condition)), dim)
        self.folds = {"one fold": 1, "all folds": dim}.get(family, 0)
        self.first = nn.Parameter(_orthonormal(dim, dim, random) * scale, requires_grad=False)
        widths = (dim, outputs, outputs, outputs)
        self.layers = nn.ParameterList(
            nn.Parameter(_orthonormal(*shape, random), requires_grad=False)
            for shape in pairwise(widths)
        )

    def forward(self, latents: Float[Tensor, "scenes dim"]) -> Float[Tensor, "scenes outputs"]:
        """Return the observations of some latents in [-1, 1]."""
        folded = (latents[:, : self.folds] - FOLD).abs()
        hidden = torch.cat([folded, latents[:, self.folds :]], dim=1) @ self.first
        for weight in self.layers:
            hidden = nn.functional.leaky_relu(3 * hidden @ weight, 0.2)
        return hidden


def work(settings: Settings) -> Work[Unit]:
    """Return every encoder and search of the study."""
    units = []
    each = replace(settings, seeds=1, encoders=())  # more seeds or sizes keep what is there
    for seed, family in product(range(settings.seeds), (*INVERTIBLE, *FOLDED)):
        units.append(Unit(family, seed, 0, 0, False, each))
        units += [
            Unit(family, seed, width, depth, (width, depth) == settings.encoders[-1], each)
            for width, depth in settings.encoders
        ]
    return Work(NAME, units, compute, VERSION)


def compute(unit: Unit) -> Row:
    """Train one encoder, or search from random starts, and return the errors."""
    settings = unit.settings
    generator = Generator(unit.family, settings.dim, settings.outputs, unit.seed)
    random = torch.Generator().manual_seed(10_000 + unit.seed)
    truth = _latents(settings.test, settings.dim, random)
    if unit.width == 0:
        return {"condition": _condition(generator, truth)} | _random_search(
            generator, truth, settings, random
        )
    encoder = _train(generator, unit, random)
    with torch.no_grad():
        answer = encoder(generator(truth))
    row = _errors(generator, truth, answer)
    if unit.from_encoder:
        found, _ = _search(generator, truth, answer, settings.search_steps)
        row |= {f"encoder_{k}": v for k, v in _errors(generator, truth, found).items()}
    return row


def claims(rows: Sequence[Row], settings: Settings) -> list[Claim]:
    """Return the orderings that the study is about, each decided by the rows."""
    places = {
        "small": dict(zip(("width", "depth"), settings.encoders[0], strict=True)),
        "large": dict(zip(("width", "depth"), settings.encoders[-1], strict=True)),
        "search": {"width": 0},
    }
    out = []
    for text, ascending in CLAIMS:
        evidence = {
            name: mean_of(rows, key, family=family, **places[who])
            for name, (key, family, who) in ascending.items()
        }
        holds = all(a < b for a, b in pairwise(evidence.values()))
        out.append(Claim(text, holds, evidence))
    return out


def _orthonormal(rows: int, columns: int, random: Random) -> Float[Tensor, "rows columns"]:
    """Return random orthonormal rows, ``rows <= columns``."""
    q, r = torch.linalg.qr(torch.randn(columns, rows, generator=random))
    basis: Tensor = (q * torch.sign(torch.diagonal(r))).T.contiguous()
    return basis


def _latents(count: int, dim: int, random: Random) -> Float[Tensor, "scenes dim"]:
    return 2 * torch.rand(count, dim, generator=random) - 1


def _train(generator: Generator, unit: Unit, random: Random) -> nn.Module:
    """Fit an encoder to unlimited generated pairs; the observation carries 1 % of noise."""
    settings = unit.settings
    torch.manual_seed(20_000 + unit.seed)
    widths = [settings.outputs, *[unit.width] * unit.depth]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.GELU()]
    encoder = nn.Sequential(*layers, nn.Linear(unit.width, settings.dim))
    with torch.no_grad():
        spread = NOISE * generator(_latents(4096, settings.dim, random)).std(dim=0)
    optimiser = torch.optim.Adam(encoder.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=settings.steps)
    for _ in range(settings.steps):
        latents = _latents(settings.batch, settings.dim, random)
        with torch.no_grad():
            seen = generator(latents)
            seen += spread * torch.randn(seen.shape, generator=random)
        loss = (encoder(seen) - latents).square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return encoder


def _random_search(
    generator: Generator, truth: Tensor, settings: Settings, random: Random
) -> dict[str, float]:
    """Search from several random starts; report the first, and per scene the best by its cycle."""
    found, errors = [], []
    for _ in range(settings.starts):
        start = _latents(len(truth), settings.dim, random)
        latents, error = _search(generator, truth, start, settings.search_steps)
        found.append(latents)
        errors.append(error)
    best = torch.stack(errors).argmin(dim=0)
    chosen = torch.stack(found)[best, torch.arange(len(truth))]
    one, many = (_errors(generator, truth, answer) for answer in (found[0], chosen))
    return {f"random_{k}": v for k, v in one.items()} | {f"best_{k}": v for k, v in many.items()}


def _search(
    generator: Generator, truth: Tensor, start: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Descend on the squared error of the observation; return latents and that error per scene."""
    target = generator(truth)
    latents = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([latents], lr=0.05)
    for _ in range(steps):
        loss = (generator(latents) - target).square().sum()
        (latents.grad,) = torch.autograd.grad(loss, latents)
        optimiser.step()
    found = latents.detach()
    return found, (generator(found) - target).square().sum(dim=1)


@torch.no_grad()
def _errors(generator: Generator, truth: Tensor, answer: Tensor) -> dict[str, float]:
    seen = generator(truth)
    spread = (seen - seen.mean(dim=0)).square().sum(dim=1).mean()
    cycle = (generator(answer) - seen).square().sum(dim=1).mean()
    latent = (answer - truth).square().mean() * 3  # latents are uniform in [-1, 1]: variance 1/3
    return {"nmse_z": float(latent), "nmse_x": float(cycle / spread)}


def _condition(generator: Generator, latents: Tensor) -> float:
    values = torch.linalg.svdvals(jacobians(generator, latents[:128]))
    return float((values[:, 0] / values[:, -1]).median())
