"""Does more detail in the labels buy composition: one trunk, one budget, five kinds of labels.

From a label of its own for every image (DIET), over balanced clusters that the trunk makes up
itself (Asano et al. 2020, SeLa, arXiv 1911.05371), the combination of the recombined factors as
one class, and each recombined factor by itself, to every factor by itself. All are linear
classifiers on the same vector, trained by cross-entropy on augmented images, so nothing but the
labels differs; what they leave is read as that of any entry.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from recombine.baselines.methods.self_supervised import ImageNumbers, Trunk, VectorEncoder, augment
from recombine.baselines.studies.study import Claim, Row, Work
from recombine.baselines.training.loop import Schedule, autocast, endless, seeded, train
from recombine.benchmark.protocol.contract import MethodCard
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.renderer.store.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float, Int

    from recombine.benchmark.protocol.contract import RunLog, SplitSpec, TrainBudget
    from recombine.benchmark.results.parts import Score
    from recombine.benchmark.serving.data import Batch, TrainData

Level = Literal["instance", "clusters", "combination", "recombined factors", "every factor"]
LEVELS: tuple[Level, ...] = get_args(Level)
SHARPNESS, ROUNDS, RELABELS, CHUNK = 25.0, 30, 8, 256
DROP = 0.1
"""ID minus OOC accuracy, from which on a level is said not to compose."""


_SCHEDULE = Schedule(steps=900, batch_size=64, rate=1e-3, weight_decay=0.05)  # as self-supervised


@dataclass(frozen=True)
class Settings:
    """What all levels share."""

    data: str = ""  # dataset folder
    seeds: int = 3
    width: int = 64
    dim: int = 128
    schedule: Schedule = _SCHEDULE
    clusters: int = 256  # at most one per eight images
    bins: int = 4  # of a continuous factor or an angle, equally often used in training
    smoothing: float = 0.8  # of the labels of images, as in DIET; the others have none


TINY = Settings(
    seeds=1, width=32, dim=32, schedule=Schedule(8, batch_size=16, rate=1e-3), clusters=8
)


@dataclass(frozen=True)
class Unit:
    """One training run."""

    level: Level
    seed: int
    settings: Settings


def work(settings: Settings) -> Work[Unit]:
    """Return every level with every seed."""
    units = [Unit(level, seed, settings) for level in LEVELS for seed in range(settings.seeds)]
    return Work("granularity", units, compute, "1")


def compute(unit: Unit) -> Row:
    """Train with one kind of labels and score the trunk as any entry is scored."""
    dataset, settings = Dataset(Path(unit.settings.data)), unit.settings
    learner = Labelled(unit.level, tuple(dataset.schema.recombined), replace(settings, data=""))
    with tempfile.TemporaryDirectory() as folder:
        (result,) = score_submission(
            learner, dataset, seeds=[unit.seed], out_dir=Path(folder), options=RunOptions()
        )
    inside, outside = result.scores.id_test, result.scores.ooc_test
    row = {"id": inside.estimate, "ooc": outside.estimate}
    return row | {"id_r2": linear_r2(inside), "ooc_r2": linear_r2(outside)}


def linear_r2(score: Score) -> float | None:
    """Return the mean score of the ridge readouts of factors that are numbers or angles."""
    found = [f.estimate for f in score.per_factor.values() if not f.metric.startswith("balanced")]
    return float(np.mean(found)) if found else None


def claims(rows: Sequence[Row], settings: Settings) -> list[Claim]:
    """Judge what more detailed labels are expected to buy; decided before any run."""
    del settings
    ooc: dict[str, float] = {level: mean(rows, level, "ooc") for level in LEVELS}
    gaps: dict[str, float] = {level: mean(rows, level, "id") - ooc[level] for level in LEVELS}
    r2: dict[str, float] = {level: mean(rows, level, "id_r2") for level in LEVELS}
    apart, joint, every = "recombined factors", "combination", "every factor"
    return [
        Claim(
            "in combination, labels of every factor keep more of the numbers than one label for "
            "the combination",
            r2[every] > r2[joint],
            {level: r2[level] for level in (every, joint)},
        ),
        Claim(
            "a label per factor composes better than one label for the combination",
            ooc[apart] > ooc[joint],
            {level: ooc[level] for level in (apart, joint)},
        ),
        Claim(
            "labels of every factor compose better than labels of the recombined ones alone",
            ooc[every] > ooc[apart],
            {level: ooc[level] for level in (every, apart)},
        ),
        Claim(
            "no kind of labels composes: every level loses at least 10 points out of combination",
            min(gaps.values()) >= DROP,
            gaps,
        ),
    ]


def mean(rows: Sequence[Row], level: Level, key: str) -> float:
    """Return the mean over seeds of one number at one level; NaN where it does not exist."""
    values = [row[key] for row in rows if row["level"] == level and row[key] is not None]
    return float(np.mean(values)) if values else math.nan


def table(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of the table of means over seeds."""
    head = ("labels", "ID %", "OOC %", "linear R2, ID", "linear R2, OOC")
    lines = []
    for level in LEVELS:
        shares = [f"{100 * mean(rows, level, key):.1f}" for key in ("id", "ooc")]
        numbers = [f"{mean(rows, level, key):.2f}" for key in ("id_r2", "ooc_r2")]
        lines.append((level, *shares, *numbers))
    return head, lines


