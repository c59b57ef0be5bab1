"""Citations name who and what exactly, and no name becomes a command."""

from pathlib import Path

import pytest
import yaml
from factories import make_result

from recombine.leaderboard.exports import citation
from recombine.leaderboard.exports.citation import benchmark_citation, entry_citation
from recombine.renderer.core.project import AUTHORS, TITLE, Project, project

CITATION = Path(__file__).parents[3] / "CITATION.cff"

PAPER = "https://example.org/a_b?c=1&d=50%25"


@pytest.mark.parametrize(
    ("author", "written"),
    [
        ("A. Name (0000-0002-1825-0097)", "A. Name"),
        ("Name, A.", "{Name, A.}"),
        ("Sun and Moon", "{Sun and Moon}"),
        ("A_1 {\\input{x}} 5%", "A\\_1"),
    ],
)
def test_authors_are_names(author, written):
    said = {"authors": [author, "B"], "paper": PAPER}
    text = entry_citation(make_result(method={"code": "mine.py:Mine"}, credit=said), "x-1")
    (line,) = [line for line in text.splitlines() if "author = " in line]
    assert line.startswith(f"  author = {{{written}")
    assert line.endswith("and B},")
    assert f"url = {{{PAPER}}}" in text
    assert text.count("{") == text.count("}")
    assert "\\input" not in text


def test_nobody_named_is_nobody_made_up():
    assert "author" not in entry_citation(make_result(credit={"authors": []}), "x-1")


def test_the_paper_of_others_is_not_the_entry():
    own = {"code": "recombine.baselines.autoencoder:Autoencoder"}
    text = entry_citation(make_result(method=own, credit={"paper": PAPER}), "x-1")
    assert PAPER not in text


def test_the_benchmark_is_cited_with_what_is_known(monkeypatch):
    about = {"version": "1.2", "summary": "What it is", "licence": "Apache-2.0"}
    monkeypatch.setattr(citation, "project", lambda: Project(**about))
    assert benchmark_citation("2026").splitlines() == [
        "@misc{recombine,",
        "  author = {{recombine contributors}},",
        "  title = {recombine. What it is},",
        "  year = {2026},",
        "  note = {Version 1.2}",
        "}",
    ]
    known = Project(**about, repository="https://example.org/r")
    monkeypatch.setattr(citation, "project", lambda: known)
    text = benchmark_citation("", "2026.1")
    assert "url = {https://example.org/r}" in text
    assert "board release 2026.1" in text
    assert "year" not in text


@pytest.mark.skipif(not CITATION.is_file(), reason="part of a checkout")
def test_the_citation_file_says_what_the_package_says():
    said, about = yaml.safe_load(CITATION.read_text()), project()
    assert said["cff-version"] == "1.2.0"
    assert (said["title"], said["authors"]) == (TITLE, [{"name": AUTHORS}])
    facts = said["abstract"], said["version"], said["license"]
    assert facts == (about.summary, about.version, about.licence)
    assert said.get("repository-code", "") == about.repository
