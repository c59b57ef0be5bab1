"""Data cards: the contact sheet and the certificate of a dataset, for the site's data pages."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recombine.leaderboard.site.interaction import Group, load_interaction
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup

MAX_JSON = 4 * 2**20
MAX_IMAGE = 32 * 2**20
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
Text = Annotated[str, Field(max_length=4000)]


class Line(BaseModel):
    """One invariant of a certificate."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    name: Text
    status: Literal["pass", "stated", "fail", "not run"]
    claim: Text
    found: Text


class Certificate(BaseModel):
    """What ``recombine verify`` sealed with the data; newer keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    format: Literal["recombine.certificate/1"]
    dataset: Text
    root: Annotated[str, Field(pattern=r"^[0-9a-f]{8,128}$")]
    passed: bool
    proves: Text
    checks: tuple[Line, ...]


@dataclass(frozen=True)
class Card:
    """What the site shows about a dataset.

    Attributes
    ----------
    certificate : Certificate
        The sealed checks.
    certificate_json : bytes
        The file as it was read, for download.
    sheet : bytes or None
        The contact sheet, a PNG file.
    interaction : tuple of Group
        Measured interaction of groups of scenes; empty when nothing was measured.
    histogram : Markup, optional
        Interaction of single scenes.
    """

    certificate: Certificate
    certificate_json: bytes
    sheet: bytes | None
    interaction: tuple[Group, ...] = ()
    histogram: Markup | None = None

    @property
    def slug(self) -> str:
        """Return a name for the page: safe characters only, unique by content."""
        name = re.sub(r"[^a-z0-9]+", "-", self.certificate.dataset.lower()).strip("-")
        return f"{name[:60] or 'data'}-{self.certificate.root[:8]}"

    @property
    def passed(self) -> int:
        """Return the number of checks that passed."""
        return sum(line.status == "pass" for line in self.certificate.checks)

    @property
    def sheet_uri(self) -> str:
        """Return the contact sheet as a data URI, which loads from any place."""
        encoded = base64.b64encode(self.sheet or b"").decode("ascii")
        return f"data:image/png;base64,{encoded}"

    @property
    def sheet_size(self) -> tuple[int, int]:
        """Return width and height of the contact sheet in pixels, from the PNG header."""
        header = self.sheet or bytes(24)
        return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


def load_card(folder: Path) -> Card:
    """Read the card of a dataset folder.

    Parameters
    ----------
    folder : Path
        A folder with ``certificate.json`` and, when there is one, ``preview.png``.

    Returns
    -------
    Card
        The card.

    Raises
    ------
    InvalidInputError
        When the certificate is missing, too big or of another form, or the preview is no PNG.
    """
    path = folder / "certificate.json"
    if not path.is_file() or path.stat().st_size > MAX_JSON:
        raise InvalidInputError(
            f"load_card: expected a certificate of at most {MAX_JSON} bytes at {path}, found none "
            "or a bigger one; run `recombine verify` on the dataset"
        )
    content = path.read_bytes()
    try:
        certificate = Certificate.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise InvalidInputError(
            f"load_card: {path} is no certificate of a dataset, {where}: {first['msg']}; "
            "run `recombine verify` on the dataset"
        ) from None
    sheet = _sheet(folder / "preview.png")
    return Card(certificate, content, sheet, *load_interaction(folder))


def _sheet(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    content = path.read_bytes() if path.stat().st_size <= MAX_IMAGE else b""
    if not content.startswith(PNG_MAGIC) or len(content) < 24:
        raise InvalidInputError(
            f"load_card: expected a PNG of at most {MAX_IMAGE} bytes at {path}, got something "
            "else; run `recombine preview` on the dataset"
        )
    return content
