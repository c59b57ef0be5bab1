"""The build: complete or absent, deterministic, self-contained, and safe with hostile names."""

import json
import os
import re
import sys
from html.parser import HTMLParser

import pytest
from factories import restated
from sample_board import PNG, on_record, sample, write_card, write_results

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.site import build as site
from recombine.leaderboard.site.build import build_site
from recombine.leaderboard.site.pages import HERE, POLICY, STATIC, site_files
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"


class Page(HTMLParser):
    """Collect links, embedded things, data elements and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.sources, self.ids, self.fields = [], [], [], [], []
        self.text, self._field = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.sources += [attrs[k] for k in ("src", "data", "poster") if k in attrs]
        if tag == "data":
            self._field = attrs

    def handle_data(self, data):
        self.text.append(data)
        if self._field is not None:
            self.fields.append((self._field, data))
            self._field = None


@pytest.fixture
def built(tmp_path):
    files = write_results(tmp_path / "results")
    card = write_card(tmp_path / "data", PNG)
    index = build_site(files, tmp_path / "site", [card])
    assert index == tmp_path / "site" / "index.html"
    return index.parent


def pages_of(folder):
    return sorted(folder.rglob("*.html"))


def test_every_file_is_there(built):
    names = {str(p.relative_to(built)) for p in built.rglob("*") if p.is_file()}
    assert {"index.html", "results.csv", "results.json", ".recombine-site"} <= names
    assert {"methods.html", "data/index.html", "reading.html", "submit.html"} <= names
    assert {"downloads.html", *(f"static/{name}" for name in STATIC)} <= names
    assert {"pareto.html", "changelog.html", "feed.xml", "results.parquet"} <= names
    assert len([n for n in names if n.startswith("badges/")]) == 6
    assert "compare/smoke-1-0-64px-2-0-ababab.html" in names
    assert len([n for n in names if re.fullmatch(r"entries/[a-z-]+-[0-9a-f]{10}\.html", n)]) == 6
    assert {"index.html", "certificate.json", "preview.png"} == {
        n.rsplit("/", 1)[1] for n in names if n.startswith("data/smoke-1-0-abababab/")
    }


def test_every_link_leads_to_a_file_and_an_anchor(built):
    for path in pages_of(built):
        for link in Page(path.read_text()).links:
            target, _, anchor = link.partition("#")
            file = (path.parent / target).resolve() if target else path
            assert file.is_file(), (path.name, link)
            if anchor and "=" not in anchor and target:
                assert anchor in Page(file.read_text()).ids, (path.name, link)


def test_nothing_is_loaded_from_anywhere(built):
    for path in pages_of(built):
        page = Page(path.read_text())
        for source in page.sources:
            assert source.startswith("data:image/") or is_ours(built, path, source)
        for tag, attrs in page.tags:
            assert tag not in ("iframe", "object", "embed", "form", "base", "style")
            assert "style" not in attrs
            assert not [name for name in attrs if name.startswith("on")]
            if tag == "link":
                href = attrs["href"]
                assert href.startswith("data:") or is_ours(built, path, href)


def is_ours(site, page, source):
    file = (page.parent / source).resolve()
    return ":" not in source and file.is_file() and file.is_relative_to(site.resolve())


def test_every_page_shares_style_and_script_and_has_the_policy(built):
    for path in pages_of(built):
        page = Page(path.read_text())
        attrs = next(a for t, a in page.tags if a.get("http-equiv"))
        assert attrs["content"] == POLICY
        up = "../" * (len(path.relative_to(built).parts) - 1)
        scripts = [attrs["src"] for tag, attrs in page.tags if tag == "script"]
        more = [f"{up}static/compare.js"] if path.parent.name == "compare" else []
        assert scripts == [f"{up}static/site.js", *more]
        sheets = [a["href"] for t, a in page.tags if a.get("rel") == "stylesheet"]
        assert sheets == [f"{up}static/site.css"]
    for name in STATIC:
        assert (built / "static" / name).read_bytes() == (HERE / "static" / name).read_bytes()


def test_the_policy_allows_files_of_the_site_and_embedded_images():
    assert dict(part.split(" ", 1) for part in POLICY.split("; ")) == {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_every_number_equals_the_result_file_to_the_printed_digit(built):
    by_id = {
        json.loads(p.read_text())["result_id"]: json.loads(p.read_text())
        for p in (built.parent / "results").glob("*.json")
    }
    checked = 0
    for path in [built / "index.html", *sorted((built / "entries").glob("*.html"))]:
        for part in re.split(r'(?=data-entry=")', path.read_text())[1:]:
            plain = by_id[part[12:76]]
            for attrs, text in Page("<p " + part).fields:
                value = numbers.lookup(plain, attrs["data-field"])
                assert float(attrs["value"]) == value
                assert text == independent(value, attrs["data-form"]), attrs
                checked += 1
    assert checked > 400


def independent(value, form):
    """Print a number a second way, without the code under test."""
    scale, digits, sign = {
        "percent": (100, 1, ""),
        "points": (100, 1, "+"),
        "ratio": (1, 3, ""),
        "count": (1, 0, ""),
        "megabytes": (1e-6, None, ""),
        "milliseconds": (1e3, None, ""),
        "spread": (100, 1, ""),
    }.get(form, (1, None, ""))
    if form == "index":
        return f"{value:.0f}"
    if form == "chance":
        return f"{100 * value:.3g}"
    number = (value**0.5 if form == "spread" else value) * scale
    if digits is None:
        text = f"{float(f'{number:.3g}'):,.10f}".rstrip("0").rstrip(".")
    else:
        text = f"{number:{sign},.{digits}f}"
    text = "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "\u2212")
    return text + {"megabytes": " MB", "milliseconds": " ms"}.get(form, "")


def test_equal_input_gives_equal_bytes(tmp_path):
    boards = [rank_board(b) for b in load_boards(write_results(tmp_path))]
    assert dict(site_files(boards, [])) == dict(site_files(boards, []))


def test_a_hostile_method_name_stays_text(tmp_path):
    method = sample(0).model_dump(mode="json")["method"] | {
        "name": HOSTILE,
        "note": HOSTILE,
        "source": HOSTILE,
        "settings": {HOSTILE: HOSTILE},
    }
    path = sample(0, method=method).save(tmp_path / "r.json")
    index = build_site([path], tmp_path / "site")
    for page in pages_of(index.parent):
        text = page.read_text()
        assert "<script>" not in text
        if page.name not in ("reading.html", "submit.html", "downloads.html"):
            assert HOSTILE in "".join(Page(text).text) or page.parent.name == "data"


def test_a_hostile_cell_and_certificate_stay_text(tmp_path):
    scores = sample(0).model_dump(mode="json")["scores"]
    scores["ooc_test"]["cells"][0] = ["<script>x", "</svg><script>y"]
    path = sample(0, **restated(scores)).save(tmp_path / "r.json")
    folder = write_card(tmp_path / "data", PNG)
    certificate = json.loads((folder / "certificate.json").read_text())
    certificate["proves"] = certificate["dataset"] = "<script>z"
    (folder / "certificate.json").write_text(json.dumps(certificate))
    index = build_site([path], tmp_path / "site", [folder])
    for page in pages_of(index.parent):
        assert "<script>" not in page.read_text()


def test_without_results_the_page_says_what_to_do(tmp_path):
    text = build_site([], tmp_path / "site").read_text()
    assert "No entries yet" in text
    assert "recombine score" in text


def test_every_board_has_a_page_and_the_one_with_most_rerun_methods_is_first(tmp_path):
    other = [sample(0, data={"version": "2.0"}).save(tmp_path / "b.json")]
    files = on_record([*other, *write_results(tmp_path, indices=[0, 1])])
    site = build_site(files, tmp_path / "site").parent
    (second,) = site.glob("smoke-*.html")
    for page, rows in ((site / "index.html", 2), (second, 1)):
        text = page.read_text()
        assert text.count('<tr role="row" data-entry="') == rows
        assert f'href="{second.name}"' in text
        assert 'href="index.html"' in text
    cells = "".join(Page(text).text)
    assert "Smoke" in cells
    assert "version 2.0" in cells


def test_boards_of_one_title_are_told_apart_by_what_differs(tmp_path):
    fewer = [sample(0, data={"identity": "f" * 64, "n_train": 12345}).save(tmp_path / "b.json")]
    files = on_record([*fewer, *write_results(tmp_path, indices=[0, 1])])
    text = build_site(files, tmp_path / "site").read_text()
    names = re.findall(r'<span class="soft">([^<]*)</span></a>', text)
    told = [name for name in names if "training images" in name]
    assert len(set(told)) == len(told) == 2
    assert sum(name.endswith("12,345 training images, ffffff") for name in told) == 1
    assert not any("version" in name for name in told)


def test_a_board_without_a_rerun_entry_says_so_and_keeps_its_table(tmp_path):
    index = build_site(write_results(tmp_path / "r", tier="rescored"), tmp_path / "site")
    text = index.read_text()
    assert "No entry has been rerun" in text
    assert text.count('<tr role="row" data-entry="') == 6
    assert 'class="strips"' not in text


def test_entries_that_were_not_rerun_are_folded_below_the_table(tmp_path):
    files = write_results(tmp_path / "r", tier="self-reported")
    text = build_site(on_record(files[:2]) + files[2:], tmp_path / "site").read_text()
    above, below = text.split('<details class="unconfirmed">')
    assert above.count('data-entry="') == 3  # the tiles, and two rows
    assert "4 not rerun" in below
    assert below.count("<tr data-entry=") == 4


def test_one_seed_is_shown_without_made_up_intervals(tmp_path):
    index = build_site(write_results(tmp_path / "r", seeds=1), tmp_path / "site")
    text = index.read_text()
    assert "no interval" in text
    assert "fewer than 3 training seeds" in text
    assert not re.search(
        r"\bnan\b|\bNone\b", re.sub(r"<(style|script).*?</\1>", "", text, flags=re.S)
    )


def test_a_rebuild_replaces_the_site_completely(tmp_path, built):
    stale = built / "entries" / "stale.html"
    stale.write_text("old")
    build_site([], built)
    assert not stale.exists()
    assert "No entries yet" in (built / "index.html").read_text()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("error", [InvalidInputError, IntegrityError])
def test_a_bad_result_leaves_the_old_site(tmp_path, built, error):
    before = (built / "index.html").read_bytes()
    bad = tmp_path / "bad.json"
    text = sample(0).save(bad).read_text()
    broken = "{" if error is InvalidInputError else text.replace("Supervised", "Hypervised", 1)
    bad.write_text(broken)
    with pytest.raises(error, match=r"bad\.json"):
        build_site([bad], built)
    assert (built / "index.html").read_bytes() == before


def test_a_folder_of_someone_else_is_not_touched(tmp_path):
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.txt").write_text("years")
    with pytest.raises(UsageError, match="thesis"):
        build_site([], mine)
    assert (mine / "chapter.txt").read_text() == "years"
    with pytest.raises(UsageError):
        build_site([], mine / "chapter.txt")


def test_an_empty_folder_is_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    assert build_site([], tmp_path / "empty").is_file()


def test_a_failed_swap_brings_the_old_site_back(tmp_path, built, monkeypatch):
    original = site.Path.rename

    def fail(self, target):
        if self.name.endswith(".tmp"):
            raise OSError(28, "No space left on device")
        return original(self, target)

    before = (built / "index.html").read_bytes()
    monkeypatch.setattr(site, "_exchange", lambda *paths: False)
    monkeypatch.setattr(site.Path, "rename", fail)
    with pytest.raises(ResourceError, match="No space left"):
        build_site([], built)
    assert (built / "index.html").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_folder_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="build_site"):
        build_site([], tmp_path / "file" / "site")


@pytest.mark.parametrize("can", [True, False])
def test_the_new_site_replaces_the_old_one_in_one_step_where_that_is_possible(
    tmp_path, built, monkeypatch, can
):
    if not can:
        monkeypatch.setattr(site, "_exchange", lambda *paths: False)
    seen = []
    original = site.Path.rename
    monkeypatch.setattr(
        site.Path, "rename", lambda self, to: (seen.append(self.name), original(self, to))[1]
    )
    build_site([], built)
    assert "No entries yet" in (built / "index.html").read_text()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert len(seen) == (0 if can and sys.platform == "linux" else 2)


def test_what_killed_builds_left_is_removed_after_a_while(tmp_path, built):
    left, fresh = tmp_path / ".site.01234567.tmp", tmp_path / ".site.89abcdef.tmp"
    for folder in (left, fresh):
        (folder / "entries").mkdir(parents=True)
    os.utime(left, (0, 0))
    build_site([], built)
    assert not left.exists()
    assert fresh.exists()
