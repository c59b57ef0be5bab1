"""A page is taken over from the last build only when nothing it shows has changed."""

import json

import pytest
from sample_board import sample, write_results

from recombine.leaderboard import pages, reuse
from recombine.leaderboard.pages import MARKER
from recombine.leaderboard.reuse import Earlier, digest, marker_text
from recombine.leaderboard.site import build_site


@pytest.fixture
def rendered(monkeypatch):
    """Count the pages that are really made."""
    made = []
    original = pages._Pages.render

    def count(self, template, *args, **kwargs):
        made.append(template)
        return original(self, template, *args, **kwargs)

    monkeypatch.setattr(pages._Pages, "render", count)
    return made


def test_a_second_build_makes_no_entry_page_and_equals_the_first(tmp_path, rendered):
    files = write_results(tmp_path / "r")
    folder = build_site(files, tmp_path / "site").parent
    first = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert rendered.count("entry.html") == 6
    build_site(files, folder)
    assert rendered.count("entry.html") == 6
    assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == first


def test_a_new_entry_remakes_what_its_track_changes(tmp_path, rendered):
    files = write_results(tmp_path / "r", indices=[0, 1, 2])
    folder = build_site(files, tmp_path / "site").parent
    rendered.clear()
    build_site([*files, sample(4).save(tmp_path / "r")], folder)
    assert 1 <= rendered.count("entry.html") <= 4


def test_an_edited_page_is_made_again(tmp_path, rendered):
    folder = build_site(write_results(tmp_path / "r"), tmp_path / "site").parent
    page = next((folder / "entries").glob("*.html"))
    right = page.read_bytes()
    page.write_bytes(right.replace(b"83", b"99"))
    rendered.clear()
    build_site(sorted((tmp_path / "r").glob("*.json")), folder)
    assert page.read_bytes() == right
    assert rendered.count("entry.html") == 1


def test_other_code_makes_every_page_again(tmp_path, rendered, monkeypatch):
    files = write_results(tmp_path / "r")
    folder = build_site(files, tmp_path / "site").parent
    rendered.clear()
    monkeypatch.setattr(pages, "code_digest", lambda: "other")
    build_site(files, folder)
    assert rendered.count("entry.html") == 6


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pages": 3}', '{"pages": {"a": 1}}'])
def test_an_unreadable_list_means_no_pages(tmp_path, content):
    (tmp_path / MARKER).write_text(content)
    assert Earlier.read(tmp_path, MARKER).pages == {}
    assert Earlier.read(tmp_path / "nowhere", MARKER).pages == {}


def test_a_list_is_read_as_written(tmp_path):
    (tmp_path / MARKER).write_bytes(marker_text({"a.html": ("made", digest(b"x"))}))
    assert json.loads((tmp_path / MARKER).read_text())["about"] == reuse.ABOUT
    earlier = Earlier.read(tmp_path, MARKER)
    assert earlier.page("a.html", "made") is None, "the page itself is gone"
    (tmp_path / "a.html").write_bytes(b"x")
    assert earlier.page("a.html", "made") == b"x"
    assert earlier.page("a.html", "other") is None


def test_parts_do_not_run_together():
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
