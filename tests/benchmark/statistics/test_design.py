"""Parts of a variance: unbiased, those of the textbook, and blind to names and order."""

import numpy as np
import pytest
from factories import make_result
from hypothesis import given
from hypothesis import strategies as st

from recombine.benchmark.results.parts import Score
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import (
    CellDesign,
    Crossed,
    cell_terms,
    codes_of,
    factor_scores_of,
    gap_terms,
    paired_terms,
    scores_of,
    terms,
)
from recombine.renderer.core.errors import InvalidInputError

GRID = np.argwhere(np.ones((5, 4)))
# Eleven cells of a 5 x 4 grid: from one to four cells share a value.
RAGGED = np.array(
    [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (2, 0), (2, 2), (3, 0), (4, 1), (4, 3)]
)
SPREAD = (0.3, 0.2, 0.25)  # between rows, columns and cells


def draws(codes, spread, count=20_000):
    """Return means of cells with Gaussian effects of both values and of the cell itself."""
    rng = np.random.default_rng(0)
    found = rng.normal(0, spread[2], (count, len(codes)))
    for factor, each in enumerate(spread[:2]):
        effects = rng.normal(0, each, (count, codes[:, factor].max() + 1))
        found += effects[:, codes[:, factor]]
    return found


def true_parts(codes, spread):
    """Return the variance that rows, columns and cells have in the mean over cells."""
    weights = [np.bincount(column) / len(codes) for column in codes.T]
    weights.append(np.full(len(codes), 1 / len(codes)))
    return [each**2 * np.sum(w**2) for each, w in zip(spread, weights, strict=True)]


@pytest.mark.parametrize("codes", [GRID, RAGGED], ids=["full grid", "ragged"])
@pytest.mark.parametrize("spread", [SPREAD, (0.0, 0.2, 0.1), (0.0, 0.0, 0.1)])
def test_parts_are_unbiased(codes, spread):
    design, means = CellDesign.of(codes, len(codes)), draws(codes, spread)
    found = (design.squares(means) @ design.weights.T).mean(axis=0)
    expected = true_parts(codes, spread)
    total = means.mean(axis=1).var()
    assert found == pytest.approx(expected, abs=0.03 * total)
    assert found.sum() == pytest.approx(total, rel=0.04)


@pytest.mark.parametrize("codes", [GRID, RAGGED], ids=["full grid", "ragged"])
def test_parts_are_never_below_zero_and_err_on_the_wide_side(codes):
    means = draws(codes, (0.0, 0.1, 0.3), 2000)
    design = CellDesign.of(codes, len(codes))
    found = design.parts(means)
    assert found.min() == 0
    assert np.all(found >= design.squares(means) @ design.weights.T)
    assert found.sum(axis=1).mean() > means.mean(axis=1).var()


@pytest.mark.parametrize(("groups", "size"), [(4, 3), (2, 8), (6, 2)])
def test_one_factor_with_equal_groups_is_textbook_anova(groups, size):
    rng = np.random.default_rng(1)
    table = rng.normal(0, 1, (groups, size)) + 3 * rng.normal(0, 1, (groups, 1))
    between = size * table.mean(axis=1).var(ddof=1)
    within = table.var(axis=1, ddof=1).mean()
    value, cell = cell_terms(table.ravel(), np.arange(groups).repeat(size)[:, None])
    assert (value.name, value.df) == ("value 1", groups - 1)
    assert (cell.name, cell.df) == ("cell", groups * size - 1)
    assert value.variance == pytest.approx((between - within) / size / groups)
    assert cell.variance == pytest.approx(within / (groups * size))


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        (None, []),
        ([[0], [0], [0], [0]], []),  # one value: no two to compare
        ([[3], [1], [0], [2]], []),  # every cell has its own
        ([[0, 3], [0, 1], [1, 0], [1, 2]], ["value 1"]),
        ([[0, 0], [0, 0], [0, 1], [0, 1]], ["value 2"]),
        ([[0, 0], [0, 1], [1, 0], [1, 1]], ["value 1", "value 2"]),
    ],
)
def test_values_that_cannot_be_told_from_cells_have_no_part(codes, names):
    means = np.array([0.2, 0.5, 0.6, 0.9])
    found = cell_terms(means, None if codes is None else np.array(codes))
    assert [term.name for term in found] == [*names, "cell"]
    if not names:
        assert found[0].variance == pytest.approx(means.var(ddof=1) / 4)


def test_factors_that_name_the_same_groups_share_one_component():
    means = np.array([0.1, 0.2, 0.5, 0.6, 0.8, 0.95])
    one = np.array([[0], [0], [1], [1], [2], [2]])
    twice = np.column_stack([one, 5 - one])
    single, double = cell_terms(means, one), cell_terms(means, twice)
    assert [term.name for term in double] == ["value 1", "value 2", "cell"]
    assert double[0].variance == pytest.approx(double[1].variance)
    assert sum(t.variance for t in double) == pytest.approx(sum(t.variance for t in single))
    assert double[2].variance == pytest.approx(single[1].variance)


