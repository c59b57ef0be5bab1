from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.measure.interaction import (
    energies,
    measure,
    measure_scene,
    orders,
    subsets,
    terms,
)
from recombine.renderer.scenes.scene import ObjectSpec, RenderSettings, Scene

# Multiples of 1/64 below 4: sums and differences of them are exact in floating point.
EXACT = st.integers(-255, 255).map(lambda n: n / 64)
THING = ObjectSpec("sphere", "rubber", 0.0, 0.0, 0.0, 0.7, 0.0)


def pictures(count: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (2**count, 2, 3, 3), elements=EXACT)


def by_definition(renders: np.ndarray, s: int) -> np.ndarray:
    """Inclusion and exclusion, written out."""
    inside = [t for t in range(len(renders)) if t & s == t]
    return sum((-1) ** (s.bit_count() - t.bit_count()) * renders[t] for t in inside)


@given(st.integers(0, 3).flatmap(pictures))
def test_terms_are_inclusion_exclusion_and_add_up(renders: np.ndarray) -> None:
    found = terms(renders)
    for s in range(len(renders)):
        assert np.array_equal(found[s], by_definition(renders, s))
        inside = [t for t in range(len(renders)) if t & s == t]
        assert np.array_equal(found[inside].sum(0), renders[s])


@given(pictures(2))
def test_an_additive_function_has_exactly_no_interaction(parts: np.ndarray) -> None:
    empty, a, b, c = parts
    renders = np.stack([empty + sum(x for k, x in enumerate((a, b, c)) if s >> k & 1)
                        for s in range(8)])  # fmt: skip
    found = terms(renders)
    assert not found[orders(3) >= 2].any()
    energy, floor, error = energies(found, found)
    assert energy[1:].tolist() == floor[1:].tolist() == error[1:].tolist() == [0, 0]


@given(pictures(1))
def test_a_product_of_two_is_second_order_and_of_three_third(parts: np.ndarray) -> None:
    light = parts[0]
    pair = np.stack([light * (s == 3) for s in range(4)])
    assert np.array_equal(terms(pair)[3], light)
    triple = np.stack([light * (s == 7) for s in range(8)])
    assert np.array_equal(terms(triple)[7], light)
    assert not terms(triple)[:7].any()


@given(pictures(2))
def test_pixels_that_an_object_leaves_alone_are_exactly_zero(parts: np.ndarray) -> None:
    """The bit-identical pixels of an undenoised render, whatever their values."""
    none, only_a, only_b, _ = parts * 0.1 + 0.017  # no longer exact in floating point
    both = only_a.copy()
    only_b[:] = none
    assert not terms(np.stack([none, only_a, only_b, both]).astype(np.float32))[3].any()


def test_wrong_number_of_pictures_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="got 3 pictures"):
        terms(np.zeros((3, 2, 2, 3)))


@pytest.mark.parametrize("size", [0.0, 0.3])
def test_energy_is_unbiased_and_its_error_and_floor_are_right(size: float) -> None:
    """Over many noisy repetitions: mean at the truth, spread as stated, floor as stated."""
    rng = np.random.default_rng(3)
    truth = np.zeros((4, 8, 8, 3))
    truth[3, :2] = size
    shape, noise = (400, 2, *truth.shape), 0.2
    seen = truth + noise * rng.standard_normal(shape)
    runs = [energies(a, b) for a, b in seen]
    energy, floor, error = (np.array([run[i][1] for run in runs]) for i in range(3))
    exact = (truth[3] ** 2).mean()
    assert abs(energy.mean() - exact) < 4 * energy.std() / 20
    assert np.sqrt((error**2).mean()) == pytest.approx(energy.std(), rel=0.15)
    assert floor.mean() == pytest.approx(noise**2 / 2, rel=0.05)
    plain = [((a + b)[3] ** 2).mean() / 4 for a, b in seen]
    assert np.mean(plain) == pytest.approx(exact + noise**2 / 2, rel=0.05)  # what floor is for


