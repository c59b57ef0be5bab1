"""What a method's decoder does, measured on the living method beside its answers.

The method is a black box with two functions, images to slots and slots to images, so the same
code examines an object of this process and isolated code (`isolation_talk.RemoteProbe`): all
derivatives are differences of decoded images. Everything is read before any search step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recombine.benchmark.metrics.decoder import (
    ACTIVE,
    active_dimensions,
    cross_slot_mass,
    decoder_fidelity,
    decoder_structure,
    x_cycle,
    z_cycle,
)
from recombine.benchmark.metrics.decoder_jacobian import (
    ima_chance,
    pixel_sums,
    summarise,
    twin_fidelity,
)
from recombine.benchmark.metrics.derivatives import as_numpy
from recombine.benchmark.metrics.readout import Representation, match_slots
from recombine.benchmark.protocol.outputs import WrongAnswerError
from recombine.benchmark.serving.data import to_images
from recombine.benchmark.serving.recombination import Donors, find_donors, recombine, shuffle_slots
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

    from recombine.benchmark.inference.probe import Probe
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

BATCH = 64
FITTED = 512
LOOKED_AT = 256
MOST_DECODED = 2_048
MOST_POINTS = 16
Diagnostics = dict[str, Any]


def examine(
    probe: Probe, dataset: DatasetLike, fitted: Int[Array, " n"], *, fixed: bool, seed: int
) -> Diagnostics:
    """Examine a method's decoder."""
    try:
        return _examine(probe, dataset, fitted, fixed=fixed, seed=seed)
    except WrongAnswerError as error:
        raise InvalidInputError(
            f"decode: expected {error.args[0]}, got {error.args[1]}; see "
            "recombine.benchmark.protocol.contract.Inverter"
        ) from None


def _examine(
    probe: Probe, dataset: DatasetLike, fitted: Array, *, fixed: bool, seed: int
) -> Diagnostics:
    rng = np.random.default_rng([int(dataset.identity[:8], 16), seed])
    inside, outside = (_some(dataset.indices(n), rng) for n in ("id_test", "ooc_test"))
    variance = _pixels(dataset, inside).variance
    train = _encode(probe, dataset, _some(fitted, rng, FITTED))
    codes = _encode(probe, dataset, inside)
    spread = train.var(axis=0)
    active = active_dimensions(train, ACTIVE * max(float(spread.max()), 1e-30))
    out: Diagnostics = {
        "x_cycle_id": _cycle(probe, dataset, inside, variance),
        "x_cycle_ooc": _cycle(probe, dataset, outside, variance),
        "active_latents": int(active.sum()),
        "n_images": len(inside),
    }
    if fixed:
        mixed = shuffle_slots(codes, seed) if len(codes) >= codes.shape[1] else codes
        out["z_self_consistency_id"] = _z(probe, codes, spread, active)
        out["z_self_consistency_recombined"] = _z(probe, mixed, spread, active)
        out |= _fidelity(probe, dataset, fitted, variance, rng)
    if active.any(axis=1).sum() >= 2:
        out |= _structure(probe, codes, spread, active, seed)
    return out


def _some(indices: Array, rng: np.random.Generator, most: int = LOOKED_AT) -> Array:
    chosen: Array = np.sort(rng.permutation(indices)[:most])
    return chosen


def _batches(values: Array) -> list[Array]:
    return [values[start : start + BATCH] for start in range(0, len(values), BATCH)]


def _images(dataset: DatasetLike, indices: Array) -> Tensor:
    return to_images(dataset.images(indices))


