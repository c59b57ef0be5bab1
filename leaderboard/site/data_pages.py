"""Data cards: the contact sheet and the certificate of a dataset, for the site's data pages."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.drawing.charts import figure, node, percent
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.hdf5 import column, open_checked
from recombine.renderer.core.strict import fault_of, from_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from markupsafe import Markup
    from PIL import Image


# The measured interaction of a dataset, for its data page.

MAX_JSON = 2**20
BINS = 12
HEIGHT, BASE = 150, 110
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Group(BaseModel):
    """Interaction of some scenes; newer keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = "all"
    scenes: int
    relative: tuple[Finite, ...]
    relative_se: tuple[Finite, ...]
    verdict: tuple[str, ...]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal["recombine.interaction/1"]
    all: Group
    groups: dict[str, Group]


def load_interaction(folder: Path) -> tuple[tuple[Group, ...], Markup | None]:
    """Read what was measured on a dataset."""
    path = folder / "interaction.json"
    if not path.is_file():
        return (), None
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_JSON else b""
        found = from_json(_File, content)
    except ValueError as error:
        raise InvalidInputError(
            f"load_interaction: expected a measured interaction at {path}, got something else "
            f"({': '.join(filter(None, fault_of(error)))}); measure it again"
        ) from None
    named = [group.model_copy(update={"name": name}) for name, group in found.groups.items()]
    return (found.all, *named), _scenes(folder / "interaction.h5")


def histogram(values: Sequence[float]) -> Markup | None:
    """Draw how often which order of magnitude occurs."""
    logs = [math.log10(value) for value in values if value > 0]
    if not logs:
        return None
    low, high = math.floor(min(logs)), math.floor(max(logs)) + 1
    counts = [0] * BINS
    for value in logs:
        counts[min(BINS - 1, int((value - low) / (high - low) * BINS))] += 1
    parts = []
    for i, count in enumerate(counts):
        tall = 90.0 * count / max(counts)
        x = percent(0.05 + 0.9 * i / BINS)
        tip = node("title", text=f"{count} scenes")
        width = percent(0.9 / BINS - 0.006)
        parts.append(node("rect", tip, class_="f-id", x=x, y=BASE - tall, width=width, height=tall))
    for decade in range(low, high + 1):
        x = percent(0.05 + 0.9 * (decade - low) / (high - low))
        label = numbers.short(10.0**decade)
        parts.append(node("text", x=x, y=BASE + 16, text_anchor="middle", text=label))
    axis = "second-order energy over first-order energy (log scale)"
    parts.append(node("text", x="50%", y=BASE + 36, text_anchor="middle", text=axis))
    title = f"Histogram of {len(logs)} scenes"
    return figure(parts, title=title, height=HEIGHT, css="plot-wide")


def _scenes(path: Path) -> Markup | None:
    if not path.is_file():
        return None
    with open_checked(path) as handle:
        energy = column(handle, "energy")
    first, second = energy[:, 0].tolist(), energy[:, 1].tolist()
    return histogram([two / one for one, two in zip(first, second, strict=True) if one > 0])


MAX_CERTIFICATE = 4 * 2**20
MAX_IMAGE = 32 * 2**20
PNG_MAGIC, JPEG_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
SHEETS = ("preview.png", "contact_sheet.jpg")
"""Contact sheets of a dataset folder and of a data card."""
Text = Annotated[str, Field(max_length=4000)]


class Line(BaseModel):
    """One invariant of a certificate."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    name: Text
    status: Literal["pass", "stated", "fail", "not run", "not applicable"]
    claim: Text
    found: Text


class Certificate(BaseModel):
    """What ``recombine dataset verify`` sealed with the data; newer keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    format: Literal["recombine.certificate/1", "recombine.certificate/2"]
    dataset: Text
    root: Annotated[str, Field(pattern=r"^[0-9a-f]{8,128}$")]
    identity: Annotated[str, Field(pattern=r"^([0-9a-f]{8,128})?$")] = ""
    passed: bool
    proves: Text
    checks: tuple[Line, ...]

    @property
    def named(self) -> str:
        """Return what boards know the data by: the identity, or the root of data of version 1."""
        return self.identity or self.root


@dataclass(frozen=True)
class Card:
    """What the site shows about a dataset."""

    certificate: Certificate  # the sealed checks
    certificate_json: bytes  # the file as it was read, for download
    sheet: bytes | None  # the contact sheet, a PNG or JPEG file
    # measured interaction of groups of scenes; empty when nothing was measured
    interaction: tuple[Group, ...] = ()
    histogram: Markup | None = None  # interaction of single scenes

    @property
    def slug(self) -> str:
        """Return a name for the page: safe characters only, unique by content."""
        name = re.sub(r"[^a-z0-9]+", "-", self.certificate.dataset.lower()).strip("-")
        return f"{name[:60] or 'data'}-{self.certificate.named[:8]}"

    @property
    def passed(self) -> int:
        """Return the number of checks that passed."""
        return sum(line.status == "pass" for line in self.certificate.checks)

    @property
    def dataset(self) -> str:
        """Return the dataset's name without its version."""
        return self.certificate.dataset.rpartition("/")[0] or self.certificate.dataset

    @property
    def verdict(self) -> str:
        """Say how the checks of the certificate came out."""
        text = f"{self.passed} of {len(self.certificate.checks)} checks passed"
        if not self.certificate.passed:
            return f"{text}: the certificate fails, scoring refuses these data"
        stated = sum(line.status == "stated" for line in self.certificate.checks)
        return f"{text}, {stated} stated, none failed" if stated else f"{text}, none failed"

    @property
    def sheet_name(self) -> str:
        """Return the name of the contact sheet beside the page."""
        return "preview.png" if (self.sheet or b"").startswith(PNG_MAGIC) else "preview.jpg"

    @property
    def sheet_size(self) -> tuple[int, int]:
        """Return width and height of the contact sheet in pixels."""
        opened = self.open_sheet()
        return (0, 0) if opened is None else opened.size

    def open_sheet(self) -> Image.Image | None:
        """Return the contact sheet; None where there is none that can be read."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(io.BytesIO(self.sheet or b""), formats=("PNG", "JPEG")) as opened:
                return opened.convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            return None


def load_card(folder: Path) -> Card:
    """Read the card of a dataset folder, or of a folder that `recombine dataset card` wrote."""
    path = folder / "certificate.json"
    if not path.is_file() or path.stat().st_size > MAX_CERTIFICATE:
        raise InvalidInputError(
            f"load_card: expected a certificate of at most {MAX_CERTIFICATE} bytes at {path}, "
            "found none or a bigger one; run `recombine dataset verify` on the dataset"
        )
    content = path.read_bytes()
    try:
        certificate = from_json(Certificate, content)
    except ValueError as error:
        where, fault = fault_of(error)
        raise InvalidInputError(
            f"load_card: {path} is no certificate of a dataset, {where or 'file'}: {fault}; "
            "run `recombine dataset verify` on the dataset"
        ) from None
    sheets = (folder / name for name in SHEETS)
    sheet = next((_sheet(path) for path in sheets if path.is_file()), None)
    return Card(certificate, content, sheet, *load_interaction(folder))


def _sheet(path: Path) -> bytes:
    content = path.read_bytes() if path.stat().st_size <= MAX_IMAGE else b""
    if not content.startswith((PNG_MAGIC, JPEG_MAGIC)) or len(content) < 24:
        raise InvalidInputError(
            f"load_card: expected a PNG or JPEG file of at most {MAX_IMAGE} bytes at {path}, got "
            "something else; run `recombine dataset preview` on the dataset"
        )
    return content
