"""Make every page and download of the site, one file after the other.

Style and script are two files that all pages share. The policy of a page allows files of its own
origin and nothing else. Measured in Chromium 156: ``'self'`` loads them beside a page opened from
disk and from a server; a hash with ``integrity`` loads neither from disk (a file is no CORS
request), and a hash never loads a style sheet that is a file. A browser in which ``'self'`` does
not match ``file:`` shows a page from disk without style, complete otherwise.
"""

from __future__ import annotations

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
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.formatting import FORMATS
from recombine.leaderboard.exports import tables
from recombine.leaderboard.exports.badges import badge
from recombine.leaderboard.exports.citation import benchmark_citation
from recombine.leaderboard.site.board_page import BoardPage, main_board, methods_of
from recombine.leaderboard.site.changelog import feed, news
from recombine.leaderboard.site.data_pages import Card
from recombine.leaderboard.site.entry import Detail, metric_words
from recombine.leaderboard.site.glossary import GLOSSARY
from recombine.renderer.core.project import project
from recombine.renderer.core.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recombine.leaderboard.board.board import Row
    from recombine.leaderboard.board.entries import Refused
    from recombine.leaderboard.site.earlier import Archived

HERE = Path(__file__).parent
MARKER = ".recombine-site"
"""File by which a build knows a folder that it may replace."""
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%230a64ad' d='M1 1h6v6H1zM9 9h6v6H9z'/%3E"
    "%3Cpath fill='none' stroke='%23b5420a' stroke-width='2' d='M10 2h4v4h-4zM2 10h4v4H2z'/%3E"
    "%3C/svg%3E"
)
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
STATIC = ("site.css", "site.js", "compare.js")
NAVIGATION = (
    ("index.html", "Board"),
    ("methods.html", "Methods"),
    ("data/index.html", "Data"),
    ("reading.html", "How to read"),
    ("submit.html", "Submit"),
    ("downloads.html", "Downloads"),
)
EARLIER = ("archive.html", "Archive")
"""Address and name of the page of results on earlier data, on a site that lists some."""


@dataclass(frozen=True)
class Release:
    """A state of the board that stays as it is."""

    version: str
    date: str  # YYYY-MM-DD


def templates() -> jinja2.Environment:
    """Return the templates of all pages."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def site_files(
    boards: Sequence[RankedBoard],
    cards: Sequence[Card],
    refused: Sequence[Refused] = (),
    release: Release | None = None,
    archived: Sequence[Archived] = (),
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every file of the site, one at a time."""
    pages = _Pages.make(boards, cards, refused, release, archived)
    yield MARKER, b"Written by recombine board build. A new build replaces this folder.\n"
    for name in STATIC:
        yield f"static/{name}", (HERE / "static" / name).read_bytes()
    if not boards:
        yield "index.html", pages.render("board.html", "index.html", page=None)
    for page in pages.boards:
        address = pages.addresses[page.ranked.slug]
        yield address, pages.render("board.html", address, page=page)
    found = [(ranked, methods_of(ranked)) for ranked in boards]
    yield "methods.html", pages.render("methods.html", "methods.html", boards_methods=found)
    yield "data/index.html", pages.render("data_list.html", "data/index.html")
    for name in ("reading.html", "submit.html", "downloads.html"):
        yield name, pages.render(name, name)
    yield "results.csv", tables.to_csv(boards).encode()
    yield "results.json", tables.to_json(boards).encode()
    yield from _entry_files(pages, boards)
    yield from _spanning_files(pages, boards)
    if archived:
        yield EARLIER[0], pages.render("earlier.html", EARLIER[0], archived=archived)
    for part in archived:
        for one in part.kept:
            yield f"archive/{part.name}/{one.file}", one.content
    for card in cards:
        folder = f"data/{card.slug}"
        yield f"{folder}/index.html", pages.render("data.html", f"{folder}/index.html", card=card)
        yield f"{folder}/certificate.json", card.certificate_json
        if card.sheet is not None:
            yield f"{folder}/{card.sheet_name}", card.sheet


def _spanning_files(pages: _Pages, boards: Sequence[RankedBoard]) -> Iterator[tuple[str, bytes]]:
    """Yield what spans entries: comparison, cost, changelog, feed, Parquet where it can be."""
    found = news(boards)
    both = [(ranked, fronts(ranked)) for ranked in boards]
    yield "pareto.html", pages.render("pareto.html", "pareto.html", boards_fronts=both)
    yield "changelog.html", pages.render("changelog.html", "changelog.html", found=found)
    yield "feed.xml", feed(found)
    for ranked in boards:
        data = json.dumps(page_data(ranked), separators=(",", ":"), allow_nan=False)
        about = {"data": data, "pairs": static_pairs(ranked), "picked": PICKED}
        address = f"compare/{ranked.slug}.html"
        yield address, pages.render("compare.html", address, ranked=ranked, **about)
    table = tables.to_parquet(boards)
    if table is not None:
        yield "results.parquet", table


