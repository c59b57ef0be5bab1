"""Finding and copying the code of a submission without running it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import shutil
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.benchmark.sandbox.bubblewrap import OUR_PACKAGES, package_paths
from recombine.benchmark.submissions.loading import hint
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

CODE = frozenset((".py", ".pyi", ".so", ".json", ".toml", ".yaml", ".yml", ".txt", ".cfg"))
WEIGHTS = frozenset((".safetensors", ".pt", ".pth", ".ckpt", ".onnx", ".bin", ".npy", ".npz"))
DATA_MARKS = ("plan.h5", "certificate.json", "shards")
_PARSING = threading.Lock()  # the parser of Python 3.11 loses count in several threads at once
SOURCE = frozenset((".py", ".pyi"))
MAX_SETTINGS = 16 * 2**10
"""Bytes of a file that is neither source nor weights: settings, requirements, a licence."""
MAX_SOURCE = 2**18
MAX_LITERAL, MAX_LISTED = 2**13, 2**11
"""Characters of one literal, and literals in one list or table: the longest of timm, torchvision
and scikit-learn have 3,000 and 1,800."""
MAX_FILES = 2_000
MAX_BYTES = 16 * 2**30


@dataclass(frozen=True)
class Located:
    """Where a submission's code is."""

    module: str  # file name, or dotted module name
    attribute: str  # the class
    files: tuple[Path, ...]  # what it is made of, relative to ``root``
    root: Path  # folder from which it is imported
    installed: bool  # whether it lies among the installed packages, which isolated code sees anyway
    # what lies beside the files and is not shown, as names relative to ``root``, and why
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Return ``file.py:Class`` or ``package.module:Class``, without a path of the machine."""
        return f"{self.module}:{self.attribute}"

    def source_sha256(self) -> str:
        """Return the SHA-256 over names and contents of all files, weights included."""
        digest = hashlib.sha256()
        for name in self.files:
            path = self.root / name
            try:
                digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
                with path.open("rb") as stream:
                    while part := stream.read(2**20):
                        digest.update(part)
            except OSError as error:
                raise _unreadable(path, error) from error
        return digest.hexdigest()


def locate(
    spec: str, *, names: Mapping[str, str] | None = None, avoid: Collection[Path] = ()
) -> Located:
    """Find a submission's files. Nothing of it is imported."""
    where, colon, name = spec.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise UsageError(
            f"submission {spec!r}: expected file.py:Class, package.module:Class or one of "
            f"{sorted(names or {})}.{hint(spec, names or {})}"
        )
    if where.endswith(".py"):
        return _locate_file(Path(where), name, avoid)
    return _locate_module(where, name, spec, avoid)


def stage(located: Located, folder: Path) -> None:
    """Copy a submission's files into a new folder, readable by everybody."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for name in () if located.installed else located.files:
        source, target = located.root / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _link(source, target):
            shutil.copyfile(source, target)
            target.chmod(0o644)
    for parent in {(folder / name).parent for name in located.files if not located.installed}:
        parent.chmod(0o755)


def brought_data(located: Located) -> list[str]:
    """Return what of a submission's files is data rather than source, in words."""
    found = []
    for name in () if located.installed else located.files:
        path = located.root / name
        size, what = path.stat().st_size, name.as_posix()
        if path.suffix not in SOURCE:
            if path.suffix not in CODE - {".so"} or size > MAX_SETTINGS:
                found.append(f"{what} ({size:,} bytes)")
        elif size > MAX_SOURCE:
            found.append(f"{what} ({size:,} bytes of source)")
        else:
            found += [f"{what}, line {line}: {text}" for line, text in _tables(path)]
    return found


def _tables(path: Path) -> list[tuple[int, str]]:
    """Return literals of a source file that are long enough to be a table."""
    try:
        with _PARSING:
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return []  # loading it gives the better message
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            size = _length(node.value)
            if size > MAX_LITERAL:
                found.append((node.lineno, f"a literal of {size:,} characters"))
        elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            size = sum(isinstance(part, ast.Constant) for part in ast.walk(node))
            if size > MAX_LISTED:
                found.append((node.lineno, f"a table of {size:,} literals"))
    return found


