"""Whose work an entry is: authors, licence, links, and what was used beyond the served images."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from recombine.benchmark.results.parts import Name, Strict, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

ORCID = re.compile(r"(\d{4}-){3}\d{3}[\dX]")
AUTHOR = re.compile(r"(?P<name>[^()\s](?:[^()]*[^()\s])?)(?: \((?P<orcid>[^()]*)\))?")
MAX_AUTHORS = 50


def _author(text: str) -> str:
    """Refuse an author that is not a name, or a name and an ORCID."""
    found = AUTHOR.fullmatch(text)
    if found is None or not (found["orcid"] is None or is_orcid(found["orcid"])):
        raise ValueError(
            f"expected an author as 'A. Name' or 'A. Name (0000-0002-1825-0097)', got {text!r}; "
            "check the ORCID at https://orcid.org"
        )
    return text


def is_orcid(text: str) -> bool:
    """Return whether a text is an ORCID with the right check digit (ISO 7064, mod 11-2)."""
    if not ORCID.fullmatch(text):
        return False
    digits, total = text.replace("-", ""), 0
    for digit in digits[:-1]:
        total = 2 * (total + int(digit)) % 11
    return "0123456789X"[(12 - total) % 11] == digits[-1]


def _public(link: str) -> str:
    """Refuse an address that a reader cannot follow, or that shows another place than it leads to.

    ``https://known.org@elsewhere.org`` leads to elsewhere.org.
    """
    if not link:
        return link
    parts = urlsplit(link)
    if "@" in parts.netloc or "." not in (parts.hostname or "").strip("."):
        raise ValueError(f"expected an https link to a public place, got {link!r}")
    return link


Author: TypeAlias = Annotated[Name, AfterValidator(_author)]
Link: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=500, pattern=r"^(https://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+)?$"),
    AfterValidator(_public),
]


class Credit(Strict):
    """Whose work an entry is, and what it needed beyond the served images, as its card says."""

    authors: Annotated[tuple[Author, ...], Field(max_length=MAX_AUTHORS)] = ()
    """Each as ``A. Name``, or ``A. Name (0000-0002-1825-0097)`` with the ORCID."""
    licence: Text = ""
    """Of the code, such as Apache-2.0; "closed" when it cannot be read."""
    code: Link = ""
    """Where the code is."""
    paper: Link = ""
    """The paper of the method; of a baseline, the paper that it follows."""
    pretraining: Annotated[tuple[Name, ...], Field(max_length=MAX_AUTHORS)] = ()
    """Data and weights beyond the served images, each by name."""

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Credit:
        """Return what a method card says; cards from before these fields say nothing."""
        said = {name: card[name] for name in Credit.model_fields if name in card}
        return Credit.model_validate_json(json.dumps(said, default=str))

    @property
    def people(self) -> tuple[tuple[str, str], ...]:
        """Return every author's name and ORCID, which may be empty."""
        found = (AUTHOR.fullmatch(one) for one in self.authors)
        return tuple((one["name"], one["orcid"] or "") for one in found if one is not None)
