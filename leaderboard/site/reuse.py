"""What the last build found out, so that one new entry costs one new page.

Trust rests on content alone, never on a file's time or name: a result file counts as checked when
its very bytes were checked by the very same code, and a page is taken over when its bytes are
those that were written then and the file and the code that it was made from are unchanged. What
other entries decide of a page, its rank for one, stands between comments and is written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recombine.benchmark.statistics import intervals as stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Path(__file__).parent
MARKER = ".recombine-site"
ABOUT = "Written by recombine board. A new build replaces this folder."
NOW = re.compile(rb"<!--now:(\w+)-->.*?<!--/now-->", re.DOTALL)
"""Text from a file is escaped wherever it is printed, so no entry can hold such a comment."""
LIBRARIES = ("jinja2", "markupsafe", "numpy", "pydantic", "scipy")


@dataclass(frozen=True)
class Earlier:
    """The last build of a site."""

    folder: Path  # where it is
    made_from: str = ""  # hash of everything that the site was made from; empty when there was none
    checked: frozenset[str] = frozenset()  # hashes of the result files that it checked
    # path inside the site to the hash of its bytes
    files: dict[str, str] = field(default_factory=dict)
    # path of an entry's page to the hash of the file and the code that it was made from
    pages: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Earlier:
        """Read what a build left behind."""
        try:
            found = json.loads((folder / MARKER).read_bytes())
            if found["code"] != code_digest():
                return cls(folder)
            files, pages = (_texts(found[name]) for name in ("files", "pages"))
            return cls(folder, str(found["made_from"]), frozenset(found["checked"]), files, pages)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(folder)

    def is_whole(self, made_from: str) -> bool:
        """Tell whether the site is what a build would write now, to the last byte."""
        if not made_from or made_from != self.made_from:
            return False
        there = {
            os.path.relpath(Path(folder, name), self.folder)
            for folder, _, names in os.walk(self.folder)
            for name in names
        }
        if there != {*self.files, MARKER}:
            return False
        return all(self.take(name) is not None for name in self.files)

    def page(self, name: str, made_from: str) -> bytes | None:
        """Return a page that needs no more than ``fill``."""
        return self.take(name) if self.pages.get(name) == made_from else None

    def take(self, name: str) -> bytes | None:
        """Return a file of the site when its bytes are those that the build wrote."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError:
            return None
        return content if digest(content) == self.files.get(name) else None


def fill(page: bytes, parts: bytes) -> bytes:
    """Write what other entries decide into a page."""
    found = {match[1]: match[0] for match in NOW.finditer(parts)}
    return NOW.sub(lambda match: found[match[1]], page)


def marker_text(
    made_from: str, checked: Iterable[str], files: Mapping[str, bytes], pages: Mapping[str, str]
) -> bytes:
    """Write down what a build found out, for the next one."""
    listed = {name: digest(content) for name, content in files.items()}
    found = {
        "about": ABOUT, "code": code_digest(), "made_from": made_from, "checked": sorted(checked),
        "files": listed, "pages": dict(pages),
    }  # fmt: skip
    return (json.dumps(found) + "\n").encode()


def digest(*parts: bytes) -> str:
    """Return one hash of several byte strings; their lengths count too."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


@cache
def code_digest() -> str:
    """Return the hash of all that checks a file or shapes a page: code, templates, libraries."""
    code = sorted(HERE.parent.rglob("*.py")) + sorted(Path(stats.__file__).parent.glob("*.py"))
    static = sorted((HERE / "templates").iterdir()) + sorted((HERE / "static").iterdir())
    texts = [path.read_bytes() for path in [*code, *static] if path.is_file()]
    return digest(*texts, *(f"{name} {version(name)}".encode() for name in LIBRARIES))


def _texts(found: dict[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()}
