from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.publish.page import gallery, load_maps, traversals
from recombine.renderer.store.dataset import Dataset


def page(folder: Path) -> str:
    return gallery(folder, folder / "preview.html").read_text(encoding="utf-8")


def test_the_page_asks_nothing_of_anyone(sealed: Path) -> None:
    verify(sealed)
    text = page(sealed)
    assert not re.findall(r"https?://|<script|javascript:|@import|url\(", text)
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(s.startswith(("data:image/webp;base64,", "#")) for s in sources)
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert f"style-src 'sha256-{digest}'" in policy[1]
    assert "unsafe" not in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "prefers-color-scheme: dark" in text


def test_sheet_traversals_and_certificate_are_there(sealed: Path) -> None:
    verify(sealed)
    data = Dataset(sealed)
    text = page(sealed)
    sheet = text[text.index('id="sheet"') : text.index('id="traversals"')]
    assert sheet.count("<img") == 16
    held_out = len({tuple(c) for c in data.cells[data.indices("ooc_test")]})
    assert sheet.count('<img class="ooc"') == held_out
    for check in data.certificate["checks"]:
        assert f"<td>{check['name']}</td>" in text
    assert data.root in text
    assert 'id="interaction"' not in text


def test_along_a_traversal_only_one_factor_changes(sealed_once: Path) -> None:
    data = Dataset(sealed_once)
    shape, environment, nuisance = traversals(data)
    assert [p.caption for p in shape.pictures] == list(data.schema.factor("object.shape").values)
    assert len({p.source for p in environment.pictures}) == 4
    assert any(p.held_out for p in shape.pictures)
    assert not all(p.held_out for p in shape.pictures)
    assert len(nuisance.pictures) > 2


def test_names_from_files_are_escaped(sealed: Path) -> None:
    certificate = verify(sealed).to_dict()
    certificate["checks"][0]["found"] = "<script>alert(1)</script>"
    (sealed / "certificate.json").write_text(json.dumps(certificate))
    assert "<script>" not in page(sealed)
    certificate["root"] = "0" * 64
    (sealed / "certificate.json").write_text(json.dumps(certificate))
    assert "belongs to other data" in page(sealed)
    (sealed / "certificate.json").unlink()
    assert "Not verified yet" in page(sealed)


def store_maps(folder: Path, maps: np.ndarray, index: list[int]) -> None:
    with h5py.File(folder / "interaction.h5", "w", libver="latest") as handle:
        handle.create_dataset("index", data=np.array(index, np.int64))
        handle.create_dataset("second", data=maps.astype(np.float16))


def test_interaction_maps_are_shown_where_they_were_measured(sealed: Path) -> None:
    assert load_maps(Dataset(sealed)) is None
    maps = np.zeros((3, 16, 16))
    store_maps(sealed, maps, [4, 9, 20])
    assert "exactly 0" in page(sealed)
    maps[1, :8] = 0.015
    store_maps(sealed, maps, [4, 9, 20])
    found = load_maps(Dataset(sealed))
    assert found is not None
    assert (found.limit, found.count, found.zero) == (0.02, 3, False)
    assert len({found.coloured[1][0, 0].tobytes(), found.coloured[1][15, 0].tobytes()}) == 2
    text = page(sealed)
    assert "red is +0.02" in text
    assert "image 9:" in text


def test_maps_of_other_data_are_refused(sealed: Path) -> None:
    store_maps(sealed, np.zeros((1, 16, 16)), [10**6])
    with pytest.raises(IntegrityError, match="recombine measure interaction"):
        page(sealed)


@pytest.mark.browser
def test_a_browser_shows_it_from_a_file_in_light_and_dark(sealed: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    verify(sealed)
    file = gallery(sealed, sealed / "preview.html")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        papers = []
        for scheme in ("light", "dark"):
            view = browser.new_context(color_scheme=scheme, viewport={"width": 400, "height": 800})
            tab = view.new_page()
            complaints: list[str] = []
            asked: list[str] = []
            tab.on("console", lambda m, to=complaints: to.append(m.text))
            tab.on("request", lambda r, to=asked: to.append(r.url))
            tab.goto(file.as_uri())
            assert complaints == []
            assert [u for u in asked if not u.startswith("data:")] == [file.as_uri()]
            script = "[...document.images].every((i) => i.complete && i.naturalWidth > 0)"
            assert tab.evaluate(script)
            # A narrow window scrolls inside the tables, not as a whole.
            assert tab.evaluate("document.documentElement.scrollWidth") <= 400
            papers.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    assert len(set(papers)) == 2
