"""The rows of all assets that the library brings along: licence, source and hash of each.

Procedural assets are code of this package, photographs come with Blender's wheel. Users' own
are in `recombine.renderer.planning.ledger`.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.presets.base import Preset
from recombine.renderer.scenes.assets import Asset, Kind
from recombine.renderer.scenes.library import (
    ENVIRONMENTS,
    LIGHTS,
    MATERIAL_MODULES,
    MATERIALS,
    SHAPE_MODULES,
    SHAPES,
)

CODE_LICENCE = "Apache-2.0"

_FOLDER = Path(__file__).parents[1] / "blender"
_MODULES: dict[Kind, Mapping[str, str]] = {
    "shape": SHAPE_MODULES,
    "material": MATERIAL_MODULES,
    "environment": dict.fromkeys(ENVIRONMENTS, "environments.table"),
    "light": dict.fromkeys(LIGHTS, "environments.lights"),
}


WHEEL: dict[str, tuple[str, str, str]] = {
    "sunrise": (
        "sunrise.exr",
        "spruit_sunrise",
        "6a1180126e4db7d01f134c5430ea43c1b263ab1a12faf58a444d9ce9c03f3a84",
    ),
    "city": (
        "city.exr",
        "portland_landing_pad",
        "9e42abcd2fa3231e5c2485ca6dd64800534d157b7194ab7fe9cc3bf5a56d0256",
    ),
    "quay": (
        "sunset.exr",
        "venice_sunset",
        "3bcafdda4f2d7b9759cc1d73004d34d721a274c29b1a0947be88a602dbac426b",
    ),
    "garden": (
        "forest.exr",
        "ninomaru_teien",
        "bdf2298244affa0f85509380fd130ac6d4dfaa3c856df065998f7f4c1a93dc0d",
    ),
    "carport": (
        "courtyard.exr",
        "courtyard",
        "6690b47725965531559380121e6878373eb599655e35fefd109a4bd0911366f3",
    ),
    "hotel": (
        "interior.exr",
        "hotel_room",
        "e945ff5c1ddd7a3aaf05e9fb5c3bc9cb93c5518414febd44ed2c394e013f0cbd",
    ),
    "dusk": (
        "night.exr",
        "moonless_golf",
        "17480af5547465d160f7307c92585cf30820ca563f87f066395decbad8ac32a4",
    ),
    "filmset": (
        "studio.exr",
        "studio_small_01",
        "c36c7fd390b2cdf8693360cf3662cb1d710c95fa799d9f822f42997167839b56",
    ),
}
"""Photographs in the bpy wheel: file, name at Poly Haven (by Greg Zaal, CC0) and sha256."""
WORLDS = "*/datafiles/studiolights/world"  # below the package, in a folder per version


@cache
def procedural() -> tuple[Asset, ...]:
    """Return the row of every asset of the library, in the library's order."""
    rows = []
    for kind, modules in _MODULES.items():
        for name, module in modules.items():
            text = _FOLDER.joinpath(*module.split(".")).with_suffix(".py").read_bytes()
            source = f"recombine.renderer.blender.{module}"
            digest = hashlib.sha256(text).hexdigest()
            rows.append(Asset(name, kind, CODE_LICENCE, source, digest))
    return tuple(rows)


@cache
def photographs() -> tuple[Asset, ...]:
    """Return the row of every photograph in the bpy wheel; without files where bpy is missing."""
    found = importlib.util.find_spec("bpy")
    roots = found.submodule_search_locations if found else None
    folder = next(iter(Path(roots[0]).glob(WORLDS)), None) if roots else None
    return tuple(
        Asset(
            name,
            "hdri",
            "CC0-1.0",
            f"https://polyhaven.com/a/{page}",
            digest,
            folder / file if folder else None,
        )
        for name, (file, page, digest) in WHEEL.items()
    )


def check_file(asset: Asset) -> None:
    """Check that the file of an asset is the one whose hash the ledger states."""
    if asset.file is None:
        return
    if not asset.file.is_file():
        raise InvalidInputError(
            f"asset {asset.name!r}: expected its file {str(asset.file)!r}; found none. Run the "
            "same render command with its ledger again."
        )
    with asset.file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != asset.sha256.lower():
        raise IntegrityError(
            f"asset {asset.name!r}: expected a file with sha256 {asset.sha256}; got {found}. "
            f"Fetch the original again, or correct the ledger if the file is right."
        )


def find(kind: Kind, name: str) -> Asset:
    """Return the row of an asset."""
    known: Mapping[str, Asset] = {
        row.name: row for row in (*photographs(), *procedural()) if row.kind == kind
    }
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known) or 'none'}."
    raise InvalidInputError(
        f"asset: expected the {kind} to be one of the library; got {name!r}. {hint}"
    )


# Every name of a preset must be an asset, before anything is rendered.

OWN = "own"
"""Light that an environment brings along, and material that a user's mesh brings along."""
LIBRARY = {
    "shape": SHAPES,
    "material": (*MATERIALS, OWN),
    "environment": ENVIRONMENTS,
    "rig": (OWN, *LIGHTS),
}
TAKES: dict[str, Kind | None] = {
    "shape": "mesh",
    "material": None,
    "environment": "hdri",
    "rig": "hdri",
}
"""Factors whose values are assets, and the kind of a user's asset that each takes."""


def check_assets(preset: Preset, ledger: tuple[Asset, ...] = ()) -> None:
    """Check that the library, or a user, has every asset that a preset names."""
    values = list(preset.constants)
    values += [(key, v) for key in preset.schema.keys for v in preset.schema.factor(key).values]
    for key, value in values:
        factor = key.partition(".")[2]
        if factor not in LIBRARY:
            continue
        mine = [a.name for a in (*preset.assets, *ledger) if a.kind == TAKES[factor]]
        known = (*LIBRARY[factor], *dict.fromkeys(mine))
        if value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(known)}."
            raise InvalidInputError(
                f"{preset.name}: expected {key} to be an asset of the library or of a ledger; "
                f"got {value!r}. {hint}"
            )