def _entry_files(pages: _Pages, boards: Sequence[RankedBoard]) -> Iterator[tuple[str, bytes]]:
    """Yield page, file and badge of every entry."""
    same = families(boards)
    for ranked, row, successor in every_row(boards):
        name = f"entries/{row.entry.slug}"
        family = same.get(row.entry.result.result_id, Family())
        floors = tuple(
            one
            for one in ranked.confirmed
            if one.role.key == "floor" and one is not row and one.listed and _alike(one, row)
        )
        detail = Detail(row, ranked.board.key, successor, family, floors)
        page = pages.render("entry.html", f"{name}.html", ranked=ranked, page=detail)
        yield f"{name}.html", page
        yield f"{name}.json", row.entry.content
        yield f"badges/{row.entry.slug}.svg", badge(row)


def _alike(one: Row, other: Row) -> bool:
    """Tell whether two rows were served as many training images."""
    return one.entry.result.data.n_train == other.entry.result.data.n_train


@dataclass(frozen=True)
class _Pages:
    """The templates and what every page shares."""

    environment: jinja2.Environment
    shared: dict[str, Any]
    boards: tuple[BoardPage, ...]  # the main one first
    addresses: dict[str, str]  # of the boards' pages, by slug

    @classmethod
    def make(
        cls,
        boards: Sequence[RankedBoard],
        cards: Sequence[Card],
        refused: Sequence[Refused],
        release: Release | None,
        archived: Sequence[Archived],
    ) -> _Pages:
        environment = templates()
        environment.filters |= dict(FORMATS) | {"metric": metric_words}
        main = main_board(boards)
        ordered = sorted(boards, key=lambda ranked: ranked is not main)
        pages = tuple(BoardPage(ranked, _card(ranked, cards)) for ranked in ordered)
        addresses = {
            ranked.slug: "index.html" if ranked is main else f"{ranked.slug}.html"
            for ranked in ordered
        }
        shared = {
            "boards": ordered,
            "pages_of_boards": pages,
            "address_of": addresses,
            "size_of": _told_apart(ordered),
            "cards": cards,
            "refused": [(shown(one.path.name, ""), _reason(one)) for one in refused],
            "contact": project().contact,
            "card_of": {card.certificate.named: card for card in cards},
            "parquet": tables.has_parquet(),
            "navigation": (*NAVIGATION, *([EARLIER] if archived else [])),
            "policy": Markup(POLICY),  # noqa: S704 - a constant
            "icon": Markup(ICON),  # noqa: S704 - a constant
            "glossary": GLOSSARY,
            "trust": TRUST,
            "inference": INFERENCE,
            "roles": ROLES.values(),
            "compute_words": TEST_COMPUTE,
            "project": project(),
            "release": release,
            "cite": benchmark_citation(_year(boards), release.version if release else ""),
        }
        return cls(environment, shared, pages, addresses)

    def render(self, template: str, address: str, **context: Any) -> bytes:
        """Return the page of a template that will stand at an address of the site."""
        page, up = self.environment.get_template(template), "../" * address.count("/")
        return page.render(up=up, here=address, **self.shared, **context).encode()


def _told_apart(boards: Sequence[RankedBoard]) -> dict[str, str]:
    """Return the small print of every board's name: what differs among those of one title."""
    found = {}
    for one in boards:
        twins = [other.board for other in boards if other.title == one.title]
        key, words = one.board.key, [one.size]
        if len({(twin.key.version, twin.key.metric_version) for twin in twins}) > 1:
            words.append(f"version {key.version}, measure {key.metric_version}")
        if len({twin.key.identity for twin in twins}) > 1:
            images = max((e.result.data.n_train for e in one.board.entries), default=0)
            words += [f"{numbers.count(images)} training images", key.identity[:6]]
        found[one.slug] = ", ".join(words)
    return found


def _year(boards: Sequence[RankedBoard]) -> str:
    """Return the year of the newest result; empty without results."""
    entries = (entry for ranked in boards for entry in ranked.board.entries)
    return max((entry.result.created[:4] for entry in entries), default="")


def _reason(refused: Refused) -> str:
    """Say why a file was refused, without the folders of the machine that builds."""
    return shown(str(refused.error).replace(f"{refused.path.parent}/", ""), "")


def _card(ranked: RankedBoard, cards: Sequence[Card]) -> Card | None:
    """Return the card of a board's dataset, else that of another version of it."""
    key = ranked.board.key
    exact = (card for card in cards if card.certificate.named == key.identity)
    other = (card for card in cards if card.dataset == key.dataset)
    return next(exact, None) or next(other, None)
