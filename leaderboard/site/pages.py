"""Make every page and download of the site in memory.

Styles and script stand inline in every page and the content security policy names their hashes.
Measured in Chromium, ``'self'`` would also load files beside a page opened from disk, but whether
it matches ``file:`` differs between browsers; hashes work everywhere, and a page that is mailed
or saved alone still works. Nothing is loaded from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from recombine.leaderboard.board.board import (
    INFERENCE,
    TEST_COMPUTE,
    TRUST,
    RankedBoard,
    every_row,
)
from recombine.leaderboard.board.pairwise import PICKED, page_data, static_pairs
from recombine.leaderboard.board.pareto import fronts
from recombine.leaderboard.board.roles import ROLES
from recombine.leaderboard.board.sizes import Family, families
from recombine.leaderboard.drawing.formatting import FORMATS
from recombine.leaderboard.exports import tables
from recombine.leaderboard.exports.badges import badge
from recombine.leaderboard.site.changelog import feed, news
from recombine.leaderboard.site.data_pages import Card
from recombine.leaderboard.site.entry import Detail, metric_words

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
MARKER = ".recombine-site"
"""File by which a build knows a folder that it may replace."""
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%230a64ad' d='M1 1h6v6H1zM9 9h6v6H9z'/%3E"
    "%3Cpath fill='none' stroke='%23b5420a' stroke-width='2' d='M10 2h4v4h-4zM2 10h4v4H2z'/%3E"
    "%3C/svg%3E"
)


def render_site(boards: Sequence[RankedBoard], cards: Sequence[Card]) -> dict[str, bytes]:
    """Make every file of the site in memory."""
    pages = _Pages.make(boards, cards)
    files = {
        MARKER: b"Written by recombine board build. A new build replaces this folder.\n",
        "index.html": pages.render("index.html", ""),
        "results.csv": tables.to_csv(boards).encode(),
        "results.json": tables.to_json(boards).encode(),
    }
    files |= _entry_files(pages, boards) | _board_files(pages, boards)
    for card in cards:
        folder = f"data/{card.slug}"
        files[f"{folder}/index.html"] = pages.render("data.html", "../../", card=card)
        files[f"{folder}/certificate.json"] = card.certificate_json
        if card.sheet is not None:
            files[f"{folder}/preview.png"] = card.sheet
    return files


def _board_files(pages: _Pages, boards: Sequence[RankedBoard]) -> dict[str, bytes]:
    """Make what spans entries: comparison, cost, changelog, feed, Parquet where it can be."""
    found = news(boards)
    both = [(ranked, fronts(ranked)) for ranked in boards]
    files = {
        "pareto.html": pages.render("pareto.html", "", boards_fronts=both),
        "changelog.html": pages.render("changelog.html", "", found=found),
        "feed.xml": feed(found),
    }
    script = (HERE / "static" / "compare.js").read_text(encoding="utf-8")
    for ranked in boards:
        data = json.dumps(page_data(ranked), separators=(",", ":"), allow_nan=False)
        about = {"data": data, "pairs": static_pairs(ranked), "picked": PICKED}
        page = pages.with_script(script).render("compare.html", "../", ranked=ranked, **about)
        files[f"compare/{ranked.slug}.html"] = page
    table = tables.to_parquet(boards)
    return files if table is None else files | {"results.parquet": table}


def _entry_files(pages: _Pages, boards: Sequence[RankedBoard]) -> dict[str, bytes]:
    """Make page, file and badge of every entry."""
    files, same = {}, families(boards)
    for ranked, row, successor in every_row(boards):
        name = f"entries/{row.entry.slug}"
        family = same.get(row.entry.result.result_id, Family())
        detail = Detail(row, ranked.board.key, successor, family)
        files[f"{name}.html"] = pages.render("entry.html", "../", ranked=ranked, page=detail)
        files[f"{name}.json"] = row.entry.content
        files[f"badges/{row.entry.slug}.svg"] = badge(row)
    return files


@dataclass(frozen=True)
class _Pages:
    """The templates and what every page shares."""

    environment: jinja2.Environment
    shared: dict[str, Any]

    @classmethod
    def make(cls, boards: Sequence[RankedBoard], cards: Sequence[Card]) -> _Pages:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters |= dict(FORMATS) | {"metric": metric_words}
        css = (HERE / "static" / "site.css").read_text(encoding="utf-8")
        script = (HERE / "static" / "site.js").read_text(encoding="utf-8")
        shared = {
            "boards": boards,
            "cards": cards,
            "parquet": tables.has_parquet(),
            "card_of": {card.certificate.named: card for card in cards},
            "css": Markup(css),  # noqa: S704 - our own file
            "icon": Markup(ICON),  # noqa: S704 - a constant
            "trust": TRUST,
            "inference": INFERENCE,
            "roles": ROLES.values(),
            "compute_words": TEST_COMPUTE,
        }
        return cls(environment, shared).with_script(script)

    def with_script(self, script: str) -> _Pages:
        """Return the pages with a further script of ours; the policy names exactly that text."""
        whole = f"{self.shared.get('script', '')}{script}"
        policy = content_security_policy(self.shared["css"], whole)
        added = {"script": Markup(whole), "policy": Markup(policy)}  # noqa: S704 - our own files
        return _Pages(self.environment, self.shared | added)

    def render(self, template: str, up: str, **context: Any) -> bytes:
        page = self.environment.get_template(template)
        return page.render(up=up, **self.shared, **context).encode()


def content_security_policy(css: str, script: str) -> str:
    """Return the policy of every page: this style, this script, embedded images, nothing else."""
    style, code = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
        for text in (css, script)
    )
    return (
        f"default-src 'none'; style-src {style}; script-src {code}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
