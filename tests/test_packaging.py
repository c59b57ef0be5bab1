"""The house holds: rooms import one way, none is too big, and the wheel lists every folder."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("renderer", "benchmark", "leaderboard", "cli", "baselines")
MAY_IMPORT = {
    "renderer": {"renderer"},
    "benchmark": {"renderer", "benchmark"},
    "baselines": {"renderer", "benchmark", "baselines"},
    "leaderboard": {"renderer", "benchmark", "leaderboard"},
    "cli": set(FOLDERS),
}
# A room imports rooms to its left only; rooms between two signs do not import each other.
ORDER = {
    "renderer": "core < scenes < splits < presets < planning < store, blender < certificate "
    "< rendering, importing < measure < publish",
    "benchmark": "protocol, statistics < results < submissions, serving < inference, metrics "
    "< predictions < check < sandbox < running < scoring",
    "baselines": "nn < training < methods, generative < studies < registry",
    "leaderboard": "drawing, ledger < board < exports < site, submissions, seasons",
}
MOST_MODULES, MOST_LINES = 16, 700
needs_checkout = pytest.mark.skipif(
    not (ROOT / "renderer").is_dir(), reason="only a checkout has the source folders"
)


def sources() -> dict[str, Path]:
    """Return the files of the project by their dotted names."""
    found = {}
    for folder in (*FOLDERS, "recombine"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[1:] if folder == "recombine" else parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join(("recombine", *parts))] = path
    return found


def imports(path: Path, known: dict[str, Path], *, late: bool) -> set[str]:
    """Return the modules that a file imports; those of functions, too, when ``late``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree) if late else tree.body:
        if id(node) in typing:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (whole & set(known)) or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def rooms_of(folder: str) -> list[list[str]]:
    return [level.strip().split(", ") for level in ORDER[folder].split("<")]


@needs_checkout
def test_package_list_equals_the_folders() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {
        name if path.name == "__init__.py" else name.rpartition(".")[0]
        for name, path in sources().items()
    }
    assert set(config["packages"]) == packages
    folders = {f"recombine.{folder}": folder for folder in FOLDERS} | {"recombine": "recombine"}
    assert config["package-dir"] == folders


@needs_checkout
def test_folders_import_one_way() -> None:
    known = sources()
    for name, path in known.items():
        folder = name.split(".")[1] if "." in name else ""
        for other in imports(path, known, late=True):
            if folder in MAY_IMPORT and other.startswith("recombine."):
                assert other.split(".")[1] in MAY_IMPORT[folder], f"{name} imports {other}"


@needs_checkout
@pytest.mark.parametrize("folder", sorted(ORDER))
def test_rooms_import_one_way(folder: str) -> None:
    levels = rooms_of(folder)
    level_of = {room: number for number, level in enumerate(levels) for room in level}
    known = sources()
    mine = [name for name in known if name.startswith(f"recombine.{folder}.")]
    assert {name.split(".")[2] for name in mine} == set(level_of)
    for name in mine:
        room = name.split(".")[2]
        for other in imports(known[name], known, late=True):
            if other.startswith(f"recombine.{folder}."):
                there = other.split(".")[2]
                allowed = there == room or level_of[there] < level_of[room]
                assert allowed, f"{name} imports {other}, which stands to its right"


@needs_checkout
def test_no_circle_between_modules() -> None:
    known = sources()
    graph = {name: imports(path, known, late=False) & set(known) for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name] - {name}):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


@needs_checkout
def test_no_room_and_no_file_is_too_big() -> None:
    modules = defaultdict(list)
    for name, path in sources().items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path
        if path.name != "__init__.py":
            modules[name.rpartition(".")[0]].append(name)
    for room, names in modules.items():
        assert len(names) <= MOST_MODULES, f"{room} has {len(names)} modules"


@needs_checkout
def test_rooms_export_what_exists() -> None:
    for name, path in sources().items():
        stub = path.with_suffix(".pyi")
        if (
            path.name != "__init__.py"
            or not stub.is_file()
            or name.startswith("recombine.renderer.blender.")
        ):
            continue
        room = importlib.import_module(name)
        for exported in room.__all__:
            assert getattr(room, exported) is not None
        stems = {p.stem for p in path.parent.glob("*.py")}
        assert not stems & set(room.__all__), f"{name}: a module of that name would hide it"


@needs_checkout
def test_only_one_room_knows_blender() -> None:
    known = sources()
    for name, path in known.items():
        if not name.startswith("recombine.renderer.blender"):
            tops = {other.split(".")[0] for other in imports(path, known, late=True)}
            assert not {"bpy", "blenderproc"} & tops, name
            early = imports(path, known, late=False)
            assert not [other for other in early if ".renderer.blender" in other], name


@needs_checkout
def test_no_pickle_and_no_torch_load() -> None:
    known = sources()
    for name, path in known.items():
        assert "torch.load(" not in path.read_text(encoding="utf-8"), name
        assert "pickle" not in {m.split(".")[0] for m in imports(path, known, late=True)}, name


@needs_checkout
def test_every_documented_example_holds() -> None:
    tried = 0
    for name, path in sources().items():
        if ">>> " in path.read_text(encoding="utf-8") and not name.startswith(
            "recombine.renderer.blender"
        ):
            found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
            assert found.failed == 0, name
            tried += found.attempted
    assert tried > 15


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("recombine", {"torch", "bpy", "h5py", "numpy", "jinja2", "sklearn"}),
        ("recombine.cli.main", {"torch", "bpy", "h5py", "numpy", "jinja2", "sklearn", "tyro"}),
        ("recombine.baselines.registry", {"torch", "bpy", "jinja2", "sklearn"}),
        ("recombine.benchmark.results.result", {"torch", "bpy", "jinja2", "sklearn"}),
        ("recombine.benchmark.serving.data", {"torch", "bpy", "jinja2", "sklearn"}),
        ("recombine.renderer.store.dataset", {"torch", "bpy", "jinja2", "sklearn"}),
    ],
)
def test_imports_stay_light(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}\nbad = {heavy} & set(sys.modules)\nassert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_checkout
def test_the_architecture_page_names_what_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    known = sources()
    stops = re.findall(r"^\| `((?:renderer|benchmark|leaderboard)\.[\w.]+)` \|", text, re.MULTILINE)
    assert len(stops) > 30
    for stop in stops:
        module, _, name = f"recombine.{stop}".rpartition(".")
        defined = {getattr(n, "name", None) for n in ast.parse(known[module].read_text()).body}
        assert name in defined, stop
    for path in re.findall(r"`((?:renderer|benchmark|baselines)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
