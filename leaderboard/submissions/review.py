"""The trusted side of a submission: what a stranger changed, and what it really scores.

Only files of the base branch run. A proposed tree is data: it may add bundles and nothing else,
its predictions are scored again, and the claimed numbers must come out. Whatever a bundle says
about trust is ignored: what was only scored again is "rescored". Results of the maintainers' own
runs go the same way before a ledger line records them.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.benchmark.results.result import with_credit
from recombine.benchmark.scoring.rescore import PredictionStore, rescore_results
from recombine.benchmark.scoring.score import score_predictions
from recombine.benchmark.serving.data import has_pixels
from recombine.leaderboard.board.entries import Entry, load_entry
from recombine.leaderboard.drawing.formatting import percent
from recombine.leaderboard.submissions.bundle import (
    MAX_BYTES,
    PREDICTED,
    Bundle,
    open_bundle,
    read_manifest,
)
from recombine.leaderboard.submissions.carried import CODE
from recombine.leaderboard.submissions.fetching import FetchRules, Wanted, fetch
from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.text import markdown
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.scoring.rescore import Change
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.leaderboard.submissions.changes import EntryChange


FOLDER = "submissions"
AGREE = 1e-6
"""Largest difference between a claimed and a recomputed score: rounding of another machine."""
BUNDLE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}-[0-9a-f]{10}")
OWN = ".git"
"""Of the checkout itself, a folder or in a worktree a file; only at its top."""


@dataclass(frozen=True)
class Rescored:
    """A bundle and what its predictions really score."""

    bundle: Bundle  # as it was sent
    results: tuple[Result, ...]  # recomputed, with trust "rescored"


def new_bundles(base: Path, head: Path, max_bytes: int = MAX_BYTES) -> list[Path]:
    """Return the bundles that a proposed tree adds, and refuse every other change."""
    before, after = _tree(base), _tree(head)
    touched = sorted(name for name, found in before.items() if after.get(name) != found)
    added = sorted(after.keys() - before.keys())
    outside = [name for name in added if not _in_bundle(name)]
    if touched or outside:
        raise InvalidInputError(
            f"submission: expected only new files in {FOLDER}/NAME/, got changes of "
            f"{(touched + outside)[:3]}; leave every other file as it is on the base branch"
        )
    if not added:
        raise InvalidInputError(
            f"submission: expected a new folder in {FOLDER}/, got none; "
            "add the folder that `recombine submission bundle` wrote"
        )
    size = sum((head / name).lstat().st_size for name in added)
    if size > max_bytes:
        raise InvalidInputError(
            f"submission: expected at most {max_bytes} new bytes, got {size}; read slots at fewer "
            "step counts, or give the predictions by link"
        )
    folders = sorted({name.split("/")[1] for name in added})
    known = {old.split("/")[1] for old in before if old.startswith(f"{FOLDER}/")}
    if changed := [name for name in folders if name in known]:
        raise InvalidInputError(
            f"submission: expected bundles to stay as they are, got new files in {changed[:3]}; "
            "add a new bundle, it supersedes the older one"
        )
    return [head / FOLDER / name for name in folders]


def rescore_bundle(
    folder: Path, datasets: Mapping[str, DatasetLike], examples: Path | None = None
) -> Rescored:
    """Score a bundle's predictions again and compare with what it claims."""
    bundle = open_bundle(folder)
    expected = f"{bundle.manifest.method}-{bundle.manifest.bundle_id[:10]}"
    if folder.name != expected:
        raise IntegrityError(
            f"{folder}: expected a folder named {expected} after its content, got {folder.name}; "
            "leave the folder as `recombine submission bundle` wrote it"
        )
    bundle.check_code()
    dataset = datasets.get(bundle.manifest.identity)
    if dataset is None:
        raise InvalidInputError(
            f"{folder}: expected data of a registered board, or given with --data; got the "
            f"identity {bundle.manifest.identity[:12]}; submit for a dataset of this leaderboard"
        )
    scored = score_predictions(bundle.predictions, dataset, examples=examples)
    results = tuple(with_credit(result, bundle.method.credit) for result in scored)
    recomputed = {result.method.entry: result for result in results}
    for claim in bundle.results:
        _check_claim(folder, claim, recomputed.get(claim.method.entry))
    claimed = {claim.method.entry for claim in bundle.results}
    return Rescored(bundle, tuple(r for r in results if r.method.entry in claimed))