@dataclass(frozen=True)
class Labelled:
    """A trunk with linear classifiers on one kind of labels."""

    level: Level
    recombined: tuple[str, ...]  # keys of the factors whose combinations are held out
    settings: Settings

    @property
    def card(self) -> MethodCard:
        """Return the card; its supervision decides which labels are served."""
        own = self.level in ("instance", "clusters")
        return MethodCard(
            id=f"granularity-{self.level.replace(' ', '-')}",
            name=f"Labels: {self.level}",
            supervision="unsupervised" if own else "supervised",
            source="arXiv 2302.10260; arXiv 1911.05371; arXiv 2410.21869",
        )

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> VectorEncoder:
        """Train on in-combination images; nothing is selected on any image."""
        del val, budget
        how = self.settings
        with seeded(seed):
            trunk = Trunk(how.width, how.dim, data.spec.image_hw)
            labels = self._labels(data)
            heads = nn.ModuleList(nn.Linear(how.dim, n, bias=False) for n in labels.classes)
            model = nn.ModuleDict({"trunk": trunk, "heads": heads, "labels": labels})
            smoothing = how.smoothing if self.level == "instance" else 0.0

            def loss(batch: Batch) -> Tensor:
                if isinstance(labels, Clusters):
                    labels.keep_up(lambda images: heads[0](trunk(images)), data)
                with autocast("bf16", batch.images.device.type):
                    vectors = trunk(augment(batch.images))
                    parts = [
                        nn.functional.cross_entropy(
                            head(vectors).float(), wanted, label_smoothing=smoothing
                        )
                        for head, wanted in zip(heads, labels(batch).T, strict=True)
                    ]
                return torch.stack(parts).mean()

            batches = endless(data, how.schedule.batch_size, how.schedule.steps, seed)
            train(model, loss, batches, how.schedule, log=log, name=self.card.id)
        return VectorEncoder(trunk, how.dim, data.spec.image_hw)

    def _labels(self, data: TrainData) -> Images | Factors:
        if self.level == "instance":
            return Images(len(data))
        if self.level == "clusters":
            clusters = max(2, min(self.settings.clusters, len(data) // 8))
            return Clusters(len(data), clusters, self.settings.schedule.steps)
        keys = tuple(data.spec.factors) if self.level == "every factor" else self.recombined
        joint = self.level == "combination"
        return Factors(data.spec, keys, data.arrays().factors, self.settings.bins, joint=joint)


class Images(nn.Module):
    """Every image is a class of its own."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.classes = [images]
        self.numbers = ImageNumbers()

    def forward(self, batch: Batch) -> Int[Tensor, "images heads"]:
        """Return one label per image."""
        numbers: Tensor = self.numbers(batch.images)
        return numbers[:, None]


class Clusters(Images):
    """Balanced clusters of the network's own answers, made anew a few times in training."""

    labels: Tensor
    step: Tensor

    def __init__(self, images: int, clusters: int, steps: int) -> None:
        super().__init__(images)
        self.classes = [clusters]
        self.every = max(1, math.ceil(steps / RELABELS))
        self.register_buffer("labels", torch.zeros(images, dtype=torch.long))
        self.register_buffer("step", torch.tensor(0))

    def forward(self, batch: Batch) -> Int[Tensor, "images heads"]:
        """Return one label per image."""
        known: Tensor = self.labels[self.numbers(batch.images)]
        return known[:, None]

    @torch.no_grad()
    def keep_up(self, logits: Any, data: TrainData) -> None:
        """Count a step, and label all images when it is time to; they count as seen once more."""
        if int(self.step) % self.every == 0:
            found = [
                (self.numbers(batch.images), logits(batch.images))
                for batch in data.batches(CHUNK, seed=0)
            ]
            numbers = torch.cat([number for number, _ in found])
            scores = torch.cat([score for _, score in found])
            self.labels[numbers] = balanced(scores.float()).argmax(dim=1)
        self.step.add_(1)


def balanced(
    logits: Float[Tensor, "images clusters"], sharpness: float = SHARPNESS
) -> Float[Tensor, "images clusters"]:
    """Return assignments near ``softmax(logits) ** sharpness`` that use all clusters equally.

    Rows sum to 1, columns to images / clusters (Sinkhorn and Knopp, in logarithms); SeLa, Eq. 7.
    """
    table = sharpness * logits.log_softmax(dim=1)
    share = math.log(len(logits) / logits.shape[1])
    for _ in range(ROUNDS):
        table = table - table.logsumexp(dim=0, keepdim=True) + share
        table = table - table.logsumexp(dim=1, keepdim=True)
    return table.exp()


class Factors(nn.Module):
    """Labels from factors: numbers and angles by bins, one class per value or per combination."""

    def __init__(
        self,
        spec: SplitSpec,
        keys: Sequence[str],
        known: Mapping[str, Tensor],
        bins: int,
        *,
        joint: bool,
    ) -> None:
        super().__init__()
        self.keys, self.joint = tuple(keys), joint
        sizes = []
        for number, key in enumerate(keys):
            kind = spec.factors[key]
            if kind.startswith("categorical["):
                sizes.append(int(kind[len("categorical[") : -1]))
                continue
            levels = torch.linspace(0, 1, bins + 1)[1:-1]
            edges = torch.quantile(known[key].float(), levels)
            self.register_buffer(f"edges{number}", edges)
            sizes.append(bins)
        self.sizes = sizes
        self.classes = [math.prod(sizes)] if joint else sizes

    def forward(self, batch: Batch) -> Int[Tensor, "images heads"]:
        """Return one label per image and classifier."""
        columns = []
        for number, key in enumerate(self.keys):
            edges, values = getattr(self, f"edges{number}", None), batch.factors[key]
            columns.append(values.long() if edges is None else torch.bucketize(values, edges))
        if not self.joint:
            return torch.stack(columns, dim=1)
        code = torch.zeros_like(columns[0])
        for size, column in zip(self.sizes, columns, strict=True):
            code = code * size + column
        return code[:, None]
