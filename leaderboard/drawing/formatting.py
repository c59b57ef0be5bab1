"""How numbers are printed, and the tag that ties a printed number to the result file.

Every number taken from a result is written as ``<data value="0.6135" data-field="gap.estimate">``
around its printed form, so a reader's script, and our browser test, can check it to the digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

DASH = "\u2013"
MINUS = "\u2212"
TIMES = "\u00d7"


def percent(value: float) -> str:
    """Print a share as a percentage with one decimal."""
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", MINUS)


def points(value: float) -> str:
    """Print a difference of shares in percentage points, with its sign."""
    text = percent(value)
    return text if text == "0.0" or text.startswith(MINUS) else f"+{text}"


def short(value: float) -> str:
    """Print a quantity with three significant digits and no exponent."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}".replace("-", MINUS)
    text = f"{rounded:.12f}".rstrip("0").rstrip(".")
    return (text or "0").replace("-", MINUS)


def count(value: float) -> str:
    """Print a whole number with separators."""
    return f"{value:,.0f}"


def index(value: float) -> str:
    """Print the number of an image, which is a name and carries no separators."""
    return f"{value:.0f}"


def chance(value: float) -> str:
    """Print a chance level as a percentage with the digits it needs, at most three."""
    return f"{100 * value:.3g}"


def ratio(value: float) -> str:
    """Print a factor score, 1 perfect and 0 chance, with three decimals."""
    text = f"{value:.3f}"
    return "0.000" if text == "-0.000" else text.replace("-", MINUS)


def spread(value: float) -> str:
    """Print a variance of shares as its standard deviation in percentage points."""
    return percent(math.sqrt(value))


def megabytes(value: float) -> str:
    """Print bytes in decimal megabytes."""
    return f"{short(value / 1e6)} MB"


def milliseconds(value: float) -> str:
    """Print seconds in milliseconds."""
    return f"{short(1000 * value)} ms"


ABSENT = Markup('<span class="soft">—</span>')
NO_INTERVAL = Markup('<span class="soft">no interval</span>')
FORMATS: Mapping[str, Callable[[float], str]] = {
    form.__name__: form
    for form in (
        percent, points, short, count, index, chance, ratio, spread, megabytes, milliseconds
    )
}  # fmt: skip


def lookup(plain: Any, path: str) -> Any:
    """Find a value in a result."""
    for part in _steps(path):
        if isinstance(plain, (list, tuple)):
            plain = plain[int(part)]
        else:
            plain = (plain if isinstance(plain, dict) else vars(plain))[part]
    return plain


@lru_cache(maxsize=1 << 14)
def _steps(path: str) -> list[str]:
    return path.split("/")


@lru_cache(maxsize=1 << 14)
def _attributes(path: str, form: str) -> str:
    """Name the place of a number; entries of a board share their places."""
    return f'data-field="{escape(path)}" data-form="{form}"'


def field(plain: Any, path: str, form: str) -> Markup:
    """Print a number of a result, tied to where it stands."""
    value = lookup(plain, path)
    if value is None:
        return ABSENT
    # The value is a number, as its format proves; the path holds names from the file.
    shown = FORMATS[form](value)
    return Markup(f'<data value="{value}" {_attributes(path, form)}>{shown}</data>')  # noqa: S704


def interval(plain: Any, path: str, form: str) -> Markup:
    """Print an interval of a result, or say that there is none."""
    if lookup(plain, path) is None:
        return NO_INTERVAL
    join = " to " if form in ("points", "ratio") else DASH
    low, high = (field(plain, f"{path}/{end}", form) for end in (0, 1))
    return Markup(f"{low}{join}{high}")  # noqa: S704 - both ends are tags, the join is our own