def test_runs_and_blocks_are_variances_of_their_means():
    rng = np.random.default_rng(2)
    cells, blocks = rng.random((4, 6)), rng.random((4, 5))
    run, cell, block = terms(Crossed(cells, None, blocks))
    assert (run.name, run.df, cell.name, cell.df, block.name, block.df) == (
        *("run", 3), *("cell", 5), *("block", 4),
    )  # fmt: skip
    assert run.variance == pytest.approx(cells.mean(axis=1).var(ddof=1) / 4)
    assert cell.variance == pytest.approx(cells.mean(axis=0).var(ddof=1) / 6)
    assert block.variance == pytest.approx(blocks.mean(axis=0).var(ddof=1) / 5)
    assert [t.name for t in terms(Crossed(cells, None, blocks[:, :1]))] == ["run", "cell"]


def test_a_difference_pairs_cells_and_blocks_and_not_runs():
    rng = np.random.default_rng(3)
    cells, blocks = rng.random((2, 3, 6)), rng.random((2, 3, 5))
    first, second = (Crossed(c, None, b) for c, b in zip(cells, blocks, strict=True))
    found = [(term.name, term.variance) for term in paired_terms(first, second)]
    runs = cells.mean(axis=2).var(axis=1, ddof=1) / 3
    cell, block = (
        (one[0] - one[1]).mean(axis=0).var(ddof=1) / one.shape[2] for one in (cells, blocks)
    )
    expected = [("run", runs[0]), ("run", runs[1]), ("cell", cell), ("block", block)]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert [v for _, v in found] == pytest.approx([v for _, v in expected])


def test_a_gap_pairs_runs_and_blocks_and_not_cells():
    rng = np.random.default_rng(4)
    inside, outside = (Crossed(rng.random((3, n)), None, rng.random((3, 5))) for n in (6, 4))
    assert [t.name for t in gap_terms(inside, outside)] == ["run", "cell", "cell", "block"]
    # Other blocks in the other split: nothing to pair, both count.
    apart = Crossed(outside.cells, None, outside.blocks[:, :4])
    names = ["run", "cell", "cell", "block", "block"]
    assert [t.name for t in gap_terms(inside, apart)] == names


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_too_few_runs_or_cells_have_no_parts(shape):
    table = Crossed(np.full(shape, 0.5))
    assert terms(table) is None
    assert gap_terms(table, table) is None
    assert paired_terms(table, table) is None


def score_with(hits, distinct=()):
    """Return an OOC score of 4 x 2 cells with some of the seeds' rows named as distinct."""
    counts = np.full_like(hits, 24)
    result = make_result(id_hits=hits, id_counts=counts, ooc_hits=hits, ooc_counts=counts)
    plain = result.scores.ooc_test.model_dump(mode="json") | {"distinct": list(distinct)}
    for part in (plain["blocks"], plain["blocks"]["right"]):
        rows = part["hits"] if isinstance(part, dict) else part
        for copy in range(len(hits)):
            same = next(i for i in range(len(hits)) if np.array_equal(hits[i], hits[copy]))
            rows[copy] = rows[same]
    return Score.model_validate(plain, strict=False)


def test_copies_of_one_run_are_one_network():
    hits = np.random.default_rng(5).integers(5, 20, (1, 8)).repeat(3, axis=0)
    table = scores_of(score_with(hits, distinct=(0,)))
    assert table.cells.shape == (1, 8)
    assert len(table.blocks) == 1
    assert table.one_network
    assert "run" not in [term.name for term in terms(table)]
    # Runs without any spread add nothing, so the interval is that of all rows.
    assert stats.crossed_mean(table).ci95 == pytest.approx(
        stats.crossed_mean(scores_of(score_with(hits))).ci95
    )
    factor = score_with(hits, distinct=(0,)).per_factor["object.shape"]
    assert factor_scores_of(factor, score_with(hits, distinct=(0,))).one_network


def test_a_copy_among_runs_does_not_count_as_a_run():
    hits = np.random.default_rng(6).integers(5, 20, (3, 8))
    hits[1] = hits[0]
    table = scores_of(score_with(hits, distinct=(0, 2)))
    assert not table.one_network
    run = next(term for term in terms(table) if term.name == "run")
    means = hits[[0, 2]].mean(axis=1) / 24
    assert (run.variance, run.df) == (pytest.approx(means.var(ddof=1) / 2), 1)
    assert scores_of(score_with(hits, distinct=(0, 1, 2))).cells.shape == (3, 8)
    asked = scores_of(score_with(hits, distinct=(0, 2)), [2, 1])
    assert asked.cells.mean(axis=1) == pytest.approx(hits[[2, 1]].mean(axis=1) / 24)


