"""The registry of boards: which data each is about, and how anybody gets them.

A board is one file, ``leaderboard/datasets/NAME.toml``. Its recipe gives every label in seconds,
so predictions are scored without the images; its digests say which images they must be about.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from recombine.benchmark.results.parts import Name, Sha256, Slug, Strict
from recombine.benchmark.serving.redrawn import RedrawnDataset
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.strict import Positive, validated
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_recipe
from recombine.renderer.splits.declaration import dump
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.records import Recipe
from recombine.renderer.store.reference import CARDS
from recombine.renderer.store.seal import file_sha256, identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.serving.redrawn import Cast
    from recombine.renderer.planning.plan import Plan

FORMAT: Literal["recombine.board/1"] = "recombine.board/1"
REGISTRY = Path(__file__).parents[1] / "datasets"
OPTIONAL = ("values", "split", "hidden_test")
"""Keys of a recipe that may be none: TOML has no such value, so they are left out."""
Https = Annotated[str, StringConstraints(pattern=r"^https://[!-~]{1,500}$")]


class Archive(Strict):
    """Where a rendered copy can be had: a tar file of the dataset folder, at one or more places."""

    sha256: Sha256
    bytes: Positive
    urls: Annotated[list[Https], Field(min_length=1, max_length=16)]


class RegisteredBoard(Strict):
    """The content of one file of the registry."""

    format: Literal["recombine.board/1"]
    name: Slug
    """What people call it, and the file."""
    dataset: Name
    """``preset/version``, as in the manifest."""
    recombine: Name
    """Version of this package that registered it."""
    plan_sha256: Sha256
    label_root: Sha256
    render_version: Name
    identity: Sha256
    root: Sha256
    """Over the pixels of the copy that was registered: information."""
    certificate_sha256: Sha256
    images: Positive
    bytes: Positive
    """Of the dataset on disk."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """That rendering took with two workers; None when not measured."""
    reference: Name | None = None
    """Folder of the repository with 64 of its images; None where there are none."""
    license: Name
    training_generative_models: bool
    recipe: Recipe
    renderer: dict[str, str]
    """Versions and machine that rendered the registered copy."""
    archive: Archive | None = None

    def plan(self) -> Plan:
        """Draw the plan again, and compare it with the registered one.

        Raises
        ------
        ResourceError
            When this version of the code draws another plan.
        """
        plan = make_plan(load_recipe(self.recipe.model_dump()))
        if (found := plan.digest()) != self.plan_sha256:
            here = version("recombine")
            raise ResourceError(
                f"board {self.name}: expected the plan {self.plan_sha256[:12]} that recombine "
                f"{self.recombine} registered; recombine {here} draws {found[:12]} of the same "
                "recipe. No submission is at fault: use a version that draws it, or register the "
                "board again."
            )
        return plan

    def redrawn(self, cast: Cast | None = None) -> RedrawnDataset:
        """Return the labels of the data, drawn again; with ``cast`` their masks as well."""
        manifest = self.model_dump(exclude={"recipe", "renderer", "archive", "name", "format"})
        manifest |= {"n_images": self.images, "provenance": self.renderer}
        return RedrawnDataset(
            self.plan(), manifest, certificate_sha256=self.certificate_sha256, cast=cast
        )

    def command(self, out: str) -> str:
        """Return the command that renders the data."""
        recipe, words = self.recipe, ["recombine", "render", self.recipe.preset]
        given = {"values": recipe.values, "scale": recipe.scale, "resolution": recipe.resolution}
        words += [w for k, v in given.items() if v is not None for w in (f"--{k}", str(v))]
        words += ["--ooc-val"] if recipe.ooc_val else []
        words += ["--split", f"{self.name}.split.toml"] if recipe.split else []
        return shlex.join([*words, "--out", out])

    def saved(self, folder: Path) -> Path:
        """Write the file of the board into a folder."""
        plain = self.model_dump(mode="json", exclude_none=True)
        tables = {k: plain.pop(k) for k in ("recipe", "renderer", "archive") if k in plain}
        text = "# Written by `recombine board register`.\n" + dump(plain)
        text += "".join(f"\n[{name}]\n{dump(table)}" for name, table in tables.items())
        path = folder / f"{self.name}.toml"
        write_bytes(path, text.encode())
        return path


def register(
    folder: Path,
    *,
    name: str = "",
    minutes: float | None = None,
    archive: Path | None = None,
    urls: Sequence[str] = (),
) -> RegisteredBoard:
    """Describe a rendered dataset as a board.

    Parameters
    ----------
    folder : Path
        A sealed dataset whose certificate passes.
    name : str
        What to call it; the name of its preset by default.
    minutes : float, optional
        That rendering took with two workers.
    archive : Path, optional
        Tar file of the folder, as it is hosted.
    urls : sequence of str
        Where.

    Raises
    ------
    InvalidInputError
        When no recipe gives the data: they were imported, or their recipe is not on record.
    IntegrityError, UsageError
        When the certificate fails, or the recipe needs a key or files of its own.
    """
    data = Dataset(folder)
    data.check()
    if data.imported or data.recipe is None:
        raise InvalidInputError(
            f"{folder}: expected data that a recipe gives; nothing draws these again. Register "
            "what `recombine render` made of a preset."
        )
    if (archive is None) != (not urls):
        raise UsageError(
            "board register: expected an archive together with its addresses; got one of them. "
            "Give both --archive and --url, or neither."
        )
    sealed = json.dumps(data.certificate, sort_keys=True, separators=(",", ":"))
    plain: dict[str, Any] = {
        "format": FORMAT,
        "name": name or data.preset,
        "dataset": data.name,
        "recombine": version("recombine"),
        **{k: data.manifest[k] for k in ("plan_sha256", "label_root", "render_version")},
        "identity": data.identity,
        "root": data.root,
        "certificate_sha256": hashlib.sha256(sealed.encode()).hexdigest(),
        "images": len(data),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "minutes": minutes,
        "reference": _reference(str(data.manifest["plan_sha256"])),
        "license": data.licence,
        "training_generative_models": data.training_generative_models,
        "recipe": data.recipe,
        "renderer": data.manifest["provenance"],
    }
    if archive is not None:
        size = archive.stat().st_size
        plain["archive"] = {"sha256": file_sha256(archive), "bytes": size, "urls": list(urls)}
    board = validated(RegisteredBoard, plain, f"board register {folder}")
    board.plan()  # whoever scores must be able to draw it
    return board


def read_board(path: Path) -> RegisteredBoard:
    """Read one file of the registry."""
    try:
        plain: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"{path}: expected a board as TOML, got {error}; write it with `recombine board "
            "register`"
        ) from None
    if isinstance(plain.get("recipe"), dict):
        plain["recipe"] = dict.fromkeys(OPTIONAL) | plain["recipe"]
    board = validated(RegisteredBoard, plain, str(path))
    parts = (board.plan_sha256, board.label_root, board.render_version)
    if identity_of(*parts) != board.identity or path.stem != board.name:
        raise IntegrityError(
            f"{path}: expected a file named after its board, with the identity of its plan, labels "
            "and render version; got another. Write it with `recombine board register`."
        )
    return board


def read_registry(folder: Path = REGISTRY) -> list[RegisteredBoard]:
    """Read all boards of a registry, by name."""
    return [read_board(path) for path in sorted(folder.glob("*.toml"))]


def board_named(name: str, folder: Path = REGISTRY) -> RegisteredBoard:
    """Return a board of a registry."""
    boards = {board.name: board for board in read_registry(folder)}
    if name not in boards:
        raise UsageError(
            f"board: expected one of {', '.join(boards) or 'none: no board is registered'}; got "
            f"{name!a}. `recombine board register` registers rendered data."
        )
    return boards[name]


def _reference(plan_sha256: str) -> str | None:
    """Return the folder of the repository with the reference of a plan."""
    for path in sorted(CARDS.glob("*/reference/reference.json")):
        if plan_sha256 in path.read_text(encoding="utf-8", errors="replace"):
            return path.parent.relative_to(CARDS.parent).as_posix()
    return None
