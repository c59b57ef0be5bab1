from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.core.seeds import keyed_rng, keyed_seed
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.scenes.factors import Factor, Schema
from recombine.renderer.scenes.library import RADIUS, VIEW, camera_at
from recombine.renderer.scenes.scene import scene_hash, scene_of
from recombine.renderer.splits.geometry import SPLITS, Sizes
from recombine.renderer.splits.orbit import OrbitSplit

SMALL = load_preset("smoke", scale=0.05)


def rows_of(plan, name):  # type: ignore[no-untyped-def]
    return np.flatnonzero(plan.split == SPLITS.index(name))


def test_smoke_has_the_promised_counts() -> None:
    plan = make_plan(load_preset("smoke"))
    counts = Counter(SPLITS[s] for s in plan.split)
    assert counts == {"id_train": 1024, "id_val": 128, "id_test": 192, "ooc_test": 192}


def test_same_preset_same_digest_other_version_other_digest() -> None:
    assert make_plan(SMALL).digest() == make_plan(SMALL).digest()
    assert make_plan(SMALL).digest() != make_plan(replace(SMALL, version="9")).digest()


def test_test_blocks_are_matched_between_id_and_ooc() -> None:
    plan = make_plan(SMALL)
    keys = plan.schema.nuisances
    for block in set(plan.block[rows_of(plan, "id_test")]):
        rows = np.flatnonzero(plan.block == block)
        assert len(rows) == 16
        assert {SPLITS[s] for s in plan.split[rows]} == {"id_test", "ooc_test"}
        assert all(len(set(plan.latents[k][rows])) == 1 for k in keys)
        assert len(set(plan.cycles_seed[rows])) == 1


def test_streams_do_not_share_nuisances() -> None:
    plan = make_plan(SMALL)
    x = plan.latents["object.x"]
    parts = [set(x[rows_of(plan, n)]) for n in ("id_train", "id_val", "id_test")]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_latents_stay_in_range() -> None:
    plan = make_plan(SMALL)
    for key, column in plan.latents.items():
        low, high = plan.schema.factor(key).bounds
        assert column.min() >= low
        assert column.max() <= high


def test_ladder_has_constant_size_and_nested_pools() -> None:
    split = OrbitSplit(ladder=((0, 1), (0, 1, 2)), ooc=(3,))
    plan = make_plan(replace(SMALL, split=split, sizes=Sizes(6, 1, 2)))
    train = plan.split == 0
    sizes = [int((train & (plan.rungs >> r & 1 == 1)).sum()) for r in (0, 1)]
    assert sizes == [48, 48]
    # The pool: 8 cells x 6 blocks, and 4 more cells x 4 blocks.
    assert int(train.sum()) == 8 * 6 + 4 * 4
    assert all(plan.rungs[train] > 0)


def test_shrinking_a_ladder_keeps_whole_blocks() -> None:
    split = OrbitSplit(ladder=((0, 1), (0, 1, 2)), ooc=(3,))
    from recombine.renderer.presets.table import _shrunk

    big = replace(SMALL, split=split, sizes=Sizes(60, 6, 6))
    for scale in (0.01, 0.1, 0.33, 0.5):
        sizes = _shrunk(big, scale)
        sizes.rung_blocks(split, (4, 4))


def test_scene_follows_latents() -> None:
    plan = make_plan(SMALL)
    scene = plan.scene(3)
    (thing,) = scene.objects
    shapes = plan.schema.factor("object.shape").values
    assert thing.shape == shapes[plan.latents["object.shape"][3]]
    here = {key: values[3] for key, values in plan.latents.items()}
    azimuth = here["background.camera_azimuth"]
    # The latents are in the camera's own frame of the floor, the scene in the world.
    away = complex(thing.x, thing.y) * np.exp(-1j * azimuth)
    assert away == pytest.approx(complex(here["object.x"], here["object.y"]), abs=1e-8)
    assert np.cos(thing.yaw - azimuth - here["object.yaw"]) == pytest.approx(1)
    assert scene.camera == camera_at(*(here[f"background.camera_{name}"] for name in VIEW))
    assert scene.turn == here["background.turn"]
    assert scene.cycles_seed == plan.cycles_seed[3]
    assert scene_hash(scene, plan.settings) == plan.spec_hash(3)
    assert plan.spec_hash(3) != plan.spec_hash(4)


def test_missing_latent_is_named() -> None:
    plan = make_plan(SMALL)
    with pytest.raises(InvalidInputError, match=r"'object\.shape'"):
        scene_of(plan.schema, plan.config["constants"], {}, 0)


def test_keyed_seeds_are_stable_across_versions_of_this_code() -> None:
    # A changed value here changes every published dataset: never adapt it silently.
    assert keyed_seed("smoke", "1.0", "nuisance/train", 0) == 4334376230365912514
    assert 0 <= keyed_seed("a", "b", "c", 0, bits=31) < 2**31


def test_keys_are_not_ambiguous() -> None:
    assert keyed_seed("ab", "c", "p", 0) != keyed_seed("a", "bc", "p", 0)
    assert keyed_rng("a", "1", "p", 0).random() == keyed_rng("a", "1", "p", 0).random()
    assert keyed_rng("a", "1", "p", 0).random() != keyed_rng("a", "1", "p", 1).random()


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"name": "smok"}, "Did you mean 'smoke'"),
        ({"name": "smoke", "scale": 0}, "--scale"),
        ({"name": "smoke", "scale": float("nan")}, "--scale"),
        ({"name": "smoke", "resolution": 4}, "--resolution"),
    ],
)
def test_bad_preset_requests(kwargs: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        load_preset(**kwargs)  # type: ignore[arg-type]


def test_two_objects_are_placed_by_block_and_counted() -> None:
    (placed, background) = SMALL.schema.slots
    first, second = (replace(placed, name=n) for n in ("object0", "object1"))
    constants = (("object0.material", "glaze"), ("object1.material", "glaze"))
    spread = Factor("x", "continuous", low=-0.6, high=0.6, unit="m")
    size = Factor("scale", "continuous", low=0.4, high=0.5, unit="m")
    own = {"x": spread, "scale": size}
    first, second = (
        replace(s, factors=tuple(own.get(f.name, f) for f in s.factors)) for s in (first, second)
    )
    schema = Schema((first, second, background), ("object0.shape", "object1.shape"))
    preset = replace(SMALL, schema=schema, constants=constants, separation="apart")
    plan = make_plan(preset)
    assert plan.tries.max() > 1
    for block in set(plan.block.tolist()):
        rows = np.flatnonzero(plan.block == block)
        assert len(set(plan.tries[rows].tolist())) == 1
        a, b = plan.scene(int(rows[0])).objects
        assert np.hypot(a.x - b.x, a.y - b.y) >= RADIUS * (a.scale + b.scale) - 1e-8
