"""What stands beside a score: the other slots, random networks, and the oracle readout."""

import numpy as np
import pytest
import torch
from fakes import FakeDataset, Pixels, Segmenter, halves

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.results.result import Result
from recombine.benchmark.results.table import (
    Results,
    match_words,
    matters,
    oracle_ooc,
    readout_lines,
)
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring import controls
from recombine.benchmark.scoring.rescore import PredictionStore, rescore_results
from recombine.benchmark.scoring.score import score_submission

OPTIONS = RunOptions(steps=(0,), readout_labels=60)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset()


class Shared(Pixels):
    """One vector for every slot."""

    card = MethodCard(id="shared", name="Shared", data="open")
    slot_dim = 192

    def encode(self, images):
        return SlotOutput(slots=images.flatten(1)[:, None].repeat(1, 2, 1))


class Twins(Pixels):
    """The whole image in both slots, in another order: nothing tells which is whose."""

    card = MethodCard(id="twins", name="Twins", data="open")
    slot_dim = 192

    def encode(self, images):
        both = halves(images)
        return SlotOutput(slots=torch.stack([both.flatten(1), both.flip(1).flatten(1)], dim=1))


def score(method, dataset, tmp_path, seeds=(0, 1)):
    (result,) = score_submission(method, dataset, seeds=seeds, out_dir=tmp_path, options=OPTIONS)
    return result


def test_a_method_with_a_factor_per_slot_is_matched_clearly(dataset, tmp_path):
    result = score(Pixels(), dataset, tmp_path)
    match = result.readout.match
    assert (match.decided_on, match.clear, match.equal) == (
        "held-out-cells",
        (True, True),
        (False, False),
    )
    assert (match.n_images, match.n_cells, match.unclear) == (60, 8, ())
    assert (match.other_id, match.other_ooc) == (None, None)
    assert match.runner_up == ((0, 1), (0, 1))
    assert match_words(result) == ""
    assert not matters(result)


def test_one_vector_for_all_slots_raises_no_doubt(dataset, tmp_path):
    result = score(Shared(), dataset, tmp_path)
    assert (result.readout.match.clear, result.readout.match.equal) == ((True,) * 2, (True,) * 2)
    assert match_words(result) == ""


def test_where_the_slots_know_the_same_both_scores_are_told(dataset, tmp_path):
    result = score(Twins(), dataset, tmp_path)
    match = result.readout.match
    assert (match.clear, match.equal) == ((False, False), (False, False))
    assert match.other_ooc.estimate == result.ooc.estimate
    assert "unclear in 2 of 2 seeds" in match_words(result)
    assert "which makes no difference" in match_words(result)
    assert not matters(result)
    assert Result.load(result.save(tmp_path)) == result


def test_an_unclear_assignment_that_matters_is_told_with_both_scores(dataset, tmp_path):
    result = score(Twins(), dataset, tmp_path)
    other = result.readout.match.other_ooc.model_copy(update={"per_seed": (0.25, 0.75)})
    match = result.readout.match.model_copy(update={"other_ooc": other})
    read = result.readout.model_copy(update={"match": match})
    told = match_words(result.model_copy(update={"readout": read}))
    here = f"{100 * result.ooc.estimate:.1f}"
    assert f"OOC {here} % with slots (0, 1), 50.0 % with slots (1, 0)" in told


def test_slots_matched_on_masks_are_said_to_be(dataset, tmp_path):
    class Exchangeable(Segmenter):
        card = MethodCard(id="segmenter", name="S", data="open", slots="exchangeable")

    match = score(Exchangeable(), dataset, tmp_path).readout.match
    assert (match.decided_on, match.margin, match.unclear) == ("masks", (), ())


def test_the_readout_says_what_it_reads_and_how_it_was_fitted(dataset, tmp_path):
    read = score(Pixels(), dataset, tmp_path).readout
    assert read.width == 96
    assert set(read.at_edge) == set(read.converged) == set(dataset.schema.keys)
    assert read.at_edge["object.shape"] == ("strongest", "strongest")  # of equals
    assert read.converged["object.shape"] == (True, True)


def test_random_networks_are_read_at_the_same_width(dataset, tmp_path):
    result = score(Pixels(), dataset, tmp_path)
    network = result.readout.random_network
    assert network.width == 96
    assert len(network.id_test.per_seed) == controls.NETWORKS
    # They keep most of so small a picture, with both factors in every number.
    assert network.id_test.estimate > 0.3
    assert network.ooc_test.estimate < result.ooc.estimate
    assert any("96 numbers per readout" in line for line in readout_lines([result]))


def test_random_networks_are_the_same_every_time_and_computed_once(dataset, monkeypatch):
    images = dataset.indices("id_train")[:50]
    monkeypatch.setattr(controls, "_KNOWN", {})
    first = controls.random_network_part(dataset, images, 12)
    assert controls.random_network_part(FakeDataset(), images, 12) is first
    monkeypatch.setattr(controls, "_KNOWN", {})
    assert controls.random_network_part(dataset, images, 12) == first
    threads = torch.get_num_threads()
    codes = controls.random_codes(dataset, images, 12)
    assert torch.get_num_threads() == threads
    assert codes.shape == (50, controls.NETWORKS, 12)
    assert 0.1 < codes.std() < 10
    assert np.unique(codes[:, 0].round(3), axis=0).shape[0] > 40


def test_every_entry_has_the_oracle_readout_beside_its_score(dataset, tmp_path):
    result = score(Pixels(), dataset, tmp_path)
    (oracle,) = result.further.readouts
    assert (oracle.control, oracle.id_test) == ("oracle", None)
    assert oracle_ooc(result) is oracle.ooc_test
    assert result.further.gap_parts is not None
    table = Results([result])
    assert "oracle %" in repr(table)
    assert table.to_frame()["oracle_ooc"][0] == oracle.ooc_test.estimate


def test_one_block_leaves_no_images_for_the_oracle(tmp_path):
    result = score(Pixels(), FakeDataset(test=1), tmp_path)
    assert result.further.readouts == ()
    assert result.further.gap_parts is None
    assert oracle_ooc(result) is None


def test_scoring_again_finds_the_same(dataset, tmp_path):
    result = score(Twins(), dataset, tmp_path / "runs")
    store = PredictionStore([tmp_path])
    controls._KNOWN.clear()  # as in another process
    (again,) = rescore_results([result], store, [dataset])
    assert again.verdict == "identical"
