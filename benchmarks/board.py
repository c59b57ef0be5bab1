"""Time the leaderboard with many synthetic entries: build, rebuild, load, sort, filter.

Run from a checkout: python benchmarks/board.py [entries]. The entries are those of the tests,
repeated under other names; they go to a temporary folder and nowhere else. With a Chromium and
playwright on the machine the page is timed too.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "leaderboard"), str(ROOT / "tests" / "benchmark")]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FRAME = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


def write_entries(folder: Path, count: int) -> list[Path]:
    """Write ``count`` valid, different result files."""
    from sample_board import ENTRIES, sample

    made = []
    for i in range(count):
        method = sample(i % len(ENTRIES)).model_dump(mode="json")["method"]
        name = f"{method['entry']}-{i}"
        method |= {"entry": name, "id": name, "name": f"{method['name']} {i}"}
        made.append(sample(i % len(ENTRIES), method=method).save(folder / f"{i:05d}.json"))
    return made


def timed(label: str, work) -> None:
    """Say how long something took on the clock and on the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sys.stdout.write(f"{label:<34}{wall:7.2f} s wall {cpu:7.2f} s processor\n")


class Page:
    """A board in Chromium; the processor's time is that of the page's main thread."""

    def __init__(self, browser, index: Path) -> None:
        self.page = browser.new_page(viewport={"width": 1440, "height": 900})
        self.session = self.page.context.new_cdp_session(self.page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.index = index

    def busy(self) -> float:
        """Return the seconds that the page's main thread has worked."""
        found = self.session.send("Performance.getMetrics")["metrics"]
        return next(item["value"] for item in found if item["name"] == "TaskDuration")

    def timed(self, label: str, code: str = "") -> None:
        """Run code, or load the page, up to the next frame on the screen."""
        wall, cpu = time.perf_counter(), self.busy()
        if code:
            self.page.evaluate(code)
        else:
            self.page.goto(self.index.as_uri())
        self.page.evaluate(FRAME)
        wall, cpu = time.perf_counter() - wall, self.busy() - cpu
        sys.stdout.write(f"{label:<34}{wall:7.2f} s wall {cpu:7.2f} s main thread\n")


def time_page(index: Path) -> None:
    """Load, sort and filter the board in Chromium."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, CHROMIUM)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = Page(browser, index)
        page.timed("load")
        for key in ("id", "gflop", "entry"):
            page.timed(
                f"sort by {key}", f"document.querySelector('[data-key={key}] button').click()"
            )
        typed = (
            "(() => { const e = document.querySelector('input[type=search]'); e.value = 'replay 7';"
            " e.dispatchEvent(new Event('input')); })()"
        )
        page.timed("filter", typed)
        browser.close()


def main(count: int) -> None:
    """Build from nothing and over an earlier site, and open the page."""
    from recombine.leaderboard.site.build import build_site

    with tempfile.TemporaryDirectory() as scratch:
        files = write_entries(Path(scratch) / "results", count)
        site = Path(scratch) / "site"
        timed(f"build, {count} entries", lambda: build_site(files, site))
        timed("build again", lambda: build_site(files, site))
        if any(map(shutil.which, CHROMIUM)):
            time_page(site / "index.html")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