def test_tables_of_a_score_are_in_the_order_of_the_names_of_cells():
    score = make_result().scores.ooc_test
    table, order = scores_of(score), np.argsort([" ".join(names) for names in score.cells])
    assert table.cells == pytest.approx(np.array(score.hits)[:, order] / 24)
    names = sorted(score.cells)
    for factor in (0, 1):
        same = np.equal.outer(table.codes[:, factor], table.codes[:, factor])
        assert np.array_equal(same, [[a[factor] == b[factor] for b in names] for a in names])
    assert table.blocks == pytest.approx(np.array(score.blocks.hits) / score.blocks.counts)
    factor = score.per_factor["object.shape"]
    parts = factor_scores_of(factor, score)
    assert parts.cells == pytest.approx(np.array(factor.per_cell)[:, order])
    assert parts.blocks == pytest.approx(np.array(factor.per_block))


def test_results_without_blocks_have_none():
    plain = make_result().scores.ooc_test.model_dump(mode="json") | {"blocks": None}
    for factor in plain["per_factor"].values():
        factor["per_block"] = []
    score = Score.model_validate(plain, strict=False)
    assert scores_of(score).blocks is None
    assert factor_scores_of(score.per_factor["object.shape"], score).blocks is None


@pytest.mark.parametrize(
    "over",
    [{"codes": np.zeros((3, 1), int)}, {"blocks": np.zeros((3, 5))}],
    ids=["codes", "blocks"],
)
def test_parts_that_do_not_fit_are_refused(over):
    with pytest.raises(InvalidInputError, match="codes need one row per cell and blocks one per"):
        Crossed(np.zeros((2, 4)), **over)


codes_and_means = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=n, max_size=n),
        st.lists(st.floats(0, 1, width=16), min_size=n, max_size=n),
    )
)


def parts_of(codes, means):
    return {t.name: (t.variance, t.df) for t in cell_terms(np.array(means), np.array(codes))}


def assert_same(first, second, scale=1.0):
    assert first.keys() == second.keys()
    for name, (variance, df) in first.items():
        assert second[name] == (pytest.approx(scale * variance, rel=1e-6, abs=1e-9 * scale), df)


@given(codes_and_means, st.randoms(use_true_random=False))
def test_the_order_of_cells_does_not_matter(drawn, random):
    codes, means = drawn
    order = list(range(len(codes)))
    random.shuffle(order)
    moved = parts_of([codes[i] for i in order], [means[i] for i in order])
    assert_same(parts_of(codes, means), moved)


@given(codes_and_means, st.permutations([7, -2, 30, 4]), st.permutations(range(4)))
def test_the_codes_of_values_do_not_matter(drawn, first, second):
    codes, means = drawn
    assert_same(parts_of(codes, means), parts_of([(first[a], second[b]) for a, b in codes], means))


@given(codes_and_means, st.floats(0.1, 50), st.floats(-3, 3))
def test_parts_scale_with_the_square_and_do_not_know_the_origin(drawn, scale, origin):
    codes, means = drawn
    moved = parts_of(codes, [origin + scale * mean for mean in means])
    assert_same(parts_of(codes, means), moved, scale**2)


@given(codes_and_means)
def test_parts_of_values_are_bounded_by_what_is_there(drawn):
    codes, means = drawn
    found = parts_of(codes, means)
    assert all(variance >= 0 for variance, _ in found.values())
    if np.ptp(means) == 0:
        assert sum(variance for variance, _ in found.values()) == pytest.approx(0, abs=1e-12)


def test_names_become_codes():
    found = codes_of([("star", "slate"), ("pawn", "slate"), ("star", "meadow")])
    assert found.tolist() == [[1, 1], [0, 1], [1, 0]]


def test_the_example_that_the_docs_work_by_hand():
    accuracy = np.array([[0.9, 0.7, 0.4, 0.2], [0.8, 0.8, 0.5, 0.1], [0.9, 0.9, 0.3, 0.3]])
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])  # cube or star; hall or snow
    blocks = np.tile([0.6, 0.5, 0.6, 0.6, 1.6 / 3], (3, 1))
    table = Crossed(accuracy, codes, blocks)
    found = {term.name: (round(term.variance, 4), term.df) for term in terms(table)}
    assert found == {
        "run": (0.0003, 2),
        "value 1": (0.07, 1),
        "value 2": (0.0033, 1),
        "cell": (0.0011, 3),
        "block": (0.0004, 4),
    }
    interval = stats.crossed_mean(table)
    assert (round(interval.standard_error, 3), round(interval.df, 2)) == (0.274, 1.15)
    assert interval.ci95 == pytest.approx((0.01, 0.99), abs=0.005)
    assert stats.crossed_mean(accuracy).ci95 == pytest.approx((0.18, 0.89), abs=0.005)
