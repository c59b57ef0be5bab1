"""Which cells are left out to assign slots, and when the assignment counts as clear."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.benchmark.metrics.matching import Evidence, assign_slots, leave_cells_out
from recombine.benchmark.metrics.readout import Representation, fit_readout, match_slots
from recombine.benchmark.serving.toy_data import ID_CELLS, SCHEMA
from recombine.renderer.scenes.factors import Factor, Schema, Slot


@st.composite
def cell_sets(draw):
    """Return the cells of some images: any set of combinations of two to four factors."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    every = list(itertools.product(*map(range, shape)))
    chosen = draw(st.lists(st.sampled_from(every), min_size=1, max_size=40))
    return np.array(chosen)


@given(cell_sets())
def test_whatever_is_left_out_every_value_stays_in_the_fit(cells):
    fold_of = leave_cells_out(cells)
    for fold in np.unique(fold_of[fold_of >= 0]):
        for column in cells.T:
            assert set(column[fold_of != fold]) == set(column)


@given(cell_sets())
def test_a_cell_is_left_out_once_unless_one_of_its_values_has_no_other_cell(cells):
    fold_of = leave_cells_out(cells)
    every = np.unique(cells, axis=0)
    for cell in every:
        (fold,) = set(fold_of[(cells == cell).all(axis=1)])  # all its images go together
        alone = any(np.sum(every[:, k] == value) == 1 for k, value in enumerate(cell))
        assert (fold == -1) == alone


@given(cell_sets(), st.randoms(use_true_random=False))
def test_the_folds_do_not_depend_on_the_order_of_images(cells, random):
    order = list(range(len(cells)))
    random.shuffle(order)
    assert (leave_cells_out(cells)[order] == leave_cells_out(cells[order])).all()


def test_the_cells_of_a_value_are_spread_over_the_folds():
    cells = np.array([(a, (a + k) % 8) for a in range(8) for k in range(4)])
    fold_of = leave_cells_out(cells)
    assert sorted(np.bincount(fold_of)) == [8, 8, 8, 8]
    for value in range(8):
        assert len(set(fold_of[cells[:, 0] == value])) >= 3


def evidence(scores, cells=6, spread=0.0):
    """Return what slots know of scene slots with one factor each, a little else in every cell."""
    wobble = np.linspace(-spread, spread, cells)[:, None]
    return [
        [[Evidence(np.full((cells, 1), score) + wobble, np.ones((cells, 1)))] for score in row]
        for row in scores
    ]


def assigned(scores, same=(0, 1), deciding=(0, 1), seen=None):
    on = {"decided_on": "held-out-cells", "images": 60}
    return assign_slots(evidence(scores), np.array(same), deciding, seen=seen, **on)


def test_the_better_assignment_wins_by_its_margin():
    one = assigned([(0.25, 1.0), (0.75, 0.5)])
    assert (one.match, one.runner_up) == ((1, 0), (0, 1))
    assert one.margin == pytest.approx(1.0)
    assert (one.clear, one.equal, one.images, one.cells) == (True, False, 60, 6)


def test_equal_scores_keep_the_order_and_are_not_clear():
    one = assigned([(0.5, 0.5), (0.5, 0.5)])
    assert (one.match, one.clear, one.equal) == ((0, 1), False, False)


def test_between_equal_scores_id_val_decides():
    seen = np.array([[0.25, 0.5], [0.5, 0.5]])
    one = assigned([(0.5, 0.5), (0.5, 0.5)], seen=seen)
    assert (one.match, one.runner_up, one.clear, one.margin) == ((1, 0), (0, 1), False, 0.0)


def test_slots_that_hold_the_same_numbers_leave_nothing_to_decide():
    one = assigned([(0.5, 0.5), (0.5, 0.5)], same=(0, 0))
    assert (one.match, one.clear, one.equal, one.margin) == ((0, 1), True, True, 0.0)


def test_one_slot_leaves_nothing_to_decide():
    one = assigned([(0.5,)], same=(0,), deciding=(0,))
    assert (one.match, one.runner_up, one.clear) == ((0,), None, True)


def test_a_margin_that_rests_on_one_cell_is_not_clear():
    made = evidence([(0.5, 0.5), (0.5, 0.5)])
    made[0][0][0].sums[0] = 1.0
    one = assign_slots(made, np.array([0, 1]), (0, 1), decided_on="held-out-cells", images=60)
    assert (one.match, one.clear) == ((0, 1), False)
    assert one.margin == pytest.approx(0.5 / 6)
    # A mean of six cells of which one is off by 1/2: its standard error is that of the mean.
    assert one.standard_error == pytest.approx(0.5 / 6)


def test_the_runner_up_moves_a_recombined_factor():
    """A light has a slot of its own; that two spare slots hold it equally well is no doubt."""
    scores = [(1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.5, 0.5)]
    one = assigned(scores, same=(0, 1, 2, 3))
    assert one.match[:2] == (0, 1)
    assert one.runner_up is not None
    assert one.runner_up[:2] != (0, 1)
    assert one.clear


