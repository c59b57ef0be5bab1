"""`submit`: from result files to a bundle and the text of a pull request."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recombine.cli import console

if TYPE_CHECKING:
    from recombine.leaderboard.submissions.bundle import Bundle, MethodFile


@dataclass(frozen=True)
class Submit:
    """Bundle results, predictions and method card, and write the text of a pull request.

    Takes the result files of one method from `recombine score`, finds their predictions by
    hash, checks the code against the contract when `--check` names it, and writes a folder that
    holds its own hashes. Commit it in a clone of the leaderboard and open a pull request with the
    text that is written beside it. Nothing is sent anywhere. Killed and run again, it starts over.

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
    url: str = ""
    """https folder where you will publish predictions that are too big for git, as
    `seed-0.safetensors` and so on: a review fetches what is not in the bundle."""
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
        from recombine.leaderboard.submissions.bundle import write_bundle
        from recombine.leaderboard.submissions.review import request_text
        from recombine.renderer.core.files import write_bytes

        method = self._method()
        checked = self._checked()
        bundle = write_bundle(self.out, self.results, hashes(self.predictions), method, self.url)
        text = self.out / f"{bundle.folder.name}.md"
        for left in self.out.glob(f".{text.name}.*.tmp"):  # of a run that was killed
            left.unlink(missing_ok=True)
        write_bytes(text, request_text(bundle, checked).encode())
        if self.json:
            console.emit({"bundle": str(bundle.folder), "pull_request": str(text)})
        else:
            self._explain(bundle, text)
        return 0

    def _method(self) -> MethodFile:
        import pydantic

        from recombine.leaderboard.submissions.bundle import MethodFile
        from recombine.renderer.core.errors import UsageError

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
        from recombine.benchmark.sandbox.isolate import check_isolated
        from recombine.renderer.core.errors import InvalidInputError

        found = check_isolated(self.check)
        failed = [f"{one.name} ({one.why})" for one in found.checks if one.status == "fail"]
        if failed:
            raise InvalidInputError(
                f"submit: expected {self.check} to keep the contract, got failed checks "
                f"{', '.join(failed)}; see `recombine check {self.check}`"
            )
        return f"all {len(found.checks)} checks passed, run in isolation by the submitter"

    def _explain(self, bundle: Bundle, text: Path) -> None:
        name = bundle.folder.name
        console.line(f"bundle: {bundle.folder}")
        console.line(f"text of the pull request: {text}")
        if self.url:
            console.line(
                f"upload {bundle.folder}/predictions/* to {self.url}, then delete that folder"
            )
        console.line("Next, in a clone of your fork of the leaderboard:")
        console.line(f"  git switch --create {name} main")
        if bundle.folder.absolute() != Path.cwd() / "submissions" / name:
            source = shlex.quote(str(bundle.folder.absolute()))
            console.line(f"  mkdir -p submissions && cp -r {source} submissions/")
        console.line(f"  git add submissions/{name}")
        console.line(f"  git commit --message 'Submission: {bundle.manifest.method}'")
        console.line(f"  git push --set-upstream origin {name}")
        console.line("then open a pull request with that text.")


def hashes(folder: Path) -> dict[str, Path]:
    """Return every predictions file below a folder by its SHA-256."""
    from recombine.renderer.store.seal import file_sha256

    return {file_sha256(path): path for path in sorted(folder.rglob("*.safetensors"))}
