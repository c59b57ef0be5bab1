"""Shared libraries of the system that the bpy wheel links to, and what to do where one lacks.

`libraries.txt` holds them with the Debian packages that bring them; `scripts/setup.sh` reads it.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

from recombine.renderer.core.machine import limited

INSTALL = "pip install 'recombine[render]'"
TABLE = Path(__file__).with_suffix(".txt")
MEMORY = ("failed to map segment", "annot allocate memory", "annot map")


def packages() -> dict[str, str]:
    """Return the Debian package of every library."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines)


def advice(error: BaseException) -> str:
    """Return what to do where Blender cannot be imported."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in MEMORY):
        return (limited() or "memory ran out: close other programs, or use fewer --workers") + "."
    if "undefined symbol" in str(error) and os.environ.get("LD_LIBRARY_PATH"):
        return leave()
    named = re.search(r"([^\s/:]+\.so[.\d]*): (cannot open|file too short|invalid ELF)", str(error))
    if named is None:
        return f"Run `{INSTALL}`, then `recombine doctor`."
    known = packages()
    lacking = [library for library in known if library == named[1] or not _loads(library)]
    install = (
        f"sudo apt-get update && sudo apt-get install -y {' '.join(known[one] for one in lacking)}"
    )
    steps = [f"`{install}`"] if lacking else []
    if named[1] not in known:
        steps.append(f"`apt-file search {named[1]}`, and install the package that it names")
    return f"Run {'; '.join(steps)}; then `recombine doctor`."


def leave() -> str:
    """Return what to do where another library took the place of one of Blender's."""
    return (
        f"LD_LIBRARY_PATH is {os.environ.get('LD_LIBRARY_PATH', '')!r}: unset it (with conda, "
        "oneAPI or OpenFOAM, leave that environment) and run again."
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
