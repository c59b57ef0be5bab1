"""What a scene knows of an asset: its name, its hash and its licence, and where its file lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recombine.renderer.core.errors import IntegrityError

Kind = Literal["shape", "material", "environment", "light", "hdri", "texture", "mesh"]


@dataclass(frozen=True)
class Asset:
    """One row of the ledger of assets, see `recombine.renderer.planning.assets`."""

    name: str  # unique among assets of its kind
    # "shape", "material", "environment" or "light" of the library; of users "mesh" (an object),
    # "hdri" (a photograph of surroundings: light and backdrop) or "texture" (a floor)
    kind: Kind
    licence: str  # SPDX name; that of the code for procedural assets
    source: str  # module, or address that the user gives
    sha256: str  # of the module's text, or of the file
    file: Path | None = None  # where a real asset lies; no part of what it is
    metres: float = 1.0  # edge of one tile of a texture
    floor: str = ""  # texture, or floor of the library, below a photograph of surroundings

    def record(self) -> dict[str, Any]:
        """Return everything but the place of the file, as plain data."""
        found = {k: getattr(self, k) for k in ("name", "kind", "licence", "source", "sha256")}
        found |= {"ending": self.file.suffix.lower()} if self.file else {}
        found |= {"metres": self.metres} if self.kind == "texture" else {}
        return found | ({"floor": self.floor} if self.kind == "hdri" else {})


RECORD = {"name", "kind", "licence", "source", "sha256", "ending"}
OPTIONAL = RECORD | {"metres", "floor"}
FOLDER = "assets"
"""Folder of a dataset that holds the files of the users' assets."""


def stored(record: Mapping[str, Any], dataset: Path | None) -> Asset:
    """Return the asset of a record, with its file in a dataset's folder."""
    fields = {k: v for k, v in record.items() if k != "ending"}
    name = f"{record.get('sha256')}{record.get('ending')}"
    # The name becomes a path: whoever wrote the plan must not choose another folder.
    if not re.fullmatch(r"[0-9a-f]{64}\.[a-z]{3,4}", name) or not RECORD <= set(record) <= OPTIONAL:
        raise IntegrityError(
            f"plan: expected assets as `recombine render` records them; got {dict(record)!r}. "
            "Render the dataset again."
        )
    return Asset(**fields, file=Path(dataset or "") / FOLDER / name)


def plan_assets(config: Mapping[str, Any], dataset: Path | None = None) -> tuple[Asset, ...]:
    """Return the users' assets of a plan's configuration, with their files in the dataset."""
    records = config.get("assets", [])
    if not isinstance(records, list) or not all(isinstance(r, Mapping) for r in records):
        raise IntegrityError(
            f"plan: expected a list of assets; got {records!r}. Render the dataset again."
        )
    return tuple(stored(record, dataset) for record in records)


def used(assets: tuple[Asset, ...], names: set[tuple[str, str]]) -> tuple[Asset, ...]:
    """Return the assets with these (kind, name), and the textures below their photographs."""
    floors = {("texture", a.floor) for a in assets if (a.kind, a.name) in names and a.floor}
    return tuple(a for a in assets if (a.kind, a.name) in names | floors)