def redrawn_notes(results: Sequence[Result], datasets: Mapping[str, DatasetLike]) -> list[str]:
    """Say what a review without the images did not compute, and who answered other pixels."""
    notes = []
    for result in results:
        data, who = datasets[result.data.identity], result.method.entry
        if not has_pixels(data):
            masks = (
                "" if getattr(data, "castable", True) else ", scores of masks (no renderer here)"
            )
            notes.append(
                f"{who}: scored against the labels of {data.preset} {data.version}, drawn again "
                "from its recipe; no image was read. Left out: pictures of the worst images, the "
                f"random network, accuracy by visibility{masks}."
            )
        if result.data.root != data.root:
            notes.append(
                f"{who}: answered a copy with other pixels ({result.data.root[:12]}, registered "
                f"{data.root[:12]}) of the same plan, labels and render version."
            )
    return notes


def fetched(folder: Path, into: Path, rules: FetchRules, max_bytes: int = MAX_BYTES) -> Path:
    """Return a bundle, or a complete copy with the predictions that it names by URL, unchecked."""
    missing = {
        one.path: Wanted(one.url, one.bytes, one.sha256)
        for one in read_manifest(folder).files
        if one.url and one.path.startswith(PREDICTED) and not (folder / one.path).exists()
    }
    size = sum(one.size for one in missing.values())
    if size > max_bytes:
        raise InvalidInputError(
            f"{folder}: expected at most {max_bytes} bytes to fetch, got {size}; read slots at "
            "fewer step counts"
        )
    if not missing:
        return folder
    copy = into / folder.name
    for path in folder.rglob("*"):  # a link stays a link, for the check of the bundle to refuse
        target = copy / path.relative_to(folder)
        if path.is_symlink() or not path.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(path, target, follow_symlinks=False)
    for name, one in missing.items():
        fetch(one, copy / name, rules)
    return copy


def rescore_own(
    files: Sequence[Path], runs: Sequence[Path], datasets: Sequence[DatasetLike]
) -> list[Entry]:
    """Score results of one's own runs again from their predictions; their numbers must come out."""
    entries = [load_entry(path) for path in files]
    again = rescore_results([entry.result for entry in entries], PredictionStore(runs), datasets)
    for entry, one in zip(entries, again, strict=True):
        moved = next((change for change in one.changes if not _agrees(change)), None)
        if moved is not None:
            raise InvalidInputError(
                f"{entry.path}: expected {moved.path} {moved.new} as recomputed from the "
                f"predictions, got {moved.old}; write the file anew with `recombine results "
                "rescore --out`"
            )
    return entries


def keep(entry: Entry, out: Path) -> Path:
    """Put a checked result and its picture into a folder; older files of the row stay."""
    if entry.path.parent.resolve() == out.resolve():
        return entry.path
    kept = entry.result.artifacts.examples
    if kept is not None and entry.picture:
        write_bytes(out / kept.file, entry.picture)
    return _save(entry.result, out)


def save_rescored(found: Sequence[Rescored], out: Path) -> list[Path]:
    """Write recomputed results; older files of the same row stay, and are superseded."""
    return [_save(result, out) for one in found for result in one.results]


def _agrees(change: Change) -> bool:
    numbers = all(type(value) in (int, float) for value in (change.old, change.new))
    return numbers and abs(change.old - change.new) <= AGREE


def _save(result: Result, out: Path) -> Path:
    stem = result.file_name.removesuffix(".json")
    return result.save(out / f"{stem}-{result.result_id[:10]}.json")


def _check_claim(folder: Path, claim: Result, found: Result | None) -> None:
    if found is None:
        raise InvalidInputError(
            f"{folder}: expected results that its predictions hold, got {claim.method.entry}; "
            "submit the result files of one `recombine score` run"
        )
    numbers = []
    for split in ("id_test", "ooc_test"):
        stated, real = getattr(claim.scores, split), getattr(found.scores, split)
        numbers.append((f"{split} accuracy", stated.estimate, real.estimate))
        for factor, one in real.per_factor.items():
            if factor in stated.per_factor:
                pair = stated.per_factor[factor].estimate, one.estimate
                numbers.append((f"{split} {factor}", *pair))
    costs = claim.compute.gflop_per_image or 0, found.compute.gflop_per_image or 0
    numbers.append(("GFLOP per image", *costs))
    for name, said, right in numbers:
        if abs(said - right) > AGREE:
            raise InvalidInputError(
                f"{folder}: expected {name} {right:.6f} as recomputed from the predictions, got "
                f"{said:.6f}; score again with this version and submit that"
            )


