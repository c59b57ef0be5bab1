"""Pictures of the worst images: only the ones that a result names, cut into clean tiles."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from sample_board import PICTURED, picture_of, sample, save_with_picture, tiles

from recombine.benchmark.results.artifacts import Examples
from recombine.benchmark.scoring.examples import png
from recombine.leaderboard.board.entries import decoded, find_picture, gallery, load_entry
from recombine.leaderboard.site.build import build_site
from recombine.renderer.core.errors import IntegrityError, InvalidInputError


def pixels(uri):
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(opened)


def test_every_tile_comes_back_in_its_place():
    given = tiles()
    content = png(given)
    shown = gallery(Examples.model_validate(picture_of(content), strict=False), content)
    assert [one.number for one in shown] == [0, 1, 2]
    for row, one in enumerate(shown):
        assert [t.caption for t in one.tiles] == ["image", decoded(0), decoded(30)]
        for column, tile in enumerate(one.tiles):
            assert (pixels(tile.uri) == given[row, column]).all()


def test_a_picture_of_another_size_or_kind_is_refused():
    content = png(tiles(rows=2))
    kept = Examples.model_validate(picture_of(content), strict=False)
    with pytest.raises(InvalidInputError, match="24 x 24 pixels, got 24 x 16"):
        gallery(kept, content)
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24)).save(buffer, "GIF")
    for wrong in (buffer.getvalue(), b"<svg/>", content[:60]):
        with pytest.raises(InvalidInputError):
            gallery(kept, wrong)


def test_an_entry_brings_its_picture(tmp_path):
    path = save_with_picture(tmp_path, PICTURED)
    entry = load_entry(path)
    assert entry.picture == (tmp_path / entry.result.artifacts.examples.file).read_bytes()
    assert find_picture(path, entry.result.artifacts.examples) == entry.picture


def test_an_edited_picture_stops_everything(tmp_path):
    path = save_with_picture(tmp_path, PICTURED)
    entry = load_entry(path)
    target = tmp_path / entry.result.artifacts.examples.file
    target.write_bytes(png(tiles()[::-1]))
    with pytest.raises(IntegrityError, match="worst images must have"):
        load_entry(path)


def test_a_missing_picture_is_no_fault(tmp_path):
    path = save_with_picture(tmp_path, PICTURED)
    for picture in tmp_path.glob("*.png"):
        picture.unlink()
    assert load_entry(path).picture == b""
    assert load_entry(sample(0).save(tmp_path)).picture == b""


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    path = save_with_picture(tmp_path, PICTURED)
    kept = load_entry(path).result.artifacts.examples
    with (tmp_path / kept.file).open("wb") as stream:
        stream.truncate(2**33)
    assert len(find_picture(path, kept)) == 100_001


def test_a_site_is_built_anew_when_only_a_picture_changes(tmp_path):
    path = save_with_picture(tmp_path / "results", PICTURED)
    build_site([path], tmp_path / "site")
    page = next((tmp_path / "site" / "entries").glob("*.html"))
    first = page.read_bytes()
    assert b"data:image/png;base64," in first
    assert (
        first
        == next(
            (build_site([path], tmp_path / "again").parent / "entries").glob("*.html")
        ).read_bytes()
    )
    next((tmp_path / "results").glob("*.png")).unlink()
    build_site([path], tmp_path / "site")
    assert b"data:image/png;base64," not in page.read_bytes()


def test_the_page_shows_images_answers_and_the_rule(tmp_path):
    path = save_with_picture(tmp_path / "results", PICTURED)
    build_site([path], tmp_path / "site")
    text = next((tmp_path / "site" / "entries").glob("*.html")).read_text()
    assert text.count("<img ") == 9
    assert text.count('alt="decoded after 30 steps of image') == 3
    assert "The stated rule." in text
    assert text.count("read pawn</span>, is star") == 3
    assert '"artifacts/examples/images/2/readings/0/probability" data-form="percent">62.5<' in text
    assert "2 compared on in-combination validation images" in text


def test_the_page_says_what_is_missing_and_how_to_get_it(tmp_path):
    def page(path, name):
        build_site([path], tmp_path / name)
        return next((tmp_path / name / "entries").glob("*.html")).read_text()

    path = save_with_picture(tmp_path / "a", PICTURED)
    next((tmp_path / "a").glob("*.png")).unlink()
    assert "does not lie beside the result file" in page(path, "gone")
    assert "names no picture" in page(sample(0).save(tmp_path / "b"), "never")
    assert "recombine score" in page(sample(0).save(tmp_path / "b"), "never")
