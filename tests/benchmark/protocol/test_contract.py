"""The protocols tell the three kinds of submissions apart, and importing them is cheap."""

import subprocess
import sys
import textwrap

import pytest
import torch
from fakes import Approach, Constant, FakeDataset, Pixels, Trained

from recombine.benchmark.protocol import contract as protocol
from recombine.benchmark.protocol.contract import Encoder, Inverter, Learner, MethodCard, SlotOutput
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.benchmark.submissions.loading import load_learner


@pytest.mark.parametrize(
    ("submission", "kind"),
    [(Pixels(), Encoder), (Constant(), Encoder), (Approach(), Inverter), (Trained(), Learner)],
)
def test_each_submission_is_of_one_kind(submission, kind):
    kinds = [k for k in (Encoder, Inverter, Learner) if isinstance(submission, k)]
    assert kinds == [kind]


def test_outputs_and_cards_cannot_be_changed_later():
    with pytest.raises(AttributeError):
        SlotOutput(slots=torch.zeros(1, 2, 3)).slots = torch.ones(1, 2, 3)
    with pytest.raises(AttributeError):
        MethodCard(id="a", name="A").supervision = "supervised"


@pytest.mark.parametrize(
    "module",
    [
        "protocol.contract",
        "serving.data",
        "results.result",
        "results.parts",
        "statistics.intervals",
        "metrics.base",
    ],
)
def test_light_modules_load_no_deep_learning_library(module):
    code = (
        f"import sys, recombine.benchmark.{module}\n"
        "heavy = {'torch', 'bpy', 'jinja2', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_example_in_the_documentation_can_be_scored(tmp_path):
    text = protocol.__doc__
    example = text[text.index("    class PixelMean") : text.index("* An **Encoder**")]
    header = "from recombine.benchmark.protocol.contract import SlotOutput\n"
    file = tmp_path / "file.py"
    file.write_text(header + textwrap.dedent(example))
    (result,) = score_submission(
        load_learner(f"{file}:PixelMean"),
        FakeDataset(train=4, val=2, test=2),
        seeds=[0],
        out_dir=tmp_path / "runs",
        options=RunOptions(readout_labels=30),
    )
    assert result.method.entry == "pixel-mean"
    assert result.method.code == "file.py:PixelMean"
