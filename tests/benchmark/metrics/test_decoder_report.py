"""What a decoder does, measured from outside, here and through the sandbox."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fakes import FakeDataset, Pixels
from shut_in import TIGHT, need_bwrap

from recombine.benchmark.inference.probe import MethodProbe, can_decode
from recombine.benchmark.metrics.decoder_report import examine
from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.running.harness import RunOptions, run_seed
from recombine.benchmark.sandbox.isolation import isolate
from recombine.benchmark.scoring.score import score_predictions
from recombine.renderer.core.errors import InvalidInputError

CPU = torch.device("cpu")
CODE = """
import torch
from recombine.benchmark.protocol.contract import MethodCard, SlotOutput

class Halves:
    \"\"\"One slot per half of the image, in pixels; the decoder puts them together.\"\"\"

    slot_dim = 96
    card = MethodCard(id="halves", name="Halves", data="open")

    def setup(self, spec, device):
        pass

    def encode(self, images):
        left, right = images[..., :4].flatten(1), images[..., 4:].flatten(1)
        return SlotOutput(slots=torch.stack([left, right], dim=1))

    def decode(self, slots):
        left, right = slots.unflatten(2, (3, 8, 4)).unbind(1)
        return torch.cat([left, right], dim=3)

class Leaky(Halves):
    def decode(self, slots):
        left, right = slots.unflatten(2, (3, 8, 4)).unbind(1)
        return torch.cat([left * right, right], dim=3)

class Liar(Halves):
    def decode(self, slots):
        return super().decode(slots) * float("nan")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("halves") / "method.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def classes():
    space = {}
    exec(CODE, space)
    return space


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=8, val=3, test=3)


def found(method, dataset, **over):
    probe = MethodProbe(method, 8, CPU, 2)
    arguments = {"fixed": True, "seed": 0} | over
    return examine(probe, dataset, dataset.indices("id_train"), **arguments)


def test_a_decoder_that_puts_halves_together(classes, dataset):
    out = found(classes["Halves"](), dataset)
    assert out["x_cycle_id"] < 1e-10
    assert out["z_self_consistency_id"] < 1e-6
    assert out["z_self_consistency_recombined"] < 1e-6
    assert out["decoder_fidelity_own_slots"] > 1 - 1e-9
    # Twins share every nuisance, so recombined halves are the image up to its own noise.
    assert out["decoder_fidelity_recombined"] > 0.98 > out["decoder_fidelity_twin"]
    assert out["compositional_contrast"] < 1e-3
    assert out["jacobian_interaction_score"] > 0.99
    assert out["cross_slot_second_derivative"] < 1e-2
    assert out["block_ima_contrast"] < 1e-3
    assert out["block_ima_contrast_chance"] is None or out["block_ima_contrast_chance"] > 0


def test_interaction_and_mistakes_show(classes, dataset):
    out = found(classes["Leaky"](), dataset)
    assert out["x_cycle_id"] > 0.05
    assert out["decoder_fidelity_own_slots"] < 0.95
    assert out["compositional_contrast"] > 0.05
    assert out["cross_slot_second_derivative"] > 0.01


def test_without_roles_only_what_needs_none(classes, dataset):
    out = found(classes["Halves"](), dataset, fixed=False)
    assert "x_cycle_id" in out
    assert "compositional_contrast" in out
    assert not any(name.startswith(("z_", "decoder_fidelity")) for name in out)


def test_numbers_that_are_none_are_refused(classes, dataset):
    with pytest.raises(InvalidInputError, match="finite decoded images"):
        found(classes["Liar"](), dataset)
    wrong = classes["Halves"]()
    wrong.decode = lambda slots: torch.zeros(len(slots), 3, 4, 4)
    with pytest.raises(InvalidInputError, match="decoded images"):
        found(wrong, dataset)
    assert can_decode(wrong)
    assert not can_decode(Pixels())


def test_through_the_sandbox_it_is_the_same(file, classes, dataset, tmp_path):
    need_bwrap()
    options = RunOptions(readout_labels=40, batch_size=32, full=True)
    shut_in = isolate(f"{file}:Halves", limits=TIGHT)
    path = run_seed(shut_in, dataset, seed=0, out_dir=tmp_path, options=options).path
    inside = read_predictions(path).facts.diagnostics
    here = run_seed(
        classes["Halves"](), dataset, seed=0, out_dir=tmp_path / "here", options=options
    ).path
    outside = read_predictions(here).facts.diagnostics
    assert inside.keys() == outside.keys()
    for name in inside:
        if inside[name] is not None:
            assert np.isclose(inside[name], outside[name], rtol=0.02, atol=1e-4), name
    (result,) = score_predictions([path], dataset, trust="witnessed")
    assert result.sources.sandbox == "bubblewrap"
    assert result.sources.figures["gflop_per_image"] == "self-reported"
    assert result.sources.figures["seconds_per_image"] == "bounded"
    fidelity = result.further.decoder["decoder_fidelity_recombined"]
    assert fidelity.estimate > fidelity.chance
    assert {1, 32} <= {one.batch for one in result.compute.seconds_per_image}


def test_a_decoder_that_lies_in_the_sandbox_is_one_named_error(file, dataset, tmp_path):
    need_bwrap()
    options = RunOptions(readout_labels=40, batch_size=32, full=True)
    shut_in = isolate(f"{file}:Liar", limits=TIGHT)
    with pytest.raises(InvalidInputError, match="finite decoded images"):
        run_seed(shut_in, dataset, seed=0, out_dir=tmp_path, options=options)
