"""How the build of the leaderboard grows: processor time, memory and size of drawn boards.

Run from a checkout: python benchmarks/board_size.py [entries ...], by default 113, 1000 and 5000.
Every size is built in a process of its own, and every build stands beside a loop of plain Python
on the same processor, so that the ratio can be compared between machines. The entries are those
of the tests, drawn again and put on record; they go to a temporary folder and nowhere else.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "leaderboard"), str(ROOT / "tests" / "benchmark")]
SIZES = (113, 1000, 5000)
DRAWN = 30
"""Different results; further ones are the same under other names."""


def write_entries(folder: Path, count: int) -> None:
    """Write valid result files of different entries, all on record as retrained."""
    from sample_board import ENTRIES, sample

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.ledger.records import record_tier

    drawn = [
        sample(i % len(ENTRIES), seeds=3 + i // len(ENTRIES) % 3).model_dump(
            mode="json", exclude={"schema_version", "result_id"}
        )
        for i in range(min(DRAWN, count))
    ]
    made = []
    for i in range(count):
        plain = drawn[i % len(drawn)]
        method = plain["method"]
        name = f"{method['entry']}-{i}"
        named = method | {"entry": name, "id": name, "name": f"{method['name']} {i}"}
        made.append(Result.sealed(**plain | {"method": named}))
        made[-1].save(folder / f"{i:05d}.json")
    record_tier(folder, made, "retrained", "2026-01-01T00:00:00Z")


def loop() -> float:
    """Return the seconds that a fixed loop of plain Python takes."""
    start, total = time.process_time(), 0
    for i in range(5_000_000):
        total += i & 7
    return time.process_time() - start if total else 0.0


def build(folder: Path) -> None:
    """Build a site and print what it took as JSON."""
    from recombine.leaderboard.site.build import build_site

    before = time.process_time()
    build_site(sorted((folder / "results").glob("*.json")), folder / "site")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu_s": time.process_time() - before, "peak_mb": peak / 1024}))


def main(sizes: list[int]) -> None:
    """Print one line per size."""
    print("entries  CPU-s  ratio  ms/entry  peak MB  site MB")
    for count in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_entries(folder / "results", count)
            before = loop()
            command = [sys.executable, __file__, "--build", scratch]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            unit = (before + loop()) / 2
            found = json.loads(ran.stdout)
            files = (path for path in (folder / "site").rglob("*") if path.is_file())
            size = sum(path.stat().st_size for path in files) / 1e6
            print(
                f"{count:7d} {found['cpu_s']:6.1f} {found['cpu_s'] / unit:6.1f} "
                f"{1000 * found['cpu_s'] / count:9.2f} {found['peak_mb']:8.0f} {size:8.0f}"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        build(Path(sys.argv[2]))
    else:
        main([int(text) for text in sys.argv[1:]] or list(SIZES))