# On representations: two slots that both know everything on cells that were seen.

SHAPES = {slot.name: slot.factors[0] for slot in SCHEMA.slots}
TWO = Schema(tuple(Slot(name, (factor,)) for name, factor in SHAPES.items()), SCHEMA.recombined)


def borrowing(n, seed, *, order=(0, 1), cells=ID_CELLS):
    """Return slots that hold their own factor, and as clearly which of the seen cells it is."""
    rng = np.random.default_rng(seed)
    chosen = np.array(cells)[rng.integers(0, len(cells), n)]
    number = {cell: k for k, cell in enumerate(ID_CELLS)}
    cell = np.eye(len(ID_CELLS))[[number[tuple(one)] for one in chosen.tolist()]]
    slots = np.zeros((n, 2, 4 + len(ID_CELLS)), np.float32)
    for factor, place in enumerate(order):
        slots[:, place] = np.concatenate([np.eye(4)[chosen[:, factor]], cell], axis=1)
    slots += rng.normal(0, 0.05, slots.shape)
    return Representation(slots, dict(zip(SCHEMA.recombined, chosen.T, strict=True)))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_a_slot_borrows_does_not_decide(order):
    train, val = borrowing(400, 0, order=order), borrowing(100, 1, order=order)
    for match in ((0, 1), (1, 0)):  # on cells that they saw, both assignments are perfect
        seen = fit_readout(train, val, TWO, match=match)
        assert all(one.score == 1 for one in seen.factors.values())
    found = match_slots(train, val, TWO)
    assert (found.match, found.clear, found.decided_on) == (order, True, "held-out-cells")
    assert (found.images, found.cells) == (400, len(ID_CELLS))
    assert found.margin > 1


def test_the_decision_is_the_same_every_time():
    train, val = borrowing(200, 0), borrowing(50, 1)
    assert match_slots(train, val, TWO) == match_slots(train, val, TWO)


def test_where_no_cell_can_be_left_out_id_val_decides():
    diagonal = tuple((k, (k + 1) % 4) for k in range(4))  # every value has one cell
    cells = [cell for cell in ID_CELLS if cell in diagonal]
    train, val = (borrowing(n, n, cells=cells) for n in (200, 60))
    found = match_slots(train, val, TWO)
    assert (found.decided_on, found.images, found.cells) == ("id-val", 60, len(cells))


def test_one_vector_for_every_slot_leaves_nothing_to_decide():
    parts = [borrowing(n, n) for n in (200, 60)]
    shared = [Representation(one.slots[:, [0, 0]], one.factors) for one in parts]
    found = match_slots(*shared, TWO)
    assert (found.match, found.equal, found.clear, found.margin) == ((0, 1), True, True, 0.0)


def test_few_labels_are_not_clear():
    rng = np.random.default_rng(0)
    train, val = borrowing(12, 0), borrowing(60, 1)
    train.slots[:] = rng.normal(size=train.slots.shape)
    found = match_slots(train, val, TWO)
    assert not found.clear
    assert found.images <= 12


def test_two_recombined_factors_of_one_slot_are_judged_together():
    """Shape and environment both belong to the object; the light has a slot of its own."""
    light = Slot("light", (Factor("power", "continuous", low=0.0, high=1.0),))
    schema = Schema(
        (Slot("object", tuple(SHAPES.values())), light), ("object.shape", "object.environment")
    )
    parts = []
    for n, seed in ((400, 0), (100, 1)):
        one = borrowing(n, seed)
        power = np.random.default_rng(seed).uniform(0, 1, n)
        both = np.concatenate([one.slots[:, 0], one.slots[:, 1]], axis=1)
        other = np.zeros_like(both)
        other[:, 0] = power
        shape, environment = one.factors.values()
        factors = {"object.shape": shape, "object.environment": environment, "light.power": power}
        parts.append(Representation(np.stack([other, both], axis=1), factors))
    found = match_slots(*parts, schema)
    assert (found.match, found.clear) == ((1, 0), True)


def test_the_edge_of_the_grid_and_the_end_of_a_fit_are_on_record():
    train, val = borrowing(300, 0), borrowing(100, 1)
    one = fit_readout(train, val, TWO).factors["object.shape"]
    assert (one.score, one.edge, one.converged) == (1.0, "strongest", True)
    weak = [Representation(one.slots[:, :, 8:], one.factors) for one in (train, val)]
    for part in weak:  # the difference of two columns tells a value; they share a large rest
        shared = np.random.default_rng(len(part.slots)).normal(0, 100, (len(part.slots), 2, 1))
        part.slots[:] += shared
    found = fit_readout(*weak, TWO, match=(0, 1)).factors["object.shape"]
    assert found.edge == "weakest"
