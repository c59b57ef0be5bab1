"""Models that nobody here wrote, wrapped in a few lines and scored."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeDataset

from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.benchmark.submissions.loading import load_learner
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision

EXAMPLES = Path(__file__).parents[3] / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs a checkout")


def lines_of(path, *classes):
    tree = ast.parse(path.read_text())
    nodes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name in classes]
    assert len(nodes) == len(classes)
    return [node.end_lineno - node.lineno + 1 for node in nodes]


def test_a_cnn_of_a_library(tmp_path):
    ready_torchvision()
    pytest.importorskip("timm")
    path = EXAMPLES / "timm_cnn.py"
    assert lines_of(path, "RandomCnn")[0] < 25
    (result,) = score_submission(
        load_learner(f"{path}:RandomCnn"), FakeDataset(train=5, val=2, test=2), seeds=[0],
        out_dir=tmp_path, options=RunOptions(readout_labels=40),
    )  # fmt: skip
    assert result.trust == "rerun"
    assert result.checks.batch_invariance.passed
    assert result.compute.params > 10_000_000


def test_slot_attention_with_exchangeable_slots(tmp_path):
    path = EXAMPLES / "slot_attention.py"
    assert lines_of(path, "FittedSlots")[0] < 25
    learner = replace(load_learner(f"{path}:SlotAttentionLearner"), epochs=2, dim=16)
    (result,) = score_submission(
        learner, FakeDataset(train=5, val=2, test=2), seeds=[0], out_dir=tmp_path,
        options=RunOptions(readout_labels=40),
    )  # fmt: skip
    assert (result.trust, result.track.supervision) == ("retrained", "unsupervised")
    assert result.further.matching.on == "masks"
    assert set(result.further.masks.ooc_test) >= {"mean_iou", "mean_best_overlap"}
    assert result.readout.slot_match == ((0, 1),)
    assert result.checks.repeatability.passed
