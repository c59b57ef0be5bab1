"""Make the result factory of the benchmark's tests importable, and open the sample board."""

import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "benchmark"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from browsing import HOSTILE, Visit  # noqa: E402
from sample_board import PNG, on_record, sample, write_card, write_results  # noqa: E402

from recombine.leaderboard.site.build import build_site  # noqa: E402

ARGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("board")
    files = write_results(base / "results")
    method = sample(0).model_dump(mode="json")["method"]
    hostile = method | {"name": HOSTILE, "id": "hostile", "entry": "hostile"}
    files = on_record([*files, sample(0, method=hostile).save(base / "results")])
    card = write_card(base / "data", PNG)
    return build_site(files, base / "site", [card]).parent


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a browser: none of {', '.join(NAMES)} was found")
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield running
        running.close()


@pytest.fixture
def visit(browser, folder):
    opened = []

    def go(name="index.html", **options):
        opened.append(Visit(browser, folder / name, **options))
        return opened[-1]

    yield go
    for one in opened:
        one.context.close()
