"""Pictures of the worst images: only the ones that a result names, cut into clean tiles."""

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from sample_board import sample

from recombine.benchmark.result_artifacts import Examples
from recombine.benchmark.worst import png
from recombine.leaderboard.entries import load_entry
from recombine.leaderboard.pictures import decoded, find_picture, gallery
from recombine.leaderboard.site import build_site
from recombine.renderer.errors import IntegrityError, InvalidInputError

EDGE = 8
FACTORS = ("object.shape", "background.environment")


def tiles(rows=3, columns=3):
    return np.random.default_rng(0).integers(0, 255, (rows, columns, EDGE, EDGE, 3), np.uint8)


def examples(content, rows=3, steps=(0, 30)):
    readings = [
        {"factor": f, "true": "star", "read": "pawn", "probability": 0.625} for f in FACTORS
    ]
    return {
        "file": f"made-{hashlib.sha256(content).hexdigest()[:10]}.examples.png",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content), "rule": "The stated rule.", "seed": 0, "edge": EDGE, "steps": steps,
        "images": [{"index": i, "readings": readings, "wrong_seeds": 2} for i in range(rows)],
    }  # fmt: skip


def saved(folder, content=None, index=4, **over):
    """Write a result and the picture of its worst images; return the path of the result."""
    content = png(tiles()) if content is None else content
    kept = examples(content)
    plain = sample(index).model_dump(mode="json")["artifacts"]
    path = sample(index, artifacts={**plain, "examples": kept}, **over).save(folder)
    (folder / kept["file"]).write_bytes(content)
    return path


def pixels(uri):
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(opened)


def test_every_tile_comes_back_in_its_place():
    given = tiles()
    content = png(given)
    shown = gallery(Examples.model_validate(examples(content), strict=False), content)
    assert [one.number for one in shown] == [0, 1, 2]
    for row, one in enumerate(shown):
        assert [t.caption for t in one.tiles] == ["image", decoded(0), decoded(30)]
        for column, tile in enumerate(one.tiles):
            assert (pixels(tile.uri) == given[row, column]).all()


def test_a_picture_of_another_size_or_kind_is_refused():
    content = png(tiles(rows=2))
    kept = Examples.model_validate(examples(content), strict=False)
    with pytest.raises(InvalidInputError, match="24 x 24 pixels, got 24 x 16"):
        gallery(kept, content)
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24)).save(buffer, "GIF")
    for wrong in (buffer.getvalue(), b"<svg/>", content[:60]):
        with pytest.raises(InvalidInputError):
            gallery(kept, wrong)


def test_an_entry_brings_its_picture(tmp_path):
    path = saved(tmp_path)
    entry = load_entry(path)
    assert entry.picture == (tmp_path / entry.result.artifacts.examples.file).read_bytes()
    assert find_picture(path, path.read_bytes()) == entry.picture
    assert load_entry(path, {entry.digest}).picture == entry.picture


def test_an_edited_picture_stops_everything_even_where_the_result_was_checked(tmp_path):
    path = saved(tmp_path)
    entry = load_entry(path)
    target = tmp_path / entry.result.artifacts.examples.file
    target.write_bytes(png(tiles()[::-1]))
    for checked in ((), {entry.digest}):
        with pytest.raises(IntegrityError, match="worst images must have"):
            load_entry(path, checked)


def test_a_missing_picture_is_no_fault(tmp_path):
    path = saved(tmp_path)
    for picture in tmp_path.glob("*.png"):
        picture.unlink()
    assert load_entry(path).picture == b""
    assert load_entry(sample(0).save(tmp_path)).picture == b""


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    path = saved(tmp_path)
    target = next(tmp_path.glob("*.png"))
    with target.open("wb") as stream:
        stream.truncate(2**33)
    assert len(find_picture(path, path.read_bytes())) == 100_001


def test_a_site_is_built_anew_when_only_a_picture_changes(tmp_path):
    path = saved(tmp_path / "results")
    index = build_site([path], tmp_path / "site")
    page = next((tmp_path / "site" / "entries").glob("*.html"))
    first = page.read_bytes()
    assert b"data:image/png;base64," in first
    before = index.stat().st_ino
    assert build_site([path], tmp_path / "site").stat().st_ino == before
    next((tmp_path / "results").glob("*.png")).unlink()
    build_site([path], tmp_path / "site")
    assert b"data:image/png;base64," not in page.read_bytes()
