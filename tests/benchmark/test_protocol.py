"""The protocols tell the three kinds of submissions apart, and importing them is cheap."""

import subprocess
import sys

import pytest
import torch
from fakes import Approach, Constant, Pixels, Trained

from recombine.benchmark.protocol import Encoder, Inverter, Learner, MethodCard, SlotOutput


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
    "module", ["protocol", "data", "result", "result_parts", "stats", "metrics"]
)
def test_light_modules_load_no_deep_learning_library(module):
    code = (
        f"import sys, recombine.benchmark.{module}\n"
        "heavy = {'torch', 'bpy', 'jinja2', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
