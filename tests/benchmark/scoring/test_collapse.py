"""Collapse diagnostics of whole submissions, and files that were written before them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import Constant, FakeDataset, Memoriser, Noisy, Pixels

from recombine.benchmark.metrics.collapse import active_dimensions, nc1, rank_me
from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.results.extra_parts import Further
from recombine.benchmark.results.result import Result
from recombine.benchmark.running.harness import RunOptions, readout_indices
from recombine.benchmark.scoring.score import score_submission

OPTIONS = RunOptions(readout_labels=60)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=10, val=3, test=4)


def scored(method, dataset, folder, seeds=(0,)):
    return score_submission(method, dataset, seeds=seeds, out_dir=folder, options=OPTIONS)[0]


def test_every_slot_is_measured_in_its_role(dataset, tmp_path):
    result = scored(Noisy(), dataset, tmp_path, seeds=(0, 1))
    found = result.further.collapse
    assert set(found) == {"object", "background"}
    assert set(found["object"].id_test) == {
        "rank_me", "von_neumann_entropy", "active_dimensions", "nc1_object.shape",
    }  # fmt: skip
    assert "nc1_background.environment" in found["background"].id_train
    # The method's own order is background first: the slot that stands for the object is its second.
    runs = [read_predictions(path) for path in sorted(tmp_path.rglob("*.safetensors"))]
    for part, indices in (
        ("id_train", readout_indices(dataset, OPTIONS)),
        ("id_test", dataset.indices("id_test")),
    ):
        slots = [
            run.slots[0][run.rows(indices)][:, match]
            for run, match in zip(runs, [one[0] for one in result.readout.slot_match], strict=True)
        ]
        measured = getattr(found["object"], part)
        assert measured["rank_me"].per_seed == pytest.approx([rank_me(one) for one in slots])
        assert measured["active_dimensions"].per_seed == tuple(map(active_dimensions, slots))
        shapes = dataset.latents["object.shape"][indices]
        expected = [nc1(one, shapes) for one in slots]
        assert measured["nc1_object.shape"].per_seed == pytest.approx(expected, rel=1e-6)
        assert measured["rank_me"].n_images == len(indices)
        assert measured["rank_me"].estimate == pytest.approx(np.mean([rank_me(x) for x in slots]))


def test_a_code_of_combinations_has_collapsed_onto_its_classes(dataset, tmp_path):
    memory = scored(Memoriser(), dataset, tmp_path / "a").further.collapse["object"].id_test
    pixels = scored(Pixels(), dataset, tmp_path / "b").further.collapse["object"].id_test
    assert memory["von_neumann_entropy"].estimate <= np.log(8) + 1e-9  # eight combinations are ID
    assert memory["nc1_object.shape"].chance > 2 * memory["nc1_object.shape"].estimate
    assert pixels["active_dimensions"].estimate > memory["active_dimensions"].estimate
    nothing = scored(Constant(), dataset, tmp_path / "c").further.collapse["object"].id_test
    assert nothing["rank_me"].estimate == 1
    assert nothing["active_dimensions"].estimate == 0
    assert (nothing["nc1_object.shape"].estimate, nothing["nc1_object.shape"].chance) == (
        None,
        None,
    )


def test_files_without_them_keep_their_id(dataset, tmp_path):
    assert "collapse" not in Further().model_dump(mode="json")
    new = scored(Constant(), dataset, tmp_path)
    assert Result.load(new.save(tmp_path / "new.json")) == new
    earlier = new.further.model_copy(update={"collapse": None})
    old = new.model_copy(update={"further": earlier})
    old = old.model_copy(update={"result_id": old.expected_id()})
    path = old.save(tmp_path / "old.json")
    assert "collapse" not in json.loads(path.read_text())["further"]
    assert Result.load(path) == old