def test_subsets_remove_present_objects_and_keep_places() -> None:
    scene = Scene((None, THING, None, replace(THING, x=0.5)), "studio", 3)
    found = [[o is not None for o in s.objects] for s in subsets(scene)]
    assert found == [[False] * 4, [False, True, False, False],
                     [False, False, False, True], [False, True, False, True]]  # fmt: skip
    assert subsets(scene)[3] == scene


@pytest.mark.parametrize("count", [0, 4])
def test_too_few_or_many_objects_are_refused(count: int) -> None:
    with pytest.raises(InvalidInputError, match=f"got {count}"):
        subsets(Scene((THING,) * count, "studio", 1))


def flat(values: list[float]) -> np.ndarray:
    """Pictures of one grey each, 8 x 8."""
    return np.repeat(np.array(values, np.float32), 8 * 8 * 3).reshape(-1, 8, 8, 3)


def test_measure_of_a_shadow_on_one_side() -> None:
    renders = flat([0.5, 0.6, 0.7, 0.8])
    renders[3, :, 4:] -= 0.1  # on the right half both together are darker than one by one
    found = measure(renders, renders, np.zeros((8, 8), np.uint8))
    assert found.energy[1] == pytest.approx(0.005)
    assert found.second[0] == pytest.approx([0] * 4 + [-0.1] * 4, abs=1e-6)
    assert found.share == 0.5
    assert (found.floor == 0).all()
    assert found.share_floor == 0
    assert (found.scene[:, :4] == found.parts[:, :4]).all()
    assert (found.scene[:, 4:] < found.parts[:, 4:]).all()
    assert found.objects == 2


def test_outside_counts_what_lies_beyond_the_grown_mask() -> None:
    renders = flat([0.5, 0.5])
    renders[1, 0, 0] += 1.0
    renders[1, 7, 7] += 1.0
    for reach, expected in ((1, 0.5), (2, 0.5), (7, 0.0)):
        mask = np.zeros((8, 8), np.uint8)
        mask[0, 0] = 1
        mask[7, 7 - min(reach, 6)] = reach == 2  # two pixels away: not reached by growing
        mask[6, 6] = reach == 7  # a diagonal neighbour is
        assert measure(renders, renders, mask).outside == pytest.approx(expected)


def test_no_change_at_all_is_a_measured_zero() -> None:
    found = measure(flat([0.5] * 4), flat([0.6] * 4), np.zeros((8, 8), np.uint8))
    assert found.zero == 1
    assert not found.energy.any()
    assert found.outside == 0


def test_rounding_is_not_interaction() -> None:
    """A pixel on the border of two objects: the same paths, added up in another order."""
    renders = flat([0.5, 0.6, 0.7, 0.8])
    renders[3] = np.nextafter(renders[3], np.float32(1))
    found = measure(renders, renders, np.zeros((8, 8), np.uint8))
    assert found.zero == 1
    assert found.energy[1] == 0
    assert found.energy[0] > 0
    renders[3] += 1e-4  # far below anything visible, yet no rounding
    assert measure(renders, renders, np.zeros((8, 8), np.uint8)).zero == 0


def test_measure_scene_draws_every_subset_with_two_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(scene: Scene, _settings: RenderSettings) -> np.ndarray:
        drawn.append((tuple(o is not None for o in scene.objects), scene.cycles_seed))
        there = [o is not None for o in scene.objects]
        return np.full((8, 8, 3), 0.25 + 0.125 * sum(there) + 0.25 * all(there), np.float32)

    monkeypatch.setattr("recombine.renderer.blender.draw.render_radiance", draw)
    settings = RenderSettings(8, 4, denoise=False)
    mask = np.ones((8, 8), np.uint8)
    found = measure_scene(Scene((THING, THING), "studio", 77), settings, mask)
    assert len(set(drawn)) == len(drawn) == 8
    assert {s for s, _ in drawn} == set(itertools.product((True, False), repeat=2))
    assert len({seed for _, seed in drawn}) == 2
    assert found.energy.tolist() == [2 * 0.125**2, 0.25**2, 0.0]
    with pytest.raises(InvalidInputError, match="denois"):
        measure_scene(Scene((THING,), "studio", 1), RenderSettings(), mask)
