"""Results on earlier data are listed on one page, and take part in nothing else."""

from pathlib import Path

import pytest
from sample_board import on_record, sample

from recombine import leaderboard
from recombine.leaderboard.ledger.records import record_mark
from recombine.leaderboard.site.build import build_site
from recombine.leaderboard.site.earlier import load_archive
from recombine.renderer.core.errors import IntegrityError, InvalidInputError

ROOT = Path(leaderboard.__file__).parent


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "1.x"
    older = sample(0, method={**sample(0).method.model_dump(mode="json"), "name": "Older <b>"})
    on_record([older.save(folder)])
    record_mark(folder, older, "disputed", "Too few steps.", "2026-01-02T00:00:00Z")
    (folder / "README.md").write_text("# Old\n\nTrained on\nother images.\n")
    return folder


def test_they_stand_on_their_page_alone(tmp_path, old):
    files = on_record([sample(1).save(tmp_path / "results")])
    site = build_site(files, tmp_path / "site", archive=[old]).parent
    (path,) = old.glob("*.json")
    page = (site / "archive.html").read_text()
    for text in ("Trained on other images.", "Older &lt;b&gt;", "disputed", "retrained", path.name):
        assert text in page
    assert (site / "archive" / "1.x" / path.name).read_bytes() == path.read_bytes()
    assert 'href="archive.html"' in (site / "index.html").read_text()
    elsewhere = [p for p in site.rglob("*") if p.suffix in (".html", ".xml", ".csv", ".json")]
    named = {p.name for p in elsewhere if "Older" in p.read_text()}
    assert named == {"archive.html", path.name}
    plain = build_site(files, tmp_path / "plain").parent
    assert not (plain / "archive.html").exists()


def test_what_does_not_hold_is_refused(tmp_path, old):
    (path,) = old.glob("*.json")
    path.write_text(path.read_text().replace("Older", "Newer"))
    with pytest.raises(IntegrityError, match="edited"):
        load_archive(old)
    (old / "README.md").unlink()
    with pytest.raises(InvalidInputError, match="README"):
        load_archive(old)


@pytest.mark.skipif(not (ROOT / "archive").is_dir(), reason="only a checkout has the archive")
def test_the_committed_archive_holds_and_the_ledger_goes_on_from_its_copy():
    found = load_archive(ROOT / "archive" / "1.x")
    assert len(found.kept) >= 100
    assert {one.tier for one in found.kept} <= {"self-reported", "retrained"}
    copy = (ROOT / "archive" / "1.x" / "verified.jsonl").read_bytes()
    assert (ROOT / "results" / "verified.jsonl").read_bytes().startswith(copy)
