"""Citations as BibTeX: of one entry, and of the benchmark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recombine.renderer.core.project import AUTHORS, TITLE, project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recombine.benchmark.results.result import Result


def entry_citation(result: Result, slug: str) -> str:
    """Cite an entry; the result id names the exact numbers."""
    data, credit = result.data, result.credit
    title = _tex(f"{result.method.name} ({result.method.inference})")
    place = _tex(f"{data.dataset} {data.version}, {data.resolution} px")
    # The paper of a baseline is by others: it is what the method follows, not what is cited.
    link = "" if result.method.is_baseline else credit.paper or credit.code
    return _misc(
        f"{TITLE}-{slug}",
        {
            "author": " and ".join(_person(name) for name, _ in credit.people),
            "title": f"{title}, entry of the {TITLE} leaderboard",
            "year": result.created[:4],
            "url": link,
            "note": f"{place}, result {result.result_id}",
        },
    )


def benchmark_citation(year: str, release: str = "") -> str:
    """Cite the benchmark, and the release of the board where it is one."""
    about = project()
    return _misc(
        TITLE,
        {
            "author": _person(AUTHORS),
            "title": _tex(f"{TITLE}. {about.summary}"),
            "year": year,
            "url": about.repository,
            "note": f"Version {about.version}" + f", board release {release}" * bool(release),
        },
    )


def _misc(key: str, fields: Mapping[str, str]) -> str:
    listed = "".join(f",\n  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@misc{{{key}{listed}\n}}"


def _person(name: str) -> str:
    """Write a name as BibTeX reads one; what would be taken apart is held together by braces."""
    text = _tex(name)
    whole = name == AUTHORS or "," in name or " and " in f" {name} ".lower()
    return f"{{{text}}}" if whole else text


def _tex(text: str) -> str:
    """Escape what TeX would read as a command."""
    plain = re.sub(r"[\\{}~^]", " ", text)
    return re.sub(r"([#$%&_])", r"\\\1", plain)
