"""A few lines that build inline SVG as a tree, so that no label can break out of its element.

Positions are percentages wherever they can be: the drawing then follows the width of the page
while text, line widths and markers keep their size, down to a 320 px screen.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from itertools import pairwise

from markupsafe import Markup


def node(tag: str, *children: ET.Element | None, text: str = "", **attrs: object) -> ET.Element:
    """Make one SVG element.

    Parameters
    ----------
    tag : str
        Element name, such as ``"circle"``.
    *children : Element or None
        Child elements in drawing order; ``None`` is skipped.
    text : str
        Text content; escaped when the tree is written.
    **attrs : object
        Attributes. A trailing underscore is dropped (``class_``), other underscores become
        hyphens, floats are written with at most two decimals, ``None`` is left out.

    Returns
    -------
    Element
        The element with its children.
    """
    made = ET.Element(tag, {_name(key): _value(v) for key, v in attrs.items() if v is not None})
    made.text = text or None
    made.extend(child for child in children if child is not None)
    return made


def figure(
    children: Iterable[ET.Element | None],
    *,
    title: str,
    height: float,
    css: str,
    desc: str = "",
) -> Markup:
    """Write a drawing that is as wide as its container.

    Parameters
    ----------
    children : iterable of Element or None
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
        Safe HTML: every text in it was escaped by the serialiser.
    """
    root = node(
        "svg",
        node("title", text=title),
        node("desc", text=desc) if desc else None,
        *children,
        class_=css,
        width="100%",
        height=height,
        role="img",
    )
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - escaped by the serialiser


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


def segments(points: Sequence[tuple[float, float]], css: str) -> list[ET.Element]:
    """Draw a line through points as single segments, because polylines know no percentages.

    Parameters
    ----------
    points : sequence of (float, float)
        x as share of the width in [0, 1], y in pixels.
    css : str
        Class of every segment.

    Returns
    -------
    list of Element
        One ``line`` fewer than points; empty for a single point.
    """
    return [
        node("line", x1=percent(a[0]), y1=a[1], x2=percent(b[0]), y2=b[1], class_=css)
        for a, b in pairwise(points)
    ]


def diamond(share: float, y: float, radius: float, css: str) -> ET.Element:
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
    Element
        A nested ``svg``, the only way to place a path by percentage.
    """
    r = radius
    path = node("path", d=f"M0 {-r}L{r} 0L0 {r}L{-r} 0Z", class_=css)
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


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
