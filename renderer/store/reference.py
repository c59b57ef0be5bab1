"""The reference of a dataset: 64 of its images, small enough to travel with its card.

Whoever draws the dataset elsewhere gets other roundings and so another pixel root. The reference
shows that the images are nevertheless the published ones: it holds a window of each, lossless, and
the hash of each one's labels.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.files import write_bytes, write_json
from recombine.renderer.core.provenance import Build
from recombine.renderer.core.seeds import keyed_rng
from recombine.renderer.core.strict import parse_json
from recombine.renderer.core.system import system_error
from recombine.renderer.planning.plan import Plan
from recombine.renderer.store.agreement import Agreement, agreement

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

    from recombine.renderer.core.types import Array

REFERENCE_FORMAT = "recombine.reference/1"
IMAGES = 64
EDGES = (64, 56, 48, 40, 32)  # of the windows, pixels; the largest that fits is taken
MAX_BYTES = 590_000  # of the picture; with reference.json below 600 KB
COLUMNS = 8  # windows side by side
CARDS = Path(__file__).parents[2] / "data_cards"


@dataclass(frozen=True)
class Choice:
    """Which images a reference shows, and which part of each."""

    index: Int64[Array, " n"]  # ascending
    corners: Int64[Array, "n 2"]  # row and column of the window's first pixel
    edge: int  # of the window, pixels

    def cut(self, number: int, image: UInt8[Array, "H W 3"]) -> UInt8[Array, "e e 3"]:
        """Return the window of the ``number``-th image."""
        top, left = self.corners[number]
        window: Array = image[top : top + self.edge, left : left + self.edge]
        return window


def choose(plan: Plan, edge: int) -> Choice:
    """Choose images by a key that follows from the plan, as many of each split as of any other."""
    rng = keyed_rng(plan.digest(), REFERENCE_FORMAT, "images", 0)
    queues = [rng.permutation(np.flatnonzero(plan.split == s)) for s in np.unique(plan.split)]
    turns = [queue[turn] for turn in range(IMAGES) for queue in queues if turn < len(queue)]
    index = np.sort(np.array(turns[:IMAGES], np.int64))
    edge = min(edge, plan.settings.resolution)
    place = keyed_rng(plan.digest(), REFERENCE_FORMAT, "windows", edge)
    corners = place.integers(0, plan.settings.resolution - edge + 1, (len(index), 2))
    return Choice(index, corners, edge)


@dataclass(frozen=True)
class Reference:
    """A reference as it was stored."""

    dataset: str  # ``name/version``
    plan_sha256: str
    render_version: str
    choice: Choice
    windows: UInt8[Array, "n e e 3"]
    labels: tuple[str, ...]  # hash (hex) of every image's annotations

    def compare(self, images: Sequence[Array], labels: Sequence[bytes]) -> Agreement:
        """Compare with the same images of a dataset and the hashes of their annotations."""
        cut = [self.choice.cut(n, image) for n, image in enumerate(images)]
        same = [a == b.hex() for a, b in zip(self.labels, labels, strict=True)]
        return agreement(zip(self.windows, cut, strict=True), same)


def write_reference(
    folder: Path,
    plan: Plan,
    images: Sequence[Array],
    labels: Sequence[bytes],
    *,
    build: Build,
) -> Path:
    """Write ``reference.json`` and the picture of the windows.

    Parameters
    ----------
    folder : Path
        Where to write; made if it is not there.
    plan : Plan
        The plan of the whole dataset.
    images : sequence of uint8 arrays of shape (H, W, 3)
        What `choose` names, whole.
    labels : sequence of bytes
        Hash of each one's annotations, see `shards.label_hash`.
    build : Build
        What drew them; only its render version binds.
    """
    choices = [choose(plan, edge) for edge in EDGES]
    tries = ((c, _encode([c.cut(n, image) for n, image in enumerate(images)])) for c in choices)
    found = next((one for one in tries if len(one[1]) <= MAX_BYTES), None)
    if found is None:
        raise InvalidInputError(
            f"reference: expected windows that fit {MAX_BYTES} bytes; {len(images)} of "
            f"{EDGES[-1]} pixels do not. Draw fewer images."
        )
    choice, picture = found
    write_bytes(folder / "windows.webp", picture)
    record = {
        "format": REFERENCE_FORMAT,
        "dataset": plan.dataset,
        "plan_sha256": plan.digest(),
        "render_version": build.render_version,
        "build": {"sha256": build.digest, "versions": dict(build.versions)},
        "resolution": plan.settings.resolution,
        "edge": choice.edge,
        "index": choice.index.tolist(),
        "corners": choice.corners.tolist(),
        "label_sha256": [label.hex() for label in labels],
        "files": {"windows.webp": hashlib.sha256(picture).hexdigest()},
    }
    write_json(folder / "reference.json", record)
    return folder


def load_reference(folder: Path) -> Reference:
    """Read a reference, its hash checked."""
    path = folder / "reference.json"
    if not path.is_file():
        raise InvalidInputError(
            f"{folder}: expected a reference; it has no reference.json. Write one with `recombine "
            "dataset reference`, or leave --reference out."
        )
    try:
        record = parse_json(path.read_bytes(), str(path))
        return _read(record, (folder / "windows.webp").read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise system_error(folder, error) or IntegrityError(
            f"{folder}: expected an undamaged reference of the format {REFERENCE_FORMAT}; got "
            f"{error}. Fetch it again."
        ) from error


def _read(record: dict[str, Any], picture: bytes) -> Reference:
    if record["format"] != REFERENCE_FORMAT:
        raise ValueError(f"the format {record['format']!r}")
    if hashlib.sha256(picture).hexdigest() != record["files"]["windows.webp"]:
        raise ValueError("a windows.webp that does not match its sha256")
    index = np.array(record["index"], np.int64)
    edge, resolution = int(record["edge"]), int(record["resolution"])
    corners = np.array(record["corners"], np.int64)
    labels = tuple(map(str, record["label_sha256"]))
    inside = corners.shape == (len(index), 2) and (corners >= 0).all()
    if not inside or (corners + edge > resolution).any() or len(labels) != len(index):
        raise ValueError("windows that do not fit its images")
    return Reference(
        dataset=str(record["dataset"]),
        plan_sha256=str(record["plan_sha256"]),
        render_version=str(record["render_version"]),
        choice=Choice(index, corners, edge),
        windows=_decode(picture, len(index), edge),
        labels=labels,
    )


def find_reference(plan_sha256: str, cards: Path = CARDS) -> Reference | None:
    """Return the reference of a plan among the data cards; None where there is none."""
    for path in sorted(cards.glob("*/reference/reference.json")):
        # Others' pictures are not decoded: a damaged one of theirs is nothing to this plan.
        if plan_sha256 in path.read_text(encoding="utf-8", errors="replace"):
            return load_reference(path.parent)
    return None


def _encode(windows: Sequence[Array]) -> bytes:
    from PIL import Image

    edge = len(windows[0])
    rows = -(-len(windows) // COLUMNS)
    sheet = np.zeros((rows * edge, COLUMNS * edge, 3), np.uint8)
    for n, window in enumerate(windows):
        row, column = divmod(n, COLUMNS)
        sheet[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge] = window
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "WEBP", lossless=True, quality=100, method=6)
    return buffer.getvalue()


def _decode(picture: bytes, n: int, edge: int) -> Array:
    from PIL import Image

    with Image.open(io.BytesIO(picture), formats=["WEBP"]) as opened:
        sheet = np.asarray(opened.convert("RGB"))
    rows = -(-n // COLUMNS)
    if not 0 < n <= IMAGES or sheet.shape != (rows * edge, COLUMNS * edge, 3):
        raise ValueError(f"a picture of {sheet.shape[:2]} pixels for {n} windows of {edge}")
    grid = sheet.reshape(rows, edge, COLUMNS, edge, 3).swapaxes(1, 2)
    windows: Array = grid.reshape(-1, edge, edge, 3)[:n]
    return windows
