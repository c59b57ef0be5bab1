"""A forger: whoever can edit everything in a dataset and seal it again, hashes and digests too."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recombine.renderer.planning.plan import Plan
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.scenes.scene import LABELS, Rendered, RenderSettings
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.seal import write_manifest
from recombine.renderer.store.shards import save_plan, save_shard, shard_path, shard_ranges

ARRAYS = ("image", *LABELS)
TRAIN, VAL, ID_TEST, OOC = (SPLITS.index(s) for s in ("id_train", "id_val", "id_test", "ooc_test"))
SHARD = 20


@dataclass
class Forged:
    """A dataset in memory, to be edited and written with every hash as it must be."""

    config: dict[str, Any]
    columns: dict[str, Any]  # of the plan: latents by key, and split, rungs, block, ...
    arrays: dict[str, Any]  # of the images
    provenance: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Forged:
        """Read a dataset."""
        data = Dataset(folder)
        names = ("split", "rungs", "block", "cycles_seed", "tries")
        columns = {name: getattr(data.plan, name).copy() for name in names}
        columns |= {key: values.copy() for key, values in data.latents.items()}
        arrays = {name: data.annotation(name, range(len(data))) for name in ARRAYS}
        return cls(deepcopy(data.config), columns, arrays, data.manifest["provenance"])

    def copy(self) -> Forged:
        """Return a dataset that may be edited."""
        return deepcopy(self)

    def write(self, folder: Path) -> None:
        """Write and seal it."""
        schema = Schema.from_dict(self.config["schema"])
        plan = Plan(
            config=self.config,
            schema=schema,
            settings=RenderSettings(**self.config["settings"]),
            latents={key: self.columns[key] for key in schema.keys},
            split=self.columns["split"],
            rungs=self.columns["rungs"],
            block=self.columns["block"],
            cycles_seed=self.columns["cycles_seed"],
            tries=self.columns["tries"],
        )
        save_plan(folder, plan, SHARD)
        ranges = shard_ranges(len(plan), SHARD)
        for number, indices in enumerate(ranges):
            rendered = [Rendered(**{k: v[i] for k, v in self.arrays.items()}) for i in indices]
            save_shard(folder, number, plan, indices, rendered, self.provenance)
        write_manifest(
            folder,
            dataset=plan.dataset,
            plan_sha256=plan.digest(),
            shards=[(shard_path(folder, n), r) for n, r in enumerate(ranges)],
            provenance=self.provenance,
        )

    def rows(self, split: int) -> Any:
        """Return the images of a split."""
        return np.flatnonzero(self.columns["split"] == split)

    def keep(self, rows: Any) -> None:
        """Leave some images out."""
        self.columns = {k: v[rows] for k, v in self.columns.items()}
        self.arrays = {k: v[rows] for k, v in self.arrays.items()}

    def set_cell(self, target: int, source: int) -> None:
        """Give one image the cell of another, in its labels."""
        for key in self.config["schema"]["recombined"]:
            self.columns[key][target] = self.columns[key][source]

    def set_nuisances(self, target: Any, source: int) -> None:
        """Give some images the nuisances and the seed of another."""
        schema = Schema.from_dict(self.config["schema"])
        for key in (*schema.nuisances, "cycles_seed"):
            self.columns[key][target] = self.columns[key][source]


def edit_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file in place."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
