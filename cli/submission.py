"""`submission`: start one, try it, answer elsewhere, send it in, and review what was sent."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.cli.score import Ended, device_name, is_ours, limits, run_options
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.sandbox.code import Located
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.benchmark.serving.redrawn import Cast
    from recombine.benchmark.submissions.loading import Submission
    from recombine.leaderboard.ledger.records import Holder, Tier
    from recombine.leaderboard.ledger.signing import Signer
    from recombine.leaderboard.submissions import bundle as bundles
    from recombine.leaderboard.submissions.review import Rescored
    from recombine.renderer.store.dataset import Dataset

MINUTES = 5.0


@dataclass(frozen=True)
class Owned:
    """What a review found of one sender."""

    owner: str  # whose the ids are from now on, where they were free
    results: Sequence[Result]  # as scored again
    paths: Sequence[Path]  # where they were saved
    tier: Tier  # what was done


@dataclass(frozen=True)
class New(Command):
    """Write a small submission that works and is meant to be changed.

    Three kinds: an encoder maps images to slots and is scored as it is; a learner is trained by
    the harness, once per seed; an inverter searches for the slots that a decoder turns into the
    image, one step per call. Every one passes `recombine submission check` as written, and is
    named after its folder.

    Example: recombine submission new my_method --kind learner
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """New folder; an existing one is refused."""
    kind: Literal["encoder", "learner", "inverter"] = "learner"
    """What to start from."""

    def run(self) -> int:
        """Write the files and print the next commands."""
        from recombine.benchmark.submissions.scaffold import write_scaffold

        made = write_scaffold(self.folder, self.kind)
        files = [str(path) for path in made.files]
        self.reply(
            {"submission": made.spec, "method": made.method, "files": files},
            *(f"wrote {path}" for path in files),
            "Next:",
            f"  recombine submission check {made.spec}",
            "  recombine render smoke --scale 0.08 --out runs/toy",
            f"  recombine score {made.spec} --data runs/toy --out runs/toy-results --seeds 2",
            "From there to the leaderboard: docs/submitting.md",
        )
        return 0


