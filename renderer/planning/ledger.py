"""Users' own assets: the ledger that lists them, and the presets that are declared with them.

[preset]
name = "my-things"
base = "object-background"
values = 4
[replace]
"object.shape" = ["mug", "cube", "vase", "torus"]
"background.environment" = ["old-hall", "parlour", "meadow", "hall"]
[[asset]]
name = "mug"
kind = "mesh"
file = "mug.glb"
licence = "CC0-1.0"
source = "https://example.org/mug"
sha256 = "..."
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.core.files import replacing
from recombine.renderer.planning.assets import LIBRARY, TAKES, check_assets, check_file
from recombine.renderer.presets.base import Preset
from recombine.renderer.scenes.assets import Asset, stored, used
from recombine.renderer.scenes.factors import Schema, Slot
from recombine.renderer.splits.parameters import Node

LICENCES = ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD")
"""SPDX names that real assets may carry: free to use, to share and to train on."""

ENDINGS = {
    "hdri": (".hdr", ".exr"),
    "texture": (".png", ".jpg", ".jpeg", ".exr"),
    "mesh": (".glb", ".obj"),
}
MAGIC = {
    ".hdr": (b"#?",),
    ".exr": (b"\x76\x2f\x31\x01",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
}
TRIANGLES = 200_000
"""Most triangles of a mesh; an image of 256 pixels shows far fewer."""
NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
FIELDS = ("name", "kind", "file", "licence", "source", "sha256")
EXTRA = {"hdri": ("floor",), "texture": ("metres",), "mesh": ()}


@dataclass(frozen=True)
class Ledger:
    """A user's assets, and the preset that is declared with them."""

    place: str  # name of the file, for messages
    assets: tuple[Asset, ...]
    name: str = ""  # of the declared preset; empty where there is none
    base: str = ""  # the preset that it changes; empty for any
    values: int | None = None  # values per recombined factor of the base
    # values by "slot.factor": a list for a factor, one name for what the preset keeps constant
    replaced: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def load_ledger(path: Path) -> Ledger:
    """Return a user's ledger, after licences, files and hashes are checked.

    Parameters
    ----------
    path : Path
        TOML file; the files of assets are named relative to it.

    Raises
    ------
    InvalidInputError
        When the ledger, a licence or a file is not what it must be; the key is named.
    IntegrityError
        When the hash of a file differs.
    """
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
    found = Node(data, (), path.name).table(required=("asset",), optional=("preset", "replace"))
    rows: dict[str, Asset] = {}
    for node in found["asset"].items():
        row = _row(node, path.parent)
        if row.name in rows:
            raise node.refuse("names that occur once", "Rename it.", got=f"{row.name!r} again")
        rows[row.name] = row
    for node, row in zip(found["asset"].items(), rows.values(), strict=True):
        below = rows.get(row.floor)
        if row.floor and (not below or below.kind != "texture"):
            raise node.entries()["floor"].refuse("a texture of this ledger", "Check the spelling.")
    ledger = Ledger(path.name, tuple(rows.values()))
    if "preset" not in found:
        return ledger
    table = found["preset"].table(required=("name",), optional=("base", "values"))
    title = table["name"]
    if not NAME.fullmatch(title.text()):
        raise title.refuse("lower-case letters, digits and single hyphens", "Rename it.")
    return replace(
        ledger,
        name=title.text(),
        base=table["base"].text() if "base" in table else "",
        values=table["values"].integer(4, 32) if "values" in table else None,
        replaced=_replaced(found["replace"]) if "replace" in found else {},
    )


def _replaced(node: Node) -> dict[str, str | tuple[str, ...]]:
    """Return the values that a declaration gives to factors and constants."""
    found: dict[str, str | tuple[str, ...]] = {}
    for key, value in node.entries().items():
        if key.partition(".")[2] not in TAKES:
            raise value.refuse(
                f"a factor whose values are assets: {', '.join(f'SLOT.{k}' for k in TAKES)}",
                'Write it in quotes, as in "object.shape" = [...].',
                got=repr(key),
            )
        single = isinstance(value.value, str)
        found[key] = value.text() if single else tuple(one.text() for one in value.items())
    return found


