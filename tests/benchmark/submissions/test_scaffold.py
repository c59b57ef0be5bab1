"""What is written to start from works as it is, in isolation, and is scored."""

import subprocess
import sys

import pytest
from fakes import FakeDataset
from shut_in import need_bwrap

from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.sandbox.isolation import check_isolated, isolate
from recombine.benchmark.scoring.score import score_submission
from recombine.benchmark.submissions.scaffold import CLASSES, write_scaffold
from recombine.renderer.core.errors import UsageError


@pytest.mark.parametrize("kind", CLASSES)
def test_every_kind_passes_check_and_is_scored(kind, tmp_path):
    need_bwrap()
    made = write_scaffold(tmp_path / "mine", kind)
    found = check_isolated(made.spec)
    assert found.kind == kind.capitalize()
    assert {c.name: c.status for c in found.checks if c.status != "pass"} == {}
    submission = isolate(made.spec)
    results = score_submission(
        submission,
        FakeDataset(train=4, val=2, test=2),
        seeds=[0],
        out_dir=tmp_path / "out",
        options=RunOptions(steps=(0, 3), readout_labels=30),
    )
    assert [r.method.id for r in results] == [made.method] * len(results) == ["mine"] * len(results)
    assert len(results) == (2 if kind == "inverter" else 1)
    assert all(r.checks.batch_invariance.passed for r in results)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_files(kind, tmp_path):
    made = write_scaffold(tmp_path / "deep" / "mine", kind)
    assert sorted(p.name for p in made.files) == ["README.md", "method.py"]
    assert sorted(p.name for p in (tmp_path / "deep" / "mine").iterdir()) == [
        "README.md",
        "method.py",
    ]
    method, notes = (path.read_text() for path in made.files)
    assert f"class {CLASSES[kind]}" in method
    assert "type: ignore" not in method
    assert "noqa" not in method
    assert made.spec in notes
    assert len(method.splitlines()) < 140
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select=E,F",
        "--line-length=100",
    ]
    command.append(str(made.files[0]))
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("mine", "dangling"):
        with pytest.raises(UsageError, match="exists already"):
            write_scaffold(tmp_path / name, "encoder")
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize(
    ("folder", "method", "name"),
    [
        ("my_method", "my-method", "My method"),
        ("Slots  v2.1", "slots-v2-1", "Slots v2 1"),
        ("方法", "my-encoder", "My encoder"),
    ],
)
def test_a_method_is_named_after_its_folder(tmp_path, folder, method, name):
    made = write_scaffold(tmp_path / folder, "encoder")
    text = made.files[0].read_text()
    assert made.method == method
    assert f'id="{method}"' in text
    assert f'name="{name}"' in text


def test_an_unknown_kind_makes_nothing(tmp_path):
    with pytest.raises(UsageError, match="encoder"):
        write_scaffold(tmp_path / "mine", "oracle")
    assert not (tmp_path / "mine").exists()


def test_the_example_learner_learns(tmp_path):
    from recombine.benchmark.check.trial import QuietLog
    from recombine.benchmark.protocol.contract import TrainBudget
    from recombine.benchmark.serving.data import TrainData
    from recombine.benchmark.serving.toy_data import ToyDataset
    from recombine.benchmark.submissions.examples.learner import MyLearner

    values = []

    class Losses(QuietLog):
        def scalar(self, name, value, step):
            values.append(value)

    data = TrainData(ToyDataset(32), "id_train", fields=("factors", "masks"))
    log = Losses()
    MyLearner(epochs=15).fit(data, data, seed=0, budget=TrainBudget(), log=log)
    assert values[-1] < 0.7 * values[0]
    seen = data.images_served
    budget = TrainBudget(max_images_seen=seen + 100)
    MyLearner(epochs=15).fit(data, data, seed=0, budget=budget, log=log)
    assert seen < data.images_served <= seen + 100
