"""A submission as a folder: predictions, results, method card, and a manifest that seals them.

Every file is listed with its size and SHA-256, the manifest is canonical JSON and carries the
hash of itself, and nothing else may lie in the folder: a change of any single bit is found. A
folder becomes visible under its name only when it is complete. It may also carry the code, so that
a maintainer can run it; see `carried`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, StringConstraints, field_validator

from recombine.benchmark.results.credit import Credit
from recombine.benchmark.results.parts import Name, Sha256, Slug, Strict, Text
from recombine.benchmark.results.result import Result
from recombine.leaderboard.board.entries import load_entry
from recombine.leaderboard.submissions.carried import (
    CODE,
    CODE_PATH,
    MAX_CODE,
    carried,
    carry,
    require_maker,
)
from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.files import replacing, write_bytes
from recombine.renderer.core.strict import fault_of, from_json
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recombine.benchmark.sandbox.code import Located

FORMAT: Literal["recombine.bundle/2"] = "recombine.bundle/2"
MANIFEST = "manifest.json"
METHOD = "method.json"
MAX_MANIFEST = 2**20
MAX_BYTES = 2 * 2**30
MAX_FILES = 320
PREDICTED = "predictions/"
Source = Annotated[str, StringConstraints(pattern=r"^((https|file)://[!-~]{1,500})?$")]
Path_ = Annotated[
    str,
    StringConstraints(
        pattern=r"^(method\.json|result-[a-z0-9-]{1,90}\.json|"
        r"[a-z0-9-]{1,120}\.examples\.png|predictions/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.safetensors|"
        rf"{CODE_PATH})$"
    ),
]


Model = TypeVar("Model", bound=Strict)


class MethodFile(Credit):
    """The method card: who stands behind a submission. Everything else is measured."""

    model_config = ConfigDict(validate_default=True)

    note: Text = ""

    @field_validator("authors", "licence")
    @classmethod
    def _given(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value:
            raise ValueError("expected one, got none")
        return value

    @property
    def credit(self) -> Credit:
        """Return what of it a result carries."""
        return Credit.of(self.model_dump())


class Listed(Strict):
    """One file of a bundle."""

    path: Path_
    bytes: Annotated[int, Field(ge=0, le=MAX_BYTES)]
    sha256: Sha256
    url: Source = ""
    """Where a review fetches predictions that are not in the folder."""


class Manifest(Strict):
    """What a bundle holds."""

    format: Literal["recombine.bundle/2"]
    bundle_id: Sha256
    """SHA-256 of this file's content without this field, as canonical JSON."""
    method: Slug
    dataset: Slug
    version: Name
    resolution: Annotated[int, Field(ge=1)]
    identity: Name
    root: Name
    files: Annotated[tuple[Listed, ...], Field(min_length=1, max_length=MAX_FILES)]

    def expected_id(self) -> str:
        """Return the hash of everything but ``bundle_id``."""
        plain = self.model_dump(mode="json", exclude={"bundle_id"})
        return hashlib.sha256(_canonical(plain)).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A bundle that passed every check."""

    folder: Path  # where it is
    manifest: Manifest  # what it holds
    method: MethodFile  # who stands behind it
    results: tuple[Result, ...]  # as claimed: nothing is believed until it is scored again

    @property
    def predictions(self) -> list[Path]:
        """Return the predictions files."""
        listed = [one.path for one in self.manifest.files if one.path.startswith(PREDICTED)]
        return [self.folder / path for path in listed]

    @property
    def code(self) -> Located | None:
        """Return the code that it carries, if any; nothing of it runs here."""
        listed = [one.path for one in self.manifest.files if one.path.startswith(CODE)]
        return carried(self.folder, listed, self.results[0].method.code) if listed else None

    def check_code(self) -> None:
        """Check that the code that it carries, if any, is that of its predictions."""
        if self.code is not None:
            require_maker(self.code, self.predictions)


def write_bundle(
    out: Path,
    results: Sequence[Path],
    predictions: Mapping[str, Path],
    method: MethodFile,
    url: str = "",
    code: Located | None = None,
) -> Bundle:
    """Write a bundle; killed at any moment it is complete or absent."""
    entries = [load_entry(path) for path in results]
    loaded = [entry.result for entry in entries]
    first = _same_method(loaded)
    staging = out / f".{first.method.id}.tmp"
    shutil.rmtree(staging, ignore_errors=True)
    for result in loaded:
        result.save(staging / f"result-{result.method.entry}.json")
    for entry in entries:
        kept = entry.result.artifacts.examples
        if kept is not None and entry.picture:
            write_bytes(staging / kept.file, entry.picture)
    _copy_predictions(first, predictions, staging)
    if code is not None:
        carry(code, staging)
    write_bytes(staging / METHOD, _canonical(method.model_dump(mode="json")))
    manifest = _manifest(first, staging, url)
    write_bytes(staging / MANIFEST, _canonical(manifest.model_dump(mode="json")))
    open_bundle(staging).check_code()
    final = out / f"{first.method.id}-{manifest.bundle_id[:10]}"
    if final.exists():
        shutil.rmtree(staging)
    else:
        staging.rename(final)
    return open_bundle(final)


def open_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every byte of it."""
    manifest = read_manifest(folder)
    found = set(_files(folder))
    expected = {one.path for one in manifest.files} | {MANIFEST}
    if found != expected:
        raise InvalidInputError(
            f"{folder}: expected exactly the files of its manifest; missing "
            f"{sorted(expected - found)[:3]}, not listed {sorted(found - expected)[:3]}; "
            "write the bundle again with `recombine submission bundle`"
        )
    for one in manifest.files:
        _check_file(folder, one)
    method = _parse(MethodFile, (folder / METHOD).read_bytes(), folder / METHOD)
    names = [one.path for one in manifest.files if one.path.startswith("result-")]
    results = [load_entry(folder / name).result for name in names]
    _check_claims(folder, manifest, results)
    return Bundle(folder, manifest, method, tuple(results))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle and check its form and its hash."""
    path = folder / MANIFEST
    if not _regular(path) or path.stat().st_size > MAX_MANIFEST:
        raise InvalidInputError(
            f"{path}: expected a manifest of at most {MAX_MANIFEST} bytes, found none or a bigger "
            "one; write the bundle with `recombine submission bundle`"
        )
    content = path.read_bytes()
    manifest = _parse(Manifest, content, path)
    if manifest.expected_id() != manifest.bundle_id or content != _canonical(
        manifest.model_dump(mode="json")
    ):
        raise IntegrityError(
            f"{path}: its content does not match its own hash {manifest.bundle_id[:12]}; it was "
            "changed after writing, write the bundle again"
        )
    total = sum(one.bytes for one in manifest.files)
    if total > MAX_BYTES or len({one.path for one in manifest.files}) != len(manifest.files):
        raise InvalidInputError(
            f"{path}: expected different files of at most {MAX_BYTES} bytes together, got {total} "
            "bytes or a file twice; read slots at fewer step counts"
        )
    code = sum(one.bytes for one in manifest.files if one.path.startswith(CODE))
    if code > MAX_CODE:
        raise InvalidInputError(
            f"{path}: expected at most {MAX_CODE >> 20} MiB of code and weights, got {code:,} "
            "bytes; leave the code out, and give a link to it"
        )
    return manifest


def _copy_predictions(result: Result, predictions: Mapping[str, Path], staging: Path) -> None:
    for one in result.artifacts.predictions:
        if one.sha256 not in predictions:
            raise InvalidInputError(
                f"write_bundle: expected the predictions file of seed {one.seed} with SHA-256 "
                f"{one.sha256[:12]}, found none; give the folder in which "
                "`recombine score` wrote it: --predictions OUT/runs"
            )
        with replacing(staging / "predictions" / f"seed-{one.seed}.safetensors") as target:
            shutil.copyfile(predictions[one.sha256], target)


def _same_method(results: Sequence[Result]) -> Result:
    if not results:
        raise InvalidInputError("write_bundle: expected at least one result file, got none")
    first = results[0]
    for other in results[1:]:
        shared = ("data", "seeds", "training")
        differ = first.artifacts.predictions != other.artifacts.predictions
        if (
            first.method.id != other.method.id
            or differ
            or any(getattr(first, name) != getattr(other, name) for name in shared)
        ):
            raise InvalidInputError(
                f"write_bundle: expected results of one method from the same runs, got "
                f"{first.method.id} and {other.method.id}; submit them one by one"
            )
    return first


def _manifest(result: Result, folder: Path, url: str) -> Manifest:
    data = result.data
    files = [
        {
            "path": name,
            "bytes": (folder / name).stat().st_size,
            "sha256": file_sha256(folder / name),
            "url": f"{url.rstrip('/')}/{Path(name).name}"
            if url and name.startswith(PREDICTED)
            else "",
        }
        for name in _files(folder)
        if name != MANIFEST
    ]
    plain: dict[str, Any] = {
        "format": FORMAT,
        "bundle_id": "0" * 64,
        "method": result.method.id,
        "dataset": data.dataset,
        "version": data.version,
        "resolution": data.resolution,
        "identity": data.identity,
        "root": data.root,
        "files": files,
    }
    draft = _parse(Manifest, _canonical(plain), folder / MANIFEST)
    return draft.model_copy(update={"bundle_id": draft.expected_id()})


def _files(folder: Path) -> list[str]:
    """List everything in a bundle but folders; a link is listed too, and refused later."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def _regular(path: Path) -> bool:
    return path.exists() and stat.S_ISREG(path.lstat().st_mode)