def _in_bundle(name: str) -> bool:
    parts = name.split("/")
    return len(parts) > 2 and parts[0] == FOLDER and BUNDLE_NAME.fullmatch(parts[1]) is not None


def _tree(root: Path) -> dict[str, str]:
    """Return every file of a checkout with a hash of its content; links are what they say."""
    found = {}
    for place, names, files in os.walk(root):
        folder = Path(place)
        links = [name for name in names if (folder / name).is_symlink()]
        if folder == root:
            names[:] = [name for name in names if name != OWN]
        for path in (folder / name for name in (*files, *links)):
            relative = path.relative_to(root).as_posix()
            if relative == OWN:
                continue
            if path.is_symlink():
                found[relative] = f"link to {path.readlink()}"
            elif path.is_file():
                found[relative] = file_sha256(path)
            else:
                found[relative] = "no regular file"
    return found


# The text of a submission's pull request and of its review, as Markdown.

SAFE_LINK = re.compile(r"https://[A-Za-z0-9./_~%?=&#+-]+")
CLAIMS = (
    "The predictions were made with the seeds, settings and steps that they name.",
    "Nothing was selected on out-of-combination data.",
    "Every configuration that was compared is counted in the results.",
    "Training saw no other images than the method card says.",
)


def request_text(bundle: Bundle, checked: str) -> str:
    """Write the text of a pull request."""
    first, manifest, method = bundle.results[0], bundle.manifest, bundle.method
    size = f"{len(manifest.files)} files, {sum(one.bytes for one in manifest.files):,} bytes"
    data = f"{manifest.dataset} {markdown(manifest.version)}, {manifest.resolution} px"
    lines = [
        f"# Submission: {markdown(first.method.name)}",
        "",
        f"Folder `submissions/{bundle.folder.name}`, {size}, bundle `{manifest.bundle_id}`.",
        "",
        f"- Authors: {markdown(', '.join(method.authors))}",
        f"- Licence of the code: {markdown(method.licence)}",
        f"- Code: {_link(method.code)}{_carried(bundle)}",
        f"- Paper: {_link(method.paper)}",
        f"- Pretraining: {markdown(', '.join(method.pretraining)) or 'none'}",
        f"- Data: {data}, identity `{manifest.identity[:16]}`, pixel root `{manifest.root[:16]}`",
        f"- Contract check: {checked}",
        "",
        *_scores(bundle.results),
        "",
        "I confirm:",
        "",
        *(f"- [ ] {claim}" for claim in CLAIMS),
    ]
    return "\n".join(lines) + "\n"


def review_text(
    results: Sequence[Result],
    changes: Sequence[EntryChange],
    tier: str = "rescored",
    notes: Sequence[str] = (),
) -> str:
    """Write what a re-score found, for the summary of the workflow."""
    lines = ["# Scored again from the predictions", "", *_scores(results), ""]
    lines += [*(f"- {markdown(note)}" for note in notes), ""] if notes else []
    lines += [f"Trust tier: {tier}.", "", "## Changes", ""]
    lines += [
        f"- {one.kind}: {markdown(one.entry)} on {markdown(one.board)}: "
        f"{markdown(one.before) or 'none'} to {markdown(one.after) or 'none'}"
        for one in changes
    ] or ["None."]
    return "\n".join(lines) + "\n"


def _scores(results: Sequence[Result]) -> list[str]:
    rows = ["| Entry | OOC, % | ID, % | Seeds |", "|---|---|---|---|"]
    for result in results:
        scores = result.scores
        cells = [
            markdown(result.method.entry),
            _interval(scores.ooc_test.estimate, scores.ooc_test.ci95),
            _interval(scores.id_test.estimate, scores.id_test.ci95),
            str(len(result.seeds)),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _carried(bundle: Bundle) -> str:
    code = [one.bytes for one in bundle.manifest.files if one.path.startswith(CODE)]
    return f"; {len(code)} files in this bundle, {sum(code):,} bytes" if code else ""


def _link(address: str) -> str:
    """Return an address as a link that shows where it leads; a strange one stays text."""
    return f"<{address}>" if SAFE_LINK.fullmatch(address) else markdown(address) or "not given"


def _interval(value: float, ends: tuple[float, float] | None) -> str:
    return percent(value) + (f" ({percent(ends[0])} to {percent(ends[1])})" if ends else "")
