"""Whose work an entry is stands on its page, and a stranger's link says nothing in our name."""

import re

from sample_board import sample

from recombine.leaderboard.site import pages
from recombine.leaderboard.site.build import build_site
from recombine.renderer.core.project import Project

REL = 'rel="noopener noreferrer nofollow"'
SAID = {
    "authors": ["A. <i>Name (0000-0002-1825-0097)", "B"],
    "licence": "MIT",
    "code": "https://example.org/code",
    "paper": "https://example.org/paper?a=1&b=2",
    "pretraining": ["ImageNet"],
}


def built(folder, *results):
    files = [one.save(folder / "results" / f"{i}.json") for i, one in enumerate(results)]
    return build_site(files, folder / "site").parent


def test_credit_is_on_the_page_of_the_entry_and_beside_the_method(tmp_path):
    site = built(tmp_path, sample(0, method={"code": "mine.py:Mine"}, credit=SAID))
    (path,) = (site / "entries").glob("*.html")
    text = path.read_text()
    assert "<bdi>A. &lt;i&gt;Name</bdi>" in text
    for link in ("https://orcid.org/0000-0002-1825-0097", "https://example.org/code"):
        assert f'href="{link}" {REL}' in text
    assert "author = {A. <i>Name and B}" in text.replace("&lt;", "<").replace("&gt;", ">")
    assert "licence MIT" in text
    assert re.search(r"Trained on</dt><dd>[\d,]+ served images; ImageNet<", text)
    assert "as the submitter gave them" in text
    for name in ("index.html", "methods.html"):
        assert (
            f'href="https://example.org/paper?a=1&amp;b=2" {REL}>paper<'
            in (site / name).read_text()
        )
    for page in site.rglob("*.html"):
        for link in re.findall(r'<a href="https?:[^>]*>', page.read_text()):
            assert REL in link


def test_a_baseline_follows_a_paper(tmp_path):
    own = {"code": "recombine.baselines.autoencoder:Autoencoder"}
    site = built(tmp_path, sample(1, method=own, credit={"paper": "https://arxiv.org/abs/1"}))
    (path,) = (site / "entries").glob("*.html")
    assert "Paper that it follows" in path.read_text()
    assert "as the submitter gave them" not in path.read_text()
    assert ">paper followed<" in (site / "methods.html").read_text()


def test_addresses_of_the_project_are_those_that_it_names(tmp_path, monkeypatch):
    known = Project("1", "", "MIT", repository="https://example.org/r")
    for about, links in ((Project("1", "", "MIT"), 0), (known, 1)):
        monkeypatch.setattr(pages, "project", lambda about=about: about)
        text = (built(tmp_path, sample(0)) / "downloads.html").read_text()
        assert text.count(">Repository</a>") == links
        assert ">Guide</a>" not in text
