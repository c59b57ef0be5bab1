"""What a plan says of its images, whether they are on disk, were drawn elsewhere, or never were."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import Plan
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.geometry import SPLITS

if TYPE_CHECKING:
    from jaxtyping import Int64


class PlannedData:
    """Labels, splits and names of a dataset, by its plan and its manifest; no pixels."""

    manifest: dict[str, Any]

    @property
    def plan(self) -> Plan:
        """Return all latents and seeds, as they were before anything was rendered."""
        raise NotImplementedError

    def __len__(self) -> int:
        return int(self.manifest["n_images"])

    @property
    def name(self) -> str:
        """Return ``preset/version``."""
        return str(self.manifest["dataset"])

    @property
    def preset(self) -> str:
        """Return the name of the preset."""
        return self.name.split("/")[0]

    @property
    def version(self) -> str:
        """Return the version of the preset."""
        return self.name.split("/")[1]

    @property
    def root(self) -> str:
        """Return the Merkle root (hex) over all images, pixels included.

        Information only: another processor rounds path-traced colours otherwise. See `identity`.
        """
        return str(self.manifest["root"])

    @property
    def identity(self) -> str:
        """Return the sha256 (hex) over plan digest, `label_root` and `render_version`."""
        return str(self.manifest["identity"])

    @property
    def label_root(self) -> str:
        """Return the Merkle root (hex) over places, scenes and labels of all images."""
        return str(self.manifest["label_root"])

    @property
    def render_version(self) -> str:
        """Return the declared version of the renderer that drew the images."""
        return str(self.manifest["render_version"])

    @property
    def schema(self) -> Schema:
        """Return slots and factors."""
        return self.plan.schema

    @property
    def config(self) -> dict[str, Any]:
        """Return the plan's configuration as plain data."""
        return dict(self.plan.config)

    @property
    def recipe(self) -> dict[str, Any] | None:
        """Return what `render` was asked for; None where no file records it (see `Plan`)."""
        return None if self.plan.recipe is None else dict(self.plan.recipe)

    @property
    def imported(self) -> bool:
        """Return whether the images were imported; nothing can draw these again."""
        return self.plan.imported

    @property
    def annotations(self) -> tuple[str, ...]:
        """Return what the images have beside their pixels, see `annotation`."""
        return self.plan.annotations

    @property
    def matched(self) -> bool:
        """Return whether ID and OOC test images share blocks; else each is a block of its own."""
        return bool(self.plan.config.get("blocks", "matched") == "matched")

    @property
    def licence(self) -> str:
        """Return the licence of the images."""
        return str(self.manifest["license"])

    @property
    def training_generative_models(self) -> bool:
        """Return whether the licence lets generative models be trained on the images."""
        return bool(self.manifest.get("training_generative_models", True))

    @property
    def rungs(self) -> int:
        """Return how many rungs the training ladder has."""
        return len(self.plan.config["split"]["ladder"])

    @property
    def resolution(self) -> int:
        """Return the image edge in pixels."""
        return self.plan.settings.resolution

    @property
    def latents(self) -> dict[str, Array]:
        """Return one array of shape (N,) per ``slot.factor``: codes, radians or units."""
        return dict(self.plan.latents)

    @property
    def cells(self) -> Int64[Array, "N F"]:
        """Return the value codes of the recombined factors, (N, F)."""
        return self._cells

    @cached_property
    def _cells(self) -> Array:
        return np.stack([self.plan.latents[k] for k in self.schema.recombined], axis=1)

    @property
    def blocks(self) -> Int64[Array, " N"]:
        """Return the matched nuisance block of every image."""
        return self.plan.block

    @cached_property
    def splits(self) -> Array:
        """Return the split name of every image."""
        names: Array = np.array(SPLITS)[self.plan.split]
        return names

    def indices(self, split: str, *, rung: int = 0) -> Int64[Array, " n"]:
        """Return the sorted image indices of a split.

        Parameters
        ----------
        split : {"id_train", "id_val", "id_test", "ooc_test"}
            Part of the dataset.
        rung : int
            Rung of the training ladder; only ``id_train`` has rungs.

        Raises
        ------
        UsageError
            When the split or rung does not exist.
        """
        if split not in SPLITS:
            raise UsageError(f"split: expected one of {list(SPLITS)}; got {split!r}.")
        member = self.plan.split == SPLITS.index(split)
        if split == "id_train":
            if not 0 <= rung < self.rungs:
                raise UsageError(f"rung: {self.name} has rungs 0..{self.rungs - 1}; got {rung}.")
            member &= (self.plan.rungs >> rung & 1).astype(bool)
        return np.flatnonzero(member)
