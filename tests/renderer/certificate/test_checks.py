"""Every preset proves what it promises, and one planted fault per invariant is caught by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from recombine.renderer.certificate.cells import stability
from recombine.renderer.certificate.evidence import Drawn, Evidence
from recombine.renderer.core.provenance import Build
from recombine.renderer.presets.base import orbit_ladder
from tests.renderer.evidence_fixture import SMALL, evidence_of, failing, outcomes, small

TRAIN, VAL, ID_TEST, OOC = range(4)
NOT_RUN = {"interaction", "reference", "redraw"}  # they want what is not there


@pytest.mark.parametrize("name", SMALL)
def test_every_preset_passes_and_its_marginals_are_exactly_equal(name: str) -> None:
    found = outcomes(evidence_of(small(name)))
    bad = {n: c for n, c in found.items() if c.status == "fail"}
    assert not bad
    if name == "count":  # extrapolation: its confounds are stated, not hidden
        stated = {n for n, c in found.items() if c.status == "stated"}
        assert stated == {"coverage", "balance", "additive-rank"}
    else:
        assert found["balance"].found.startswith("worst total variation 0 ")
        assert {n for n, c in found.items() if c.status != "pass"} <= NOT_RUN
    assert found["nuisances"].found.startswith("total variation 0 ")
    assert found["interaction"].status == "not run"


@pytest.mark.parametrize(
    ("name", "order"), [("four-slot--order-2", 2), ("four-slot--order-3", 3), ("four-slot", 4)]
)
def test_strength_sets_the_order_of_novelty(name: str, order: int) -> None:
    found = outcomes(evidence_of(small(name)))["novelty"].found
    assert found.startswith(f"order {order}: 64 images;")
    assert found.endswith("at 1 from ID")


@cache
def _sound(name: str) -> Evidence:
    return evidence_of(small(name))


def sound(name: str) -> Evidence:
    """Return evidence that a test may damage."""
    e = _sound(name)
    return replace(e, columns={k: v.copy() for k, v in e.columns.items()}, config=dict(e.config))


def rows(e: Evidence, split: int) -> np.ndarray:
    return np.flatnonzero(e.columns["split"] == split)


def leak(e: Evidence) -> None:
    source, target = rows(e, OOC)[0], rows(e, VAL)[0]
    for key in e.schema.recombined:
        e.columns[f"latents/{key}"][target] = e.columns[f"latents/{key}"][source]


def leak_by_exchange(e: Evidence) -> None:
    # The planner of this dataset forgot that its objects are exchangeable.
    base = small("object-object")
    forgetful = replace(base, split=orbit_ladder(8), sizes=replace(base.sizes, train=6))
    other = evidence_of(forgetful)
    e.columns, e.leaves, e.manifest = other.columns, other.leaves, other.manifest
    e.config["split"] = other.config["split"]


def unseen(e: Evidence) -> None:
    shape = e.columns["latents/object0.shape"]
    shape[(e.columns["split"] == TRAIN) & (shape == 3)] = 2


def tilted(e: Evidence) -> None:
    gone = rows(e, OOC)[e.columns["latents/object0.shape"][rows(e, OOC)] == 0][0]
    e.columns = {k: np.delete(v, gone, axis=0) for k, v in e.columns.items()}


def seen_elsewhere(e: Evidence) -> None:
    source, target = rows(e, TRAIN)[0], rows(e, OOC)[0]
    for key in e.schema.recombined:
        e.columns[f"latents/{key}"][target] = e.columns[f"latents/{key}"][source]


def disconnected(e: Evidence) -> None:
    # Differences 1, 2, 6 and 7 become 2 and 6: even and odd values never meet.
    a, b = (e.columns[f"latents/object{k}.shape"] for k in (0, 1))
    odd = (e.columns["split"] == TRAIN) & ((b - a) % 2 == 1)
    b[odd] = (b[odd] + 1) % 8


def hidden(e: Evidence) -> None:
    shape = e.columns["latents/object1.shape"]
    train = (e.columns["split"] == TRAIN) & (shape == 5)
    e.columns["visible"][train, 1] = 0.5


def copied(e: Evidence) -> None:
    e.columns["pixel_hash"][rows(e, OOC)[0]] = e.columns["pixel_hash"][0]


def reused_nuisance(e: Evidence) -> None:
    for key in e.schema.nuisances:
        column = e.columns[f"latents/{key}"]
        column[np.isin(e.columns["split"], (ID_TEST, OOC))] = column[0]


def lost_images(e: Evidence) -> None:
    e.columns["split"][rows(e, VAL)[0]] = TRAIN
    e.columns["rungs"][rows(e, TRAIN)] |= 1


def telling_nuisance(e: Evidence) -> None:
    e.columns["latents/object0.hue"][rows(e, OOC)] += 0.01


def dependent_nuisance(e: Evidence) -> None:
    chosen = np.isin(e.columns["split"], (ID_TEST, OOC)) & (e.columns["latents/object0.shape"] == 1)
    e.columns["latents/object0.hue"][chosen] += 0.01


def more_interaction(e: Evidence) -> None:
    index = np.concatenate([rows(e, ID_TEST)[:6], rows(e, OOC)[:6]])
    energy = np.repeat([1e-6, 1e-3], 6)[:, None] * np.ones(3)
    e.interaction = {"index": index, "energy": energy, "floor": np.full((12, 3), 1e-7)}


def reordered(e: Evidence) -> None:
    # A value list in another order, read by position: the names now say something else.
    labels = {k: dict(v) for k, v in e.config["split"]["labels"].items()}
    first = labels["object0.shape"]
    first["cube"], first["vase"] = first["vase"], first["cube"]
    e.config["split"] = {**e.config["split"], "labels": labels}


def by_position(e: Evidence) -> None:
    e.config["split"] = {k: v for k, v in e.config["split"].items() if k != "labels"}


def by_length(e: Evidence) -> None:
    # Residues modulo the length of the lists: right today, another split once a list grows.
    assert set(e.schema.cell_shape) == {e.config["split"]["modulus"]}
    e.config["split"] = {**e.config["split"], "modulus": 0}


def broken_seal(e: Evidence) -> None:
    e.manifest = {**e.manifest, "root": "0" * 64}


FAULTS: list[tuple[Callable[[Evidence], None], str]] = [
    (leak, "no-leak"),
    (leak_by_exchange, "closure"),
    (unseen, "coverage"),
    (tilted, "balance"),
    (seen_elsewhere, "novelty"),
    (disconnected, "additive-rank"),
    (hidden, "exposure"),
    (copied, "separation"),
    (reused_nuisance, "separation"),
    (lost_images, "accounting"),
    (telling_nuisance, "nuisances"),
    (dependent_nuisance, "nuisances"),
    (more_interaction, "interaction"),
    (broken_seal, "seal"),
    (reordered, "stability"),
    (by_position, "stability"),
    (by_length, "stability"),
]


@pytest.mark.parametrize(("fault", "check"), FAULTS)
def test_planted_fault_is_caught_by_its_invariant(
    fault: Callable[[Evidence], None], check: str
) -> None:
    evidence = sound("object-object")
    fault(evidence)
    assert check in failing(evidence)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (leak_by_exchange, "closure"),
        (hidden, "exposure"),
        (copied, "separation"),
        (reused_nuisance, "separation"),
        (dependent_nuisance, "nuisances"),
        (more_interaction, "interaction"),
        (broken_seal, "seal"),
        (reordered, "stability"),
        (by_position, "stability"),
        (by_length, "stability"),
    ],
)
def test_these_faults_are_caught_by_nothing_else(
    fault: Callable[[Evidence], None], check: str
) -> None:
    evidence = sound("object-object")
    fault(evidence)
    assert failing(evidence) == {check}


@pytest.mark.parametrize("name", SMALL)
def test_no_split_may_depend_on_the_order_of_its_lists(name: str) -> None:
    evidence = sound(name)
    assert stability(evidence).status == "pass"
    by_position(evidence)
    assert stability(evidence).status == "fail"


def test_every_invariant_has_a_planted_fault() -> None:
    caught = {check for _, check in FAULTS} | {"files", "pixels", "annotations", "latents"}
    assert caught == set(outcomes(sound("object-object")))


def test_equal_interaction_passes_and_one_side_is_not_enough() -> None:
    evidence = sound("object-object")
    more_interaction(evidence)
    evidence.interaction["energy"] = np.tile(np.linspace(1, 2, 6), 2)[:, None] * np.ones(3)
    passed = outcomes(evidence)["interaction"]
    assert passed.status == "pass"
    assert "50% of 6 x 6 pairs" in passed.found
    evidence.interaction["energy"][6:] += 9.0
    assert outcomes(evidence)["interaction"].status == "fail"
    evidence.interaction["floor"] += 99.0  # all of it is noise
    assert outcomes(evidence)["interaction"].status == "pass"
    one_side = {k: v[:6] for k, v in evidence.interaction.items()}
    assert outcomes(replace(evidence, interaction=one_side))["interaction"].status == "not run"


def test_crossed_levels_must_be_balanced() -> None:
    evidence = sound("interaction-ladder")
    level = evidence.columns["latents/scene.interaction"]
    level[rows(evidence, ID_TEST)[:4]] = 0
    assert {"balance", "accounting"} <= failing(evidence)


def test_derived_positions_must_be_equally_distributed() -> None:
    evidence = sound("position-band")
    evidence.columns["latents/object1.x"][rows(evidence, OOC)[0]] += 1e-6
    assert failing(evidence) == {"balance"}


def test_reflected_band_has_its_law() -> None:
    evidence = sound("position-band")
    first = rows(evidence, ID_TEST)[0]
    evidence.columns = {k: np.delete(v, first, axis=0) for k, v in evidence.columns.items()}
    assert {"accounting", "balance"} <= failing(evidence)


def test_relation_read_from_the_other_object_is_the_same_scene() -> None:
    evidence = sound("relation")
    evidence.config["split"] = {**evidence.config["split"], "inverse": [0, 1, 2, 3]}
    assert "closure" in failing(evidence)


def test_edits_may_show_a_scene_twice_but_not_across_blocks() -> None:
    evidence = sound("counterfactual")
    assert "shown twice by edits" in outcomes(evidence)["separation"].found
    evidence.columns["block"] = np.arange(len(evidence.columns["block"]))
    assert "separation" in failing(evidence)


def test_a_build_of_ooc_images_alone_is_named() -> None:
    evidence = evidence_of(small("smoke"))
    (drawn,) = evidence.builds
    last = np.flatnonzero(evidence.columns["split"] != OOC)[-1] + 1
    other = Drawn("shards/shard-00001.h5", drawn.images - last, Build("2", {"bpy": "9"}, {}))
    builds = [replace(drawn, images=last), other]
    check = outcomes(replace(evidence, builds=builds))["build"]
    assert check.status == "fail"
    assert check.found.startswith("ID-test and OOC-test are not of the same builds; ")
    assert "bpy none -> 9" in check.found
