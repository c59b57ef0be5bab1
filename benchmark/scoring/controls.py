"""What the readout alone is worth: of as many numbers that nobody learnt, and of other slots.

A readout of many numbers finds much in any of them, so what a method's readout scores says little
without what the same readout makes of convolutional networks with random weights. And where the
data leave open which slot of a method stands for which scene slot, a score says little without the
score of the other assignment.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.readout import Representation, fit_readout
from recombine.benchmark.results.parts import RandomNetwork, SlotMatch
from recombine.benchmark.scoring import aggregate
from recombine.benchmark.scoring.extra import SPLITS, estimate_over_cells, shares_by_cell
from recombine.benchmark.serving.data import to_images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float, Int
    from torch import Tensor

    from recombine.benchmark.metrics.readout import Readout
    from recombine.benchmark.predictions.alignment import AlignedPredictions
    from recombine.benchmark.results.parts import Estimate
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

NETWORKS = 3
EDGE = 64  # larger images are averaged down to it: the pass costs the same for every dataset
CHANNELS = (3, 16, 32, 64)
GRID = 8
BATCH = 256
DIGITS = 4  # of codes of order 1: rounding elsewhere must not move them
_KNOWN: dict[tuple[object, ...], RandomNetwork] = {}  # scores of this process, for other entries


def slot_match_part(
    aligned_runs: Sequence[AlignedPredictions],
    readouts: Sequence[Readout],
    images: Int[Array, " labelled"],
    answers: Mapping[str, Sequence[Mapping[str, Array]]],
) -> SlotMatch:
    """Say how the slots were assigned, and what other slots score where that is not clear."""
    made = [one.assignment for one in readouts if one.assignment is not None]
    if len(made) < len(readouts):
        return SlotMatch(decided_on="masks")
    runners_up = [None if one.clear else one.runner_up for one in made]
    other = _swapped(aligned_runs, runners_up, images, answers) if any(runners_up) else {}
    return SlotMatch(
        decided_on=made[0].decided_on,
        n_images=made[0].images,
        n_cells=made[0].cells,
        margin=tuple(one.margin for one in made),
        standard_error=tuple(one.standard_error for one in made),
        clear=tuple(one.clear for one in made),
        equal=tuple(one.equal for one in made),
        runner_up=tuple(one.runner_up for one in made),
        other_id=other.get("id_test"),
        other_ooc=other.get("ooc_test"),
    )


def _swapped(
    aligned_runs: Sequence[AlignedPredictions],
    matches: Sequence[tuple[int, ...] | None],
    images: Int[Array, " labelled"],
    answers: Mapping[str, Sequence[Mapping[str, Array]]],
) -> dict[str, Estimate]:
    """Return the scores with other slots in some seeds; None leaves a seed as it is."""
    dataset = aligned_runs[0].dataset
    keys, val = dataset.schema.recombined, dataset.indices("id_val")
    readouts = [
        None
        if match is None
        else fit_readout(
            aligned.known(images), aligned.known(val), dataset.schema, only=keys, match=match
        )
        for aligned, match in zip(aligned_runs, matches, strict=True)
    ]
    scores = {}
    for name in SPLITS:
        split = aggregate.group_by_cell(dataset, name)
        read = [
            found if readout is None else readout.predict(aligned.at(split.indices))
            for found, readout, aligned in zip(answers[name], readouts, aligned_runs, strict=True)
        ]
        correct = aggregate.correct_images(dataset, split, read)
        scores[name] = estimate_over_cells(shares_by_cell(split, correct))
    return scores


def random_network_part(
    dataset: DatasetLike, images: Int[Array, " labelled"], width: int
) -> RandomNetwork:
    """Score the same readout of a few networks with random weights and ``width`` outputs."""
    tests = [aggregate.group_by_cell(dataset, name) for name in SPLITS]
    asked = [images, dataset.indices("id_val"), *(split.indices for split in tests)]
    keys = dataset.schema.recombined
    known = (
        dataset.root,
        dataset.resolution,
        dataset.schema,
        width,
        *(indices.tobytes() for indices in asked),
    )
    if known not in _KNOWN:
        codes = [random_codes(dataset, indices, width) for indices in asked]
        estimates = []
        readouts = []
        for n in range(NETWORKS):
            train, val = (
                Representation(code[:, [n]], {key: dataset.latents[key][i] for key in keys})
                for code, i in zip(codes[:2], asked[:2], strict=True)
            )
            match = (0,) * len(dataset.schema.slots)
            readouts.append(fit_readout(train, val, dataset.schema, only=keys, match=match))
        for split, code in zip(tests, codes[2:], strict=True):
            answers = [readout.predict(code[:, [n]]) for n, readout in enumerate(readouts)]
            correct = aggregate.correct_images(dataset, split, answers)
            estimates.append(estimate_over_cells(shares_by_cell(split, correct)))
        inside, outside = estimates
        _KNOWN[known] = RandomNetwork(width=width, id_test=inside, ooc_test=outside)
    return _KNOWN[known]


def random_codes(
    dataset: DatasetLike, indices: Int[Array, " n"], width: int
) -> Float[Array, "n networks width"]:
    """Return what each of a few random networks says about some images."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            networks = [_weights(seed, width) for seed in range(NETWORKS)]
            parts = []
            for start in range(0, len(indices), BATCH):
                images = to_images(dataset.images(indices[start : start + BATCH]))
                codes = torch.stack([_codes(images, one) for one in networks], dim=1)
                parts.append(codes.numpy().round(DIGITS))
    finally:
        torch.set_num_threads(threads)
    return np.concatenate(parts)


def _weights(seed: int, width: int) -> list[Tensor]:
    """Draw three layers of convolutions and a linear one, scaled to keep the variance."""
    import torch

    rng = np.random.default_rng([20_241, seed])
    convolutions = [(out, into, 3, 3) for into, out in pairwise(CHANNELS)]
    shapes: list[tuple[int, ...]] = [*convolutions, (width, CHANNELS[-1] * GRID * GRID)]
    drawn = [rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape) for shape in shapes]
    return [torch.from_numpy(one.astype(np.float32)) for one in drawn]


def _codes(images: Float[Tensor, "n 3 height width"], weights: list[Tensor]) -> Tensor:
    from torch.nn import functional

    *convolutions, linear = weights
    edge = min(EDGE, *images.shape[2:])
    grid = (functional.adaptive_avg_pool2d(images, edge) - 0.5) * 4
    for weight in convolutions:
        grid = functional.relu(functional.conv2d(grid, weight, stride=2, padding=1))
    return functional.adaptive_avg_pool2d(grid, GRID).flatten(1) @ linear.T
