from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.planning.blocks import Block, block_of
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.base import Preset
from recombine.renderer.presets.table import load_preset
from tests.renderer.evidence_fixture import small

EIGHT = [load_preset(name, values=8) for name in ("four-slot--order-2", "four-slot--order-3")]
EIGHT += [load_preset(name, values=8) for name in ("four-slot", "object-texture-pair")]


@pytest.mark.parametrize("preset", EIGHT, ids=lambda p: p.name)
def test_subsampled_blocks_are_whole_orbits_and_go_round(preset: Preset) -> None:
    few = replace(preset, sizes=replace(preset.sizes, cells=128))
    draws = few.split.id_draws(few.schema.cell_shape)
    blocks = [few.block_draws(draws, b) for b in range(len(draws) // 128)]
    for block in blocks[:3]:
        assert len(block) == 128
        for factor in range(4):
            counts = Counter(cell[factor] for cell, _ in block)
            assert set(counts.values()) == {16}
    # Every cell once before any comes twice.
    assert Counter(d for block in blocks for d in block) == Counter(draws)


def test_a_block_without_limit_takes_all_cells() -> None:
    preset = small("object-object")
    draws = preset.split.id_draws((8, 8))
    assert preset.block_draws(draws, 3) is draws


def test_thinning_needs_a_ladder_of_one_rung() -> None:
    preset = small("object-object")
    thin = replace(preset, sizes=replace(preset.sizes, cells=8))
    with pytest.raises(InvalidInputError, match="a ladder of one rung; got 2"):
        make_plan(thin)


def test_blocks_of_one_stream_differ_and_can_be_made_alone() -> None:
    preset = small("object-object")
    first, second = (block_of(preset, "train", b) for b in (0, 1))
    assert first.nuisances != second.nuisances
    assert first.nuisances == block_of(preset, "train", 0).nuisances
    assert first.nuisances != block_of(preset, "test", 0).nuisances


def test_factor_that_no_one_decides_is_named() -> None:
    preset = small("object-light")
    block = Block(replace(preset, arrangement=""), {}, 1)
    with pytest.raises(
        InvalidInputError, match=r"every derived factor; it leaves .*light\.azimuth"
    ):
        block.latents({"object.shape": 0, "light.sector": 0}, 0)


def test_error_of_a_hidden_block_does_not_show_its_key() -> None:
    preset = small("object-object")
    with pytest.raises(InvalidInputError, match="hidden block 0: expected a placement") as error:
        block_of(replace(preset, separation="unoccluded", schema=_huge(preset)), "hidden/c0ffee", 0)
    assert "c0ffee" not in str(error.value)


def _huge(preset: Preset):  # type: ignore[no-untyped-def]
    slots = tuple(
        replace(
            slot,
            factors=tuple(
                replace(f, low=5.0, high=5.1) if f.name == "scale" else f for f in slot.factors
            ),
        )
        for slot in preset.schema.slots
    )
    return replace(preset.schema, slots=slots)
