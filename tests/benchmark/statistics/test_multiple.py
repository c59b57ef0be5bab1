"""Many against one: each comparison is the paired test, and together they keep their level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import Crossed
from recombine.benchmark.statistics.multiple import Field
from recombine.renderer.core.errors import InvalidInputError


def method(rng, mean, shared=0.0, *, seeds=5, cells=8, spread=0.03, run=0.02):
    """Draw the scores of one method, on cells some of whose luck others share."""
    runs = rng.normal(0, run, (seeds, 1))
    own = rng.normal(0, spread, (1, cells)) + rng.normal(0, 0.01, (seeds, cells))
    return Crossed((mean + shared + runs + own).clip(0, 1))


def some_tables(rng, cells, count=5):
    """Return tables of one board: any runs, near an end or not, some without blocks."""
    codes = np.stack([rng.integers(0, 3, cells), rng.integers(0, 2, cells)], axis=1)
    width, shared = int(rng.integers(1, 5)), rng.random() < 0.7
    found = []
    for _ in range(count):
        runs = int(rng.integers(1, 6))
        level = rng.choice([0.0, 0.02, 0.5, 0.97, 1.0])
        spread = rng.choice([0.0, 0.01, 0.2])
        run = level + rng.normal(0, spread, (runs, 1))
        share = [
            (run + rng.normal(0, spread, (runs, n))).clip(0, 1).round(3) for n in (cells, width)
        ]
        blocks = share[1] if shared or rng.random() < 0.5 else None
        if blocks is not None and rng.random() < 0.2:  # of other blocks
            blocks = np.hstack([blocks, blocks[:, :1]])
        found.append(Crossed(share[0], codes, blocks, one_network=runs == 1 and rng.random() < 0.7))
    return found


def assert_as_the_statistics(tables):
    """Return how many pairs were declined, tested by t, and tested by signs."""
    field, kinds = Field(tables), np.zeros(3, int)
    for j, second in enumerate(tables):
        found = field.against(j)
        for i, first in enumerate(tables):
            if i == j:
                continue
            expected = stats.paired_difference(first, second)
            assert found.difference[i] == pytest.approx(expected.value, abs=1e-12)
            tested = expected.p_value is not None
            assert np.isnan(found.p_value[i]) != tested
            if tested:
                assert found.p_value[i] == pytest.approx(expected.p_value, rel=1e-6, abs=1e-9)
            kinds += [expected.declined, expected.ci95 is not None, found.exact[i]]
    return kinds


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_every_comparison_is_that_of_the_statistics(cells, seed):
    assert_as_the_statistics(some_tables(np.random.default_rng(seed), cells))


def test_the_tables_compared_hold_every_kind_of_pair():
    rng = np.random.default_rng(0)
    found = sum(assert_as_the_statistics(some_tables(rng, 8)) for _ in range(40))
    assert found.min() > 10


def normal(p_value, difference):
    return -special.ndtri(p_value / 2) * np.sign(difference)


def test_the_normal_scale_is_that_of_the_p_value():
    runs = np.array([[-0.02], [-0.01], [0.0], [0.01], [0.02]])  # of all methods alike
    cells = np.random.default_rng(1).normal(0, 0.03, (4, 1, 8))
    means = (0.47, 0.49, 0.5, 0.52)
    found = Field([Crossed(m + runs + c) for m, c in zip(means, cells, strict=True)]).against(0)
    expected = normal(found.p_value[1:], found.difference[1:])
    assert found.score[1:] == pytest.approx(expected, abs=0.05)


def test_runs_differ_no_less_than_those_of_all_methods_on_average():
    rng = np.random.default_rng(2)
    steady, unsteady = (
        Crossed(mean + rng.normal(0, 0.01, (1, 8)) + np.linspace(-run, run, 5)[:, None])
        for mean, run in ((0.55, 0.001), (0.5, 0.1))
    )
    other = Crossed(steady.cells - 0.02 + rng.normal(0, 0.003, (1, 8)))
    found = Field([steady, other, unsteady]).against(0)
    alone = stats.paired_difference(other, steady).p_value
    assert found.p_value[1] == pytest.approx(alone)
    assert alone < 0.01
    assert abs(found.score[1]) < 1.5


def test_two_methods_are_told_apart_no_more_than_one_test_would():
    rng, told = np.random.default_rng(2), []
    for _ in range(30):
        field = Field([method(rng, 0.5), method(rng, 0.55)])
        p_value, real = field.against(0).p_value[1], bool(field.apart(0)[1])
        assert not real or p_value < stats.LEVEL
        told.append((real, p_value < 0.02))
    assert all(real for real, clear in told if clear)
    assert len(set(told)) > 1


def test_a_clear_winner_is_the_only_best():
    rng = np.random.default_rng(3)
    field = Field([method(rng, mean) for mean in (0.2, 0.9, 0.25, 0.3)])
    assert field.best().tolist() == [False, True, False, False]
    assert not field.beaten(1)
    assert field.apart(1).tolist() == [True, False, True, True]


def test_equal_tables_may_all_be_the_best_and_differ_from_none():
    table = method(np.random.default_rng(4), 0.5)
    field = Field([table] * 4)
    assert field.best().all()
    assert not any(field.apart(i).any() for i in range(4))


def test_the_order_of_methods_matters_at_most_at_the_limit():
    rng = np.random.default_rng(5)
    tables = [method(rng, mean) for mean in (0.2, 0.5, 0.55, 0.9)]
    order = rng.permutation(4)
    found, moved = Field(tables), Field([tables[i] for i in order])
    assert found.best()[order].tolist() == moved.best().tolist()


def test_the_same_board_gives_the_same_verdicts():
    rng = np.random.default_rng(6)
    tables = [method(rng, mean) for mean in (0.5, 0.53, 0.55, 0.56, 0.57)]
    assert Field(tables).best().tolist() == Field(tables).best().tolist()
    one, two = (Field(tables).simulate(0, np.ones(5, bool)) for _ in range(2))
    assert np.array_equal(one, two, equal_nan=True)


def test_always_right_is_told_from_never_right():
    tables = [Crossed(np.full((3, 16), one)) for one in (0.0, 1.0, 1.0)]
    field = Field(tables)
    assert field.against(0).p_value[1:].tolist() == [2.0**-15] * 2
    assert field.apart(0).tolist() == [False, True, True]
    assert field.best().tolist() == [False, True, True]
    found = stats.paired_difference(tables[1], tables[0])
    assert (found.p_value, found.ci95) == (2.0**-15, None)


def test_two_combinations_are_too_few_for_signs():
    field = Field([Crossed(np.full((3, 2), one)) for one in (0.0, 1.0)])
    assert field.against(0).p_value[1] == 0.5
    assert not field.apart(0).any()


def test_one_run_or_one_cell_has_no_test():
    rng = np.random.default_rng(7)
    for seeds, cells in ((1, 8), (3, 1)):
        tables = [method(rng, mean, seeds=seeds, cells=cells) for mean in (0.1, 0.9)]
        field = Field(tables)
        assert not field.against(0).tested.any()
        assert field.best().all()


def test_other_cells_are_refused():
    with pytest.raises(InvalidInputError, match=r"same cells, got \[8, 9\]"):
        Field([Crossed(np.zeros((3, 8))), Crossed(np.zeros((3, 9)))])


def test_no_methods_no_verdicts():
    assert len(Field([]).best()) == 0


def boards(seed, means, repetitions, seeds=5, cells=8):
    """Yield boards whose methods share the luck of their cells."""
    rng = np.random.default_rng(seed)
    for _ in range(repetitions):
        shared = rng.normal(0, 0.08, (1, cells))
        yield Field([method(rng, m, shared, seeds=seeds, cells=cells) for m in means], draws=512)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("means", [(0.5,) * 6, (0.3, 0.5, 0.5, 0.55, 0.55, 0.6)])
def test_statements_keep_their_level(means, seeds):
    truth, left_out, wrong = np.array(means), 0, 0
    top, sign = int(truth.argmax()), np.sign(truth - truth[0])
    for field in boards(8, means, 150, seeds):
        left_out += field.beaten(top)
        found = np.sign(field.against(0).difference)
        wrong += bool(np.any(field.apart(0) & (found != sign)))
    # 150 boards at 5 %: more than 16 wrong ones happen once in a thousand times
    assert max(left_out, wrong) <= 16


def test_many_methods_far_below_change_nothing():
    rng = np.random.default_rng(9)
    shared = rng.normal(0, 0.08, (1, 8))
    few = [method(rng, mean, shared) for mean in (0.5, 0.55, 0.62, 0.8, 0.82)]
    many = [method(rng, 0.02, run=0.002, spread=0.002) for _ in range(300)]
    assert Field(few).best().tolist() == [False, False, False, True, True]
    assert Field([*few, *many]).best()[:5].tolist() == Field(few).best().tolist()
    assert Field([*few, *many]).apart(0)[:5].tolist() == Field(few).apart(0).tolist()
