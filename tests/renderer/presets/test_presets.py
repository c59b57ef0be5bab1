"""What every preset keeps: matched blocks, constant N, places inside the picture, one identity."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import image_counts, make_plan
from recombine.renderer.presets.base import Preset, symmetric_ladder
from recombine.renderer.presets.keys import committed, hidden_test, read_key, season
from recombine.renderer.presets.table import PRESETS, load_preset, with_split
from recombine.renderer.scenes.arrangements import stage_camera
from recombine.renderer.scenes.library import SHAPES
from recombine.renderer.scenes.placement import Stand, outside, violation
from recombine.renderer.splits.declaration import declare
from recombine.renderer.splits.geometry import SPLITS
from tests.renderer.evidence_fixture import SMALL, evidence_of, failing, outcomes, small

KEY = b"0123456789abcdef-secret"


def rows(plan: Plan, name: str) -> np.ndarray:
    return np.flatnonzero(plan.split == SPLITS.index(name))


def stands(plan: Plan, index: int) -> dict[str, Stand]:
    here = {key: values[index] for key, values in plan.latents.items()}
    present = [s for s in plan.schema.objects if here.get(f"{s}.present", 1)]
    return {s: Stand(*(here[f"{s}.{f}"] for f in ("x", "y", "scale"))) for s in present}


def test_all_presets_are_tried_here() -> None:
    assert set(SMALL) == set(PRESETS)


@pytest.mark.parametrize("name", SMALL)
def test_rungs_are_nested_at_constant_n_and_test_blocks_matched(name: str) -> None:
    preset = small(name)
    plan = make_plan(preset)
    train = rows(plan, "id_train")
    sizes = {int((plan.rungs[train] >> r & 1).sum()) for r in range(len(preset.split.ladder))}
    assert len(sizes) == 1
    blocks = [set(plan.block[rows(plan, n)].tolist()) for n in ("id_test", "ooc_test")]
    assert blocks[0] == blocks[1]
    assert not blocks[0] & set(plan.block[train].tolist())
    # The secret, if any, and the arrangement never leave a latent out of its range.
    for key, column in plan.latents.items():
        low, high = plan.schema.factor(key).bounds
        assert low <= column.min()
        assert column.max() <= high


@pytest.mark.parametrize("name", SMALL)
def test_objects_stand_inside_the_picture_and_apart(name: str) -> None:
    plan = make_plan(small(name))
    occluded = np.zeros(len(plan), bool)
    if "scene.interaction" in plan.latents:
        occluded = plan.latents["scene.interaction"] == 3
    for index in range(0, len(plan), 5):
        placed = stands(plan, index)
        camera = stage_camera({key: values[index] for key, values in plan.latents.items()})
        want = plan.config["separation"]
        if want:
            assert not violation(placed, "apart" if occluded[index] else want, camera)
        assert not outside(placed, camera)


@pytest.mark.parametrize("name", SMALL)
def test_plan_of_a_scene_can_be_read_as_a_scene(name: str) -> None:
    plan = make_plan(small(name))
    scene = plan.scene(len(plan) - 1)
    assert len(scene.objects) == len(plan.schema.objects)
    assert plan.config["tier"] == ("train" if plan.settings.denoise else "exact")
    assert plan.digest() == make_plan(small(name)).digest()


@pytest.mark.parametrize(
    ("name", "cells", "rungs", "images"),
    [
        ("object-background", 512, (64, 128, 256, 384), 24_576),
        ("object-texture", 512, (64, 128, 256, 384), 24_576),
        ("object-object", 1024, (128, 256, 512, 768), 24_576),
        ("object-light", 256, (32, 64, 128), 12_288),
        ("relation", 1024, (192, 384, 576), 18_432),
        ("counterfactual", 256, (128,), None),
        ("interaction-ladder", 1024, (256,), None),
    ],
)
def test_full_sizes(name: str, cells: int, rungs: tuple[int, ...], images: int | None) -> None:
    preset = load_preset(name)
    shape = preset.schema.cell_shape
    assert int(np.prod(shape)) == cells
    assert tuple(len(preset.split.id_cells(shape, r)) for r in range(len(rungs))) == rungs
    if images:
        blocks = preset.sizes.rung_blocks(preset.split, shape)
        assert {b * n for b, n in zip(blocks, rungs, strict=True)} == {images}


def test_fewer_values_keep_the_pixels_of_a_cell_and_block() -> None:
    whole, part = (
        make_plan(load_preset("object-background", scale=0.01, values=v)) for v in (16, 8)
    )
    keys = whole.schema.recombined

    def hashes(plan: Plan) -> dict[tuple[int, ...], str]:
        cells = np.stack([plan.latents[k] for k in keys], 1).tolist()
        return {
            (*cell, int(block)): plan.spec_hash(i)
            for i, (cell, block) in enumerate(zip(cells, plan.block, strict=True))
            if plan.split[i] == 0
        }

    a, b = hashes(whole), hashes(part)
    shared = a.keys() & b.keys()
    assert len(shared) > 20
    assert all(a[k] == b[k] for k in shared)


@pytest.mark.parametrize("modulus", [4, 8, 16, 32])
def test_symmetric_ladder_is_symmetric_connected_and_has_a_quarter_ooc(modulus: int) -> None:
    split = symmetric_ladder(modulus)
    for residues in (*split.ladder, split.ooc):
        assert {-r % modulus for r in residues} == set(residues)
    assert len(split.ooc) == modulus // 4
    assert np.gcd.reduce([modulus, *(b - a for a, b in itertools.pairwise(split.ladder[0]))]) == 1


def test_occlusion_level_differs_from_full_in_the_rear_object_alone() -> None:
    plan = make_plan(small("interaction-ladder"))
    levels = [plan.scene(i) for i in range(4)]
    assert [s.interaction for s in levels] == ["isolated", "shadows", "full", "full"]
    assert len({s.objects[0] for s in levels}) == 1
    assert len({s.objects[1] for s in levels[:3]}) == 1
    assert levels[3].objects[1] != levels[0].objects[1]


def test_edits_change_one_slot_or_remove_one_object() -> None:
    plan = make_plan(small("counterfactual"))
    base, *edited = (plan.scene(i) for i in range(7))
    changes = []
    for scene in edited:
        now = (*scene.objects, scene.environment, scene.light)
        was = (*base.objects, base.environment, base.light)
        changes.append([k for k in range(4) if now[k] != was[k]])
        assert scene.cycles_seed == base.cycles_seed
    assert changes == [[0], [1], [2], [3], [0], [1]]
    assert edited[4].objects[0] is None
    assert edited[5].objects[1] is None


def test_count_adds_objects_and_moves_none() -> None:
    plan = make_plan(small("count"))
    block = [plan.scene(int(i)) for i in np.flatnonzero(plan.block == 2_000_000)]
    present = [[o for o in s.objects if o] for s in block]
    assert [len(p) for p in present] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(a == b[: len(a)] for a, b in itertools.pairwise(present))


def test_relations_say_how_objects_stand() -> None:
    plan = make_plan(small("relation"))
    names = plan.schema.factor("scene.relation").values
    for i in range(0, len(plan), 3):
        a, b = plan.scene(i).objects
        assert a
        assert b
        holds = {
            "left-of": a.x < b.x,
            "right-of": a.x > b.x,
            "in-front-of": a.y < b.y,
            "behind": a.y > b.y,
        }
        assert holds[names[plan.latents["scene.relation"][i]]]


def test_sun_turns_by_its_sector() -> None:
    plan = make_plan(small("object-light"))
    sector, offset = plan.latents["light.sector"], plan.latents["light.offset"]
    turn = np.array([plan.scene(i).sun_azimuth for i in range(len(plan))]) / (2 * np.pi)
    assert np.allclose(turn, (sector + offset) / 8)


def test_band_keeps_x_close_in_id_and_apart_in_ooc() -> None:
    plan = make_plan(small("position-band"))
    low, high = plan.schema.factor("object0.x").bounds
    gap = np.abs(plan.latents["object1.x"] - plan.latents["object0.x"]) / (high - low) * 8
    assert gap[rows(plan, "id_test")].max() <= 2  # one zone, and the offsets inside
    assert gap[rows(plan, "ooc_test")].min() >= 1


def test_ooc_val_is_an_orbit_of_its_own_and_leaves_ooc_test_alone() -> None:
    plain, more = (small("object-background", ooc_val=v) for v in (False, True))
    evidence = evidence_of(more)
    assert not failing(evidence)
    cells = {
        s: {tuple(c) for c in evidence.cells[evidence.columns["split"] == s].tolist()}
        for s in range(5)
    }
    assert cells[4]
    assert not cells[4] & (cells[0] | cells[1] | cells[2] | cells[3])
    assert cells[3] == set(map(tuple, plain.split.ooc_cells((8, 8))))
    a, b = make_plan(plain), make_plan(more)
    for i, j in zip(rows(a, "ooc_test"), rows(b, "ooc_test"), strict=True):
        assert a.spec_hash(int(i)) == b.spec_hash(int(j))


@pytest.mark.parametrize("name", ["smoke", "count", "position-band"])
def test_ooc_val_without_a_spare_rung_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="rung to spare"):
        load_preset(name, values=4, ooc_val=True)


def test_hidden_test_set_is_bound_by_its_hash_and_matched() -> None:
    public = committed(small("object-object"), KEY)
    hidden = hidden_test(small("object-object"), KEY)
    plan, secret = make_plan(public), make_plan(hidden)
    commitment = hashlib.sha256(KEY).hexdigest()
    assert plan.config["hidden_test"] == {"part": "public", "key_sha256": commitment}
    assert secret.config["hidden_test"] == {"part": "hidden", "key_sha256": commitment}
    assert KEY.hex() not in str(secret.config) and KEY.decode() not in str(secret.config)  # noqa: PT018
    assert {SPLITS[s] for s in secret.split} == {"id_test", "ooc_test"}
    hues = [set(p.latents["object0.hue"].tolist()) for p in (plan, secret)]
    assert not hues[0] & hues[1]
    other = make_plan(hidden_test(small("object-object"), KEY + b"!"))
    assert other.latents["object0.hue"][0] != secret.latents["object0.hue"][0]
    # The same images as without a commitment.
    assert plan.spec_hash(0) == make_plan(small("object-object")).spec_hash(0)


def test_a_season_is_keyed_in_every_part_and_passes_every_check() -> None:
    public, secret = (make_plan(p) for p in (small("smoke"), season(small("smoke"), KEY)))
    assert secret.config["hidden_test"]["part"] == "season"
    assert KEY.hex() not in str(secret.config)
    assert secret.split.tolist() == public.split.tolist()
    for split in set(public.split.tolist()):
        drawn = [set(p.cycles_seed[p.split == split].tolist()) for p in (public, secret)]
        assert not drawn[0] & drawn[1]
    found = outcomes(evidence_of(season(small("smoke"), KEY)))
    assert {c.status for c in found.values()} <= {"pass", "stated", "not run"}
    assert found["commitment"].status == found["novelty"].status == "pass"


def test_hidden_test_set_passes_what_needs_no_training_images() -> None:
    found = outcomes(evidence_of(hidden_test(small("object-object"), KEY)))
    assert {n for n, c in found.items() if c.status == "fail"} == set()
    assert found["commitment"].status == found["balance"].status == "pass"
    assert found["coverage"].status == found["novelty"].status == "not run"


@pytest.mark.parametrize(("content", "match"), [(b"short", "16 to 4096 bytes"), (None, "a file")])
def test_bad_keys_are_refused(tmp_path: Path, content: bytes | None, match: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=match):
        read_key(path)
    path.write_bytes(KEY + b"\n")
    assert read_key(path) == KEY


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": "object-object", "values": 6}, "multiple of 4"),
        ({"name": "counterfactual", "values": 4}, "from 8 on"),
        ({"name": "object-object", "values": 64}, "4 to 32"),
        ({"name": "object-objekt"}, "Did you mean 'object-object'"),
    ],
)
def test_bad_requests(options: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        load_preset(**options)  # type: ignore[arg-type]


def test_impossible_placement_names_block_and_constraint() -> None:
    crowded = small("object-object")
    tight = replace(crowded, schema=_with_range(crowded, "object1", "scale", (3.0, 3.1)))
    with pytest.raises(InvalidInputError, match=r"train block 0: .*object0 and object1 must not"):
        make_plan(tight)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("object.material", "glase", r"object\.material .* got 'glase'. Did you mean 'glaze'"),
        ("light.rig", "disco", r"light\.rig .* got 'disco'. Choose from own, noon"),
    ],
)
def test_unknown_asset_is_named_before_anything_is_rendered(
    key: str, value: str, match: str
) -> None:
    with pytest.raises(InvalidInputError, match=match):
        make_plan(replace(small("smoke"), constants=((key, value),)))


def _with_range(preset: Preset, slot: str, name: str, span: tuple[float, float]):  # type: ignore[no-untyped-def]
    def changed(f):  # type: ignore[no-untyped-def]
        return replace(f, low=span[0], high=span[1]) if f.name == name else f

    slots = tuple(
        replace(s, factors=tuple(map(changed, s.factors))) if s.name == slot else s
        for s in preset.schema.slots
    )
    return replace(preset.schema, slots=slots)


def test_values_are_the_first_of_the_library() -> None:
    assert small("object-object").schema.factor("object0.shape").values == SHAPES[:8]


DOCS = Path(__file__).parents[3] / "docs" / "presets.md"


@pytest.mark.skipif(not DOCS.is_file(), reason="needs a checkout")
def test_page_on_presets_has_their_true_numbers() -> None:
    lines = DOCS.read_text().splitlines()
    table = [line.split("|") for line in lines if line.startswith("| `")]
    told = {row[1].strip().split("`")[1]: int(row[5].replace(",", "")) for row in table}
    assert set(told) == set(PRESETS) - {"four-slot--order-3"}
    quick = {n for n in told if not n.startswith("four-slot")}  # 65,536 cells take seconds
    for name in quick:
        assert told[name] == sum(image_counts(load_preset(name)).values())


def test_recipe_is_what_was_asked_and_gives_the_preset_again() -> None:
    asked = {"scale": 0.05, "resolution": 32, "values": 8, "ooc_val": True}
    preset = load_preset("object-background", **asked)  # type: ignore[arg-type]
    assert preset.recipe == {
        "preset": "object-background",
        **asked,
        "rung": 0,
        "split": None,
        "hidden_test": None,
    }
    assert (
        make_plan(load_preset("smoke", scale=0.05)).recipe
        == load_preset("smoke", scale=0.05).recipe
    )
    assert load_preset("smoke").recipe["resolution"] == 64  # type: ignore[index]


def test_recipe_follows_the_split_and_the_key_and_no_change_by_hand() -> None:
    base = load_preset("smoke")
    declared = declare({"geometry": "orbit", "residues": [0, 1]}, base.schema)
    recipe = with_split(base, declared).recipe
    assert recipe is not None
    assert recipe["split"] == {"geometry": "orbit", "residues": [0, 1]}
    key = b"k" * 32
    asked = {**base.recipe, "hidden_test": "public"}  # type: ignore[dict-item]
    assert committed(base, key).recipe == asked
    assert hidden_test(base, key).recipe == {**asked, "hidden_test": "hidden"}
    assert season(base, key).recipe is None
    assert replace(base, version="2.0").recipe is None
