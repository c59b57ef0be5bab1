"""The trusted side of a submission: what a stranger changed, and what it really scores.

Only files of the base branch run. A proposed tree is data: it may add bundles and nothing else,
its predictions are scored again, and the claimed numbers must come out. Whatever a bundle says
about trust is ignored: what was only scored again is "rescored". Results of the maintainers' own
runs go the same way before a ledger line vouches for them.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import re
import shutil
import socket
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from recombine.benchmark.scoring.rescore import PredictionStore, rescore_results
from recombine.benchmark.scoring.score import score_predictions
from recombine.leaderboard.board.entries import Entry, load_entry
from recombine.leaderboard.drawing.formatting import percent
from recombine.leaderboard.submissions.bundle import (
    MAX_BYTES,
    PREDICTED,
    Bundle,
    open_bundle,
    read_manifest,
)
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, ResourceError
from recombine.renderer.core.files import replacing, write_bytes
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from email.message import Message

    from recombine.benchmark.results.result import Result
    from recombine.benchmark.scoring.rescore import Change
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.leaderboard.submissions.changes import EntryChange


# Fetch a file that a stranger names by URL: beyond its size and hash nothing is trusted.

CHUNK = 2**18
REDIRECTS = 5
LOCAL = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class FetchRules:
    """What a fetch may do.

    Attributes
    ----------
    seconds : float
        Longest that one file may take.
    stall : float
        Longest wait for the next bytes, in seconds.
    file_root : Path, optional
        Folder below which file URLs may point; None refuses them.
    local_http : bool
        Allow plain http to this very machine, for tests.
    """

    seconds: float = 1800.0
    stall: float = 60.0
    file_root: Path | None = None
    local_http: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched."""

    url: str  # where; a stranger's text
    size: int  # bytes
    sha256: str  # of the content, hexadecimal


def fetch(wanted: Wanted, target: Path, rules: FetchRules | None = None) -> Path:
    """Fetch a file; it is there with the expected content, or not at all."""
    rules = rules or FetchRules()
    if target.is_file() and file_sha256(target) == wanted.sha256:
        return target
    with replacing(target) as temporary, temporary.open("wb") as out:
        if wanted.url.startswith("file:"):
            with _local_file(wanted, rules).open("rb") as source:
                found = _copy(wanted, source, out, rules)
        else:
            found = _download(wanted, out, rules)
        if found != (wanted.size, wanted.sha256):
            raise IntegrityError(
                f"{wanted.url}: expected {wanted.size} bytes with SHA-256 {wanted.sha256[:12]}, "
                f"got {found[0]} bytes with {found[1][:12]}; put the file there that the manifest "
                "names"
            )
    return target


def _local_file(wanted: Wanted, rules: FetchRules) -> Path:
    parts = urlsplit(wanted.url)
    path = Path(urllib.parse.unquote(parts.path)).resolve()
    root = rules.file_root.resolve() if rules.file_root else None
    if root is None or parts.netloc or not path.is_relative_to(root):
        raise InvalidInputError(
            f"{wanted.url}: expected an https address, or a file below the folder of --file-root "
            f"({root or 'none given'}); got another file"
        )
    if not path.is_file() or not stat.S_ISREG(path.stat().st_mode):
        raise ResourceError(f"{wanted.url}: expected a file, found none; check the address")
    return path


def _download(wanted: Wanted, out: IO[bytes], rules: FetchRules) -> tuple[int, str]:
    _check_address(wanted.url, rules)
    request = urllib.request.Request(  # noqa: S310 - its scheme was checked
        wanted.url, headers={"Accept-Encoding": "identity", "User-Agent": "recombine"}
    )
    try:
        with _opener(rules).open(request, timeout=rules.stall) as answer:
            return _copy(wanted, answer, out, rules)
    except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
        if not _of_network(error):
            raise
        raise ResourceError(
            f"{wanted.url}: expected an answer, got {getattr(error, 'reason', None) or error!r}; "
            "check the address, or try again later"
        ) from error


def _of_network(error: Exception) -> bool:
    """Tell a failed connection from a full disk."""
    network = (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException)
    return isinstance(error, (*network, socket.gaierror))


def _copy(wanted: Wanted, source: IO[bytes], out: IO[bytes], rules: FetchRules) -> tuple[int, str]:
    """Copy at most the expected bytes; return their number and SHA-256."""
    began, size, digest = time.monotonic(), 0, hashlib.sha256()
    while chunk := source.read(min(CHUNK, wanted.size + 1 - size)):
        size += len(chunk)
        if size > wanted.size:
            raise InvalidInputError(
                f"{wanted.url}: expected {wanted.size} bytes, got more; put the file there that "
                "the manifest names"
            )
        if time.monotonic() - began > rules.seconds:
            raise ResourceError(
                f"{wanted.url}: expected {wanted.size} bytes within {rules.seconds:g} s, got "
                f"{size}; try again, or fetch it by hand into the bundle"
            )
        digest.update(chunk)
        out.write(chunk)
    return size, digest.hexdigest()


