"""The study behind docs/statistics.md in a reduced form, from fixed draws."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

STUDY = Path(__file__).parents[3] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def study():
    """Return the study as a module; it is part of a checkout, not of the package."""
    if not STUDY.is_file():
        pytest.skip("needs the benchmarks of a checkout")
    spec = importlib.util.spec_from_file_location("coverage_study", STUDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def board(study):
    """Return the design of the committed results."""
    return study.design_of("object-background", 8)


@pytest.mark.parametrize(("accuracy", "words"), [(0.5, "all"), (0.3, "blocks"), (0.7, "shapes")])
def test_intervals_hold_where_runs_and_cells_alone_do_not(study, accuracy, words):
    """128 cells: nominal 95 %, at least .90 of 120 draws; the measure 1.x far less."""
    design = study.design_of("object-background")
    effects = {
        "all": study.Effects(cell=2.5, share=0.9, block=1.0),
        "blocks": study.Effects(share=0.5, block=1.0),
        "shapes": study.Effects(cell=2.5, share=0.9),
    }[words]
    found = study.coverage(np.random.default_rng(0), design, accuracy, effects, 5, 120)
    assert 0.90 <= found["ours"][0] <= 1
    assert found["measure 1.x"][0] < found["ours"][0] - 0.05
    assert found["t over seeds"][0] < 0.8


def test_the_interval_costs_little_where_nothing_but_cells_differs(study, board):
    found = study.coverage(np.random.default_rng(0), board, 0.5, study.Effects(), 5, 150)
    assert 0.92 <= found["ours"][0] <= 1
    assert found["ours"][1] < 1.35 * found["measure 1.x"][1]


@pytest.mark.parametrize("kind", ["alike", "own blocks (SD 1) and shapes"])
def test_equal_methods_are_rarely_told_apart(study, board, kind):
    pair = study.PAIRS[kind]
    level, _, _ = study.false_alarms(np.random.default_rng(0), board, 0.5, pair, (5, 5), 150)
    assert level <= 0.09


def test_a_noisy_method_beats_no_stable_one_near_the_ceiling(study, board):
    pair = study.PAIRS["one noisy, one stable run"]
    level, _, declined = study.false_alarms(np.random.default_rng(0), board, 0.9, pair, (5, 5), 100)
    assert level <= 0.09
    assert declined > 0.3
