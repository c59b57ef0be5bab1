"""The trusted side of a submission: what a stranger changed, and what it really scores.

Only files of the base branch run. A proposed tree is data: it may add bundles and nothing else,
its predictions are scored again, and the claimed numbers must come out. Whatever a bundle says
about trust is ignored: what was only scored again is "rescored". Results of the maintainers' own
runs go the same way before a ledger line vouches for them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.benchmark.scoring.rescore import PredictionStore
from recombine.benchmark.scoring.rescore import rescore as rescore_results
from recombine.benchmark.scoring.score import score
from recombine.leaderboard.board.entries import Entry, load_entry
from recombine.leaderboard.submissions.bundle import (
    MAX_BYTES,
    PREDICTED,
    Bundle,
    open_bundle,
    read_manifest,
)
from recombine.leaderboard.submissions.fetch import FetchRules, Wanted, complete
from recombine.renderer.core.atomic import write_bytes
from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.scoring.rescore import Change
    from recombine.benchmark.serving.data import DatasetLike

FOLDER = "submissions"
AGREE = 1e-6
"""Largest difference between a claimed and a recomputed score: rounding of another machine."""
BUNDLE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}-[0-9a-f]{10}")
OWN = ".git"
"""Of the checkout itself, a folder or in a worktree a file; only at its top."""


@dataclass(frozen=True)
class Rescored:
    """A bundle and what its predictions really score.

    Attributes
    ----------
    bundle : Bundle
        As it was sent.
    results : tuple of Result
        Recomputed, with trust "rescored".
    """

    bundle: Bundle
    results: tuple[Result, ...]


def new_bundles(base: Path, head: Path, max_bytes: int = MAX_BYTES) -> list[Path]:
    """Return the bundles that a proposed tree adds, and refuse every other change.

    Parameters
    ----------
    base, head : Path
        Checkouts of the trusted branch and of the proposal. Nothing of either is run.
    max_bytes : int
        Most that the proposal may add.

    Returns
    -------
    list of Path
        Folders in ``head``, sorted; at least one.

    Raises
    ------
    InvalidInputError
        When the proposal changes or removes a file of the base, adds one outside of
        ``submissions/``, adds a link, adds too much, or adds nothing.
    """
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
            "add the folder that `recombine submit` wrote"
        )
    size = sum((head / name).lstat().st_size for name in added)
    if size > max_bytes:
        raise InvalidInputError(
            f"submission: expected at most {max_bytes} new bytes, got {size}; read slots at fewer "
            "step counts, or give the predictions by link"
        )
    folders = sorted({name.split("/")[1] for name in added})
    changed = [
        name for name in folders if any(old.split("/")[:2] == [FOLDER, name] for old in before)
    ]
    if changed:
        raise InvalidInputError(
            f"submission: expected bundles to stay as they are, got new files in {changed[:3]}; "
            "add a new bundle, it supersedes the older one"
        )
    return [head / FOLDER / name for name in folders]


def rescore(
    folder: Path, datasets: Mapping[str, DatasetLike], examples: Path | None = None
) -> Rescored:
    """Score a bundle's predictions again and compare with what it claims.

    Parameters
    ----------
    folder : Path
        The bundle.
    datasets : mapping of str to DatasetLike
        Root to dataset; its certificate is checked.
    examples : Path, optional
        Folder in which the results will be saved: gets a picture of the worst images of each,
        drawn from the predictions; what the bundle brings along is not believed.

    Returns
    -------
    Rescored
        The results that may stand on a board.

    Raises
    ------
    InvalidInputError
        When the data are not at hand, predictions are invalid, or a claim does not come out.
    IntegrityError
        When a file was changed, or the folder's name is not that of its content.
    """
    bundle = open_bundle(folder)
    expected = f"{bundle.manifest.method}-{bundle.manifest.bundle_id[:10]}"
    if folder.name != expected:
        raise IntegrityError(
            f"{folder}: expected a folder named {expected} after its content, got {folder.name}; "
            "leave the folder as `recombine submit` wrote it"
        )
    dataset = datasets.get(bundle.manifest.root)
    if dataset is None:
        raise InvalidInputError(
            f"{folder}: expected data with root {' or '.join(r[:12] for r in datasets)}, got "
            f"{bundle.manifest.root[:12]}; submit for a dataset of this leaderboard"
        )
    results = tuple(score(bundle.predictions, dataset, examples=examples))
    recomputed = {result.method.entry: result for result in results}
    for claim in bundle.results:
        _check_claim(folder, claim, recomputed.get(claim.method.entry))
    claimed = {claim.method.entry for claim in bundle.results}
    return Rescored(bundle, tuple(r for r in results if r.method.entry in claimed))


def fetched(folder: Path, into: Path, rules: FetchRules, max_bytes: int = MAX_BYTES) -> Path:
    """Return a bundle with the predictions that it names by URL.

    Parameters
    ----------
    folder : Path
        The bundle; nothing is written into it.
    into : Path
        Folder for a complete copy; fetched files are kept there for a second try.
    rules : FetchRules
        Limits of the fetch.
    max_bytes : int
        Most that is fetched.

    Returns
    -------
    Path
        ``folder`` itself when nothing is missing. What was fetched is still to be checked.

    Raises
    ------
    InvalidInputError
        When the manifest is invalid, an address is not allowed, or there is too much to fetch.
    IntegrityError
        When other content comes.
    ResourceError
        When a file cannot be had.
    """
    listed = {
        one.path: Wanted(one.url, one.bytes, one.sha256)
        for one in read_manifest(folder).files
        if one.url and one.path.startswith(PREDICTED)
    }
    size = sum(one.size for path, one in listed.items() if not (folder / path).exists())
    if size > max_bytes:
        raise InvalidInputError(
            f"{folder}: expected at most {max_bytes} bytes to fetch, got {size}; read slots at "
            "fewer step counts"
        )
    return complete(folder, listed, into, rules)


def rescore_own(
    files: Sequence[Path], runs: Sequence[Path], datasets: Sequence[DatasetLike]
) -> list[Entry]:
    """Score results of one's own runs again; their numbers must come out.

    Parameters
    ----------
    files : sequence of Path
        Result files.
    runs : sequence of Path
        Folders with the predictions, searched with subfolders.
    datasets : sequence of DatasetLike
        The data that they were scored on.

    Returns
    -------
    list of Entry
        The results as they are, in the order of ``files``.

    Raises
    ------
    InvalidInputError
        When data or predictions are missing, or anything but rounding comes out differently.
    IntegrityError
        When a file was edited.
    """
    entries = [load_entry(path) for path in files]
    again = rescore_results([entry.result for entry in entries], PredictionStore(runs), datasets)
    for entry, one in zip(entries, again, strict=True):
        moved = next((change for change in one.changes if not _agrees(change)), None)
        if moved is not None:
            raise InvalidInputError(
                f"{entry.path}: expected {moved.path} {moved.new} as recomputed from the "
                f"predictions, got {moved.old}; write the file anew with `recombine rescore --out`"
            )
    return entries


def keep(entry: Entry, out: Path) -> Path:
    """Put a checked result and its picture into a folder of result files.

    Parameters
    ----------
    entry : Entry
        A result of one's own.
    out : Path
        The folder; older files of the same row stay, and are superseded.

    Returns
    -------
    Path
        Where it is now; nothing is written when it lies there already.
    """
    if entry.path.parent.resolve() == out.resolve():
        return entry.path
    kept = entry.result.artifacts.examples
    if kept is not None and entry.picture:
        write_bytes(out / kept.file, entry.picture)
    return _save(entry.result, out)


def save_rescored(found: Sequence[Rescored], out: Path) -> list[Path]:
    """Write recomputed results; older files of the same row stay, and are superseded.

    Parameters
    ----------
    found : sequence of Rescored
        What was scored.
    out : Path
        Folder of result files.

    Returns
    -------
    list of Path
        The new files, named after row and content.
    """
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
    for name, stated, real in _numbers(claim, found):
        if abs(stated - real) > AGREE:
            raise InvalidInputError(
                f"{folder}: expected {name} {real:.6f} as recomputed from the predictions, got "
                f"{stated:.6f}; score again with this version and submit that"
            )


def _numbers(claim: Result, found: Result) -> Iterator[tuple[str, float, float]]:
    for split in ("id_test", "ooc_test"):
        stated, real = getattr(claim.scores, split), getattr(found.scores, split)
        yield f"{split} accuracy", stated.estimate, real.estimate
        for factor, one in real.per_factor.items():
            if factor in stated.per_factor:
                yield f"{split} {factor}", stated.per_factor[factor].estimate, one.estimate
    yield "GFLOP per image", claim.compute.gflop_per_image or 0, found.compute.gflop_per_image or 0


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