def _pixels(dataset: DatasetLike, indices: Array) -> Any:
    parts = [pixel_sums(as_numpy(_images(dataset, part))) for part in _batches(indices)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _encode(probe: Probe, dataset: DatasetLike, indices: Array) -> Array:
    parts = [probe.encode(_images(dataset, part)).numpy() for part in _batches(indices)]
    return np.concatenate(parts)


def _mean(parts: list[Array]) -> float:
    return float(np.concatenate(parts).mean())


def _cycle(probe: Probe, dataset: DatasetLike, indices: Array, variance: float) -> float:
    return _mean(
        [
            x_cycle(probe.encode, probe.decode, _images(dataset, part), variance)
            for part in _batches(indices)
        ]
    )


def _z(probe: Probe, slots: Array, spread: Array, active: Bool[Array, "slots dim"]) -> float | None:
    parts = [
        z_cycle(probe.encode, _clipped(probe), torch.from_numpy(part), spread, active)
        for part in _batches(slots)
    ]
    known = [part for part in parts if part is not None]
    return _mean(known) if known else None


def _clipped(probe: Probe) -> Any:
    """Return a decoder whose images an encoder accepts."""
    return lambda slots: probe.decode(slots).clamp(0, 1)


def _fidelity(
    probe: Probe, dataset: DatasetLike, fitted: Array, variance: float, rng: np.random.Generator
) -> Diagnostics:
    """Decode the recombined slots of in-combination twins; compare with the true render."""
    roles = _roles(probe, dataset, _some(fitted, rng, FITTED))
    tests = np.concatenate([dataset.indices("id_test"), dataset.indices("ooc_test")])
    inside = np.isin(tests, dataset.indices("id_test"))
    found = find_donors(dataset.cells[tests], dataset.blocks[tests], inside)
    if roles is None or len(found.targets) == 0:
        return {}
    chosen = rng.permutation(len(found.targets))[:LOOKED_AT]
    targets, donors = found.targets[chosen], found.donors[chosen]
    needed, place = np.unique(np.concatenate([targets, donors.ravel()]), return_inverse=True)
    slots = _encode(probe, dataset, tests[needed])
    at, of = place[: len(targets)], place[len(targets) :].reshape(donors.shape)
    mixed = recombine(slots, of, roles)
    images = as_numpy(_images(dataset, tests[needed]))
    scores: dict[str, list[Array]] = {"recombined": [], "own": []}
    for rows in _batches(np.arange(len(targets))):
        true = images[at[rows]]
        for name, codes in (("recombined", mixed[rows]), ("own", slots[at[rows]])):
            scores[name].append(
                decoder_fidelity(probe.decode, torch.from_numpy(codes), true, variance)
            )
    twins = twin_fidelity(images, Donors(at, of, 0), variance)
    return {
        "decoder_fidelity_recombined": _mean(scores["recombined"]),
        "decoder_fidelity_own_slots": _mean(scores["own"]),
        "decoder_fidelity_twin": float(twins.mean()),
        "n_recombined": len(targets),
    }


def _roles(probe: Probe, dataset: DatasetLike, fitted: Array) -> Int[Array, " factors"] | None:
    """Return the method's slot of every recombined factor; None when two share a slot."""
    schema = dataset.schema
    keys = schema.keys

    def known(indices: Array) -> Representation:
        slots = _encode(probe, dataset, indices)
        return Representation(slots, {key: dataset.latents[key][indices] for key in keys})

    match = match_slots(known(fitted), known(dataset.indices("id_val")), schema).match
    names = [slot.name for slot in schema.slots]
    roles = np.array([match[names.index(key.rpartition(".")[0])] for key in schema.recombined])
    return roles if len(set(roles.tolist())) == len(roles) else None


def _structure(
    probe: Probe, codes: Array, spread: Array, active: Bool[Array, "slots dim"], seed: int
) -> Diagnostics:
    """Return what the decoder's derivatives say, at a few in-combination points."""
    count = int(np.clip(MOST_DECODED // (2 * active.sum()), 2, MOST_POINTS))
    points = torch.from_numpy(codes[:count])
    scale = torch.from_numpy(np.sqrt(spread).astype(np.float32))
    found = decoder_structure(
        probe.decode, points, scale=scale, active=active, method="differences"
    )
    pairs = active.shape[0] * (active.shape[0] - 1) // 2
    few = points[: max(2, min(count, 8 // max(pairs, 1)))]
    cross = cross_slot_mass(probe.decode, few, scale=scale, seed=seed, method="differences")
    groups = np.nonzero(active)[0]
    outputs = int(probe.decode(points[:1]).numel())
    sums, weights = found.interaction
    local, block = summarise(found.ima), summarise(found.block_ima)
    return {
        "ima_contrast": local.mean,
        "ima_contrast_chance": _chance(outputs, np.arange(len(groups))),
        "block_ima_contrast": block.mean,
        "block_ima_contrast_chance": _chance(outputs, groups),
        "ima_degenerate_points": local.degenerate,
        "compositional_contrast": float(found.contrast.mean()),
        "jacobian_interaction_score": _ratio(sums, weights),
        "cross_slot_second_derivative": _ratio(cross.cross, cross.first),
        "n_points": count,
    }


def _chance(outputs: int, groups: Int[Array, " dim"]) -> float | None:
    return ima_chance(outputs, groups) if len(groups) <= outputs else None


def _ratio(top: Array, bottom: Array) -> float | None:
    return float(top.sum() / bottom.sum()) if bottom.sum() > 0 else None
