"""The worst images of an entry, from the picture beside its result file to the tiles on its page.

A result names its picture with a hash. A picture of another content stops the build; one that is
not there leaves a gap on the page, which says so. Tiles are cut out here and written anew, so no
byte of a submitted picture file reaches a browser.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recombine.benchmark.results.artifacts import MAX_PICTURE
from recombine.renderer.core.errors import IntegrityError, InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from recombine.benchmark.results.artifacts import Example, Examples

NAMED = re.compile(rb'"file":\s*"([a-z0-9-]{1,120}\.examples\.png)"')


@dataclass(frozen=True)
class Tile:
    """One image on the page.

    Attributes
    ----------
    caption : str
        What it is.
    uri : str
        The image as a data URI, which loads from any place.
    """

    caption: str
    uri: str


@dataclass(frozen=True)
class Shown:
    """One of the worst images with everything beside it.

    Attributes
    ----------
    number : int
        Its place in the list of the result file.
    example : Example
        True and read values.
    tiles : tuple of Tile
        The image, then its decodings.
    """

    number: int
    example: Example
    tiles: tuple[Tile, ...]


def find_picture(path: Path, content: bytes) -> bytes:
    """Read the picture beside a result file, without trusting either.

    Parameters
    ----------
    path : Path
        The result file.
    content : bytes
        What stands in it.

    Returns
    -------
    bytes
        Empty when it names none, or when there is none. At most one byte more than is allowed.
    """
    named = NAMED.search(content)
    target = path.parent / named[1].decode() if named else None
    if target is None or not target.is_file():
        return b""
    with target.open("rb") as stream:
        return stream.read(MAX_PICTURE + 1)


def check_picture(path: Path, kept: Examples | None, picture: bytes) -> None:
    """Check that a picture is the one that its result file names.

    Parameters
    ----------
    path : Path
        The result file, for the message.
    kept : Examples, optional
        What the result says about the picture.
    picture : bytes
        Its content; empty when there is none.

    Raises
    ------
    IntegrityError
        When it has another content.
    """
    if not picture:
        return
    found = hashlib.sha256(picture).hexdigest()
    if kept is None or found != kept.sha256:
        expected = kept.sha256[:12] if kept else "no picture"
        raise IntegrityError(
            f"{path}: the picture of its worst images must have the SHA-256 {expected}, got "
            f"{found[:12]}; put the file back that was written with the result, or remove it"
        )


def gallery(kept: Examples, picture: bytes) -> tuple[Shown, ...]:
    """Cut a picture into the tiles of every image.

    Parameters
    ----------
    kept : Examples
        What the result says about it.
    picture : bytes
        A checked PNG file.

    Returns
    -------
    tuple of Shown
        In the order of the result file: the worst first.

    Raises
    ------
    InvalidInputError
        When it is no PNG of the stated size.
    """
    from PIL import Image, UnidentifiedImageError

    edge, captions = kept.edge, ("image", *(decoded(step) for step in kept.steps))
    expected = (edge * len(captions), edge * len(kept.images))
    try:
        with Image.open(io.BytesIO(picture), formats=("PNG",)) as opened:
            size = opened.size
            sheet = opened.convert("RGB") if size == expected else None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidInputError(
            f"{kept.file}: expected a PNG file, got {error}; score the entry again"
        ) from None
    if sheet is None:
        raise InvalidInputError(
            f"{kept.file}: expected {expected[0]} x {expected[1]} pixels, got {size[0]} x "
            f"{size[1]}; score the entry again"
        )
    rows = []
    for number, example in enumerate(kept.images):
        tiles = []
        for column, caption in enumerate(captions):
            left, top = column * edge, number * edge
            buffer = io.BytesIO()
            sheet.crop((left, top, left + edge, top + edge)).save(buffer, "PNG")
            text = base64.b64encode(buffer.getvalue()).decode("ascii")
            tiles.append(Tile(caption, f"data:image/png;base64,{text}"))
        rows.append(Shown(number, example, tuple(tiles)))
    return tuple(rows)


def decoded(steps: int) -> str:
    """Say what a decoding is.

    Parameters
    ----------
    steps : int
        Search steps before it.

    Returns
    -------
    str
        A caption.

    Examples
    --------
    >>> decoded(0), decoded(1), decoded(30)
    ('decoded, no search', 'decoded after 1 step', 'decoded after 30 steps')
    """
    if steps == 0:
        return "decoded, no search"
    return f"decoded after {steps} step{'' if steps == 1 else 's'}"
