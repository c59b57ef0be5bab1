from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import UsageError
from recombine.renderer.planning.planner import config_of, image_counts
from recombine.renderer.presets.table import Preset, load_preset, with_split
from recombine.renderer.publish.facts import Facts, Publication
from recombine.renderer.scenes.factors import Schema
from recombine.renderer.splits.declaration import load_split
from recombine.renderer.store.dataset import Dataset
from tests.renderer.evidence_fixture import SMALL, small

pytestmark = pytest.mark.long

DAY = Publication(date(2026, 11, 21))


@dataclass(frozen=True)
class Planned:
    preset: str
    config: dict[str, Any]
    schema: Schema
    images: int
    recipe: dict[str, Any] | None

    def __len__(self) -> int:
        return self.images


def facts_of(preset: Preset, recipe: dict[str, Any] | None) -> Facts:
    """Return the facts of data that were planned and never drawn."""
    images = sum(image_counts(preset).values())
    data = Planned(preset.name, config_of(preset), preset.schema, images, recipe)
    return Facts(cast("Dataset", data), DAY)


def rendered_by(command: str) -> Preset:
    """Return the preset that a command renders."""
    words = shlex.split(command)
    assert words[:2] == ["recombine", "render"]
    held_out = "--ooc-val" in words
    words = [w for w in words if w != "--ooc-val"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options.pop("--out").startswith("runs/")
    given: dict[str, Any] = {
        "--scale": float,
        "--values": int,
        "--resolution": int,
    }
    chosen = {k[2:]: given[k](v) for k, v in options.items()}
    return load_preset(words[2], ooc_val=held_out, **chosen)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("resolution", [None, 48])
def test_command_on_the_card_renders_these_very_data(name: str, resolution: int | None) -> None:
    preset = small(name, resolution=resolution)
    facts = facts_of(preset, {"preset": name, "resolution": resolution, **SMALL[name]})
    assert facts.preset == load_preset(name)
    assert config_of(rendered_by(facts.command)) == config_of(preset)


def test_full_preset_needs_no_options() -> None:
    recipe = {"preset": "object-light", "scale": 1.0, "values": None, "ooc_val": False}
    facts = facts_of(load_preset("object-light"), recipe)
    assert facts.command == "recombine render object-light --out runs/object-light"
    assert facts.variant == ""


def test_data_of_another_split_have_no_command(tmp_path: Path) -> None:
    (tmp_path / "split.toml").write_text(
        'geometry = "orbit"\nladder = [[0, 1]]\nooc = [3]\n[require]\ncoverage = 1\n'
    )
    preset = load_preset("smoke")
    declared = with_split(preset, load_split(tmp_path / "split.toml", preset.schema))
    facts = facts_of(declared, {"preset": "smoke", "scale": 1.0})
    assert facts.preset == preset
    assert (facts.options, facts.command) == (None, "")
    assert facts.variant == "variant"


def test_what_is_not_on_record_is_not_guessed() -> None:
    facts = facts_of(small("smoke"), None)
    assert (facts.preset, facts.options, facts.command, facts.variant) == (None, None, "", "")
    assert (facts.title, facts.about) == ("smoke", "")


@pytest.mark.parametrize(
    ("options", "variant", "folder"),
    [
        ({}, "", "runs/object-background"),
        ({"resolution": 64}, "variant", "runs/object-background-variant"),
        ({"values": 8}, "small version", "runs/object-background-small"),
        ({"scale": 2.0}, "variant", "runs/object-background-variant"),
        ({"ooc_val": True}, "variant", "runs/object-background-variant"),
    ],
)
def test_only_fewer_images_make_a_small_version(
    options: dict[str, Any], variant: str, folder: str
) -> None:
    preset = load_preset("object-background", **options)
    facts = facts_of(preset, {"preset": "object-background", **options})
    assert (facts.variant, facts.folder) == (variant, folder)
    assert config_of(rendered_by(facts.command)) == config_of(preset)


def test_facts_of_drawn_data(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = {"preset": "smoke", "scale": 0.07, "resolution": 16}
    monkeypatch.setattr(Dataset, "recipe", recipe, raising=False)
    verify(sealed)
    facts = Facts(Dataset(sealed), DAY)
    assert (facts.title, facts.version, facts.variant) == ("smoke", "2.0.0", "small version")
    assert facts.about == "The smallest preset, for the quickstart and continuous integration."
    assert facts.ladder == [8]
    assert facts.held_out == 8
    assert facts.counts == {"id_train": 72, "id_val": 8, "id_test": 16, "ooc_test": 16}
    assert any("small version" in line for line in facts.limits)
    assert any("Not measured on these images: interaction" in line for line in facts.limits)
    assert facts.data.identity in facts.citation
    kinds = {row.kind for rows in facts.assets.values() for row in rows}
    assert kinds == {"shape", "environment", "material", "hdri"}
    names = {row.name for rows in facts.assets.values() for row in rows}
    assert names == {
        *("pawn", "pumpkin", "star", "knot", "glaze"),
        *("meadow", "parlour", "city", "hall"),
    }


@pytest.mark.parametrize("url", ["http://a.org", "https://a b", "javascript:1", "https://"])
def test_address_must_be_one_of_the_web(url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        Publication(date(2026, 11, 21), url)