@dataclass(frozen=True)
class Check(Command):
    """Try a submission on built-in images and say what it breaks, why, and what to do.

    Loads it, fits a learner for some seconds, and checks shapes, types, range, determinism,
    independence of batch and order, that the images stay as they are, memory and the counting of
    operations; of a searching method also its state, its steps and its decoder. The images are
    drawn by code and say nothing about how good the method is.

    The code runs under bubblewrap, without network and without files of this machine. Exit code
    3 when a check fails.

    Example: recombine submission check my_model.py:MyLearner
    """

    submission: Annotated[str, tyro.conf.Positional]
    """`file.py:Class`, `package.module:Class` or the name of a baseline."""
    trust_local: bool = False
    """Run without bubblewrap. Only for code that you trust like your own."""
    max_memory_gb: float = 16.0
    """Memory that it may use, in GiB."""
    size: str = "cpu"
    """Size of a baseline: tiny (seconds), cpu (minutes) or gpu (hours of one CUDA GPU)."""

    def run(self) -> int:
        """Check and print."""
        import time

        begin = time.monotonic()
        kind, name, checks = self._checks()
        failed = [one["name"] for one in checks if one["status"] == "fail"]
        seconds = time.monotonic() - begin
        if self.json:
            facts = {"submission": self.submission, "kind": kind, "id": name, "checks": checks}
            console.emit({**facts, "passed": not failed, "seconds": round(seconds, 1)})
        else:
            self._show(checks, failed, seconds)
        return 3 if failed else 0

    def _checks(self) -> tuple[str | None, str | None, list[dict[str, Any]]]:
        """Return kind, id and checks."""
        from recombine.baselines.registry import BASELINES, submission_of

        if is_ours(self.submission):
            from recombine.benchmark.check.checker import run_checks

            device_name(self.submission, self.size)  # a missing one is no fault of the row
            report = run_checks(cast("Submission", submission_of(self.submission, self.size)))
            checks = [asdict(one) for one in report.checks]
            return report.kind, report.card.id if report.card else None, checks
        from recombine.benchmark.sandbox.isolation import check_isolated

        found = check_isolated(
            self.submission,
            trust_local=self.trust_local,
            limits=limits(self.max_memory_gb, MINUTES / 60),
            names=BASELINES,
        )
        checks = [one.model_dump() for one in found.checks]
        return found.kind, found.card.id if found.card else None, checks

    def _show(self, checks: list[dict[str, Any]], failed: list[str], seconds: float) -> None:
        rows = [(one["name"], one["status"], one["why"]) for one in checks]
        title = f"{self.submission}, on built-in images (drawn by code, never scored)"
        console.table(title, ("check", "result", "why"), rows)
        for one in checks:
            if one["todo"]:
                console.line(f"{one['name']}: {one['todo']}")
        if failed:
            console.line(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
            return
        console.line(f"no check failed, {seconds:.0f} s. Next:")
        console.line(f"  recombine score {self.submission} --data runs/smoke")


@dataclass(frozen=True)
class Inputs(Command):
    """Write the inputs of a test into one safetensors file: images, without labels.

    Images stand in secret order under random-looking numbers; nothing tells in- from
    out-of-combination. Answer them with whatever code, write `image_id` and `slots` into a
    safetensors file per training seed (docs/submitting_a_model.md has the ten lines), and have it
    scored: `recombine score answers.safetensors --data DIR`. Such results are marked *rescored*:
    the scores are right, how the answers came about is not known.

    With --key, the numbers follow from a secret file that is made on first use. Organisers hand
    out the inputs and keep the key and the data.

    Example: recombine submission inputs --data runs/smoke --out inputs.safetensors
    """

    data: Path = Path("runs/smoke")
    """Dataset folder, rendered and verified."""
    out: Path = Path("inputs.safetensors")
    """File to write; an existing one is replaced."""
    key: Path | None = None
    """File with the organiser's key; the same one is needed for scoring."""
    readout_labels: int = 1000
    """ID training images among the inputs, on which the readout is fitted."""
    full: bool = False
    """Ask about enough images for `score --full`."""

    def run(self) -> int:
        """Write the file."""
        from recombine.benchmark.predictions.external import load_key, write_questions
        from recombine.benchmark.running.harness import scored_indices
        from recombine.renderer.store.dataset import Dataset

        dataset = Dataset(self.data)
        options = run_options(readout_labels=self.readout_labels, full=self.full)
        indices = scored_indices(dataset, options)
        write_questions(self.out, dataset, indices, load_key(self.key, dataset))
        key = f" --key {self.key}" if self.key else ""
        self.reply(
            {"questions": str(self.out), "images": len(indices), "identity": dataset.identity},
            f"wrote {self.out}: {len(indices)} images of {dataset.name}, without labels",
            f"then: recombine score ANSWERS.safetensors --data {self.data}{key}",
        )
        return 0


@dataclass(frozen=True)
class Bundle(Command):
    """Bundle results, predictions and method card, and write the text of a pull request.

    Takes the result files of one method from `recombine score`, finds their predictions by
    hash, checks the code against the contract when `--check` names it, and writes a folder that
    holds its own hashes. Commit it in a clone of the leaderboard and open a pull request with the
    text that is written beside it. Nothing is sent anywhere. Killed and run again, it starts over.

    With --with-code the folder of the code travels along, as the sandbox showed it, so that a
    maintainer can run it: `submission review --rerun`.

    Example: recombine submission bundle runs/results/my-method--smoke-64px-n1024.json
    --authors "A. Name" --licence Apache-2.0 --check my_method.py:MyLearner
    """

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files of one method on one dataset: without and with search."""
    authors: tuple[str, ...] = ()
    """Who made the method, each as "A. Name" or "A. Name (0000-0002-1825-0097)" with the ORCID; at
    least one. What is not given here or below is what the method's card says."""
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
    predictions: Path | None = None
    """Folder in which the predictions lie, at any depth; by default the folder of the results."""
    with_code: str = ""
    """`file.py:Class` that was scored: its folder travels along, with weights at most 50 MiB."""
    check: str = ""
    """`file.py:Class` to try against the contract first; without bubblewrap it is refused."""
    out: Path = Path("submissions")
    """Folder that the bundle is written into."""

    def run(self) -> int:
        """Write the bundle and print what to do with it."""
        from recombine.leaderboard.submissions.bundle import write_bundle
        from recombine.leaderboard.submissions.review import request_text
        from recombine.renderer.core.files import write_bytes
        from recombine.renderer.store.seal import file_sha256

        method = self._method()
        checked = self._checked()
        stored = {
            file_sha256(path): path
            for folder in self._folders()
            for path in sorted(folder.rglob("[!.]*.safetensors"))
        }
        code = self._located()
        bundle = write_bundle(self.out, self.results, stored, method, self.url, code)
        text = self.out / f"{bundle.folder.name}.md"
        for left in self.out.glob(f".{text.name}.*.tmp"):  # of a run that was killed
            left.unlink(missing_ok=True)
        write_bytes(text, request_text(bundle, checked).encode())
        if self.json:
            console.emit({"bundle": str(bundle.folder), "pull_request": str(text)})
        else:
            self._explain(bundle, text)
        return 0

    def _folders(self) -> list[Path]:
        """Return where predictions may lie."""
        return sorted({self.predictions} if self.predictions else {p.parent for p in self.results})

    def _located(self) -> Located | None:
        """Find the code that travels along; what the sandbox did not show stays behind."""
        from recombine.benchmark.sandbox.code import locate

        if not self.with_code:
            return None
        avoid = {*(path.parent for path in self.results), *self._folders(), self.out}
        found = locate(self.with_code, avoid=avoid)
        if not self.json:
            for name, why in found.left_out.items():
                console.note(f"left out: {name}: {why}")
        return found

    def _method(self) -> bundles.MethodFile:
        import pydantic

        from recombine.benchmark.results.result import Result
        from recombine.leaderboard.submissions.bundle import MethodFile

        said = Result.load(self.results[0]).credit.model_dump() if self.results else {}
        given = {name: value for name in MethodFile.model_fields if (value := getattr(self, name))}
        try:
            return MethodFile(**{**said, **given})
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise UsageError(
                f"submission bundle: expected a complete method card, got --{first['loc'][0]}: "
                f"{first['msg']}; give --authors and --licence here or on the card, and links that "
                "start with https://"
            ) from None

    def _checked(self) -> str:
        if not self.check:
            return "not run"
        from recombine.benchmark.sandbox.isolation import check_isolated

        found = check_isolated(self.check)
        failed = [f"{one.name} ({one.why})" for one in found.checks if one.status == "fail"]
        if failed:
            raise InvalidInputError(
                f"submission bundle: expected {self.check} to keep the contract, got failed checks "
                f"{', '.join(failed)}; see `recombine submission check {self.check}`"
            )
        return f"all {len(found.checks)} checks passed, run in isolation by the submitter"

    def _explain(self, bundle: bundles.Bundle, text: Path) -> None:
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


@dataclass(frozen=True)
class Review(Command):
    """Score results again from their predictions, and put it on record.

    Of a registered board nothing needs to be here: every label is drawn again from its recipe, in
    seconds. Masks are cast by rays where Blender is installed; scores of masks are left out where
    it is not. With --data, the scores are those of a rendered copy.

    HEAD is a submitted bundle; or, with --base, a whole checkout of a proposal, which may add
    bundles and nothing else; or result files of your own runs (a file or a folder).
    Nothing of a submission is run, but with --rerun: every hash is checked, predictions are parsed
    under limits and scored, and numbers that do not come out are refused. What came out gets a line
    in the ledger `verified.jsonl` beside the result files. The board takes its trust tiers from
    there alone; a result without a line is shown as self-reported.
    With --rerun the code that a bundle carries is run on the images of --data, always shut in, with
    the seeds and options of its predictions. Where its accuracy agrees with the bundle, its own
    results go on record, as rerun (given weights) or retrained (trained here).
    With --tier a maintainer says that the harness ran (rerun) or also trained (retrained) the
    method on a machine of theirs; it cannot exceed what the harness wrote into the result.
    Ids belong to whoever held them first, those of baselines to the baselines: a bundle for an id
    that is held is refused, unless it is of its holders and --update says that you know so.

    Example: recombine submission review submissions/my-method-0123456789 --out runs/reviewed

    Example: recombine submission review runs/results --data runs/smoke --tier retrained
    --out leaderboard/results

    Example: recombine submission review submissions/my-method-0123456789 --rerun
    --data runs/board --out leaderboard/results
    """

    head: Annotated[Path, tyro.conf.Positional]
    """A bundle; with --base a checkout of the proposal; or result files of your own."""
    data: tuple[Path, ...] = ()
    """Dataset folders, for data of no registered board, and for what needs their pixels."""
    registry: Path | None = None
    """Folder of the registry; that of this version of recombine by default."""
    cast: bool = True
    """Cast the masks that predictions are compared with, where a rendered copy is not given."""
    base: Path | None = None
    """Checkout of the trusted branch."""
    runs: tuple[Path, ...] = ()
    """Folders with the predictions of your own results; by default that of the results."""
    tier: Literal["rescored", "rerun", "retrained"] = "rescored"
    """What was done, for results of your own."""
    rerun: bool = False
    """Run the code of a bundle under bubblewrap; never otherwise."""
    work: Path = Path("runs/rerun")
    """Folder for what --rerun makes; runs that are finished in it are found again."""
    workers: int = 2
    """Parallel processes of --rerun, one thread each."""
    max_memory_gb: float = 16.0
    """Memory that one run of --rerun may use, in GiB."""
    max_hours: float = 24.0
    """Wall-clock time of one run of --rerun."""
    record: bool = True
    """Add lines to the ledger in the folder of --out."""
    update: bool = False
    """Let a bundle take the row of an earlier one of the same people: you know who sent it."""
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

    def run(self) -> int:
        """Score, save, put on record, and say what would change."""
        from recombine.leaderboard.ledger.records import record_tier
        from recombine.leaderboard.submissions.changes import diff
        from recombine.leaderboard.submissions.review import review_text
        from recombine.renderer.core.files import visible

        signer = self._signer()
        before = sorted(visible(self.results, "*.json"))
        own = self._own_files()
        out = self.out or (own[0].parent if own else Path("runs/reviewed"))
        owned, notes = (self._own(own, out), []) if own else self._bundles(out)
        paths = [path for one in owned for path in one.paths]
        if self.record:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for one in owned:
                record_tier(out, one.results, one.tier, now, signer, one.owner)
        # After the ledger, whose tiers decide which file holds a row.
        changes = diff(before, [*before, *(path for path in paths if path not in before)])
        results = [result for one in owned for result in one.results]
        tiers = ", ".join(sorted({one.tier for one in owned}))
        text = review_text(results, changes, tiers, notes)
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as stream:
                stream.write(text)
        self.reply([str(path) for path in paths], text)
        return 0

    def _own_files(self) -> list[Path]:
        """Return the result files that HEAD names; none when it is a bundle or a checkout."""
        from recombine.leaderboard.submissions.bundle import MANIFEST
        from recombine.renderer.core.files import visible

        if self.base is not None or (self.head / MANIFEST).exists():
            return []
        return [self.head] if self.head.is_file() else sorted(visible(self.head, "*.json"))

    def _own(self, files: Sequence[Path], out: Path) -> list[Owned]:
        from recombine.leaderboard.ledger.records import MAINTAINERS
        from recombine.leaderboard.submissions.review import keep, rescore_own

        if not self.data:
            raise UsageError(
                "submission review: expected --data with your own results, whose every number is "
                "computed again; got none. Name the dataset folder."
            )
        if self.rerun:
            raise UsageError(
                "--rerun: expected a bundle that carries its code; got results of your own. Name "
                "the folder of a bundle."
            )
        entries = rescore_own(files, self.runs or (files[0].parent,), self._datasets())
        results = [entry.result for entry in entries]
        self._claim(self._holders(out), results, MAINTAINERS)
        return [Owned(MAINTAINERS, results, [keep(entry, out) for entry in entries], self.tier)]

    def _holders(self, out: Path) -> dict[str, Holder]:
        """Return whose the ids are, on the board now and in the folder to write."""
        from recombine.leaderboard.board.entries import read_entries
        from recombine.leaderboard.submissions.ownership import holders

        folders = dict.fromkeys(path.resolve() for path in (self.results, out))
        files = [path for folder in folders for path in sorted(folder.glob("*.json"))]
        return holders(read_entries(files)[0])

    def _claim(self, held: dict[str, Holder], results: Sequence[Result], owner: str) -> None:
        from recombine.baselines.registry import BASELINES
        from recombine.leaderboard.submissions.ownership import claim

        claim(held, results, owner, reserved=BASELINES, update=self.update)

    def _bundles(self, out: Path) -> tuple[list[Owned], list[str]]:
        from recombine.leaderboard.submissions.fetching import FetchRules
        from recombine.leaderboard.submissions.ownership import owner_of
        from recombine.leaderboard.submissions.review import (
            fetched,
            new_bundles,
            redrawn_notes,
            rescore_bundle,
            save_rescored,
        )

        most = self.max_megabytes * 10**6
        folders = [self.head] if self.base is None else new_bundles(self.base, self.head, most)
        rules = FetchRules(file_root=self.file_root)
        whole = [fetched(folder, out / ".fetched", rules, most) for folder in folders]
        known = self._known(whole)
        found = [rescore_bundle(folder, known, None if self.rerun else out) for folder in whole]
        held, owned = self._holders(out), []
        for one in found:
            owner = owner_of(one.bundle.method)
            self._claim(held, one.results, owner)
            owned.append((owner, one))
        if self.rerun:
            return [self._rerun(one, owner, out) for owner, one in owned], []
        saved = [
            Owned(owner, one.results, save_rescored([one], out), self.tier) for owner, one in owned
        ]
        return saved, redrawn_notes([result for one in found for result in one.results], known)

    def _rerun(self, judged: Rescored, owner: str, out: Path) -> Owned:
        """Run the code of a bundle here, and take over what it gives if it agrees."""
        from recombine.leaderboard.submissions.rerun import Rerun, rerun_bundle
        from recombine.leaderboard.submissions.review import keep

        bundle = judged.bundle
        rendered = {one.identity: one for one in self._datasets()}
        dataset = rendered.get(bundle.manifest.identity)
        if dataset is None:
            raise UsageError(
                f"--rerun: expected --data with a rendered copy of {bundle.manifest.dataset} "
                f"(identity {bundle.manifest.identity[:12]}); got none of it. Render or fetch it."
            )
        bounds = limits(self.max_memory_gb, self.max_hours)
        how = Rerun(self.work / bundle.folder.name, bounds, self.workers)
        with self.progress(f"rerun {bundle.manifest.method}, runs") as progress:
            entries = rerun_bundle(judged, dataset, how, Ended(progress, len(bundle.predictions)))
        results = [entry.result for entry in entries]
        tier = results[0].trust
        return Owned(owner, results, [keep(entry, out) for entry in entries], tier)

    def _known(self, folders: Sequence[Path]) -> dict[str, DatasetLike]:
        """Return the data that bundles are about, by identity: those given, or drawn again."""
        from recombine.leaderboard.board.registry import REGISTRY, read_registry
        from recombine.leaderboard.submissions.bundle import read_manifest

        known: dict[str, DatasetLike] = {one.identity: one for one in self._datasets()}
        for folder in folders:
            identity = read_manifest(folder).identity
            for board in read_registry(self.registry or REGISTRY):
                if board.identity == identity and identity not in known:
                    known[identity] = board.redrawn(self._caster())
        return known

    def _caster(self) -> Cast | None:
        """Return how masks are cast here; None where they are not."""
        from recombine.renderer.rendering.render import require_blender
        from recombine.renderer.rendering.rerender import cast_some

        try:
            require_blender()
        except ResourceError:
            return None
        return partial(cast_some, workers=2) if self.cast else None

    def _datasets(self) -> list[Dataset]:
        from recombine.renderer.store.dataset import Dataset

        return [Dataset(folder) for folder in self.data]

    def _signer(self) -> Signer | None:
        if self.key is None:
            return None
        from recombine.leaderboard.ledger.signing import read_key

        return read_key(self.key)
