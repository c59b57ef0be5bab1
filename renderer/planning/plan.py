"""The plan of a dataset: every latent and seed, drawn and stored before anything is rendered.

A block is one nuisance vector rendered for a set of whole orbits of cells. Blocks make the
nuisances of ID-test and OOC-test identical, not merely equal in law, so the gap between the
two is a paired statistic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.types import Array
from recombine.renderer.scenes.assets import Asset, plan_assets
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import (
    LABELS,
    RenderSettings,
    Scene,
    scene_hash,
    scene_of,
)

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

PLAN_FORMAT = "recombine.plan/1"
CYCLES_SEED_BITS = 31
IMPORTED = "imported"
"""Source of a plan whose images were not rendered: see `importing`. Rendered ones name none."""


def spec_hash(
    config: Mapping[str, Any],
    schema: Schema,
    settings: RenderSettings,
    latents: Mapping[str, Any],
    cycles_seed: int,
) -> str:
    """Return the hash (hex) of everything that decides one image: its scene, or its labels."""
    if config.get("source") != IMPORTED:
        scene = scene_of(schema, config["constants"], latents, cycles_seed, plan_assets(config))
        return scene_hash(scene, settings)
    # Nothing but its own file decides the pixels of an imported image. The configuration, and so
    # the digest of the plan, holds the hash of all of them.
    labels = {key: float(latents[key]) for key in schema.keys}
    record = {"source": IMPORTED, "labels": labels, "resolution": settings.resolution}
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """All latents of a dataset.

    Attributes
    ----------
    config : mapping
        Name, version, schema, constants, split, sizes and render settings as plain data.
    schema : Schema
        The schema inside ``config``.
    settings : RenderSettings
        The settings inside ``config``.
    latents : mapping of str to array of shape (N,)
        Codes (int64) of categorical factors, radians or units (float64) of the others.
    split, rungs : uint8 arrays of shape (N,)
        Index into `SPLITS`; bit r is set where the image trains rung r.
    block, cycles_seed, tries : int64 arrays of shape (N,)
        Matched block; seed of the path tracer; how many nuisance vectors were drawn until one
        could stand.
    recipe : mapping, optional
        What `render` was asked for (see `load_preset`); no part of the digest. None where no
        preset with options gives the plan, and for data that were made before it was stored.
    assets : tuple of Asset
        Users' own inside ``config``, with their files.
    """

    config: Mapping[str, Any]
    schema: Schema
    settings: RenderSettings
    latents: Mapping[str, Array]
    split: UInt8[Array, " N"]
    rungs: UInt8[Array, " N"]
    block: Int64[Array, " N"]
    cycles_seed: Int64[Array, " N"]
    tries: Int64[Array, " N"]
    recipe: Mapping[str, Any] | None = None
    assets: tuple[Asset, ...] = ()

    def __len__(self) -> int:
        return len(self.split)

    @property
    def dataset(self) -> str:
        """Return ``name/version``."""
        return f"{self.config['name']}/{self.config['version']}"

    @property
    def imported(self) -> bool:
        """Return whether the images are someone else's."""
        return self.config.get("source") == IMPORTED

    @property
    def annotations(self) -> tuple[str, ...]:
        """Return what the images have beside their pixels."""
        return annotations_of(self.config)

    def scene(self, index: int) -> Scene:
        """Return the scene of one image."""
        if self.imported:
            raise UsageError(
                f"{self.dataset}: expected rendered images; these were imported, and nothing "
                "can draw them again. Ask it of a dataset that `recombine render` made."
            )
        return scene_of(
            self.schema,
            self.config["constants"],
            {k: v[index] for k, v in self.latents.items()},
            int(self.cycles_seed[index]),
            self.assets,
        )

    def spec_hash(self, index: int) -> str:
        """Return the hash of everything that decides the pixels of one image."""
        latents = {k: v[index] for k, v in self.latents.items()}
        seed = int(self.cycles_seed[index])
        return spec_hash(self.config, self.schema, self.settings, latents, seed)

    def digest(self) -> str:
        """Return the sha256 (hex) of the configuration and every column."""
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        columns = {**self.latents, "split": self.split, "rungs": self.rungs}
        columns |= {"block": self.block, "cycles_seed": self.cycles_seed, "tries": self.tries}
        for name in sorted(columns):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(columns[name]).tobytes())
        return digest.hexdigest()


def annotations_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the images of a plan have beside their pixels."""
    return tuple(config.get("annotations", LABELS))
