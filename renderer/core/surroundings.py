"""What a process that draws is shown of its surroundings: variables, folders of the user, imports.

Blender, BlenderProc and their libraries ask for some 350 environment variables and look into the
user's configuration; some of it changes every pixel. So a process that draws gets a short list
of variables and a home of its own, and what still changes pixels is part of the build.

What the dynamic linker does is decided before any of this: see `foreign_libraries`.
"""

from __future__ import annotations

import contextlib
import os
import site
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

RECORDED = ("CYCLES_CPU_NO_AVX2", "LD_PRELOAD")
"""Variables that a process that draws keeps although they may change pixels: see `recorded`."""
KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "HDF5_USE_FILE_LOCKING"),
    *("LC_ALL", "LC_CTYPE", "LANG"),
    # where Python, and the libraries that it is linked to, lie
    *("PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "NIX_LD", "NIX_LD_LIBRARY_PATH"),
    *RECORDED,
)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SAFE_PATH = "PYTHONSAFEPATH"
LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")  # the first that is set decides
# Beginnings of what Blender, Cycles, NumPy, Python and the C library read: told by `doctor`.
READ = (
    *("OCIO", "BLENDER_", "CYCLES_", "OIDN_", "OPENIMAGEIO_", "NPY_", "OPENBLAS_", "MKL_", "OMP_"),
    *("PYTHON", "XDG_CONFIG_HOME", "GLIBC_TUNABLES", "LD_PRELOAD", "LD_AUDIT"),
)


def shown(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that draws, from that of the process that starts it."""
    found = {name: variables[name] for name in KEPT if variables.get(name)}
    # Names of files are read as here; numbers and dates are those of the C locale.
    names = next((found[name] for name in LOCALE if name in found), None)
    found = {name: value for name, value in found.items() if name not in LOCALE}
    if names is not None:
        found["LC_CTYPE"] = names
    return found | dict.fromkeys(ONE_THREAD, "1")


def enter(home: Path) -> None:
    """Leave this process the variables of `shown`, with another home; not to be undone."""
    # Blender looks for colours, scripts and preferences of the user below the home.
    kept = shown(os.environ) | {"HOME": str(home)}
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


def recorded(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those variables that are kept and may change pixels, as a build records them."""
    found = {name: variables[name] for name in RECORDED if variables.get(name)}
    if "LD_PRELOAD" in found:  # where it lies says nothing of what it does
        libraries = found["LD_PRELOAD"].replace(":", " ").split()
        found["LD_PRELOAD"] = " ".join(Path(one).name for one in libraries)
    return found


def noticed(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what becomes of each variable that Blender or a library of it would read."""
    hidden = [name for name in variables if name.startswith(READ) and name not in KEPT]
    told = dict.fromkeys(hidden, "kept from Blender")
    return dict(sorted((told | dict.fromkeys(recorded(variables), "part of the build")).items()))


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Let processes that `multiprocessing` starts inside the block import from installed places."""
    # A pickle.py of the current folder would end each of them before it runs anything of ours.
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def interpreter() -> list[str]:
    """Return the command of a Python that imports from nowhere but `import_path`."""
    # -P: a file of the current folder named like a module must not take the place of the module.
    alone = ["-s"] if not site.ENABLE_USER_SITE else []
    return [sys.executable, "-P", *alone, "-X", f"utf8={sys.flags.utf8_mode}"]


def import_path() -> list[str]:
    """Return where this process imports from, without the folder that Python puts first."""
    paths = [os.fspath(path) for path in sys.path if path]
    first = None if sys.flags.safe_path else _program_folder()
    own = next((path for path in paths if first and Path(path).resolve() == first), None)
    if own is not None:
        paths.remove(own)
    return paths


def _program_folder() -> Path | None:
    """Return the folder of the program, or the current one where a module is the program."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None:  # the empty entry of `python -c` and of notebooks
        return None
    with contextlib.suppress(OSError):
        return Path(file).resolve().parent if main.__spec__ is None else Path.cwd().resolve()
    return None


def foreign_libraries(own: Path) -> list[Path]:
    """Return libraries in this process that lie elsewhere and took the place of one in a folder."""
    # The linker asks LD_LIBRARY_PATH first, and a library that is loaded stays for all.
    loaded = set()
    with contextlib.suppress(OSError):  # nothing else tells it, and macOS does not
        for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines():
            _, slash, path = line.partition("/")
            loaded |= {Path(slash + path)} if slash else set()
    lacking = [path.name for path in own.iterdir() if path.resolve() not in loaded]
    # The file of libtbb.so.12 may be libtbb.so.12.13.
    return sorted(
        path for path in loaded for name in lacking if f"{path.name}.".startswith(f"{name}.")
    )