def _length(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return value.bit_length() // 4 if isinstance(value, int) else 1


def _link(source: Path, target: Path) -> bool:
    """Link a big file that everybody may read, so that weights are not copied for every seed."""
    status = source.stat()
    if status.st_size < 2**20 or not status.st_mode & stat.S_IROTH:
        return False
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        return False
    return True


def _locate_file(path: Path, name: str, avoid: Collection[Path]) -> Located:
    if not path.is_file():
        folder = path.absolute().parent
        near = hint(path.name, [item.name for item in folder.glob("*.py")])
        raise UsageError(f"submission: no file {path}.{near}")
    path = path.resolve()
    known = _top_level_names(path)
    if known is not None and name not in known:
        raise UsageError(f"submission: {path.name} has no {name!r}.{hint(name, known)}")
    files, left_out = _files(path.parent, avoid)
    return Located(path.name, name, files, path.parent, installed=False, left_out=left_out)


def _locate_module(where: str, name: str, spec: str, avoid: Collection[Path]) -> Located:
    top = where.partition(".")[0]
    depth = 2 if top == "recombine" else 1  # our own top level is a namespace without files
    found = importlib.util.find_spec(".".join(where.split(".")[:depth]))
    places = list(found.submodule_search_locations or []) if found else []
    if found is None or not (places or Path(str(found.origin)).is_file()):
        raise UsageError(
            f"submission {spec!r}: no module {where!r}; install its package, or give file.py:Class"
        )
    left_out: dict[str, str] = {}
    if places:
        root, package = Path(places[0]).parent, Path(places[0]).name
        inside, hidden = _files(Path(places[0]), avoid)
        files = tuple(package / one for one in inside)
        left_out = {f"{package}/{one}": why for one, why in hidden.items()}
    else:
        root = Path(str(found.origin)).parent
        files = (Path(Path(str(found.origin)).name),)
    installed = any(root.is_relative_to(path) for path in package_paths())
    ours = top == "recombine" and where.split(".")[1] in OUR_PACKAGES
    return Located(where, name, files, root, installed or ours, left_out)


def _files(root: Path, avoid: Collection[Path]) -> tuple[tuple[Path, ...], dict[str, str]]:
    """Return the files of a submission, and which others are not shown to it, with the reason."""
    banned = {path.resolve() for path in avoid}
    out: list[Path] = []
    left_out: dict[str, str] = {}
    total = 0
    for path in _walk(root, banned, left_out):
        out.append(path.relative_to(root))
        total += path.stat().st_size
        if len(out) > MAX_FILES or total > MAX_BYTES:
            raise InvalidInputError(
                f"submission: {root} and its subfolders must hold at most {MAX_FILES} files and "
                f"{MAX_BYTES >> 30} GiB of code and weights, got more; put the submission into a "
                "folder of its own"
            )
    return tuple(sorted(out)), {
        str(Path(path).relative_to(root)): why for path, why in left_out.items()
    }


def _walk(folder: Path, banned: Collection[Path], left_out: dict[str, str]) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from error
    for path in paths:
        if len(left_out) > MAX_FILES:  # they are there for messages only
            left_out.clear()
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_symlink():
            # What it points to may be anything of the machine, such as labels.
            left_out[str(path)] = f"it is a link; put the file in its place: cp -L {path.name} ..."
        elif path.is_file() and path.suffix in CODE | WEIGHTS:
            yield path
        elif path.is_dir():
            if mark := _foreign(path, banned):
                left_out[str(path)] = f"it holds {mark}; move the files elsewhere"
            else:
                yield from _walk(path, banned, left_out)
        elif path.is_file():
            left_out[str(path)] = (
                f"only files of these kinds are: {' '.join(sorted(CODE | WEIGHTS))}"
            )


def _foreign(folder: Path, banned: Collection[Path]) -> str:
    """Return what marks a folder as a dataset, predictions or an environment; empty if nothing."""
    if folder.resolve() in banned:
        return "the data or the results of this call"
    for mark in DATA_MARKS:
        if (folder / mark).exists():
            return f"{mark}, as a dataset does"
    if (folder / "pyvenv.cfg").exists():
        return "a virtual environment (pyvenv.cfg)"
    return "predictions (seed-*.safetensors)" if any(folder.glob("seed-*.safetensors")) else ""


def _unreadable(path: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"submission: {path}: expected files that can be read, got {error.strerror or error}; "
        "check its permissions, or put the submission into a folder of its own"
    )


def _top_level_names(path: Path) -> list[str] | None:
    """Return what a file defines, None when that cannot be told without running it."""
    try:
        with _PARSING:
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None  # running it gives the better message
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.If | ast.Try | ast.AnnAssign):
            return None
    return None if "*" in names else names
