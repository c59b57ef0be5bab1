"""All that an object of this process is: its numbers, and the code that they run through.

Two objects with one hash give the same answers, so a finished run of one stands for the other. What
cannot be read completely, such as an open file or a lock, has no hash: its runs are made anew.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import io
import itertools
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range, slice)
CALLABLES = (
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
# Of a class: what Python keeps there itself, none of it code of the class.
BOOKKEEPING = frozenset(
    (
        *("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "_abc_impl"),
        *("__firstlineno__", "__static_attributes__", "__abstractmethods__", "__slotnames__"),
        *("__dataclass_fields__", "__dataclass_params__", "__annotate_func__"),
        "__annotations_cache__",
    )
)
MOST_FILES = 10_000
LONGEST_PATH = 4096


def state_sha256(value: object) -> str | None:
    """Return the SHA-256 of all that can be reached from an object; None when some is out of reach.

    That is: attributes, whether public or not; tensors and arrays in them; the code of classes and
    functions that no library defines, with their defaults, closures and the globals they read; and
    files that a path names, of a folder sizes and times. Fields of a dataclass that do not compare
    are left out.
    """
    walk = _Walk()
    try:
        walk.feed(value)
    except (_UnknownError, RecursionError, OSError, ValueError):
        return None
    return walk.total.hexdigest()


class _UnknownError(Exception):
    """Something holds a state that cannot be read."""


class _Walk:
    """Goes through objects in a fixed order and hashes what it meets."""

    def __init__(self) -> None:
        self.total = hashlib.sha256()
        self._met: dict[int, int] = {}
        self._kept: list[object] = []  # an id belongs to another object once its own is gone

    def feed(self, value: Any) -> None:
        """Hash one object."""
        if isinstance(value, PLAIN) and type(value) in PLAIN:
            self._add(type(value).__name__, value)
            if isinstance(value, str) and "/" in value and len(value) < LONGEST_PATH:
                self._file(Path(value))
            return
        if id(value) in self._met:
            self._add("met", self._met[id(value)])
            return
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        for kinds, read in READERS:
            if isinstance(value, kinds):
                read(self, value)
                return
        self._object(value)

    def _add(self, kind: str, value: object) -> None:
        self.total.update(f"{kind}\0{value!r}\0".encode("utf-8", "surrogatepass"))

    def _all(self, *values: object) -> None:
        for value in values:
            self.feed(value)

    def _object(self, value: Any) -> None:
        if isinstance(value, io.IOBase):  # some Pythons let it be taken apart, without its content
            raise _UnknownError(type(value).__name__)
        self.feed(type(value))
        for kinds, parts in PARTS:
            if isinstance(value, kinds):
                self._all(*parts(value))
                break
        else:
            if not _python_alone(type(value)):
                self._reduced(value)
        self._attributes(value)

    def _builtin(self, value: Any) -> None:
        self._add("builtin", getattr(value, "__qualname__", repr(value)))

    def _script(self, module: torch.jit.ScriptModule) -> None:
        stream = io.BytesIO()
        torch.jit.save(module, stream)
        self.total.update(stream.getvalue())

    def _attributes(self, value: Any) -> None:
        found = dict(getattr(value, "__dict__", {}))
        if isinstance(value, functools.cached_property):
            return  # its lock is no state
        for kind in type(value).__mro__:
            names = kind.__dict__.get("__slots__", ())
            for name in (names,) if isinstance(names, str) else names:
                if hasattr(value, name):
                    found[name] = getattr(value, name)
        if dataclasses.is_dataclass(value):
            for one in dataclasses.fields(value):
                if not one.compare:
                    found.pop(one.name, None)
        self._mapping(found)

    def _mapping(self, value: Mapping[Any, Any]) -> None:
        self._all(*_items(value))

    def _reduced(self, value: Any) -> None:
        """Hash what the object itself says it can be made of again."""
        try:
            found = value.__reduce_ex__(4)
        except Exception as error:
            raise _UnknownError(type(value).__name__) from error
        self._all(*(found if isinstance(found, tuple) else (found,)))

    def _numbers(self, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
                raise _UnknownError(str(value.layout))
            self._add("tensor", (value.dtype, tuple(value.shape)))
            flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
            if flat.numel():
                self.total.update(flat.view(torch.uint8).numpy().data)
            self._mapping(getattr(value, "__dict__", {}))
            return
        array = np.ascontiguousarray(value)
        self._add("array", (array.dtype.str, array.dtype.descr, value.shape))
        if array.dtype.hasobject:
            self._all(*array.reshape(-1).tolist())
        elif array.size:
            self.total.update(array.reshape(-1).view(np.uint8).data)

    def _path(self, path: Path) -> None:
        self._add("path", path.name)
        self._file(path)

    def _file(self, path: Path) -> None:
        if path.is_dir():
            files = list(itertools.islice(path.rglob("*"), MOST_FILES + 1))
            if len(files) > MOST_FILES:
                raise _UnknownError(str(path))
            for one in sorted(files):
                status = one.stat()
                self._add(str(one.relative_to(path)), (status.st_size, status.st_mtime_ns))
        elif path.is_file():
            with path.open("rb") as stream:
                self._add("file", hashlib.file_digest(stream, "sha256").hexdigest())

    def _module(self, module: types.ModuleType) -> None:
        self._add("module", module.__name__)
        if _of_library(module.__name__):
            return
        names = vars(module)
        own = {name: one for name, one in names.items() if not name.startswith("__")}
        self._mapping(own)

    def _class(self, kind: type) -> None:
        self._add("class", f"{kind.__module__}:{kind.__qualname__}")
        if _of_library(kind.__module__):
            return
        self._all(*kind.__mro__[1:])
        members = {name: one for name, one in vars(kind).items() if name not in BOOKKEEPING}
        self._mapping(members)

    def _function(self, function: types.FunctionType) -> None:
        self._add("function", f"{function.__module__}:{function.__qualname__}")
        if function.__module__ and _of_library(function.__module__):
            self._mapping({"wrapped": getattr(function, "__wrapped__", None)})
            return
        self._code_of(function.__code__, function.__globals__)
        self._all(function.__defaults__, function.__kwdefaults__)
        self._all(*(_content(cell) for cell in function.__closure__ or ()))
        self._mapping(vars(function))

    def _code(self, code: types.CodeType) -> None:
        self._code_of(code, {})

    def _code_of(self, code: types.CodeType, names: Mapping[str, Any]) -> None:
        self.total.update(code.co_code)
        self._add("names", (code.co_names, code.co_varnames, code.co_freevars, code.co_flags))
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code_of(constant, names)
            else:
                self.feed(constant)
        for step in dis.get_instructions(code):
            name = step.argval
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in names:
                self.feed(names[name])
            elif step.opname == "IMPORT_NAME" and name in sys.modules:
                self.feed(sys.modules[name])


READERS: tuple[tuple[Any, Callable[[_Walk, Any], None]], ...] = (
    (Path, _Walk._path),
    ((torch.Tensor, np.ndarray, np.generic), _Walk._numbers),
    (type, _Walk._class),
    (types.ModuleType, _Walk._module),
    (types.FunctionType, _Walk._function),
    (types.CodeType, _Walk._code),
    (CALLABLES, _Walk._builtin),
    (torch.jit.ScriptModule, _Walk._script),
)
PARTS: tuple[tuple[Any, Callable[[Any], Iterable[Any]]], ...] = (
    (torch.Generator, lambda one: [one.get_state()]),
    ((torch.device, torch.dtype), lambda one: [str(one)]),
    (functools.partial, lambda one: [one.func, one.args, one.keywords]),
    ((types.MethodType, classmethod, staticmethod), lambda one: [one.__func__, _bound_to(one)]),
    (property, lambda one: [one.fget, one.fset]),
    (functools.cached_property, lambda one: [one.func]),
    ((types.MemberDescriptorType, types.GetSetDescriptorType), lambda one: [one.__name__]),
    (types.CellType, lambda one: [_content(one)]),
    (Mapping, lambda one: _items(one)),
    ((list, tuple, deque), lambda one: [len(one), *one]),
    ((set, frozenset), lambda one: sorted(map(_plain_key, one))),
)


def _items(value: Mapping[Any, Any]) -> list[Any]:
    items = list(value.items())
    if all(isinstance(key, str) for key, _ in items):
        items.sort(key=lambda pair: pair[0])
    return [len(items), *(part for pair in items for part in pair)]


def _bound_to(method: Any) -> Any:
    return getattr(method, "__self__", None)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None


def _plain_key(value: object) -> str:
    """Return a text by which the members of a set are told apart."""
    if isinstance(value, PLAIN):
        return f"{type(value).__name__} {value!r}"
    raise _UnknownError(type(value).__name__)


def _python_alone(kind: type) -> bool:
    """Return whether all that objects of a class hold are attributes."""
    heap = 1 << 9  # Py_TPFLAGS_HEAPTYPE: classes that Python code, or a binding, made
    own = [one for one in kind.__mro__ if one is not object]
    return all(one.__flags__ & heap and "__dict__" in dir(one) for one in own)


@functools.cache
def _of_library(name: str) -> bool:
    """Return whether a module came with Python, this project or an installed package."""
    top = name.partition(".")[0]
    if top == "recombine" or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return bool({"site-packages", "dist-packages"} & set(Path(file).parts))
