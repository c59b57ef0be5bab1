"""Mask scores against scikit-learn and loops, and the table of what each of them overlooks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import adjusted_rand_score

from recombine.benchmark.metrics import masks
from recombine.renderer.core.errors import InvalidInputError

SIZE, DISCS, IMAGES = 64, 4, 200
Y, X = np.mgrid[:SIZE, :SIZE]
NAMES = (masks.FG_ARI.name, masks.ARI.name, masks.MEAN_IOU.name, masks.BEST_OVERLAP.name)
# FG-ARI, ARI, mean IoU, mean best overlap, of the same names below.
TABLE = {
    "perfect": (1.000, 1.000, 1.000, 1.000),
    "Voronoi cells": (0.989, 0.044, 0.172, 0.172),
    "grid": (0.515, 0.018, 0.304, 0.305),
    "stripes": (0.455, 0.020, 0.121, 0.136),
    "foreground": (0.000, 0.953, 0.108, 0.250),
    "smallest lost": (1.000, 0.931, 0.755, 0.755),
    "largest split": (0.764, 0.994, 0.879, 0.879),
    "background split": (1.000, 0.086, 1.000, 1.000),
    "halos": (1.000, 0.417, 0.413, 0.413),
}
label_maps = hnp.arrays(np.int64, (2, 5, 5), elements=st.integers(0, 3))


def draw_scene(rng):
    """Return centres and radii (3 to 11 pixels) of discs that do not touch."""
    discs = []
    while len(discs) < DISCS:
        radius = rng.uniform(3, 11)
        y, x = rng.uniform(radius, SIZE - radius, 2)
        if all(np.hypot(y - b, x - a) >= radius + r for b, a, r in discs):
            discs.append((y, x, radius))
    return np.array(discs)


@pytest.fixture(scope="module")
def scenes():
    rng = np.random.default_rng(0)
    discs = np.stack([draw_scene(rng) for _ in range(IMAGES)])
    far = np.hypot(Y - discs[:, :, 0, None, None], X - discs[:, :, 1, None, None])
    outside = far - discs[:, :, 2, None, None]
    true = np.where(outside.min(axis=1) <= 0, outside.argmin(axis=1) + 1, 0)
    return discs, far, outside, true


def predictions(scenes):
    """Return the segmentations of the table: each right or wrong in one way."""
    discs, far, outside, true = scenes
    area = np.stack([(true == k + 1).sum(axis=(1, 2)) for k in range(DISCS)], axis=1)
    largest, smallest = area.argmax(axis=1), area.argmin(axis=1)
    middle = discs[np.arange(IMAGES), largest, 1][:, None, None]
    is_largest = true == largest[:, None, None] + 1
    near = np.where(outside.min(axis=1) <= 4, outside.argmin(axis=1) + 1, 0)
    return {
        "perfect": true,
        "Voronoi cells": far.argmin(axis=1),
        "grid": np.broadcast_to(Y // 16 * 4 + X // 16, true.shape),
        "stripes": np.broadcast_to(X * 5 // SIZE, true.shape),
        "foreground": (true > 0).astype(int),
        "smallest lost": np.where(true == smallest[:, None, None] + 1, 0, true),
        "largest split": np.where(is_largest & (middle < X), 5, true),
        "background split": np.where(true == 0, 5 + X // 8, true),
        "halos": np.where(true > 0, true, near),
    }


def scores(true, predicted, slots=16, objects=DISCS, share=masks.VISIBLE_SHARE):
    table = masks.contingency(true, predicted, objects=objects, slots=slots)
    parts = masks.mask_contributions(table, share)
    return {name: sums.sum() / weights.sum() for name, (sums, weights) in parts.items()}


def test_every_row_of_the_pitfall_table(scenes):
    got = {name: scores(scenes[3], guess) for name, guess in predictions(scenes).items()}
    for name, expected in TABLE.items():
        row = [got[name][metric] for metric in NAMES]
        assert row == pytest.approx(expected, abs=0.02), name


def test_mean_iou_sees_what_fg_ari_does_not(scenes):
    guesses = predictions(scenes)
    for name in ("Voronoi cells", "smallest lost", "halos"):
        got = scores(scenes[3], guesses[name])
        assert got[masks.FG_ARI.name] > 0.97
        assert got[masks.MEAN_IOU.name] < 0.8


@given(label_maps, label_maps)
def test_adjusted_rand_is_that_of_scikit_learn(true, predicted):
    table = masks.contingency(true, predicted, objects=3, slots=4)
    for image in range(2):
        t, p = true[image].ravel(), predicted[image].ravel()
        assert masks.adjusted_rand(table)[image] == pytest.approx(
            adjusted_rand_score(labels_true=t, labels_pred=p)
        )
        expected = adjusted_rand_score(labels_true=t[t > 0], labels_pred=p[t > 0])
        assert masks.adjusted_rand(table[:, 1:])[image] == pytest.approx(expected)


def iou_by_loops(true, predicted, slots):
    """Return the best mean IoU over all pairings, and the mean best overlap."""
    present = [k for k in np.unique(true) if k > 0]
    table = np.zeros((len(present), slots))
    for row, k in enumerate(present):
        for s in range(slots):
            union = np.sum((true == k) | (predicted == s))
            table[row, s] = np.sum((true == k) & (predicted == s)) / union if union else 0
    best = max(
        sum(table[r, c] for r, c in enumerate(choice))
        for choice in itertools.permutations(range(slots), len(present))
    )
    return best / len(present), table.max(axis=1).mean()


@given(label_maps, label_maps)
def test_overlaps_by_loops_over_all_pairings(true, predicted):
    parts = masks.mask_contributions(masks.contingency(true, predicted, objects=3, slots=4))
    for image in range(2):
        if not (true[image] > 0).any():
            assert all(weight[image] == 0 for _, weight in parts.values())
            continue
        mean, best = iou_by_loops(true[image], predicted[image], 4)
        assert parts[masks.MEAN_IOU.name][0][image] == pytest.approx(mean)
        assert parts[masks.BEST_OVERLAP.name][0][image] == pytest.approx(best)


@given(label_maps, label_maps, st.permutations(range(4)), st.permutations(range(1, 4)))
def test_names_batches_and_resolution_do_not_matter(true, predicted, slots, objects):
    whole = masks.contingency(true, predicted, objects=3, slots=4)
    renamed = masks.contingency(
        np.array([0, *objects])[true], np.array(slots)[predicted], objects=3, slots=4
    )
    twice = masks.contingency(
        true.repeat(2, 1).repeat(2, 2), predicted.repeat(2, 1).repeat(2, 2), objects=3, slots=4
    )
    halves = [masks.contingency(true[[n]], predicted[[n]], objects=3, slots=4) for n in range(2)]
    reference = masks.mask_contributions(whole)
    assert np.array_equal(np.concatenate(halves), whole)
    assert np.array_equal(twice, 4 * whole)
    for name, (sums, weights) in masks.mask_contributions(renamed).items():
        assert sums == pytest.approx(reference[name][0])
        assert np.array_equal(weights, reference[name][1])
    for name in (masks.MEAN_IOU.name, masks.BEST_OVERLAP.name):
        assert masks.mask_contributions(twice)[name][0] == pytest.approx(reference[name][0])


def test_random_segments_have_no_rand_index():
    rng = np.random.default_rng(0)
    true, guess = rng.integers(0, 5, (2, 50, 32, 32))
    got = scores(true, guess, slots=5)
    assert got[masks.ARI.name] == pytest.approx(0, abs=0.01)
    assert got[masks.FG_ARI.name] == pytest.approx(0, abs=0.01)
    assert got[masks.MEAN_IOU.name] == pytest.approx(1 / 9, abs=0.02)


def test_by_hand():
    true = np.array([[[1, 1, 2, 2, 0, 0]]])
    predicted = np.array([[[0, 0, 0, 1, 1, 1]]])
    table = masks.contingency(true, predicted, objects=2, slots=2)
    assert table.tolist() == [[[0, 2], [2, 0], [1, 1]]]
    seen = masks.visible(table)
    assert seen.tolist() == [[True, True]]
    iou = masks.object_iou(masks.overlaps(table), seen)
    assert iou == pytest.approx(np.array([[2 / 3, 1 / 4]]))


def test_objects_without_a_segment_count_as_nothing():
    true = np.array([[[1, 1, 2, 2, 3, 3]]])
    got = scores(true, np.zeros_like(true), slots=1, objects=3)
    assert got[masks.MEAN_IOU.name] == pytest.approx((1 / 3) / 3)
    assert got[masks.BEST_OVERLAP.name] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("objects", "defined"), [(0, (0, 0)), (1, (1, 0)), (2, (1, 1))])
def test_scores_are_undefined_without_enough_to_see(objects, defined):
    true = np.zeros((1, 8, 8), dtype=int)
    for k in range(objects):
        true[0, 2 * k] = k + 1
    parts = masks.mask_contributions(masks.contingency(true, true, objects=2, slots=3))
    weights = {name: float(weight[0, 0]) for name, (_, weight) in parts.items()}
    assert (weights[masks.MEAN_IOU.name], weights[masks.FG_ARI.name]) == defined
    assert weights[masks.ARI.name] == weights[masks.BEST_OVERLAP.name] == defined[0]


def test_objects_below_the_threshold_count_neither_way():
    true = np.zeros((1, 64, 64), dtype=int)
    true[0, :10], true[0, 20:30] = 1, 2
    hidden = true.copy()
    hidden[0, 40, :7] = 3
    seen = masks.visible(masks.contingency(hidden, hidden, objects=3, slots=4))
    assert seen.tolist() == [[True, True, False]]
    everything_wrong_there = np.where(hidden == 3, 1, true)
    assert scores(hidden, everything_wrong_there, objects=3) == scores(true, true, objects=3)
    assert scores(hidden, everything_wrong_there, objects=3, share=0)[masks.MEAN_IOU.name] < 0.7


@pytest.mark.parametrize(
    ("true", "predicted", "words"),
    [
        (np.zeros((1, 2, 2), int), np.zeros((1, 2, 3), int), "resize"),
        (np.full((1, 2, 2), 3), np.zeros((1, 2, 2), int), "true labels"),
        (np.zeros((1, 2, 2), int), np.full((1, 2, 2), -1), "predicted labels"),
    ],
)
def test_refuses_masks_that_do_not_fit(true, predicted, words):
    with pytest.raises(InvalidInputError, match=words):
        masks.contingency(true, predicted, objects=2, slots=2)


@pytest.mark.parametrize("metric", masks.MASK_METRICS.values())
def test_every_metric_is_documented(metric):
    assert metric.direction == "higher"
    assert metric.low <= metric.chance < metric.high
    assert metric.source
