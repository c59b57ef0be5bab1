"""Many runs: order kept, failures late, finished runs kept, dead workers explained."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import FakeDataset, Pixels, Trained

from recombine.benchmark.running.grid import Job, run_grid
from recombine.benchmark.running.harness import RunOptions
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError
from tests.waiting import wait_until

HELPERS = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
QUICK = RunOptions(steps=(0, 1), readout_labels=20)


class Broken(Pixels):
    def encode(self, images):
        raise RuntimeError("broken")


class Deadly(Pixels):
    def encode(self, images):
        os._exit(1)


@dataclass
class Slow(Pixels):
    """Says who it is, and answers only when a file lets it."""

    folder: Path = field(compare=False)

    def encode(self, images):
        (self.folder / f"{os.getpid()}.pid").touch()
        while not (self.folder / "go").exists():
            time.sleep(0.02)
        return super().encode(images)


@pytest.fixture
def jobs(tmp_path):
    dataset = FakeDataset(train=3, val=1, test=1)

    def make(*submissions, seeds=(0, 1)):
        return [
            Job(s, dataset, seed, tmp_path / f"{number}", QUICK)
            for number, s in enumerate(submissions)
            for seed in seeds
        ]

    return make


@pytest.fixture
def importable(monkeypatch):
    """Let spawned workers import the helpers beside this file."""
    monkeypatch.setattr(sys, "path", [*HELPERS, *sys.path])  # workers get the paths of this process


def test_runs_come_back_in_the_order_of_jobs(jobs):
    events = []
    runs = run_grid(jobs(Pixels(), Trained()), progress=events.append)
    assert [run.seed for run in runs] == [0, 1, 0, 1]
    assert [(event.done, event.total) for event in events] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(event.error is None and event.run.path.exists() for event in events)


def test_a_failure_does_not_stop_the_others(jobs):
    events = []
    with pytest.raises(InvalidInputError, match="broken"):
        run_grid(jobs(Broken(), Pixels()), progress=events.append)
    assert [event.error is None for event in events] == [False, False, True, True]
    assert all(event.run.path.exists() for event in events[2:])


@pytest.mark.usefixtures("importable")
def test_parallel_runs_equal_serial_ones_and_are_found_again(jobs):
    todo = jobs("fakes:Trained", Trained(width=6))
    first = run_grid(todo, workers=2)
    assert not any(run.skipped for run in first)
    assert all(run.skipped for run in run_grid(todo, workers=1))
    assert [run.path.parent.name for run in first] == ["0", "0", "1", "1"]


@pytest.mark.usefixtures("importable")
def test_a_dead_worker_is_explained(jobs):
    with pytest.raises(ResourceError, match="a worker process died"):
        run_grid(jobs("test_grid:Deadly", seeds=(0, 1)), workers=2)


def test_two_jobs_may_not_share_a_file(jobs):
    with pytest.raises(UsageError, match="share a folder and a seed"):
        run_grid(jobs(Pixels(), seeds=(0, 0)))


def test_no_jobs():
    assert run_grid([]) == run_grid([], workers=2) == []


KILLED = """
import signal, sys
sys.path[:] = sys.argv[3:]
from pathlib import Path
from fakes import FakeDataset, Pixels
from test_grid import QUICK, Slow
from recombine.benchmark.running.grid import Job, run_grid
folder, dataset = Path(sys.argv[1]), FakeDataset(train=3, val=1, test=1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
submissions = [Pixels(), Slow(folder), Slow(folder), Slow(folder)]
jobs = [Job(s, dataset, 0, folder / str(i), QUICK) for i, s in enumerate(submissions)]
if __name__ == "__main__":
    print([run.skipped for run in run_grid(jobs, workers=int(sys.argv[2]))])
"""


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    return lambda workers: [
        sys.executable,
        str(script),
        str(tmp_path),
        str(workers),
        *HELPERS,
        *sys.path,
    ]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 9)])
@pytest.mark.usefixtures("importable")
def test_workers_end_with_a_stopped_parent_and_the_next_one_resumes(command, sent, code, tmp_path):
    parent = subprocess.Popen(command(2))
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    parent.send_signal(sent)
    assert parent.wait() == code
    workers = [path.stem for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(Path("/proc", pid).exists() for pid in workers))
    (tmp_path / "go").touch()
    again = subprocess.run(command(1), capture_output=True, text=True, check=True)
    assert again.stdout.strip() == "[True, False, False, False]"


@pytest.mark.usefixtures("importable")
def test_a_run_that_another_process_makes_is_waited_for(command, tmp_path):
    first, second = (subprocess.Popen(command(1), stdout=subprocess.PIPE) for _ in range(2))
    wait_until(lambda: list(tmp_path.glob("*.pid")))
    time.sleep(1)  # the second one could begin the same run meanwhile
    assert len(list(tmp_path.glob("*.pid"))) == 1
    (tmp_path / "go").touch()
    told = [process.communicate()[0].decode() for process in (first, second)]
    made = [[word == "False" for word in line.strip("[]\n").split(", ")] for line in told]
    assert [sum(both) for both in zip(*made, strict=True)] == [1, 1, 1, 1]
