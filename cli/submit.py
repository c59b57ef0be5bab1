"""`submit` and `review`: the two ends of a submission."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import say

if TYPE_CHECKING:
    from recombine.leaderboard.bundle import Bundle, MethodFile


@dataclass(frozen=True)
class Submit:
    """Bundle results, predictions and method card, and write the text of a pull request.

    Takes the result files of one method from `recombine score`, finds their predictions by
    hash, checks the code against the contract when `--check` names it, and writes a folder that
    holds its own hashes. Copy it into a checkout of the leaderboard and open a pull request with
    the text that is printed. Nothing is sent anywhere. Killed and run again, it starts over.

    Example: recombine submit runs/results/my-method--smoke-64px-n1024.json --authors "A. Name"
    --licence Apache-2.0 --check my_method.py:MyLearner
    """

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files of one method on one dataset: without and with search."""
    authors: tuple[str, ...] = ()
    """Who made the method; at least one."""
    licence: str = ""
    """Licence of its code, such as Apache-2.0; "closed" when it cannot be read."""
    code: str = ""
    """https link to the code."""
    paper: str = ""
    """https link to the paper."""
    pretraining: tuple[str, ...] = ()
    """Data and weights beyond the served images, each by name."""
    note: str = ""
    """Anything a reader should know."""
    predictions: Path = Path("runs/results/runs")
    """Folder in which the predictions lie, at any depth."""
    check: str = ""
    """`file.py:Class` to try against the contract first; without bubblewrap it is refused."""
    out: Path = Path("submissions")
    """Folder that the bundle is written into."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Write the bundle and print what to do with it."""
        from recombine.leaderboard.bundle import write_bundle
        from recombine.leaderboard.pull_request import request_text
        from recombine.renderer.atomic import write_bytes

        method = self._method()
        checked = self._checked()
        bundle = write_bundle(self.out, self.results, hashes(self.predictions), method)
        text = self.out / f"{bundle.folder.name}.md"
        write_bytes(text, request_text(bundle, checked).encode())
        if self.json:
            say.emit({"bundle": str(bundle.folder), "pull_request": str(text)})
        else:
            self._explain(bundle, text)
        return 0

    def _method(self) -> MethodFile:
        import pydantic

        from recombine.leaderboard.bundle import MethodFile
        from recombine.renderer.errors import UsageError

        names = ("authors", "licence", "code", "paper", "pretraining", "note")
        try:
            return MethodFile(**{name: getattr(self, name) for name in names})
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise UsageError(
                f"submit: expected a complete method card, got --{first['loc'][0]}: "
                f"{first['msg']}; give --authors and --licence, and links that start with https://"
            ) from None

    def _checked(self) -> str:
        if not self.check:
            return "not run"
        from recombine.benchmark.isolation import check_isolated
        from recombine.renderer.errors import InvalidInputError

        found = check_isolated(self.check)
        failed = [one.name for one in found.checks if one.status == "fail"]
        if failed:
            raise InvalidInputError(
                f"submit: expected {self.check} to keep the contract, got failed checks "
                f"{', '.join(failed)}; see `recombine check {self.check}`"
            )
        return f"all {len(found.checks)} checks passed, run in isolation by the submitter"

    def _explain(self, bundle: Bundle, text: Path) -> None:
        say.line(f"bundle: {bundle.folder}")
        say.line(f"text of the pull request: {text}")
        say.line("next, in a checkout of the leaderboard:")
        say.line(f"  git switch -c {bundle.folder.name}")
        say.line(f"  cp -r {bundle.folder} submissions/")
        say.line(f"  git add submissions/{bundle.folder.name} && git commit -m 'Submission'")
        say.line("then push and open a pull request with that text")


@dataclass(frozen=True)
class Review:
    """Score submitted bundles again, as the leaderboard's workflow does.

    Runs nothing of a submission: checks every hash, parses the predictions under limits, scores
    them, and refuses claims that do not come out. With --base, HEAD is a whole checkout of a
    proposal, which may add bundles and nothing else. Results carry the trust tier "rescored".

    Example: recombine review submissions/my-method-0123456789 --data runs/smoke --out runs/reviewed
    """

    head: Annotated[Path, tyro.conf.Positional]
    """A bundle, or with --base a checkout of the proposal."""
    data: tuple[Path, ...]
    """Dataset folders."""
    base: Path | None = None
    """Checkout of the trusted branch."""
    results: Path = Path("leaderboard/results")
    """Result files on the board now, for what changes."""
    out: Path = Path("runs/reviewed")
    """Folder for the recomputed result files."""
    summary: Path | None = None
    """File that a Markdown summary is appended to."""
    max_megabytes: int = 2000
    """Most that a proposal may add."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Score, save, and say what would change."""
        from recombine.leaderboard.diff import diff
        from recombine.leaderboard.intake import new_bundles, rescore, save_rescored
        from recombine.leaderboard.pull_request import review_text
        from recombine.renderer.reader import Dataset

        if self.base is None:
            folders = [self.head]
        else:
            folders = new_bundles(self.base, self.head, self.max_megabytes * 10**6)
        datasets = {dataset.root: dataset for dataset in map(Dataset, self.data)}
        found = [rescore(folder, datasets, self.out) for folder in folders]
        paths = save_rescored(found, self.out)
        now = sorted(self.results.glob("*.json"))
        changes = diff(now, [*now, *paths])
        text = review_text([result for one in found for result in one.results], changes)
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as stream:
                stream.write(text)
        if self.json:
            say.emit([str(path) for path in paths])
        else:
            say.line(text)
        return 0


def hashes(folder: Path) -> dict[str, Path]:
    """Return every predictions file below a folder by its SHA-256."""
    from recombine.renderer.seal import file_sha256

    return {file_sha256(path): path for path in sorted(folder.rglob("*.safetensors"))}