def _opener(rules: FetchRules) -> urllib.request.OpenerDirector:
    """Return an opener without handlers for file, ftp and data."""
    opener = urllib.request.OpenerDirector()
    proxies: Any = {} if rules.local_http else None
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(rules),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to an address that could have been given."""

    max_redirections = REDIRECTS

    def __init__(self, rules: FetchRules) -> None:
        self.rules = rules

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message
    ) -> Any:
        """Check the new address first."""
        _check_address(req.full_url, self.rules, headers.get("Location", ""))
        return super().http_error_302(req, fp, code, msg, headers)  # type: ignore[arg-type]

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _check_address(url: str, rules: FetchRules, relative: str = "") -> None:
    try:
        parts = urlsplit(urljoin(url, relative))
        here = rules.local_http and parts.scheme == "http" and parts.hostname in LOCAL
        allowed = here or (parts.scheme == "https" and bool(parts.hostname) and not parts.username)
        _ = parts.port
    except ValueError:  # no address at all
        here, allowed, parts = False, False, urlsplit("")
    url = (relative or url)[:200]
    if not allowed:
        raise InvalidInputError(
            f"{url}: expected an https address, got another kind; publish the file on https"
        )
    if not here and not urllib.request.getproxies().get("https"):  # a proxy looks names up itself
        _check_public(url, parts)


def _check_public(url: str, parts: SplitResult) -> None:
    """Refuse names of private networks: a review must not knock on the reviewer's own doors."""
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ResourceError(
            f"{url}: expected a known host, got {error.strerror or error}; check the address"
        ) from error
    if not all(ipaddress.ip_address(one[4][0]).is_global for one in found):
        raise InvalidInputError(
            f"{url}: expected a public host, got an address of a private network; publish "
            "the file where everybody can read it"
        )


def complete(folder: Path, listed: dict[str, Wanted], into: Path, rules: FetchRules) -> Path:
    """Return a bundle with the files that it names by URL."""
    missing = {name: one for name, one in listed.items() if not (folder / name).exists()}
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
    results = tuple(score_predictions(bundle.predictions, dataset, examples=examples))
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


# The text of a submission's pull request and of its review, as Markdown.

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~@&:])")
SAFE_LINK = re.compile(r"https://[A-Za-z0-9./_~%?=&#+-]+")
CLAIMS = (
    "The predictions were made with the seeds, settings and steps that they name.",
    "Nothing was selected on out-of-combination data.",
    "Every configuration that was compared is counted in the results.",
    "Training saw no other images than the method card says.",
)


def plain(text: str) -> str:
    r"""Escape a stranger's text for Markdown."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def request_text(bundle: Bundle, checked: str) -> str:
    """Write the text of a pull request.

    Parameters
    ----------
    bundle : Bundle
        What is submitted.
    checked : str
        What `recombine check` said, in a sentence.

    Returns
    -------
    str
        Markdown, with a table of the claimed scores and a list to tick.
    """
    first, manifest, method = bundle.results[0], bundle.manifest, bundle.method
    size = f"{len(manifest.files)} files, {sum(one.bytes for one in manifest.files):,} bytes"
    data = f"{manifest.dataset} {plain(manifest.version)}, {manifest.resolution} px"
    lines = [
        f"# Submission: {plain(first.method.name)}",
        "",
        f"Folder `submissions/{bundle.folder.name}`, {size}, bundle `{manifest.bundle_id}`.",
        "",
        f"- Authors: {plain(', '.join(method.authors))}",
        f"- Licence of the code: {plain(method.licence)}",
        f"- Code: {_link(method.code)}",
        f"- Paper: {_link(method.paper)}",
        f"- Pretraining: {plain(', '.join(method.pretraining)) or 'none'}",
        f"- Data: {data}, root `{manifest.root[:16]}`",
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
    results: Sequence[Result], changes: Sequence[EntryChange], tier: str = "rescored"
) -> str:
    """Write what a re-score found, for the summary of the workflow.

    Parameters
    ----------
    results : sequence of Result
        Recomputed results.
    changes : sequence of EntryChange
        What they do to the boards.
    tier : str
        What was done, for the ledger.

    Returns
    -------
    str
        Markdown.
    """
    lines = ["# Scored again from the predictions", "", *_scores(results), ""]
    lines += [f"Trust tier: {tier}.", "", "## Changes", ""]
    lines += [
        f"- {one.kind}: {plain(one.entry)} on {plain(one.board)}: "
        f"{plain(one.before) or 'none'} to {plain(one.after) or 'none'}"
        for one in changes
    ] or ["None."]
    return "\n".join(lines) + "\n"


def _scores(results: Sequence[Result]) -> list[str]:
    rows = ["| Entry | OOC, % | ID, % | Seeds |", "|---|---|---|---|"]
    for result in results:
        scores = result.scores
        cells = [
            plain(result.method.entry),
            _interval(scores.ooc_test.estimate, scores.ooc_test.ci95),
            _interval(scores.id_test.estimate, scores.id_test.ci95),
            str(len(result.seeds)),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _link(address: str) -> str:
    """Return an address as a link that shows where it leads; a strange one stays text."""
    return f"<{address}>" if SAFE_LINK.fullmatch(address) else plain(address) or "not given"


def _interval(value: float, ends: tuple[float, float] | None) -> str:
    return percent(value) + (f" ({percent(ends[0])} to {percent(ends[1])})" if ends else "")
