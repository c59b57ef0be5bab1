"""Text of others: what may not stand in a name, and how the rest is shown safely."""

from __future__ import annotations

import re
import unicodedata

UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of what no reader sees: control, format (bidi, zero width), private, halves
of characters, separators of lines and paragraphs."""
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters, marks and signs without a form of their own, which those categories do not cover."""
SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~@&:]|(?<=\bwww)\.)")
"""What Markdown, or what GitHub makes of it, reads as more than itself."""


def unseen(character: str) -> bool:
    """Return whether a character has no form of its own that a reader could see."""
    return unicodedata.category(character) in UNSEEN or character in BLANK


def legible(text: str) -> str:
    """Return a text as it is, if every reader sees all of it.

    Raises
    ------
    ValueError
        When it holds characters that are not seen, or is not in the normal form NFC, so that two
        texts that look the same could differ.
    """
    if text.isascii() and text.isprintable():
        return text
    hidden = next((one for one in text if unseen(one)), None)
    if hidden is not None:
        raise ValueError(f"text without control or invisible characters, not U+{ord(hidden):04X}")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("text in the Unicode normal form NFC")
    return text


def named(text: str) -> str:
    """Return a name as it is, if every reader sees it; a blank one is none."""
    if not text.strip():
        raise ValueError("a name, not blanks alone")
    return legible(text)


def tidy(text: str) -> str:
    """Return a text of one's own in one line and in NFC, as files of results keep it."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def shown(text: str, keep: str = "\n\t") -> str:
    """Return a text for a terminal: what is not seen is spelled out, so that it does nothing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one if one in keep or not unseen(one) else one.encode("unicode_escape").decode()
        for one in text
    )


def markdown(text: str) -> str:
    r"""Return a text as one line of Markdown that says the same and does nothing."""
    return SPECIAL.sub(r"\\\1", " ".join(shown(text).split()))
