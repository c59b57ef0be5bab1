"""What pixels depend on beside the plan: the render version, the build, and the machine.

The render version is part of a dataset's identity; the build is recorded, and never mixed within
a dataset; the machine is information.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.surroundings import recorded

RENDER_VERSION = "2"
"""Raised whenever a pixel may change by more than another processor changes it (`agreement`).

`tests/renderer/blender/test_render_version.py` draws reference images again and holds it to that.
"""

DRAWING = ("bpy", "blenderproc", "numpy")  # packages that meshes, textures and light come from
# of the renderer; what they import draws
SOURCES = ("blender", "scenes", "planning/assets.py", "core/surroundings.py")
PACKAGES = ("bpy", "blenderproc", "numpy", "recombine")
BUILD = (*PACKAGES, "machine", "cpu")  # the same pixels to the last bit are promised when equal
SEVERAL = " | "


def provenance() -> dict[str, str]:
    """Return the versions and the machine of this process."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": cpu_name(),
        **_versions(PACKAGES),
    }


@dataclass(frozen=True)
class Build:
    """The programs that draw: equal builds draw equal images, up to the processor's rounding.

    Attributes
    ----------
    render_version : str
        `RENDER_VERSION` of the sources.
    versions : mapping of str to str
        Versions of the packages that draw, and variables that they heed
        (`recombine.renderer.core.surroundings.recorded`); most builds have none.
    sources : mapping of str to str
        Sha256 of every file of the renderer that decides pixels: camera, assets, shading.
    """

    render_version: str
    versions: Mapping[str, str]
    sources: Mapping[str, str]

    @classmethod
    def here(cls) -> Build:
        """Return the build that is installed now, read from disk."""
        # Never cached: that a source changed while a dataset was drawn must show.
        versions = _versions(DRAWING) | recorded(os.environ)
        return cls(RENDER_VERSION, versions, _source_digests())

    @property
    def digest(self) -> str:
        """Return the sha256 (hex) over everything: one name for the build."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"sha256": self.digest, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Build:
        """Read `to_dict`; the digest is computed anew."""
        parts = (
            {str(k): str(v) for k, v in data[name].items()} for name in ("versions", "sources")
        )
        return cls(str(data["render_version"]), *parts)

    def differences(self, other: Build) -> list[str]:
        """Name what the other build has otherwise; empty when it is the same."""
        found = []
        if self.render_version != other.render_version:
            found.append(f"render version {self.render_version} -> {other.render_version}")
        for name in sorted({*self.versions, *other.versions}):
            before, after = (b.versions.get(name, "none") for b in (self, other))
            found += [f"{name} {before} -> {after}"] if before != after else []
        for name in sorted({*self.sources, *other.sources}):
            before, after = (b.sources.get(name, "") for b in (self, other))
            if before != after:
                found.append(f"{name} {'changed' if before and after else 'is in one only'}")
        return found


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def require_installed() -> None:
    """Check that the packages that draw are those whose versions are recorded."""
    for name in DRAWING:
        spec = importlib.util.find_spec(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            wanted = Path(str(metadata.distribution(name).locate_file(name)))
            found = Path(spec.origin).parent if spec and spec.origin else None
            if found is None or found.resolve() != wanted.resolve():
                raise ResourceError(
                    f"render: expected {name} {metadata.version(name)} in {wanted}; Python finds "
                    f"{found or 'none'}, of unknown version. Take it out of PYTHONPATH."
                )


def _source_digests() -> dict[str, str]:
    renderer = Path(__file__).parents[1]
    found = {}
    for name in SOURCES:
        place = renderer / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and path.suffix not in (".pyc", ".pyi"):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[f"renderer/{path.relative_to(renderer).as_posix()}"] = digest
    return found


def combined(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return one record for shards drawn on several machines; differing values are listed."""
    values: dict[str, set[str]] = {}
    for part in parts:
        for key, value in part.items():
            values.setdefault(key, set()).add(value)
    return {key: SEVERAL.join(sorted(found)) for key, found in sorted(values.items())}


def other_build(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return how this build differs from the recorded one; empty when it is the same."""
    return [
        f"{key} {recorded.get(key, 'unknown')} -> {here.get(key, 'unknown')}"
        for key in BUILD
        if recorded.get(key) != here.get(key)
    ]


def cpu_name() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
