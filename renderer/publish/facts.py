"""Everything that the card of a dataset says, gathered once for all of its forms."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.types import Array
from recombine.renderer.planning.assets import Asset, find
from recombine.renderer.planning.planner import config_of, image_counts
from recombine.renderer.presets.base import Preset
from recombine.renderer.presets.table import PRESETS, load_preset
from recombine.renderer.scenes.factors import Factor
from recombine.renderer.scenes.library import CAMERA
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset

if TYPE_CHECKING:
    from jaxtyping import Bool


# What a dataset holds, in numbers measured on its images: for its card.

SAMPLE = 512
"""Most images that colours are averaged over, evenly spaced."""


@dataclass(frozen=True)
class PartStatistics:
    """One split in numbers."""

    name: str  # split
    images: int  # how many it has
    cells: int  # how many it has
    least: int  # images of the rarest and of the commonest cell
    most: int  # images of the rarest and of the commonest cell
    visible: float  # mean and least visible share of the objects that are present, 0 to 1
    least_visible: float  # mean and least visible share of the objects that are present, 0 to 1
    # mean share of the frame that such an object covers if nothing stands before it, 0 to 1
    area: float


@dataclass(frozen=True)
class FactorStatistics:
    """One factor, over all objects that have it, in numbers."""

    keys: tuple[str, ...]  # ``slot.factor`` keys of equal definition and role
    role: str  # "recombined", "crossed", "derived" or "nuisance"
    found: str  # how often its values occur, or its range and mean


@dataclass(frozen=True)
class Statistics:
    """All numbers of a card."""

    parts: tuple[PartStatistics, ...]  # in the order of `SPLITS`; only those that have images
    factors: tuple[FactorStatistics, ...]  # in the order of the schema
    # of red, green and blue, sRGB values from 0 to 1, over `SAMPLE` images at most
    mean: tuple[float, ...]
    # of red, green and blue, sRGB values from 0 to 1, over `SAMPLE` images at most
    deviation: tuple[float, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of images of every split."""
        return {part.name: part.images for part in self.parts}


def measure(data: Dataset) -> Statistics:
    """Measure a dataset."""
    amodal = data.annotation("amodal", range(len(data))).astype(float)
    present = amodal > 0
    parts = []
    for name in (n for n in SPLITS if (data.splits == n).any()):
        rows = data.splits == name
        counts = np.unique(data.cells[rows], axis=0, return_counts=True)[1]
        seen = data.visible[rows][present[rows]]
        parts.append(
            PartStatistics(
                name=name,
                images=int(rows.sum()),
                cells=len(counts),
                least=int(counts.min()),
                most=int(counts.max()),
                visible=float(seen.mean()),
                least_visible=float(seen.min()),
                area=float(amodal[rows][present[rows]].mean()),
            )
        )
    some = np.unique(np.linspace(0, len(data) - 1, SAMPLE).round().astype(int))
    colours = data.images(some).reshape(-1, 3) / 255
    return Statistics(
        parts=tuple(parts),
        factors=tuple(_factors(data, present)),
        mean=tuple(colours.mean(0).tolist()),
        deviation=tuple(colours.std(0).tolist()),
    )


def _factors(data: Dataset, present: Bool[Array, "N K"]) -> Iterator[FactorStatistics]:
    schema = data.schema
    groups: dict[tuple[str, bool, Factor], list[str]] = {}
    for key in schema.keys:
        named = ("recombined", "crossed", "derived")
        role = next((r for r in named if key in getattr(schema, r)), "nuisance")
        on_object = key.partition(".")[0] in schema.objects
        groups.setdefault((role, on_object, schema.factor(key)), []).append(key)
    for (role, _, factor), keys in groups.items():
        columns = [data.latents[key][_shown(data, key, present)] for key in keys]
        yield FactorStatistics(tuple(keys), role, _found(factor, np.concatenate(columns)))


def _shown(data: Dataset, key: str, present: Bool[Array, "N K"]) -> Bool[Array, " N"]:
    """Return the images in which a factor can be seen: absent objects have no shape."""
    slot, _, name = key.partition(".")
    if slot not in data.schema.objects or name == "present":
        return np.ones(len(data), bool)
    shown: Array = present[:, data.schema.objects.index(slot)]
    return shown


