"""The folders, the package list and the one-way imports agree."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("renderer", "benchmark", "leaderboard", "cli", "baselines")
ALLOWED = {
    "renderer": {"renderer"},
    "benchmark": {"renderer", "benchmark"},
    "baselines": {"renderer", "benchmark", "baselines"},
    "leaderboard": {"renderer", "benchmark", "leaderboard"},
    "cli": set(LAYERS),
}
needs_checkout = pytest.mark.skipif(
    not (ROOT / "renderer").is_dir(), reason="only a checkout has the source folders"
)


def sources() -> list[Path]:
    return [p for layer in LAYERS for p in (ROOT / layer).rglob("*.py")]


def imported(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found


@needs_checkout
def test_package_list_equals_the_folders() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {p.parent.relative_to(ROOT) for p in sources()}
    assert set(config["packages"]) == {"recombine." + ".".join(f.parts) for f in folders}
    assert config["package-dir"] == {f"recombine.{layer}": layer for layer in LAYERS}


@needs_checkout
def test_imports_point_one_way() -> None:
    for path in sources():
        layer = path.relative_to(ROOT).parts[0]
        for name in imported(path):
            if name.startswith("recombine."):
                assert name.split(".")[1] in ALLOWED[layer], f"{path} imports {name}"


@needs_checkout
def test_only_one_folder_knows_blender() -> None:
    for path in sources():
        if "blender" not in path.parts:
            assert not {"bpy", "blenderproc"} & {n.split(".")[0] for n in imported(path)}, path
            top = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ImportFrom)]
            assert not [n for n in top if n.module and ".blender" in n.module], path


@needs_checkout
def test_no_pickle_and_no_torch_load() -> None:
    for path in sources():
        text = path.read_text()
        assert "torch.load(" not in text, path
        assert "pickle" not in {n.split(".")[0] for n in imported(path)}, path


@needs_checkout
def test_size_budgets() -> None:
    lines = sorted(len(p.read_text().splitlines()) for p in sources() if p.name != "__init__.py")
    assert lines[len(lines) // 2] <= 160
    assert lines[-1] <= 500
    functions = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append((node.end_lineno - node.lineno + 1, f"{path}:{node.name}"))
    functions.sort()
    assert functions[-1][0] <= 60, functions[-1]


def test_importing_the_benchmark_loads_no_models_blender_or_templates() -> None:
    code = (
        "import sys, recombine.benchmark, recombine.renderer, recombine.baselines\n"
        "bad = {'torch', 'bpy', 'jinja2', 'sklearn'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
