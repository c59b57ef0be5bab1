"""One matched block: a nuisance vector that can stand for every cell, and what follows from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.presets.base import Preset
from recombine.renderer.scenes.arrangements import ARRANGEMENTS, OCCLUDED, Rejection, stage_camera
from recombine.renderer.scenes.factors import Factor
from recombine.renderer.scenes.placement import Stand, draw_allowed, outside, violation


@dataclass(frozen=True)
class Block:
    """A nuisance vector and how many were drawn until it could stand."""

    preset: Preset
    nuisances: Mapping[str, float]
    tries: int

    def latents(self, codes: Mapping[str, int], variant: int) -> dict[str, Any]:
        """Return all latents of one image."""
        keys = self.preset.schema.keys
        found: dict[str, float] = {}
        fault: object = None
        try:
            found = arranged(self.preset, self.nuisances, codes, variant)
            fault = [k for k in keys if k not in found]
        except Rejection as rejection:
            fault = rejection
        if fault:
            raise InvalidInputError(
                f"{self.preset.name}: expected the arrangement {self.preset.arrangement!r} to "
                f"decide every derived factor; it leaves {fault}. Correct the arrangement."
            )
        return {k: found[k] for k in keys}


def block_of(preset: Preset, stream: str, number: int) -> Block:
    """Draw the nuisances of a block until every cell of the preset could stand with them."""
    # Whether a vector is kept depends on no single cell, so that rejecting cannot tilt any cell
    # against another.
    rng = keyed_rng(*preset.identity, f"nuisance/{stream}", number)
    schema = preset.schema

    factors = {k: schema.factor(k) for k in schema.nuisances}

    def draw() -> dict[str, float]:
        drawn = {key: _draw(factor, rng) for key, factor in factors.items()}
        return _spread(preset, drawn, rng) if len(schema.objects) > 2 else drawn

    def fault(nuisances: Mapping[str, float]) -> str:
        return next((f for f in _faults(preset, nuisances) if f), "")

    # The stream may hold the key of a hidden test set, which no message may show.
    who = f"{preset.name}, {stream.partition('/')[0]} block {number}"
    return Block(preset, *draw_allowed(draw, fault, who))


SPREAD = 60  # draws of one object among others, before all are drawn again


def _spread(preset: Preset, drawn: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Return nuisances in which each object was drawn anew until it keeps clear of those before."""
    # Many objects at once would almost never be allowed. No cell is asked here either.
    placed: dict[str, Stand] = {}
    camera = stage_camera(drawn)
    for slot in preset.schema.objects:
        x, y = f"{slot}.x", f"{slot}.y"
        for _ in range(SPREAD):
            stand = Stand(drawn[x], drawn[y], drawn[f"{slot}.scale"])
            pairs = ({slot: stand, name: other} for name, other in placed.items())
            if not outside({slot: stand}, camera) and not any(
                violation(pair, preset.separation or "apart", camera) for pair in pairs
            ):
                break
            drawn |= {key: _draw(preset.schema.factor(key), rng) for key in (x, y)}
        else:
            break  # no room is left: the vector will be refused as a whole
        placed[slot] = stand
    return drawn


def arranged(
    preset: Preset, nuisances: Mapping[str, float], codes: Mapping[str, int], variant: int
) -> dict[str, Any]:
    """Return nuisances, codes and what the preset's arrangement makes of them."""
    latents = {**nuisances, **codes}
    if not preset.arrangement:
        return latents
    return latents | ARRANGEMENTS[preset.arrangement](
        preset.schema, {**latents, "variant": variant}
    )


def _faults(preset: Preset, nuisances: Mapping[str, float]) -> Iterator[str]:
    """Yield what is wrong with the placement under every code that could matter to it."""
    for codes in _placings(preset):
        try:
            latents = arranged(preset, nuisances, codes, codes.get("variant", 0))
        except Rejection as rejection:
            yield str(rejection)
            continue
        camera = stage_camera(latents)
        stands = {
            slot: Stand(*(latents[f"{slot}.{f}"] for f in ("x", "y", "scale")))
            for slot in preset.schema.objects
        }
        if preset.separation is not None:
            hiding = codes.get("scene.interaction") == OCCLUDED
            yield violation(stands, "apart" if hiding else preset.separation, camera)
        yield outside(stands, camera)


MOVERS = ("scene.relation", "scene.interaction", "object0.zone", "object1.zone")
"""Factors on which an arrangement lets places depend."""


def _placings(preset: Preset) -> Sequence[dict[str, int]]:
    """Return the codes under which places must be tried; all other codes are 0."""
    schema = preset.schema
    decided = (*schema.recombined, *schema.crossed)
    movers = [k for k in decided if k in MOVERS]
    ranges = [range(schema.factor(k).size) for k in movers]
    rest = dict.fromkeys(decided, 0)
    return [rest | dict(zip(movers, v, strict=True)) for v in itertools.product(*ranges)]


def _draw(factor: Factor, rng: np.random.Generator) -> float:
    if factor.kind == "categorical":
        return int(rng.integers(factor.size))
    if factor.kind == "periodic":
        return float(rng.random() * 2 * math.pi)
    return float(factor.low + rng.random() * (factor.high - factor.low))