def between(least: int, most: int) -> str:
    """Return a range in words."""
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _found(factor: Factor, values: Array) -> str:
    if not len(values):
        return "never shown"
    if factor.values:
        counts = np.bincount(values.astype(int), minlength=factor.size)
        least, most = int(counts.min()), int(counts.max())
        return f"{factor.size} values, {between(least, most)} times each"
    unit = "rad" if factor.kind == "periodic" else factor.unit
    low, middle, high = values.min(), values.mean(), values.max()
    return f"{low:.3f} to {high:.3f} {unit}, mean {middle:.3f}".strip()


KINDS = {"shape": "shape", "material": "material", "environment": "environment", "rig": "light"}
"""Factors whose values are assets, and the kind of asset in the ledger."""
DISTANCE = math.dist(CAMERA.position, CAMERA.target)
CREATOR = "recombine contributors"


@dataclass(frozen=True)
class Publication:
    """What a card says that the data cannot know.

    Attributes
    ----------
    published : date
        Day of publication.
    url : str
        Address of the page where the data are published; empty where that is open.

    Raises
    ------
    UsageError
        When the address is not one of the web.
    """

    published: date
    url: str = ""

    def __post_init__(self) -> None:
        if self.url and not re.fullmatch(r"https://[!-~]+", self.url):
            raise UsageError(f"--url: expected an address from https:// on; got {self.url!r}.")


@dataclass(frozen=True)
class Facts:
    """A dataset as its card sees it."""

    data: Dataset  # what the card describes: sealed, its certificate passed
    publication: Publication  # day and address

    @cached_property
    def statistics(self) -> Statistics:
        """Return the numbers measured on the images."""
        return measure(self.data)

    @cached_property
    def preset(self) -> Preset | None:
        """Return the full preset that the data are of; None for data of no preset."""
        name = f"{self.data.preset}--"
        known = max((k for k in PRESETS if name.startswith(f"{k}--")), key=len, default="")
        return load_preset(known) if known else None

    @cached_property
    def recipe(self) -> Recipe | None:
        """Return how to render these very data; None where a file is needed for it."""
        return _recipe(self.data, self.preset) if self.preset else None

    @property
    def whole(self) -> bool:
        """Tell whether the data are a preset in full."""
        return self.recipe is not None and not self.recipe.options

    @property
    def variant(self) -> str:
        """Return what the data are beside a preset in full; empty where they are just that."""
        if self.preset is None or self.whole:
            return ""
        options = self.recipe.options if self.recipe else ""
        shrunk = "--scale" in options or "--values" in options
        fewer = len(self.data) < sum(image_counts(self.preset).values())
        return "small version" if shrunk and fewer else "variant"

    @property
    def folder(self) -> str:
        """Return where the commands on the card render the data to."""
        return f"runs/{self.title}{self.variant and '-' + self.variant.split()[0]}"

    @property
    def command(self) -> str:
        """Return the command that renders these very data; empty where a file is needed for it."""
        return self.recipe.command(self.folder) if self.recipe else ""

    @property
    def processing(self) -> str:
        """Return what was done to the pixels."""
        denoised = self.data.config["settings"]["denoise"]
        how = "denoised by Cycles as part of rendering" if denoised else "not denoised"
        return f"None after rendering; {how}, sRGB, stored without loss."

    @property
    def title(self) -> str:
        """Return the name of the preset, or of the data where they are of none."""
        return self.preset.name if self.preset else self.data.preset

    @property
    def summary(self) -> str:
        """Return one sentence on what the preset is."""
        text = self.preset.summary if self.preset else "scenes of recombined factors"
        return f"{text[0].upper()}{text[1:]}."

    @property
    def about(self) -> str:
        """Return what the preset's recipe says about itself; empty for data of no preset."""
        if not self.preset:
            return ""
        recipe = PRESETS[self.preset.name]
        text = inspect.getdoc(getattr(recipe, "func", recipe)) or ""
        text = text.partition("\n\nParameters\n")[0].removeprefix("Return ")
        return f"{text[:1].upper()}{text[1:]}"

    @property
    def version(self) -> str:
        """Return the version as MAJOR.MINOR.PATCH."""
        return ".".join([*self.data.version.split("."), "0", "0"][:3])

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of images of every split."""
        return self.statistics.counts

    @property
    def rungs(self) -> int:
        """Return the number of rungs of the training ladder."""
        return len(self.data.config["split"]["ladder"])

    @property
    def ladder(self) -> list[int]:
        """Return the number of ID cells that every rung trains on."""
        found = [self.data.indices("id_train", rung=r) for r in range(self.rungs)]
        return [len(np.unique(self.data.cells[rows], axis=0)) for rows in found]

    @property
    def held_out(self) -> int:
        """Return the number of OOC cells."""
        return len(np.unique(self.data.cells[self.data.indices("ooc_test")], axis=0))

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Return the lines of the certificate."""
        return list(self.data.certificate["checks"])

    @property
    def license(self) -> str:
        """Return what the data were sealed with: licence and permission."""
        return str(self.data.manifest["license"])

    @property
    def build(self) -> dict[str, str]:
        """Return versions and machine that drew the images."""
        return dict(self.data.manifest["provenance"])

    @cached_property
    def assets(self) -> dict[tuple[str, str, str, str], list[Asset]]:
        """Return the rows of the asset ledger by (kind, source, licence, sha256)."""
        schema = self.data.schema
        named = {(key, v) for key in schema.keys for v in schema.factor(key).values}
        named |= set(self.data.config["constants"].items())
        kinds = {(KINDS.get(key.partition(".")[2], ""), value) for key, value in named}
        found: dict[tuple[str, str, str, str], list[Asset]] = {}
        for kind, value in sorted(kinds):
            if kind and value != "own":
                row = find(kind, value)  # type: ignore[arg-type]
                group = (row.kind, row.source, row.licence, row.sha256)
                found.setdefault(group, []).append(row)
        return found

    @property
    def limits(self) -> list[str]:
        """Return what the data are not fit for, one sentence each."""
        schema, edge = self.data.schema, self.data.resolution
        scales = [b for slot in schema.objects for b in schema.factor(f"{slot}.scale").bounds]
        zoom = edge * CAMERA.focal / CAMERA.sensor / DISTANCE  # pixels per metre
        low, high = round(min(scales) * zoom), round(max(scales) * zoom)
        lines = [
            (
                "One fixed camera, a flat floor and procedural assets only: no claim about "
                "photographs."
            ),
            f"In the middle of the scene an object is {low} to {high} of {edge} pixels wide.",
        ]
        by_status = {
            status: [c["name"] for c in self.checks if c["status"] == status]
            for status in ("stated", "not run")
        }
        if names := by_status["stated"]:
            lines.append(
                f"Differs between ID and OOC by design, see the certificate: {', '.join(names)}."
            )
        if names := by_status["not run"]:
            lines.append(f"Not measured on these images: {', '.join(names)}.")
        if self.variant == "small version":
            lines.append(
                f"{len(self.data):,} images are a small version, to look at and to try code on; "
                "results are compared on the full preset only."
            )
        return lines

    @property
    def citation(self) -> str:
        """Return a BibTeX entry; the root names the exact images."""
        return (
            f"@misc{{recombine-{self.data.name.replace('/', '-')},\n"
            f"  title = {{{self.data.name}: rendered scenes with held-out combinations}},\n"
            f"  author = {{{{{CREATOR}}}}},\n"
            f"  year = {{{self.publication.published.year}}},\n"
            f"  note = {{Rendered images, root {self.data.root}}}\n}}"
        )


