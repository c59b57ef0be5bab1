"""Average precision against the published procedure written as loops."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulate import another_image

from recombine.benchmark.metrics import detection as det
from recombine.renderer.core.errors import InvalidInputError


def scene(seed, images=6, objects=3, slots=4, noise=0.3, spoilt=0.3):
    """Return true objects and noisy predictions of them in random order."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, (images, objects, 2))
    position = rng.uniform(-3, 3, (images, objects, 2))
    weight = (rng.random((images, objects)) < 0.8).astype(float)
    weight[0, 0] = 1
    true = det.ObjectSet(codes, position, weight)
    source = rng.integers(0, objects, (images, slots))[:, :, None]
    guess = np.take_along_axis(codes, source, axis=1)
    guess = np.where(rng.random(guess.shape) < spoilt, 1 - guess, guess)
    near = np.take_along_axis(position, source, axis=1)
    near = near + rng.normal(0, noise, near.shape)
    return det.ObjectSet(guess, near, rng.random((images, slots))), true


def by_loops(predicted, true, distance):
    """Follow the procedure of Locatello et al. 2020 detection by detection."""
    queue = sorted(np.ndindex(predicted.weight.shape), key=lambda at: -predicted.weight[at])
    taken, hits = set(), []
    for image, slot in queue:
        best, near = None, np.inf
        for k in range(true.weight.shape[1]):
            agree = np.array_equal(predicted.codes[image, slot], true.codes[image, k])
            if true.weight[image, k] and agree:
                far = np.linalg.norm(predicted.position[image, slot] - true.position[image, k])
                if far < near:
                    best, near = k, far
        found = best is not None and near < distance and (image, best) not in taken
        taken |= {(image, best)} if found else set()
        hits.append(found)
    hits = np.cumsum(hits)
    recall, precision = hits / true.weight.sum(), hits / np.arange(1, len(hits) + 1)
    area, last = 0.0, 0.0
    for n in range(len(hits)):
        area += (recall[n] - last) * precision[n:].max()
        last = recall[n]
    return area


@given(st.integers(0, 10_000), st.sampled_from(det.DISTANCES))
def test_matches_the_published_procedure(seed, distance):
    predicted, true = scene(seed)
    found = det.detections(predicted, true, distance)
    assert det.average_precision(found) == pytest.approx(by_loops(predicted, true, distance))


@given(st.integers(0, 1000), st.randoms())
def test_order_and_batches_do_not_matter(seed, random):
    predicted, true = scene(seed)
    tied = dataclasses.replace(predicted, weight=predicted.weight.round(1))
    whole = det.average_precision(det.detections(tied, true, 0.5))
    order = random.sample(range(6), 6)
    slots = random.sample(range(4), 4)
    parts = []
    for image in order:
        mixed = det.ObjectSet(
            *(getattr(tied, f.name)[[image]][:, slots] for f in dataclasses.fields(tied))
        )
        alone = det.ObjectSet(*(getattr(true, f.name)[[image]] for f in dataclasses.fields(true)))
        parts.append(det.detections(mixed, alone, 0.5))
    assert det.average_precision(det.merge(parts)) == pytest.approx(whole)


@pytest.mark.parametrize("distance", det.DISTANCES)
def test_perfect_is_one_and_absent_objects_do_not_count(distance):
    _, true = scene(0)
    assert det.average_precision(det.detections(true, true, distance)) == 1


def test_a_larger_distance_never_hurts():
    predicted, true = scene(3, images=50)
    scores = [det.average_precision(det.detections(predicted, true, d)) for d in det.DISTANCES]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1] > 0


def test_blind_predictions_find_next_to_nothing_when_near_is_asked_for():
    predicted, true = scene(4, images=400, noise=0.01, spoilt=0)
    other = another_image(400, 0)
    blind = det.ObjectSet(
        *(getattr(predicted, f.name)[other] for f in dataclasses.fields(predicted))
    )
    near, anywhere = (det.detections(blind, true, d) for d in (0.125, np.inf))
    assert det.average_precision(near) < 0.01
    assert det.average_precision(anywhere) > 0.1
    assert det.average_precision(det.detections(predicted, true, 0.125)) > 0.5


def test_by_hand():
    # Two objects; the surest guess is right, the next repeats it, the third finds the other.
    true = det.ObjectSet(np.array([[[0], [1]]]), np.zeros((1, 2, 1)), np.ones((1, 2)))
    predicted = det.ObjectSet(
        np.array([[[0], [0], [1]]]), np.zeros((1, 3, 1)), np.array([[0.9, 0.8, 0.7]])
    )
    found = det.detections(predicted, true, 1.0)
    assert found.hit.tolist() == [True, False, True]
    assert det.average_precision(found) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_refuses_sets_that_do_not_fit_and_scenes_without_objects():
    predicted, true = scene(0)
    with pytest.raises(InvalidInputError, match="same images"):
        det.detections(dataclasses.replace(predicted, codes=predicted.codes[:1]), true, 1.0)
    empty = dataclasses.replace(true, weight=np.zeros_like(true.weight))
    with pytest.raises(InvalidInputError, match="no true object"):
        det.average_precision(det.detections(predicted, empty, 1.0))


def test_the_metric_is_documented():
    assert det.AVERAGE_PRECISION.direction == "higher"
    assert "delta" in det.AVERAGE_PRECISION.source
