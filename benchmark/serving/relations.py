"""One name for scenes that have two: "A left of B" and "B right of A" are the same image.

Where a split recombines a relation with the two objects that it relates, which object is the first
is a choice of words that no image shows. Whoever names objects by what can be seen would be right
in half of the images only. So such data are read with every scene told from the object on the left,
or in front: the objects of the other scenes are exchanged, together with all their factors and
masks, and the relation is turned round. The exchange is its own inverse and leaves the image as it
is; a split that is closed under it (`renderer.splits_special.RelationSplit`) keeps its sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from recombine.renderer.splits.splits_special import INVERSE, RELATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Bool, Int, UInt8

    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Schema

KEY = "scene.relation"
TOLD = tuple(code for code, other in enumerate(INVERSE) if code < other)
"""Codes of the relations that every scene is told by."""


def canonical_relations(dataset: DatasetLike) -> DatasetLike:
    """Return a dataset with one name per scene: itself, unless it recombines a relation."""
    if isinstance(dataset, CanonicalRelations) or not _relates(dataset.schema):
        return dataset
    return cast("DatasetLike", CanonicalRelations(dataset))


def _relates(schema: Schema) -> bool:
    if KEY not in schema.recombined or schema.factor(KEY).values != RELATIONS:
        return False
    first, *others = ([s.factors for s in schema.slots if s.name in schema.objects]) or [()]
    return len(others) == 1 and others[0] == first


@dataclass(frozen=True)
class CanonicalRelations:
    """A dataset whose scenes are all told from the object on the left, or in front."""

    # two objects of equal factors, and their relation; all but labels and masks is its own
    inner: DatasetLike

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __len__(self) -> int:
        return len(self.inner)

    @cached_property
    def schema(self) -> Schema:
        """Return the schema, with half as many relations."""
        own = self.inner.schema
        told = replace(own.factor(KEY), values=tuple(RELATIONS[code] for code in TOLD))
        slots = [
            replace(s, factors=tuple(told if f"{s.name}.{f.name}" == KEY else f for f in s.factors))
            for s in own.slots
        ]
        return replace(own, slots=tuple(slots))

    @cached_property
    def exchanged(self) -> Bool[Array, " images"]:
        """Return which images are told from the other object than they are stored."""
        return ~np.isin(self.inner.latents[KEY], TOLD)

    @cached_property
    def latents(self) -> Mapping[str, Array]:
        """Return all labels, objects exchanged and the relation turned where need be."""
        own = self.inner.latents
        one, other = self.inner.schema.objects
        found = dict(own)
        for key in self.inner.schema.keys:
            slot, _, name = key.partition(".")
            if slot in (one, other):
                twin = f"{other if slot == one else one}.{name}"
                found[key] = np.where(self.exchanged, own[twin], own[key])
        turned = np.where(self.exchanged, np.array(INVERSE)[own[KEY]], own[KEY])
        found[KEY] = np.searchsorted(TOLD, turned).astype(own[KEY].dtype)
        return found

    @cached_property
    def cells(self) -> Int[Array, "images recombined"]:
        """Return the combination of every image under its one name."""
        return np.stack([self.latents[key] for key in self.schema.recombined], axis=1)

    def masks(self, indices: Any) -> UInt8[Array, "n height width"]:
        """Return the masks, with the objects' numbers exchanged as their labels are."""
        own = self.inner.masks(indices)
        names = np.array([0, 2, 1], own.dtype)
        changed: Array = np.where(self.exchanged[indices][:, None, None], names[own], own)
        return changed