@dataclass(frozen=True)
class Recipe:
    """Which preset gives some data, with which options."""

    preset: str  # key of `PRESETS`
    options: str  # options of `recombine render` after the name; empty for the preset in full

    def command(self, out: str) -> str:
        """Return the command that renders the data into a folder."""
        return " ".join(filter(None, ["recombine render", self.preset, self.options, "--out", out]))


def _recipe(data: Dataset, full: Preset) -> Recipe | None:
    """Return the options whose plan is that of the data; tried, because no file records them."""
    suffix = re.fullmatch(r"(?:--values-(\d+))?(--ooc-val)?", data.preset.removeprefix(full.name))
    if suffix is None:
        return None
    values, held_out = int(suffix[1]) if suffix[1] else None, bool(suffix[2])
    resolution = data.config["settings"]["resolution"]
    sizes = load_preset(full.name, values=values, ooc_val=held_out).sizes
    shares = {data.config["sizes"][k] / getattr(sizes, k) for k in ("train", "val", "test")}
    for scale in (1.0, 0.002, *(float(f"{share:.6g}") for share in sorted(shares))):
        preset = load_preset(
            full.name, scale=scale, values=values, resolution=resolution, ooc_val=held_out
        )
        if config_of(preset) == data.config:
            own = resolution == full.settings.resolution
            options = [
                f"--values {values}" if values else "",
                f"--scale {scale:g}" if scale != 1 else "",
                "" if own else f"--resolution {resolution}",
                "--ooc-val" if held_out else "",
            ]
            return Recipe(full.name, " ".join(filter(None, options)))
    return None
