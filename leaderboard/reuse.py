"""Pages of the last build that are still right, so that one new entry costs one new page.

A page is taken over only when everything it was made from is unchanged (result file, rank set,
data card, templates, code) and its own bytes are those that were written then.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from recombine.benchmark import stats

HERE = Path(__file__).parent
ABOUT = "Written by recombine board. A new build replaces this folder."


@dataclass(frozen=True)
class Earlier:
    """The last build of a site.

    Attributes
    ----------
    folder : Path
        Where it is.
    pages : dict
        Name of a page to the hash of what it was made from and of its bytes.
    """

    folder: Path
    pages: dict[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, marker: str) -> Earlier:
        """Read what a build left behind.

        Parameters
        ----------
        folder : Path
            The site; it need not exist.
        marker : str
            Name of the file that a build leaves.

        Returns
        -------
        Earlier
            Without pages when there was none, or when its list cannot be read.
        """
        try:
            listed = json.loads((folder / marker).read_text(encoding="utf-8"))["pages"]
            pages = {str(name): (str(made), str(own)) for name, (made, own) in listed.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(folder)
        return cls(folder, pages)

    def page(self, name: str, made_from: str) -> bytes | None:
        """Return a page that is still right.

        Parameters
        ----------
        name : str
            Path inside the site.
        made_from : str
            Hash of what it would be made from now.

        Returns
        -------
        bytes, optional
            None when it must be made again.
        """
        was, own = self.pages.get(name, ("", ""))
        if was != made_from:
            return None
        try:
            content = (self.folder / name).read_bytes()
        except OSError:
            return None
        return content if digest(content) == own else None


def marker_text(pages: dict[str, tuple[str, str]]) -> bytes:
    """Write the list of pages for the next build.

    Parameters
    ----------
    pages : dict
        As in ``Earlier``.

    Returns
    -------
    bytes
        JSON.
    """
    return (json.dumps({"about": ABOUT, "pages": pages}) + "\n").encode()


def digest(*parts: bytes) -> str:
    """Return one hash of several byte strings; their lengths count too.

    Parameters
    ----------
    *parts : bytes
        What is hashed.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


@cache
def code_digest() -> str:
    """Return the hash of everything of ours that shapes a page: code, templates, style, script."""
    code = sorted(HERE.glob("*.py")) + sorted(Path(stats.__file__).parent.glob("stats*.py"))
    static = sorted((HERE / "templates").iterdir()) + sorted((HERE / "static").iterdir())
    return digest(*(path.read_bytes() for path in [*code, *static] if path.is_file()))
