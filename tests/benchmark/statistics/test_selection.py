"""Choosing on the test looks better than it is; choosing on validation does not."""

import itertools

import numpy as np
import pytest
from factories import make_result
from hypothesis import given
from hypothesis import strategies as st

from recombine.benchmark.statistics.design import Crossed, scores_of
from recombine.benchmark.statistics.selection import choice_among, compare_choices, expected_best
from recombine.renderer.core.errors import InvalidInputError


def equal_configurations(rng, configs=20, seeds=3, cells=20):
    hard = rng.normal(0, 0.1, cells)
    return tables(0.6 + hard + rng.normal(0, 0.05, (configs, seeds, cells)))


def tables(scores):
    return [Crossed(one) for one in scores]


def test_headline_is_the_one_that_validation_chose():
    ooc = np.zeros((3, 2, 4)) + np.array([0.5, 0.7, 0.6])[:, None, None]
    found = compare_choices([0.9, 0.8, 0.95], tables(ooc))
    assert (found.selected, found.oracle) == (2, 1)
    assert (found.selected_score, found.oracle_score) == pytest.approx((0.6, 0.7))
    assert found.optimism.value == pytest.approx(0.1)
    assert found.luck == pytest.approx(0)


def test_among_equal_configurations_all_of_the_lead_is_luck():
    rng = np.random.default_rng(0)
    found = [compare_choices(rng.uniform(size=20), equal_configurations(rng)) for _ in range(40)]
    optimism = np.mean([one.optimism.value for one in found])
    lead = np.mean([one.oracle_score for one in found]) - 0.6
    assert optimism == pytest.approx(1.87 * 0.05 / np.sqrt(60), rel=0.3)  # E max of 20 normals
    assert np.mean([one.luck for one in found]) > optimism / 2
    assert lead > 0


def test_real_differences_are_not_luck():
    rng = np.random.default_rng(1)
    ooc = [
        Crossed(one.cells + lead)
        for one, lead in zip(equal_configurations(rng, configs=4), (0, 0.1, 0.2, 0.3), strict=True)
    ]
    found = compare_choices([0.1, 0.2, 0.3, 0.4], ooc)
    assert found.optimism.value == 0
    assert abs(found.luck) < 0.02


def test_one_cell_cannot_tell_luck():
    ooc = tables(np.random.default_rng(0).uniform(size=(2, 3, 1)))
    assert compare_choices([0.1, 0.2], ooc).luck is None


@pytest.mark.parametrize("shapes", [[(2, 4), (2, 3)], [(2, 4)] * 3, [(2, 4), (3, 4)], []])
def test_configurations_must_match(shapes):
    with pytest.raises(InvalidInputError, match="configurations"):
        compare_choices([0.1, 0.2][: len(shapes)], tables(map(np.zeros, shapes)))


def by_enumeration(chosen, reported, n):
    values = []
    for draw in itertools.product(range(len(chosen)), repeat=n):
        best = max(chosen[i] for i in draw)
        winners = [reported[i] for i in range(len(chosen)) if chosen[i] == best]
        values.append(np.mean(winners))
    return np.mean(values)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=4),
    st.integers(1, 4),
)
def test_expected_best_is_what_enumeration_gives(pairs, n):
    chosen, reported = zip(*pairs, strict=True)
    (found,) = expected_best(chosen, reported, [n])
    assert found == pytest.approx(by_enumeration(chosen, reported, n), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_oracle_curve_rises_from_the_mean_to_the_best(scores):
    curve = expected_best(scores, scores, [1, 2, 8, 10**6])
    assert curve[0] == pytest.approx(np.mean(scores))
    assert np.all(np.diff(curve) >= -1e-12)
    assert curve[-1] == pytest.approx(max(scores), abs=1e-3)


@pytest.mark.parametrize(("ids", "ooc", "n"), [([], [], [1]), ([1], [1, 2], [1]), ([1], [1], [0])])
def test_bad_lists_are_refused(ids, ooc, n):
    with pytest.raises(InvalidInputError, match="expected_best"):
        expected_best(ids, ooc, n)


def entry(id_hits, ooc_hits, **over):
    counts = np.full((2, 3), 10)
    return make_result(
        id_hits=np.full((2, 3), id_hits), id_counts=counts,
        ooc_hits=ooc_hits, ooc_counts=counts, **over,
    )  # fmt: skip


def test_a_choice_among_results_is_the_one_among_their_scores():
    ooc = np.random.default_rng(0).integers(0, 11, (3, 2, 3))
    ooc[1] = 10
    results = [entry(hits, cells) for hits, cells in zip((7, 6, 9), ooc, strict=True)]
    found = choice_among(results)
    assert (found.selected, found.oracle, found.oracle_score) == (2, 1, 1.0)
    assert found.selected_score == results[2].scores.ooc_test.estimate
    of_results = [scores_of(one.scores.ooc_test) for one in results]
    assert found == compare_choices([0.7, 0.6, 0.9], of_results)
    assert [one.cells.mean() for one in of_results] == pytest.approx(ooc.mean(axis=(1, 2)) / 10)


def test_a_choice_needs_results_of_the_same_data_and_seeds():
    results = [
        entry(7, np.full((2, 3), 5)),
        entry(6, np.full((2, 3), 4), data={"identity": "cd" * 32}),
    ]
    with pytest.raises(InvalidInputError, match="identity"):
        choice_among(results)
    for some in ([], [results[0], make_result()]):
        with pytest.raises(InvalidInputError, match=r"cells|seeds"):
            choice_among(some)
