"""Who makes recombine and where it can be found: said once, read by data cards and boards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata

AUTHORS = "recombine contributors"
TITLE = "recombine"


@dataclass(frozen=True)
class Project:
    """What the installed package says about itself, from the `[project]` table of pyproject.toml.

    An address is empty until `[project.urls]` names it: `Repository`, `Documentation`, `Releases`,
    `Contact`.
    """

    version: str
    summary: str  # what it is, in a line
    licence: str  # of the code
    repository: str = ""
    documentation: str = ""
    releases: str = ""
    contact: str = ""  # where a problem can be reported


@cache
def project() -> Project:
    """Return what the installed package says about itself."""
    about = metadata.metadata("recombine")
    named = (one.partition(", ") for one in about.get_all("Project-URL") or ())
    urls = {label.lower(): url for label, _, url in named if url.startswith("https://")}
    known = {
        name: urls.get(name, "") for name in ("repository", "documentation", "releases", "contact")
    }
    return Project(about["Version"], about["Summary"], about["License-Expression"], **known)
