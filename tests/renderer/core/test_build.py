from __future__ import annotations

import ast
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from recombine.renderer.core import provenance as subject
from recombine.renderer.core.provenance import SOURCES, Build

RENDERER = Path(subject.__file__).parents[1]
# What these rooms decide stands in the plan (latents) or in no pixel (errors, files).
BESIDE = ("core", "presets", "splits")


def test_every_source_that_draws_is_in_the_build() -> None:
    digested = Build.here().sources
    seen: set[str] = set()
    todo = ["recombine.renderer.blender.worker"]
    todo += [  # loaded by name, not by an import statement
        "recombine.renderer." + p.relative_to(RENDERER).with_suffix("").as_posix().replace("/", ".")
        for p in (RENDERER / "blender").rglob("*.py")
        if p.name != "__init__.py"
    ]
    while todo:
        name = todo.pop()
        path = RENDERER.joinpath(*name.split(".")[2:]).with_suffix(".py")
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        relative = path.relative_to(RENDERER).as_posix()
        assert f"renderer/{relative}" in digested or relative.startswith(BESIDE)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recombine."):
                module = str(node.module)
                todo += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    assert len(seen) > 20


def test_the_camera_is_in_the_build() -> None:
    assert {"renderer/scenes/library.py", "renderer/blender/stage.py"} <= set(Build.here().sources)


def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    renderer = tmp_path / "renderer"
    for name in SOURCES:
        source, target = RENDERER / name, renderer / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    monkeypatch.setattr(subject, "__file__", str(renderer / "core" / "provenance.py"))
    return renderer


def test_what_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Build.here()
    renderer = copied(tmp_path, monkeypatch)
    assert Build.here() == here
    library = renderer / "scenes" / "library.py"
    library.write_text(library.read_text().replace("FOCAL, SENSOR = 50.0", "FOCAL, SENSOR = 46.0"))
    (renderer / "blender" / "new.py").write_text("")
    other = replace(Build.here(), render_version="1", versions={**here.versions, "bpy": "9"})
    assert here.differences(other) == [
        f"render version {here.render_version} -> 1",
        f"bpy {here.versions.get('bpy', 'none')} -> 9",
        "renderer/blender/new.py is in one only",
        "renderer/scenes/library.py changed",
    ]
    assert here.digest != other.digest
    assert Build.from_dict(other.to_dict()) == other


def test_compiled_files_are_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = copied(tmp_path, monkeypatch)
    here = Build.here()
    (renderer / "scenes" / "__pycache__").mkdir(exist_ok=True)
    (renderer / "scenes" / "__pycache__" / "library.cpython-311.pyc").write_bytes(b"x")
    assert Build.here() == here
