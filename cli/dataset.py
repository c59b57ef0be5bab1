"""`dataset`: plan, verify, look at, join and pass on datasets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from recombine.cli import console
from recombine.cli.console import Command
from recombine.cli.render import PresetOptions
from recombine.renderer.core.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from recombine.renderer.publish.facts import Publication
    from recombine.renderer.rendering.rerender import Comparison
    from recombine.renderer.scenes.scene import Rendered

Folder = Annotated[Path, tyro.conf.Positional]


@dataclass(frozen=True)
class Plan(PresetOptions):
    """Show what a preset holds: cells, splits and images. Nothing is kept.

    `recombine render PRESET --estimate` predicts how long it takes to render.

    Example: recombine dataset plan smoke
    """

    def run(self) -> int:
        """Plan the preset and print its counts."""
        from recombine.renderer.planning.planner import make_plan
        from recombine.renderer.splits.cells import drawn_total_variation, report
        from recombine.renderer.splits.geometry import SPLITS

        preset = self.chosen()
        plan = make_plan(preset)
        counts = {name: int((plan.split == i).sum()) for i, name in enumerate(SPLITS)}
        if self.json:
            console.emit({"config": plan.config, "images": counts, "plan_sha256": plan.digest()})
            return 0
        shape = preset.schema.cell_shape
        console.line(f"{plan.dataset}: {preset.summary}")
        console.line(f"factors: {', '.join(preset.schema.keys)}")
        console.line(f"cells recombine {' x '.join(preset.schema.recombined)}")
        rows = [
            (f"ID, rung {r}", str(len(preset.split.id_cells(shape, r))), "")
            for r in range(len(preset.split.ladder))
        ]
        rows.append(("OOC", str(len(preset.split.ooc_cells(shape))), ""))
        rows += [(name, "", str(n)) for name, n in counts.items()]
        console.table("", ("part", "cells", "images"), rows)
        for rung in range(len(preset.split.ladder)):
            console.line(f"ID against OOC, rung {rung}:")
            ids, ooc = preset.split.id_cells(shape, rung), preset.split.ooc_cells(shape)
            for text in report(ids, ooc).lines():
                console.line(f"  {text}")
            drawn = preset.split.id_draws(shape, rung), preset.split.ooc_draws(shape)
            if len(drawn[0]) != len(ids):
                console.line(f"  as often as cells are drawn: TV {drawn_total_variation(*drawn)}")
        return 0


@dataclass(frozen=True)
class Fetch(Command):
    """Fetch the data of a registered board.

    An interrupted download goes on with the same command. What came is compared with the registered
    hash, unpacked and checked. Where nobody hosts the data, the command that renders them is
    printed, with its time, and the exit code is 4.

    Example: recombine dataset fetch smoke --out runs/smoke
    """

    name: Annotated[str, tyro.conf.Positional]
    """Name of a board: a file NAME.toml of the registry."""
    out: Path | None = None
    """Dataset folder to write; runs/NAME by default."""
    registry: Path | None = None
    """Folder of the registry; that of this version of recombine by default."""

    def run(self) -> int:
        """Fetch, check and say where the data are."""
        from recombine.leaderboard.board.registry import REGISTRY, board_named
        from recombine.leaderboard.submissions.datasets import fetch_dataset

        board = board_named(self.name, self.registry or REGISTRY)
        out = fetch_dataset(board, self.out or Path("runs") / board.name)
        self.reply(
            {"dataset": str(out), "identity": board.identity},
            f"{out}: {board.images} images, identity {board.identity[:16]}, every file checked",
        )
        return 0


@dataclass(frozen=True)
class Import(Command):
    """Turn labelled images of other people into a dataset that scoring accepts.

    SOURCE is a folder of PNG or JPEG files, an NPZ or HDF5 file, or a folder that `recombine
    dataset export` wrote. The table has one row per image: the column `file` for a folder, and
    columns `slot.factor`. FILE.toml declares the split, as for `recombine render --split`, and says
    in the table [import] what the images are called, under which licence, and what recombines.

    Nothing can draw these images again, so checks that need a renderer are "not applicable". Where
    no blocks match, every image is a block of its own, and the certificate states it. What tells
    ID from OOC is printed.

    Example: recombine dataset import photos --labels photos.csv --split photos.toml --out runs/mine

    Example: recombine dataset import 3dshapes.h5 --split shapes3d.toml --out runs/shapes3d
    """

    source: Folder
    """Folder, NPZ or HDF5 file."""
    split: Path
    """TOML file with the split and the table [import]."""
    out: Path
    """New dataset folder; it must not exist."""
    labels: Path | None = None
    """CSV file, one row per image; may be left out where [import] says where labels are."""

    def run(self) -> int:
        """Import, and print the certificate, the notes and the shift."""
        from recombine.renderer.importing.run import import_dataset

        with self.progress("import") as progress:
            made = import_dataset(
                self.source, self.split, self.out, labels=self.labels, progress=progress
            )
        if self.json:
            console.emit(
                {
                    "dataset": str(made.folder),
                    "images": made.images,
                    "notes": list(made.notes),
                    "shift": made.shift.to_dict(),
                    "certificate": made.certificate.to_dict(),
                }
            )
            return 0
        rows = [(c.name, c.status.upper(), c.found) for c in made.certificate.checks]
        console.table(made.certificate.dataset, ("check", "", "found"), rows)
        for note in made.notes:
            console.line(note)
        console.line(", ".join(f"{name}: {n}" for name, n in made.images.items() if n))
        console.line(f"\n{made.shift}\n\n{made.folder}")
        return 0


@dataclass(frozen=True)
class Verify(Command):
    """Re-derive every claim about a dataset from its stored latents, masks and pixels.

    Writes certificate.json beside the data; scoring refuses data whose certificate fails or
    does not match. Exit code 5 when a check fails, 4 when the certificate cannot be written.

    Published datasets have a reference, 64 of their images, in data_cards/NAME/reference. Where
    one of the same plan is at hand, the images are compared with it. --redraw draws some images
    again with the renderer that is installed here. Both allow what the rounding of another
    processor changes, and no more.

    Example: recombine dataset verify runs/smoke

    Example: recombine dataset verify runs/smoke --redraw 8
    """

    data: Folder
    """Dataset folder."""
    no_seal: bool = False
    """Only print the certificate, for data that are read-only."""
    redraw: int | None = None
    """Draw so many images of every split again and compare; the identity decides which."""
    reference: Path | None = None
    """Folder with the reference; by default that of the data card of the same plan, if any."""
    workers: int = 1
    """Blender processes for --redraw."""

    def run(self) -> int:
        """Verify and print one line per check."""
        from recombine.renderer.certificate.verify import verify, write_certificate
        from recombine.renderer.rendering.rerender import redraw

        again = None
        if self.redraw is not None:
            again = redraw(self.data, self.redraw, workers=self.workers)
        certificate = verify(self.data, seal=False, reference=self.reference, redraw=again)
        if self.json:
            console.emit(certificate.to_dict())
        else:
            rows = [(c.name, c.status.upper(), c.claim, c.found) for c in certificate.checks]
            title = f"{certificate.dataset}  identity {certificate.identity[:16]}"
            console.table(title, ("check", "", "claim", "found"), rows)
            console.line(certificate.proves)
        code = 0 if certificate.passed else 5
        if not self.no_seal:
            try:
                write_certificate(self.data, certificate)
            except ResourceError as error:
                console.note(f"recombine: not sealed; {error} Or only print it, with --no-seal.")
                return code or error.exit_code
        return code


@dataclass(frozen=True)
class Preview(Command):
    """Draw the contact sheet of a dataset: every cell once, held-out cells framed.

    With --html it writes one page instead that needs no server: the sheet, traversals along one
    factor, masks, depth and normals, interaction maps where they were measured, certificate.

    Example: recombine dataset preview runs/smoke --out sheet.png

    Example: recombine dataset preview runs/smoke --html
    """

    data: Folder
    """Dataset folder."""
    out: Path | None = None
    """PNG, .jpg or page to write; preview.png or preview.html in the dataset by default."""
    html: bool = False
    """Write a page instead of a picture."""
    block: int = 0
    """Which matched test block to show."""

    def run(self) -> int:
        """Draw the sheet or the page and print its path."""
        if self.html:
            from recombine.renderer.publish.page import gallery

            path = gallery(self.data, self.out or self.data / "preview.html", block=self.block)
        else:
            from recombine.renderer.store.preview import contact_sheet

            path = contact_sheet(self.data, self.out or self.data / "preview.png", block=self.block)
        self.reply({"preview": str(path)}, str(path))
        return 0


@dataclass(frozen=True)
class Card(Command):
    """Write the data card of a preset: the files that its Parquet export carries, without the data.

    README.md is a Hugging Face dataset card; datasheet.md answers the questions of Datasheets for
    Datasets; croissant.json describes the exported files for machines; certificate.json and
    contact_sheet.jpg are what was verified and what it looks like. Everything is read off the
    data, which may be a small version and are verified first; the card says which one it is of.
    `recombine dataset export` writes the same files beside the data.

    Example: recombine render object-object --values 8 --scale 0.002 --out runs/small

    Example: recombine dataset card runs/small --out data_cards/object-object
    """

    data: Folder
    """Dataset folder."""
    out: Path
    """Folder of the card; files in it are replaced."""
    block: int = 0
    """Which matched test block the sheet shows."""
    published: str = ""
    """Day of publication, YYYY-MM-DD; today by default."""
    url: str = ""
    """Address of the page where the data are published, if there is one."""

    def run(self) -> int:
        """Write the card and print its path."""
        from recombine.renderer.publish.export import write_card

        chosen = _publication(self.published, self.url)
        path = write_card(self.data, self.out, block=self.block, publication=chosen)
        self.reply({"card": str(path)}, str(path))
        return 0


@dataclass(frozen=True)
class Export(Command):
    """Write a verified dataset in another format; pixels stay lossless.

    A Parquet export is fit to be uploaded as it is: `datasets.load_dataset` loads the folder, its
    pictures show in the Hugging Face viewer, and it carries its data card (README.md,
    datasheet.md, croissant.json with the sha256 of every file, certificate, contact sheet).
    WebDataset is one tar set per split; folder is PNG files with metadata.jsonl. All three hold
    every annotation. COCO is one file of instances per split for what is seen of the objects and
    one for all of them, BOP is scenes with poses, depth and, where Blender is installed, models.

    Example: recombine dataset export runs/smoke --out runs/smoke-parquet

    Example: recombine dataset export runs/smoke --out runs/smoke-coco --format coco

    Example: mlcroissant validate --jsonld runs/smoke-parquet/croissant.json
    """

    data: Folder
    """Dataset folder."""
    out: Path
    """New folder to write; it must not exist."""
    form: Annotated[
        Literal["parquet", "webdataset", "folder", "coco", "bop"],
        tyro.conf.arg(name="format", aliases=["--form"]),
    ] = "parquet"
    """Format."""
    published: str = ""
    """Day of publication that the card states, YYYY-MM-DD; today by default."""
    url: str = ""
    """Address of the page where the data will be published, if it is known."""

    def run(self) -> int:
        """Export and print the path."""
        from recombine.renderer.publish.export import export_dataset

        chosen = _publication(self.published, self.url)
        with self.progress(f"export {self.form}") as progress:
            path = export_dataset(
                self.data, self.out, self.form, progress=progress, publication=chosen
            )
        self.reply({"export": str(path)}, str(path))
        return 0


@dataclass(frozen=True)
class Merge(Command):
    """Join folders that `render --shard i/n` filled on machines without a common disk, and seal.

    Checks that all follow one plan, that every shard is there and that none differs between
    two folders; links files where it can. Parts that different builds of the renderer drew are
    refused by name. The identity is that of one uninterrupted run. With one
    folder and no --out it seals that folder in place.

    Example: recombine dataset merge part1 part2 --out runs/smoke
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Dataset folders, in any order."""
    out: Path | None = None
    """New dataset folder; may be left out to seal a single folder in place."""

    def run(self) -> int:
        """Join, seal, verify and print the identity."""
        from recombine.renderer.rendering.merge import merge, seal_folder

        if self.out is None:
            if len(self.folders) != 1:
                raise UsageError(
                    f"merge: expected --out for {len(self.folders)} folders; got none. "
                    "Only a single folder can be sealed in place."
                )
            certificate, shards, twice = seal_folder(self.folders[0]), None, None
        else:
            with self.progress("merge") as progress:
                merged = merge(self.folders, self.out, progress=progress)
            certificate, shards, twice = merged.certificate, merged.shards, merged.twice
        if self.json:
            console.emit(certificate.to_dict() | {"shards": shards, "shards_found_twice": twice})
        else:
            place = self.out or self.folders[0]
            again = f" ({twice} shards were in several folders, equal)" if twice else ""
            console.line(
                f"{place}: sealed, identity {certificate.identity[:16]}, every check passed{again}"
            )
        return 0


@dataclass(frozen=True)
class Reference(PresetOptions):
    """Draw the reference of a dataset: 64 of its images, a window of each, at most 600 KB.

    The images are chosen by a key that follows from the plan, as many of every split, and only
    they are drawn. Instead of a preset the folder of a dataset can be given, finished or not. The
    word "all" writes NAME/reference below --out for every preset that has a folder there.

    Example: recombine dataset reference smoke --scale 0.08 --out runs/reference

    Example: recombine dataset reference all --out data_cards --workers 2
    """

    preset: Annotated[str, tyro.conf.Positional] = "smoke"
    """Preset, dataset folder, or "all"."""
    out: Path = field(kw_only=True)
    """Folder to write reference.json and windows.webp into."""
    workers: int = 2
    """Blender processes."""

    def run(self) -> int:
        """Draw the chosen images and print where they are."""
        from recombine.renderer.planning.planner import make_plan
        from recombine.renderer.presets.table import PRESETS
        from recombine.renderer.rendering.rerender import draw_reference
        from recombine.renderer.store.shards import load_plan

        given = Path(self.preset)
        if self.preset == "all":
            names = [name for name in PRESETS if (self.out / name).is_dir()]
            chosen = [
                replace(self, preset=name, out=self.out / name / "reference") for name in names
            ]
        else:
            chosen = [self]
        written = []
        for one in chosen:
            begun = one is self and (given / "plan.h5").is_file()
            plan = load_plan(given) if begun else make_plan(one.chosen())
            with self.progress(f"reference {plan.dataset}") as progress:
                written.append(
                    draw_reference(plan, one.out, workers=self.workers, progress=progress)
                )
        self.reply({"references": [str(path) for path in written]}, *map(str, written))
        return 0


@dataclass(frozen=True)
class Rerender(Command):
    """Draw one image again from its stored latents, to check it or to see it larger.

    --check compares with the stored pixels and labels. On the build that drew them (the same
    Blender, packages and CPU) they must be equal to the last bit; on another build they must
    agree to 50 dB, with few values off by more than 3 levels and equal labels. The output says
    which of the two was asked. Exit code 5 when it fails.

    Example: recombine dataset rerender runs/smoke --index 7 --check

    Example: recombine dataset rerender runs/smoke --index 7 --resolution 256 --out seven.png
    """

    data: Folder
    """Dataset folder."""
    index: int
    """Which image, from 0."""
    check: bool = False
    """Compare with what is stored."""
    out: Path | None = None
    """PNG to write."""
    resolution: int | None = None
    """Image edge in pixels, for --out; that of the dataset by default."""

    def run(self) -> int:
        """Draw, write and compare."""
        from recombine.renderer.rendering.rerender import compare, rerender

        if not (self.check or self.out):
            raise UsageError("rerender: expected --check, --out FILE or both; got neither.")
        if self.check and self.resolution is not None:
            raise UsageError(
                "rerender: --check needs the stored resolution; got --resolution "
                f"{self.resolution}. Use --resolution with --out only."
            )
        drawn = rerender(self.data, self.index, resolution=self.resolution)
        if self.out:
            _write(drawn, self.out)
        found = compare(self.data, self.index, drawn) if self.check else None
        if self.json:
            console.emit((found.to_dict() if found else {}) | {"out": str(self.out or "")})
        else:
            if self.out:
                console.line(str(self.out))
            if found:
                _say(found)
        return 5 if found and not found.passed else 0


def _publication(published: str, url: str) -> Publication:
    """Return what the options of a command say about the publication."""
    from recombine.renderer.publish.facts import Publication

    try:
        day = date.fromisoformat(published) if published else datetime.now(UTC).date()
    except ValueError:
        raise UsageError(
            f"--published: expected a day as YYYY-MM-DD; got {published!r}. Leave it out for today."
        ) from None
    return Publication(day, url)


def _write(drawn: Rendered, out: Path) -> None:
    import io

    from PIL import Image

    from recombine.renderer.core.files import write_bytes

    buffer = io.BytesIO()
    Image.fromarray(drawn.image).save(buffer, "PNG")
    write_bytes(out, buffer.getvalue())


def _say(found: Comparison) -> None:
    from recombine.renderer.store.agreement import IMAGE_DB, LEVELS

    near = f"{IMAGE_DB:g} dB, few values off by more than {LEVELS}, equal labels (another build)"
    asked = near if found.build else "equal bits"
    rows = [
        ("build", "; ".join(found.build) or "the recorded one"),
        ("promised there", asked),
        ("pixels", "equal to the last bit" if found.pixels_equal else _difference(found)),
        ("labels", "equal to the last bit" if found.labels_equal else "differ"),
        ("verdict", "PASS" if found.passed else "FAIL"),
    ]
    console.table(f"image {found.index} drawn again", ("", "found"), rows)


def _difference(found: Comparison) -> str:
    return (
        f"{found.differing:.2%} differ, by at most {found.max_difference} of 255; "
        f"{found.psnr or 0:.1f} dB"
    )
