"""`review`: score results again from their predictions, and put it on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.ledger.signing import Signer
    from recombine.renderer.store.dataset import Dataset


@dataclass(frozen=True)
class Review:
    """Score results again from their predictions, and put it on record.

    HEAD is a submitted bundle; or, with --base, a whole checkout of a proposal, which may add
    bundles and nothing else; or result files of your own runs (a file or a folder).
    Nothing of a submission is run: every hash is checked, predictions are parsed under limits and
    scored, and numbers that do not come out are refused. What came out gets a line in the ledger
    `verified.jsonl` beside the result files. The board takes its trust tiers from there alone; a
    result without a line is shown as self-reported.
    With --tier a maintainer says that the harness ran (rerun) or also trained (retrained) the
    method on a machine of theirs; it cannot exceed what the harness wrote into the result.

    Example: recombine review submissions/my-method-0123456789 --data runs/smoke --out runs/reviewed
    Example: recombine review runs/results --data runs/smoke --tier retrained
    --out leaderboard/results
    """

    head: Annotated[Path, tyro.conf.Positional]
    """A bundle; with --base a checkout of the proposal; or result files of your own."""
    data: tuple[Path, ...]
    """Dataset folders."""
    base: Path | None = None
    """Checkout of the trusted branch."""
    runs: tuple[Path, ...] = ()
    """Folders with the predictions of your own results; by default that of the results."""
    tier: Literal["rescored", "rerun", "retrained"] = "rescored"
    """What was done, for results of your own."""
    record: bool = True
    """Add lines to the ledger in the folder of --out."""
    key: Path | None = None
    """File with the private key (32 bytes, hexadecimal) that signs the ledger."""
    file_root: Path | None = None
    """Folder below which predictions may be named by file URL; https works always."""
    results: Path = Path("leaderboard/results")
    """Result files on the board now, for what changes."""
    out: Path | None = None
    """Folder for the result files: runs/reviewed, or for your own results where they lie."""
    summary: Path | None = None
    """File that a Markdown summary is appended to."""
    max_megabytes: int = 2000
    """Most that a proposal may add, and most that is fetched for a bundle."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Score, save, put on record, and say what would change."""
        from recombine.leaderboard.ledger.records import record_tier
        from recombine.leaderboard.submissions.changes import diff
        from recombine.leaderboard.submissions.review import review_text

        signer = self._signer()
        before = sorted(self.results.glob("*.json"))
        own = self._own_files()
        out = self.out or (own[0].parent if own else Path("runs/reviewed"))
        found, paths = self._own(own, out) if own else self._bundles(out)
        changes = diff(before, [*before, *(path for path in paths if path not in before)])
        if self.record:
            record_tier(
                out, found, self.tier, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), signer
            )
        text = review_text(found, changes, self.tier)
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as stream:
                stream.write(text)
        if self.json:
            say.emit([str(path) for path in paths])
        else:
            say.line(text)
        return 0

    def _own_files(self) -> list[Path]:
        """Return the result files that HEAD names; none when it is a bundle or a checkout."""
        from recombine.leaderboard.submissions.bundle import MANIFEST

        if self.base is not None or (self.head / MANIFEST).exists():
            return []
        return [self.head] if self.head.is_file() else sorted(self.head.glob("*.json"))

    def _own(self, files: Sequence[Path], out: Path) -> tuple[list[Result], list[Path]]:
        from recombine.leaderboard.submissions.review import keep, rescore_own

        entries = rescore_own(files, self.runs or (files[0].parent,), self._datasets())
        return [entry.result for entry in entries], [keep(entry, out) for entry in entries]

    def _bundles(self, out: Path) -> tuple[list[Result], list[Path]]:
        from recombine.leaderboard.submissions.review import (
            FetchRules,
            fetched,
            new_bundles,
            rescore_bundle,
            save_rescored,
        )

        most = self.max_megabytes * 10**6
        folders = [self.head] if self.base is None else new_bundles(self.base, self.head, most)
        rules = FetchRules(file_root=self.file_root)
        whole = [fetched(folder, out / ".fetched", rules, most) for folder in folders]
        roots = {dataset.root: dataset for dataset in self._datasets()}
        found = [rescore_bundle(folder, roots, out) for folder in whole]
        return [result for one in found for result in one.results], save_rescored(found, out)

    def _datasets(self) -> list[Dataset]:
        from recombine.renderer.store.dataset import Dataset

        return [Dataset(folder) for folder in self.data]

    def _signer(self) -> Signer | None:
        if self.key is None:
            return None
        from recombine.leaderboard.ledger.signing import read_key

        return read_key(self.key)