def _row(node: Node, folder: Path) -> Asset:
    """Return one checked row of a user's ledger."""
    kind = node.entries().get("kind")
    if kind is None:
        raise node.refuse(f"the keys {sorted(FIELDS)}", "Add ['kind'].", got="fewer")
    extra = EXTRA[kind.choice(tuple(ENDINGS))]
    fields = node.table(required=FIELDS, optional=extra)
    name, licence = fields["name"].text(), fields["licence"].text()
    taken = {n for names in LIBRARY.values() for n in names}
    if not NAME.fullmatch(name) or name in taken:
        raise fields["name"].refuse(
            "lower-case letters, digits and single hyphens, and no name of the library",
            "Rename the asset.",
        )
    if licence not in LICENCES:
        raise fields["licence"].refuse(
            f"the licence of asset {name!r} to be one of {', '.join(LICENCES)}",
            "Anyone must be free to share and to train on what is rendered; choose another asset.",
        )
    endings = ENDINGS[kind.text()]
    file = folder / fields["file"].text()
    if not file.is_file() or file.suffix.lower() not in endings:
        raise fields["file"].refuse(
            f"a file that exists and ends in {' or '.join(endings)}", "It is never downloaded."
        )
    row = Asset(
        name,
        kind.text(),  # type: ignore[arg-type]  # one of `ENDINGS`
        licence,
        fields["source"].text(),
        fields["sha256"].text().lower(),
        file,
        metres=fields["metres"].number(0.05, 20.0) if "metres" in fields else 1.0,
        floor=fields["floor"].text() if "floor" in fields else "",
    )
    check_file(row)
    _check_content(row, fields["file"])
    return row


# What can be told of a file without Blender, so that a broken one stops no render halfway.


def _check_content(row: Asset, node: Node) -> None:
    """Check that a file is of the format that its name says, and not larger than is sensible."""
    assert row.file is not None  # noqa: S101  (rows of a ledger have files)
    ending = row.file.suffix.lower()
    if ending in MAGIC:
        with row.file.open("rb") as handle:
            start = handle.read(16)
        if not start.startswith(MAGIC[ending]):
            raise node.refuse(
                f"asset {row.name!r} to be a {ending[1:].upper()} file",
                "Export it again, or correct its name.",
                got="other content",
            )
        return
    count = _glb_triangles(row.file) if ending == ".glb" else _obj_triangles(row.file)
    if isinstance(count, str):
        raise node.refuse(
            f"asset {row.name!r} to be a mesh in one {ending[1:].upper()} file",
            "Export it again with everything embedded.",
            got=count,
        )
    if not 0 < count <= TRIANGLES:
        raise node.refuse(
            f"asset {row.name!r} to have 1 to {TRIANGLES:,} triangles",
            "Decimate the mesh and export it again.",
            got=f"{count:,}",
        )