def _check_file(folder: Path, one: Listed) -> None:
    path = folder / one.path
    if not _regular(path) or path.parent.is_symlink():
        raise InvalidInputError(
            f"{path}: expected a regular file, got a link or a device; put the file itself there"
        )
    size = path.stat().st_size
    if size != one.bytes or file_sha256(path) != one.sha256:
        raise IntegrityError(
            f"{path}: expected {one.bytes} bytes with SHA-256 {one.sha256[:12]}, got {size} bytes "
            "of other content; copy the file again or write the bundle again"
        )


def _check_claims(folder: Path, manifest: Manifest, results: Sequence[Result]) -> None:
    """Check that results, predictions and manifest speak of one thing."""
    first = _same_method(results)
    data = first.data
    stated = (manifest.method, manifest.dataset, manifest.version, manifest.resolution)
    scored = (first.method.id, data.dataset, data.version, data.resolution)
    if (*stated, manifest.identity, manifest.root) != (*scored, data.identity, data.root):
        raise InvalidInputError(
            f"{folder}: expected manifest and results of one method and dataset, got "
            f"{stated} and {first.method.id} on {data.dataset}; write the bundle again"
        )
    pictures = {one.artifacts.examples.file for one in results if one.artifacts.examples}
    strange = {one.path for one in manifest.files if one.path.endswith(".png")} - pictures
    if strange:
        raise InvalidInputError(
            f"{folder}: expected no pictures but those that its results name, got "
            f"{sorted(strange)[:3]}; write the bundle again"
        )
    named = sorted(one.sha256 for one in first.artifacts.predictions)
    held = sorted(one.sha256 for one in manifest.files if one.path.startswith(PREDICTED))
    if named != held:
        raise InvalidInputError(
            f"{folder}: expected the {len(named)} predictions files that its results name, got "
            f"{len(held)} or others; write the bundle again"
        )


def _parse(model: type[Model], content: bytes, path: Path) -> Model:
    try:
        return from_json(model, content)
    except ValueError as error:
        where, fault = fault_of(error)
        raise InvalidInputError(
            f"{path}: expected a {model.__name__.lower()} of this version, got {where or 'file'}: "
            f"{re.sub(r'[^ -~]', '?', fault)}; write the bundle with "
            "`recombine submission bundle`"
        ) from None


def _canonical(plain: Any) -> bytes:
    text = json.dumps(plain, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()
