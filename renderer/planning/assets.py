"""The ledger of assets: where each one comes from, under which licence, and its hash.

Procedural assets are code of this package. Real ones (environment photographs, for example
from Poly Haven) are listed by the user in a TOML file and never fetched:

    [[asset]]
    name = "old_hall"
    kind = "hdri"
    file = "hdris/old_hall_1k.hdr"
    licence = "CC0-1.0"
    source = "https://polyhaven.com/a/old_hall"
    sha256 = "..."
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.presets.base import Preset
from recombine.renderer.scenes.library import (
    ENVIRONMENTS,
    LIGHTS,
    MATERIAL_MODULES,
    MATERIALS,
    SHAPE_MODULES,
    SHAPES,
)
from recombine.renderer.splits.parameters import Node

Kind = Literal["shape", "material", "environment", "light", "hdri"]

LICENCES = ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD")
"""SPDX names that real assets may carry: free to use, to share and to train on."""

CODE_LICENCE = "Apache-2.0"
FIELDS = ("name", "kind", "file", "licence", "source", "sha256")
ENDINGS = (".hdr", ".exr")

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


@dataclass(frozen=True)
class Asset:
    """One row of the ledger."""

    name: str  # unique among assets of its kind
    # "shape", "material", "environment" or "light" of the library, or "hdri", a photograph of
    # surroundings
    kind: Kind
    licence: str  # SPDX name; that of the code for procedural assets
    source: str  # module, or address that the user gives
    sha256: str  # of the module's text, or of the file
    file: Path | None = None  # where a real asset lies


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


def load_ledger(path: Path) -> tuple[Asset, ...]:
    """Return the rows of a user's ledger, after its licences, files and hashes are checked."""
    if not path.is_file():
        raise InvalidInputError(
            f"asset ledger: expected a file; got {str(path)!r}. Check the path."
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInputError(
            f"{path.name}: expected TOML in UTF-8; got something else ({error}). Correct it there."
        ) from error
    root = Node(data, (), path.name)
    rows: dict[str, Asset] = {}
    for node in root.table(required=("asset",))["asset"].items():
        row = _row(node, path.parent)
        if row.name in rows:
            raise node.refuse("names that occur once", "Rename it.", got=f"{row.name!r} again")
        rows[row.name] = row
    return tuple(rows.values())


def _row(node: Node, folder: Path) -> Asset:
    """Return one checked row of a user's ledger."""
    fields = node.table(required=FIELDS)
    name, licence = fields["name"].text(), fields["licence"].text()
    if licence not in LICENCES:
        raise fields["licence"].refuse(
            f"the licence of asset {name!r} to be one of {', '.join(LICENCES)}",
            "Anyone must be free to share and to train on what is rendered; choose another asset.",
        )
    fields["kind"].choice(("hdri",))
    file = folder / fields["file"].text()
    if not file.is_file() or file.suffix.lower() not in ENDINGS:
        raise fields["file"].refuse(
            f"a file that exists and ends in {' or '.join(ENDINGS)}", "It is never downloaded."
        )
    row = Asset(name, "hdri", licence, fields["source"].text(), fields["sha256"].text(), file)
    check_file(row)
    return row


def check_file(asset: Asset) -> None:
    """Check that the file of an asset is the one whose hash the ledger states."""
    if asset.file is None:
        return
    with asset.file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != asset.sha256.lower():
        raise IntegrityError(
            f"asset {asset.name!r}: expected a file with sha256 {asset.sha256}; got {found}. "
            f"Fetch the original again, or correct the ledger if the file is right."
        )


def hdri(light: str) -> Asset:
    """Return the photograph of surroundings that a scene's light names."""
    path, _, name = light.rpartition("#")
    return find("hdri", name, load_ledger(Path(path)))


def find(kind: Kind, name: str, ledger: tuple[Asset, ...] = ()) -> Asset:
    """Return the row of an asset."""
    known: Mapping[str, Asset] = {
        row.name: row for row in (*photographs(), *procedural(), *ledger) if row.kind == kind
    }
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known) or 'none'}."
    raise InvalidInputError(f"asset: expected the {kind} to be in the ledger; got {name!r}. {hint}")


# Every name of a preset must be an asset of the library, before anything is rendered.

LIBRARY = {
    "shape": SHAPES,
    "material": MATERIALS,
    "environment": ENVIRONMENTS,
    "rig": ("own", *LIGHTS),
}


def check_assets(preset: Preset) -> None:
    """Check that the library has every asset that a preset names."""
    values = list(preset.constants)
    values += [(key, v) for key in preset.schema.keys for v in preset.schema.factor(key).values]
    for key, value in values:
        known = LIBRARY.get(key.partition(".")[2])
        if known is not None and value not in known:
            near = difflib.get_close_matches(value, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(known)}."
            raise InvalidInputError(
                f"{preset.name}: expected {key} to be an asset of the library; got {value!r}. "
                f"{hint}"
            )
