"""A few lines that build inline SVG; every text and attribute is escaped as it goes in.

Positions are percentages wherever they can be: the drawing then follows the width of the page
while text, line widths and markers keep their size, down to a 320 px screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

from markupsafe import Markup, escape

SHAPES = {
    "diamond": "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
    "triangle": "M0 -7L6.5 5H-6.5Z",
    "square": "M-5 -5H5V5H-5Z",
    "plus": "M-2 -6.5H2V-2H6.5V2H2V6.5H-2V2H-6.5V-2H-2Z",
    "cross": "M-6 -3.5L-3.5 -6L0 -2.5L3.5 -6L6 -3.5L2.5 0L6 3.5L3.5 6L0 2.5L-3.5 6L-6 3.5L-2.5 0Z",
    "ring": "M-6 0A6 6 0 1 0 6 0A6 6 0 1 0 -6 0ZM-3 0A3 3 0 1 1 3 0A3 3 0 1 1 -3 0Z",
}
"""Marks around the point 0, 0, about 12 px wide, told apart by form alone."""


def node(tag: str, *children: Markup | None, text: str = "", **attrs: object) -> Markup:
    """Make one SVG element.

    Parameters
    ----------
    tag : str
        Element name, such as ``"circle"``.
    *children : Markup or None
        Child elements in drawing order; ``None`` is skipped.
    text : str
        Text content; escaped.
    **attrs : object
        Attributes. A trailing underscore is dropped (``class_``), other underscores become
        hyphens, floats are written with at most two decimals, ``None`` is left out.

    Returns
    -------
    Markup
        The element with its children.

    Examples
    --------
    >>> print(node("text", text="a < b", x=1.0, class_="name"))
    <text x="1" class="name">a &lt; b</text>
    """
    written = "".join([_attribute(key, value) for key, value in attrs.items() if value is not None])
    inside = "".join([child for child in children if child is not None])
    # Every part was escaped, or is the name of an element or attribute in our own code.
    shown = escape(text) if text else ""
    return Markup(f"<{tag}{written}>{shown}{inside}</{tag}>")  # noqa: S704


def figure(
    children: Iterable[Markup | None],
    *,
    title: str,
    height: float,
    css: str,
    desc: str = "",
) -> Markup:
    """Write a drawing that is as wide as its container.

    Parameters
    ----------
    children : iterable of Markup or None
        What is drawn, in percent of the width and pixels of the height.
    title : str
        Short accessible name, read aloud instead of the picture.
    height : float
        Height in CSS pixels, > 0.
    css : str
        Class of the ``svg`` element.
    desc : str
        Longer accessible description; may be empty.

    Returns
    -------
    Markup
        Safe HTML: every text in it is escaped.
    """
    return node(
        "svg",
        node("title", text=title),
        node("desc", text=desc) if desc else None,
        *children,
        class_=css,
        width="100%",
        height=height,
        role="img",
    )


def percent(share: float) -> str:
    """Write a share of the width as an SVG percentage.

    Parameters
    ----------
    share : float
        Position in [0, 1]; values outside are clipped, a marker never leaves its drawing.

    Returns
    -------
    str
        Such as ``"62.5%"``.

    Examples
    --------
    >>> percent(0.625), percent(1.7)
    ('62.5%', '100%')
    """
    return f"{_number(100 * min(1.0, max(0.0, share)))}%"


def segments(points: Sequence[tuple[float, float]], css: str) -> list[Markup]:
    """Draw a line through points as single segments, because polylines know no percentages.

    Parameters
    ----------
    points : sequence of (float, float)
        x as share of the width in [0, 1], y in pixels.
    css : str
        Class of every segment.

    Returns
    -------
    list of Markup
        One ``line`` fewer than points; empty for a single point.
    """
    return [
        node("line", x1=percent(a[0]), y1=a[1], x2=percent(b[0]), y2=b[1], class_=css)
        for a, b in pairwise(points)
    ]


def diamond(share: float, y: float, radius: float, css: str) -> Markup:
    """Draw a filled diamond at a percentage position.

    Parameters
    ----------
    share : float
        x as share of the width in [0, 1].
    y : float
        Centre in pixels.
    radius : float
        Half of the diagonal in pixels.
    css : str
        Class of the path.

    Returns
    -------
    Markup
        A nested ``svg``, the only way to place a path by percentage.
    """
    r = radius
    path = node("path", d=f"M0 {-r}L{r} 0L0 {r}L{-r} 0Z", class_=css)
    return node("svg", path, x=percent(share), y=y, overflow="visible")


def symbol(shape: str, css: str) -> Markup:
    """Draw a mark beside a word of text.

    Parameters
    ----------
    shape : str
        A key of ``SHAPES``.
    css : str
        Class of the path.

    Returns
    -------
    Markup
        An ``svg`` for a legend or a row, hidden from screen readers: the word says the same.
    """
    path = node("path", d=SHAPES[shape], class_=css)
    return node("svg", path, viewBox="-8 -8 16 16", class_="symbol", aria_hidden="true")


def shaped(shape: str, share: float, y: float, css: str) -> Markup:
    """Draw a mark at a percentage position.

    Parameters
    ----------
    shape : str
        A key of ``SHAPES``.
    share : float
        x as share of the width in [0, 1].
    y : float
        Centre in pixels.
    css : str
        Class of the path.

    Returns
    -------
    Markup
        A nested ``svg``, the only way to place a path by percentage.
    """
    path = node("path", d=SHAPES[shape], class_=f"{css} shape-{shape}")
    return node("svg", path, x=percent(share), y=y, overflow="visible")


def anchor(share: float) -> str:
    """Choose the text anchor that keeps a label inside the drawing.

    Parameters
    ----------
    share : float
        x as share of the width in [0, 1].

    Returns
    -------
    str
        ``"start"``, ``"middle"`` or ``"end"``.

    Examples
    --------
    >>> anchor(0.0), anchor(0.5), anchor(1.0)
    ('start', 'middle', 'end')
    """
    if share < 0.08:
        return "start"
    return "end" if share > 0.92 else "middle"


@lru_cache(maxsize=1 << 16, typed=True)
def _attribute(key: str, value: object) -> str:
    """Write an attribute; a page repeats few, so they are remembered."""
    written = _number(value) if isinstance(value, float) else escape(value)
    return f' {key.rstrip("_").replace("_", "-")}="{written}"'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
