"""Everything that the card of a dataset says, gathered once for all of its forms."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.project import AUTHORS
from recombine.renderer.planning.assets import WHEEL, find
from recombine.renderer.planning.planner import config_of, image_counts
from recombine.renderer.presets.base import Preset
from recombine.renderer.presets.table import PRESETS, load_preset
from recombine.renderer.publish.statistics import Statistics, measure
from recombine.renderer.scenes.assets import Asset, plan_assets
from recombine.renderer.scenes.library import FOCAL, SENSOR, VIEW
from recombine.renderer.store.dataset import Dataset

KINDS = {"shape": "shape", "material": "material", "environment": "environment", "rig": "light"}
"""Factors whose values are assets, and the kind of asset in the ledger."""


@dataclass(frozen=True)
class Publication:
    """What a card says that the data cannot know."""

    published: date  # day of publication
    url: str = ""  # address of the page where the data are published; empty where that is open

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

    @property
    def recipe(self) -> Mapping[str, Any] | None:
        """Return what `recombine render` was asked for; None where that is not on record."""
        recipe: Mapping[str, Any] | None = self.data.recipe
        return recipe

    @cached_property
    def preset(self) -> Preset | None:
        """Return the full preset that the data are of; None where that is not on record."""
        name = self.recipe["preset"] if self.recipe else ""
        return load_preset(name) if name in PRESETS else None

    @cached_property
    def options(self) -> dict[str, Any] | None:
        """Return the options of the preset that give these very data; None where there are none."""
        if self.recipe is None or self.preset is None:
            return None
        usual = {
            "values": (None,),
            "scale": (None, 1.0),
            "resolution": (None, self.preset.settings.resolution),
            "ooc_val": (None, False),
        }
        chosen: dict[str, Any] = {
            k: self.recipe.get(k) for k in usual if self.recipe.get(k) not in usual[k]
        }
        # A declared split and a secret key are in files of their own: no option gives those.
        again = config_of(load_preset(self.preset.name, **chosen))
        return chosen if again == self.data.config else None

    @cached_property
    def full_counts(self) -> dict[str, int]:
        """Return the number of images of every split of the full preset."""
        return image_counts(self.preset) if self.preset else {}

    @cached_property
    def variant(self) -> str:
        """Return what the data are beside a preset in full; empty where they are just that."""
        if self.preset is None or self.options == {}:
            return ""
        shrunk = not {"scale", "values"}.isdisjoint(self.options or {})
        fewer = len(self.data) < sum(self.full_counts.values())
        return "small version" if shrunk and fewer else "variant"

    @property
    def folder(self) -> str:
        """Return where the commands on the card render the data to."""
        return f"runs/{self.title}{self.variant and '-' + self.variant.split()[0]}"

    @property
    def command(self) -> str:
        """Return the command that renders these very data; empty where no options give them."""
        if self.options is None:
            return ""
        flags = {f"--{name.replace('_', '-')}": v for name, v in self.options.items()}
        words = [flag if v is True else f"{flag} {v}" for flag, v in flags.items()]
        return " ".join(["recombine render", self.title, *words, "--out", self.folder])

    @property
    def processing(self) -> str:
        """Return what was done to the pixels."""
        denoised = self.data.config["settings"]["denoise"]
        how = "denoised by Cycles as part of rendering" if denoised else "not denoised"
        return f"None after rendering; {how}, sRGB, stored without loss."

    @property
    def title(self) -> str:
        """Return the name of the preset, or of the data where it is not on record."""
        return self.preset.name if self.preset else self.data.preset

    @property
    def summary(self) -> str:
        """Return one sentence on what the preset is."""
        text = self.preset.summary if self.preset else "scenes of recombined factors"
        return f"{text[0].upper()}{text[1:]}."

    @property
    def about(self) -> str:
        """Return what the preset says about itself; empty where it is not on record."""
        if not self.preset:
            return ""
        make = PRESETS[self.preset.name]
        text = inspect.getdoc(getattr(make, "func", make)) or ""
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
    def ladder(self) -> list[int]:
        """Return the number of ID cells that every rung trains on."""
        found = [self.data.indices("id_train", rung=r) for r in range(self.data.rungs)]
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
        # An environment that is a photograph shows its panorama as well.
        kinds |= {("hdri", name) for kind, name in kinds if kind == "environment" and name in WHEEL}
        own = {row.name for row in self.own_assets}
        rows = list(self.own_assets)
        rows += [
            find(kind, value)  # type: ignore[arg-type]
            for kind, value in sorted(kinds)
            if kind and value != "own" and value not in own
        ]
        found: dict[tuple[str, str, str, str], list[Asset]] = {}
        for row in rows:
            found.setdefault((row.kind, row.source, row.licence, row.sha256), []).append(row)
        return found

    @property
    def own_assets(self) -> tuple[Asset, ...]:
        """Return the meshes, photographs and textures that users brought, with their licences."""
        return plan_assets(self.data.config)

    @property
    def rights(self) -> str:
        """Return whose rights the assets carry, one sentence."""
        if not self.own_assets:
            return "The assets are procedural, or photographs under CC0: free of other rights."
        named = ", ".join(f"{a.name} ({a.licence}, {a.source})" for a in self.own_assets)
        return f"The library's assets are free of other rights; brought along: {named}."

    @property
    def limits(self) -> list[str]:
        """Return what the data are not fit for, one sentence each."""
        schema, edge = self.data.schema, self.data.resolution
        scales = [b for slot in schema.objects for b in schema.factor(f"{slot}.scale").bounds]
        near, far = VIEW["distance"]
        if "background.camera_distance" in schema.keys:
            near, far = schema.factor("background.camera_distance").bounds
        zoom = edge * FOCAL / SENSOR  # pixels per metre, one metre away
        low, high = round(min(scales) * zoom / far), round(max(scales) * zoom / near)
        lines = [
            (
                "Procedural objects on a flat floor, among photographs and rooms: rendered, "
                "and no claim about pictures that a camera took."
            ),
            f"In the middle of the scene an object is {low} to {high} of {edge} pixels wide.",
        ]
        by_status = {
            status: [c["name"] for c in self.checks if c["status"] == status]
            for status in ("stated", "not run")
        }
        if names := by_status["stated"]:
            lines.append(f"Differs between ID and OOC, see the certificate: {', '.join(names)}.")
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
        """Return a BibTeX entry; the identity names the images."""
        return (
            f"@misc{{recombine-{self.data.name.replace('/', '-')},\n"
            f"  title = {{{self.data.name}: rendered scenes with held-out combinations}},\n"
            f"  author = {{{{{AUTHORS}}}}},\n"
            f"  year = {{{self.publication.published.year}}},\n"
            f"  note = {{Rendered images, identity {self.data.identity}}}\n}}"
        )
