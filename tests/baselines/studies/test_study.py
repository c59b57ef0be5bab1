"""Units are kept, found again and reported; a killed run continues where it was."""

import json
from dataclasses import dataclass

import pytest
import torch

from recombine.baselines.studies import study as analysis
from recombine.baselines.studies.study import Claim, Work

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Unit:
    seed: int
    fails: bool = False
    settings: str = "same for all"


def square(unit):
    if unit.fails:
        raise ZeroDivisionError
    return {"value": float(unit.seed**2)}


def never(unit):
    raise AssertionError("it was on disk")


def work(count, measure=square, **over):
    return Work("squares", [Unit(i, **over) for i in range(count)], measure, "1")


def test_rows_come_in_order_with_their_fields(tmp_path):
    seen = []
    rows = analysis.run(work(3), tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert rows == [{"seed": i, "fails": False, "value": float(i * i)} for i in range(3)]
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_finished_units_are_found_again(tmp_path):
    first = analysis.run(work(2), tmp_path)
    assert analysis.run(work(2, never), tmp_path) == first
    with pytest.raises(AssertionError):
        analysis.run(work(3, never), tmp_path)
    with pytest.raises(AssertionError):
        analysis.run(Work("squares", work(2).units, never, "2"), tmp_path)


def test_a_failure_keeps_what_was_finished(tmp_path):
    units = [Unit(0), Unit(1, fails=True), Unit(2)]
    with pytest.raises(ZeroDivisionError):
        analysis.run(Work("squares", units, square, "1"), tmp_path)
    assert len(list((tmp_path / "units").iterdir())) == 1


def test_means_are_geometric_and_filtered():
    rows = [{"a": 1, "x": 0.01}, {"a": 1, "x": 1.0}, {"a": 2, "x": 5.0}]
    assert analysis.mean_of(rows, "x", a=1) == pytest.approx(0.1)
    assert analysis.mean_of(rows, "x", a=3) != analysis.mean_of(rows, "x", a=3)


def test_the_report_is_plain_json(tmp_path):
    rows = analysis.run(work(2), tmp_path)
    claim = Claim("squares grow", True, {"one": 1.0})
    path = analysis.write_report(tmp_path, "squares", Unit(0), rows, [claim])
    report = json.loads(path.read_text())
    assert report["analysis"] == "squares"
    assert report["claims"] == [{"text": "squares grow", "holds": True, "evidence": {"one": 1.0}}]
    assert report["rows"] == rows
    assert report["settings"]["seed"] == 0


def test_jacobians_of_a_known_map():
    points = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    found = analysis.jacobians(lambda z: torch.stack([z[:, 0] * z[:, 1], z[:, 0] ** 2], 1), points)
    assert found.tolist() == [[[2.0, 1.0], [2.0, 0.0]], [[-1.0, 3.0], [6.0, 0.0]]]
    assert not found.requires_grad
