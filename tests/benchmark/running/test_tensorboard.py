"""Event files for TensorBoard, read back by TensorBoard's own reader."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.running.tensorboard import TensorBoard
from recombine.renderer.core.errors import ResourceError
from tests.waiting import wait_until


def _read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found: Any = events.EventAccumulator(str(folder)).Reload()
    return {
        name: [(point.step, point.value) for point in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def test_curves_arrive_while_a_run_goes_on_and_are_whole_at_its_end(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    path, board = tmp_path / "seed-0.log.jsonl", tmp_path / "board"
    for _ in range(2):  # the second time what the first wrote is replaced
        with TensorBoard({"a/seed-0": path}, board, every_s=0.02), FileRunLog(path) as log:
            log.scalar("encoder", 2.0, 0)
            wait_until(lambda: list((board / "a" / "seed-0").glob("events.*")))
            log.scalar("encoder", float("inf"), 20)
            log.scalar("encoder", 0.5, 40)
            log.scalar("decoder", 0.25, 0)
        assert _read(board / "a" / "seed-0") == {
            "encoder": [(0, 2.0), (40, 0.5)],
            "decoder": [(0, 0.25)],
        }


def test_a_run_begun_again_replaces_its_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    path = tmp_path / "seed-0.log.jsonl"
    board = TensorBoard({"seed-0": path}, tmp_path / "board", every_s=3600)
    with board:
        with FileRunLog(path) as log:
            for step in range(9):
                log.scalar("encoder", 9.0, step)
        board._copy()
        with FileRunLog(path) as log:
            log.scalar("encoder", 1.0, 0)
    assert _read(tmp_path / "board" / "seed-0") == {"encoder": [(0, 1.0)]}


def test_a_broken_log_costs_no_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    path = tmp_path / "seed-0.log.jsonl"
    with TensorBoard({"seed-0": path}, tmp_path / "board", every_s=3600) as board:
        path.write_text("half a line\n")
        board._copy()
        with path.open("a") as stream:
            stream.write('{"event": "scalar", "name": "encoder", "value": 1.0, "step": 3}\n')
    assert _read(tmp_path / "board" / "seed-0") == {"encoder": [(3, 1.0)]}


def test_without_tensorboard_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ResourceError, match="pip install tensorboard"):
        TensorBoard({}, tmp_path)