def _glb_triangles(path: Path) -> int | str:
    """Return the number of triangles of a binary glTF file, or what is wrong with it."""
    data = path.read_bytes()
    try:
        magic, version, length = struct.unpack_from("<4sII", data)
        size, chunk = struct.unpack_from("<I4s", data, 12)
        if magic != b"glTF" or version != 2 or length != len(data) or chunk != b"JSON":
            return "a header that is not that of a whole glTF 2.0 file"
        scene = json.loads(data[20 : 20 + size])
        parts = [p for mesh in scene.get("meshes", ()) for p in mesh["primitives"]]
        outside = [
            entry["uri"]
            for entry in (*scene.get("buffers", ()), *scene.get("images", ()))
            if not str(entry.get("uri", "data:")).startswith("data:")
        ]
        if outside:
            return f"a reference to another file, {outside[0]!r}"
        counts = [
            scene["accessors"][p["indices"] if "indices" in p else p["attributes"]["POSITION"]][
                "count"
            ]
            for p in parts
            if p.get("mode", 4) == 4
        ]
        return sum(int(c) // 3 for c in counts)
    except (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return f"a damaged file ({type(error).__name__})"


def _obj_triangles(path: Path) -> int | str:
    """Return the number of triangles of a Wavefront file, or what is wrong with it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return "something other than text"
    points = sum(line.startswith("v ") for line in lines)
    total = 0
    for line in lines:
        if line.startswith("f "):
            corners = [corner.partition("/")[0] for corner in line.split()[1:]]
            try:
                numbers = [abs(int(corner)) for corner in corners]
            except ValueError:
                return f"the face {line!r}"
            if len(numbers) < 3 or not all(1 <= n <= points for n in numbers):
                return f"the face {line!r} with {points} points"
            total += len(numbers) - 2
    return total


# A declared preset, and the files that its dataset carries.


def declare(preset: Preset, ledger: Ledger) -> Preset:
    """Return a preset with values of its own, named in a ledger.

    Parameters
    ----------
    preset : Preset
        What is changed; seeds, sizes and split stay as they are.
    ledger : Ledger
        Read by `load_ledger`, with a declaration.

    Returns
    -------
    Preset
        Named ``preset--name``.

    Raises
    ------
    UsageError
        When the ledger declares no preset, or one with another base.
    InvalidInputError
        When a list of values has another length than the factor, or a key is none of the preset's.
    """
    if not ledger.name:
        raise UsageError(
            f"--assets: expected {ledger.place} to declare a preset; got assets only. "
            "Add [preset] with a name, and [replace]."
        )
    if ledger.base and ledger.base != preset.identity[0]:
        raise UsageError(
            f"--assets: expected the preset {ledger.base!r}, which {ledger.place} changes; got "
            f"{preset.identity[0]!r}. Name that one."
        )
    constants, slots = dict(preset.constants), list(preset.schema.slots)
    for key, value in ledger.replaced.items():
        if isinstance(value, str) and key in constants:
            constants[key] = value
        elif not isinstance(value, str) and key in preset.schema.keys:
            slots = [_with_values(slot, key, value, ledger.place) for slot in slots]
        else:
            raise InvalidInputError(
                f"{ledger.place}, key 'replace': expected a list for one of "
                f"{', '.join(_choosable(preset.schema.keys)) or 'no factor'} or a name for one of "
                f"{', '.join(_choosable(constants)) or 'no constant'}; got {key} = {value!r}. "
                "Correct it there."
            )
    schema = replace(preset.schema, slots=tuple(slots))
    changed = replace(
        preset,
        name=f"{preset.name}--{ledger.name}",
        schema=schema,
        constants=tuple(constants.items()),
        assets=used(ledger.assets, named_assets(schema, constants)),
    )
    check_assets(changed, ledger.assets)
    return changed.with_recipe(preset.recipe and {**preset.recipe, "assets": ledger.name})


def named_assets(schema: Schema, constants: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return (kind, name) of everything that a preset may ask a ledger for."""
    values = list(constants.items())
    values += [(key, v) for key in schema.keys for v in schema.factor(key).values]
    kinds = ((TAKES.get(key.partition(".")[2], ""), value) for key, value in values)
    return {(kind, value) for kind, value in kinds if kind}


def _choosable(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if key.partition(".")[2] in TAKES]


def _with_values(slot: Slot, key: str, values: tuple[str, ...], place: str) -> Slot:
    """Return a slot, one of whose factors has other values if the key names it."""
    factors = []
    for factor in slot.factors:
        if f"{slot.name}.{factor.name}" == key:
            if len(values) != factor.size:
                raise InvalidInputError(
                    f"{place}, key 'replace.{key}': expected {factor.size} values, as many as the "
                    f"preset has; got {len(values)}. List as many, or set preset.values."
                )
            factor = replace(factor, values=values)
        factors.append(factor)
    return replace(slot, factors=tuple(factors))


def keep_assets(folder: Path, assets: Iterable[Asset]) -> None:
    """Put the files of a plan's assets into its dataset folder, so that it needs no other."""
    for asset in assets:
        target = stored(asset.record(), folder).file
        if asset.file is None or target is None or asset.file == target:
            check_file(asset)
            continue
        if target.exists():
            check_file(replace(asset, file=target))
            continue
        check_file(asset)
        with replacing(target) as path:
            shutil.copyfile(asset.file, path)
