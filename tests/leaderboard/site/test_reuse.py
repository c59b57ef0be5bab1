"""A page is taken over from the last build only when nothing it shows has changed."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape
from sample_board import sample, write_results

from recombine.leaderboard.board import entries
from recombine.leaderboard.site import pages
from recombine.leaderboard.site import reuse
from recombine.leaderboard.site.reuse import MARKER, Earlier, digest, marker_text
from recombine.leaderboard.site.build import build_site
from recombine.renderer.core.errors import IntegrityError


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


def test_a_new_entry_costs_one_page_and_gives_the_site_of_a_fresh_build(tmp_path, rendered):
    files = write_results(tmp_path / "r", indices=[0, 1, 2])
    folder = build_site(files, tmp_path / "site").parent
    rendered.clear()
    files.append(sample(4).save(tmp_path / "r"))
    build_site(files, folder)
    assert rendered.count("entry.html") == 1
    fresh = build_site(files, tmp_path / "fresh").parent
    assert contents(folder) == contents(fresh)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_unchanged_site_is_not_written_again(tmp_path, rendered):
    files = write_results(tmp_path / "r", indices=[0, 1])
    index = build_site(files, tmp_path / "site")
    before = index.stat().st_ino
    rendered.clear()
    build_site(files[::-1], tmp_path / "site")
    assert (index.stat().st_ino, rendered) == (before, [])
    (tmp_path / "site" / "badges" / "stray.svg").write_text("x")
    build_site(files, tmp_path / "site")
    assert index.stat().st_ino != before
    assert not (tmp_path / "site" / "badges" / "stray.svg").exists()


def test_only_a_file_of_the_same_bytes_counts_as_checked(tmp_path, monkeypatch):
    files = write_results(tmp_path / "r", indices=[0, 1])
    folder = build_site(files, tmp_path / "site").parent
    checked = []
    original = entries.Result.from_bytes.__func__
    monkeypatch.setattr(
        entries.Result,
        "from_bytes",
        classmethod(
            lambda cls, content, path: checked.append(path) or original(cls, content, path)
        ),
    )
    new = sample(2).save(tmp_path / "r")
    build_site([*files, new], folder)
    assert checked == [new]
    times = files[0].stat()
    files[0].write_bytes(files[0].read_bytes().replace(b"Supervised", b"Hypervised", 1))
    os.utime(files[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(IntegrityError, match="edited"):
        build_site([*files, new], folder)
    assert checked == [new, files[0]]


def test_other_code_checks_every_file_again(tmp_path, monkeypatch):
    folder = build_site(write_results(tmp_path / "r", indices=[0, 1]), tmp_path / "site").parent
    assert len(Earlier.read(folder).checked) == 2
    monkeypatch.setattr(reuse, "code_digest", lambda: "other")
    assert Earlier.read(folder) == Earlier(folder)


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
    monkeypatch.setattr(reuse, "code_digest", lambda: "other")
    build_site(files, folder)
    assert rendered.count("entry.html") == 6


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pages": 3}', '{"code": "x"}'])
def test_an_unreadable_list_means_no_pages(tmp_path, content):
    (tmp_path / MARKER).write_text(content)
    assert Earlier.read(tmp_path) == Earlier(tmp_path)
    assert Earlier.read(tmp_path / "nowhere") == Earlier(tmp_path / "nowhere")


def test_a_list_is_read_as_written(tmp_path):
    text = marker_text("all", {"one"}, {"a.html": b"x"}, {"a.html": "made"})
    (tmp_path / MARKER).write_bytes(text)
    assert json.loads(text)["about"] == reuse.ABOUT
    earlier = Earlier.read(tmp_path)
    assert (earlier.made_from, earlier.checked) == ("all", {"one"})
    assert earlier.page("a.html", "made") is None, "the page itself is gone"
    (tmp_path / "a.html").write_bytes(b"x")
    assert earlier.page("a.html", "made") == b"x"
    assert earlier.page("a.html", "other") is None
    assert earlier.is_whole("all")
    assert not earlier.is_whole("else")
    (tmp_path / "a.html").write_bytes(b"y")
    assert not earlier.is_whole("all")


@given(st.text(max_size=60))
def test_no_printed_text_can_pose_as_a_stretch_to_fill(text):
    assert reuse.NOW.search(str(escape(f"<!--now:rank-->{text}<!--/now-->")).encode()) is None


def test_parts_do_not_run_together():
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
