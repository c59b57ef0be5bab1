"""Releases of the board: the site as it was, kept for good, and a page that lists them.

A folder holds one site per release, the same site packed, the record `releases.json` with the
SHA-256 of every pack, and `index.html`. Equal results, date and versions give an equal pack.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.site.build import build_site
from recombine.leaderboard.site.pages import ICON, POLICY, Release, templates
from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.files import write_bytes, write_json
from recombine.renderer.core.project import project
from recombine.renderer.core.strict import Count, Sha256, Strict, read_json, validated

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = "recombine.releases/1"
RECORD = "releases.json"
VERSION = "[0-9A-Za-z][0-9A-Za-z.-]{0,39}"
START = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can hold


class Released(Strict):
    """One release on record."""

    version: Annotated[str, StringConstraints(pattern=f"^{VERSION}$")]
    """Also the name of its folder."""
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
    file: Annotated[str, StringConstraints(pattern=rf"^board-{VERSION}\.zip$")]
    bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256
    boards: Count
    entries: Count
    recombine: str
    """Version of the package that built it."""


def release_site(
    results: Sequence[Path], archive: Path, release: Release, cards: Sequence[Path] = ()
) -> Released:
    """Build a site that stays as it is, and put it into an archive.

    Parameters
    ----------
    results : sequence of Path
        Result files.
    archive : Path
        Folder of all releases.
    release : Release
        Its version and date.
    cards : sequence of Path
        As for `build_site`.

    Returns
    -------
    Released
        What is on record about it.

    Raises
    ------
    UsageError
        When the version or the date is none, or the version is released already.
    InvalidInputError, IntegrityError
        When a result file, a card or the record of the archive is invalid; nothing is written.
    ResourceError
        When the archive cannot be written.
    """
    _check(release)
    earlier = read_releases(archive)
    if release.version in {one.version for one in earlier}:
        raise UsageError(
            f"board release: {archive} holds {release.version} already; a release stays as it is, "
            "choose the next version"
        )
    boards = load_boards(results)
    folder = archive / release.version
    build_site(results, folder, cards, release=release)
    content = _packed(folder)
    name = f"board-{release.version}.zip"
    write_bytes(archive / name, content)
    made = Released(
        version=release.version,
        date=release.date,
        file=name,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        boards=len(boards),
        entries=sum(len(board.entries) for board in boards),
        recombine=project().version,
    )
    found = sorted((*earlier, made), key=lambda one: (one.date, one.version), reverse=True)
    write_bytes(archive / "index.html", _page(found))
    # Last: until a release is on record, the same command makes it again.
    plain = [one.model_dump(mode="json") for one in found]
    write_json(archive / RECORD, {"format": FORMAT, "releases": plain})
    return made


def read_releases(archive: Path) -> list[Released]:
    """Read which releases an archive holds, the newest first; none without a record."""
    path = archive / RECORD
    if not path.exists():
        return []
    found = read_json(path, FORMAT).get("releases")
    items = found if isinstance(found, list) else [found]
    return [validated(Released, item, str(path)) for item in items]


def _check(release: Release) -> None:
    if not re.fullmatch(VERSION, release.version):
        raise UsageError(
            "board release: expected a version of at most 40 letters, digits, dots and hyphens, "
            f"such as 2026.1, got {release.version!r}; choose another"
        )
    try:
        date.fromisoformat(release.date)
    except ValueError:
        raise UsageError(
            f"board release: expected a date as YYYY-MM-DD, got {release.date!r}; correct --date"
        ) from None


def _packed(folder: Path) -> bytes:
    """Pack a folder so that equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            about = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", START)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o644 << 16
            pack.writestr(about, path.read_bytes())
    return buffer.getvalue()


def _page(releases: Sequence[Released]) -> bytes:
    page = templates().get_template("archive.html")
    return page.render(releases=releases, policy=POLICY, icon=ICON).encode()
