"""The terms of a private season: what it publishes when it opens, and what follows from its key.

Combinations, latents and every image seed, of training images too, follow from the key. Training
images are not published before the end either: the combinations that they lack are those held out.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import Field

from recombine.benchmark.results.parts import Name, Sha256, Strict
from recombine.leaderboard.seasons.rule import commitment, derive, key_commitment, secret_split
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.keys import season as keyed
from recombine.renderer.presets.table import load_preset, with_split
from recombine.renderer.splits.declaration import declare

if TYPE_CHECKING:
    from recombine.renderer.planning.plan import Plan
    from recombine.renderer.presets.table import Preset

FORMAT: Literal["recombine.season/1"] = "recombine.season/1"
MAX_SCORINGS = 10


class Recipe(Strict):
    """Which data a season is played on; the options of `recombine render`."""

    preset: Name
    scale: float = 1.0
    values: int | None = None
    resolution: int | None = None

    def load(self) -> Preset:
        """Return the public preset."""
        return load_preset(
            self.preset, scale=self.scale, values=self.values, resolution=self.resolution
        )

    def options(self) -> list[str]:
        """Return the words that make `recombine render` render it."""
        given = {name: getattr(self, name) for name in ("scale", "values", "resolution")}
        words = [[f"--{k}", str(v)] for k, v in given.items() if v not in (None, 1.0)]
        return [self.preset, *(word for pair in words for word in pair)]


class Terms(Strict):
    """The content of ``season.json``. Nothing in it helps to guess what it commits to."""

    format: Literal["recombine.season/1"]
    name: Name
    recipe: Recipe
    version: Name
    """Of the preset: another one draws other images."""
    opened: Name
    max_scorings: Annotated[int, Field(ge=1)]
    key_commitment: Sha256
    split_commitment: Sha256
    plan_commitment: Sha256
    """Binds every label and seed, before anything is rendered."""
    public_key: Sha256
    """Ed25519, 32 bytes like a hash: whose signatures the log carries."""


def draw_terms(name: str, recipe: Recipe, time: str, key: bytes, public_key: bytes) -> Terms:
    """Draw a season from its key, and commit to it."""
    preset = recipe.load()
    split = secret_split(key, preset.schema)
    return Terms(
        format=FORMAT,
        name=name,
        recipe=recipe,
        version=preset.version,
        opened=time,
        max_scorings=MAX_SCORINGS,
        key_commitment=key_commitment(key),
        split_commitment=commitment(key, "split", split.encode()),
        plan_commitment=commitment(key, "plan", season_plan(recipe, key).digest().encode()),
        public_key=public_key.hex(),
    )


def read_terms(plain: object, who: str) -> Terms:
    """Check the content of a ``season.json``, which anyone may have written."""
    try:
        return Terms.model_validate(plain)
    except pydantic.ValidationError as error:
        first: Any = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise InvalidInputError(
            f"{who}: expected a season ({FORMAT}), got {field}: {first['msg']}; check the path"
        ) from None


def seeds_key(key: bytes) -> bytes:
    """Return the content of the file for `recombine render --season-key`."""
    return derive(key, "seeds").hex().encode()


def season_plan(recipe: Recipe, key: bytes) -> Plan:
    """Return every latent and seed of a season, as `recombine render` plans them."""
    preset = recipe.load()
    split = declare(tomllib.loads(secret_split(key, preset.schema)), preset.schema)
    return make_plan(keyed(with_split(preset, split), seeds_key(key)))
