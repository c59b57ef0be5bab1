"""A release of the board is complete, stays as it is, and is found by its hash."""

import hashlib
import json
import zipfile

import pytest
from sample_board import write_results

from recombine.leaderboard.site import archive as archives
from recombine.leaderboard.site.archive import read_releases, release_site
from recombine.leaderboard.site.pages import Release
from recombine.renderer.core.errors import IntegrityError, UsageError

FIRST, SECOND = Release("2026.1", "2026-06-01"), Release("2026.2", "2026-11-30")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory, results):
    folder = tmp_path_factory.mktemp("archive")
    release_site(results[:2], folder, FIRST)
    release_site(results, folder, SECOND)
    return folder


def test_every_release_is_a_site_a_pack_and_a_record(archive):
    found = read_releases(archive)
    assert [(one.version, one.entries) for one in found] == [("2026.2", 6), ("2026.1", 2)]
    page = (archive / "index.html").read_text()
    for one in found:
        content = (archive / one.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one.bytes, one.sha256)
        assert one.sha256 in page
        assert f'href="{one.version}/index.html"' in page
        with zipfile.ZipFile(archive / one.file) as pack:
            for name in pack.namelist():
                assert pack.read(name) == (archive / name).read_bytes()
        site = (archive / one.version / "index.html").read_text()
        assert f"Release {one.version} of the board, as of {one.date}" in site
        assert f"board release {one.version}" in site


def test_equal_results_give_an_equal_pack(archive, results, tmp_path):
    again = release_site(results, tmp_path, SECOND)
    assert again == read_releases(archive)[0]


def test_a_release_stays_as_it_is(archive, results):
    before = (archive / "board-2026.1.zip").read_bytes()
    with pytest.raises(UsageError, match="next version"):
        release_site(results, archive, FIRST)
    assert (archive / "board-2026.1.zip").read_bytes() == before


def test_a_release_that_was_stopped_is_made_again(results, tmp_path, monkeypatch):
    def stopped(path, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        release_site(results[:1], tmp_path, FIRST)
    monkeypatch.undo()
    assert read_releases(tmp_path) == []
    assert release_site(results[:1], tmp_path, FIRST) in read_releases(tmp_path)


@pytest.mark.parametrize(
    "release",
    [Release("../x", "2026-06-01"), Release("", "2026-06-01"), Release("1", "2026-13-01")],
)
def test_a_version_is_a_name_and_a_date_is_one(results, tmp_path, release):
    with pytest.raises(UsageError, match="board release"):
        release_site(results, tmp_path, release)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_refused(results, tmp_path):
    record = {"format": archives.FORMAT, "releases": [{"version": "1"}]}
    (tmp_path / "releases.json").write_text(json.dumps(record))
    with pytest.raises(IntegrityError, match=r"releases\.json"):
        release_site(results, tmp_path, FIRST)
