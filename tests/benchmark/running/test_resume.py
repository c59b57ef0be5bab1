"""kill -9 at any moment of a scoring run: run it again, and the result is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fakes import FakeDataset, Trained

from recombine.benchmark.running.harness import RunOptions, run_seed

ROUNDS = 3
SCRIPT = """
import json, os, random, signal, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from fakes import FakeDataset, Noisy, Trained
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission

out = Path(sys.argv[2])
dataset = FakeDataset(train=6, val=2, test=3)
options = RunOptions(steps=(0, 2), readout_labels=30)


def score():
    done = score_submission(Trained(), dataset, seeds=[0, 1], out_dir=out, options=options)
    return [result.content_id() for result in done]


whole = score()
for path in out.glob("seed-*"):
    path.unlink()


def calls(limit=None):
    # Counts Python functions that are called while scoring; killed -9 at the given one.
    count = 0

    def count_call(frame, event, argument):
        nonlocal count
        count += event == "call"
        if count == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count_call)
    found = score()
    sys.setprofile(None)
    assert found == whole
    return count


total = calls()  # a moment is a number of calls, so no clock decides where a run is killed
moments = random.Random(7)
killed = 0
for _ in range(int(sys.argv[3])):
    for path in out.glob("*seed-*"):
        path.unlink()
    for _ in range(2):  # killed, run again, killed
        limit = moments.randrange(1, int(0.9 * total))
        child = os.fork()
        if child == 0:
            calls(limit)
            os._exit(0)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert score() == whole, "another result after a kill"
left = sorted(path.name for path in out.iterdir())
print(json.dumps({"killed": killed, "left": left, "results": whole}))
"""


def test_a_killed_run_resumes_to_the_same_result(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1]), str(tmp_path), str(ROUNDS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["killed"] >= ROUNDS
    assert len(set(told["results"])) == 2
    kept = {f"seed-{s}.{kind}" for s in (0, 1) for kind in ("log.jsonl", "safetensors")}
    assert set(told["left"]) == kept | {".order-key"}


def test_what_a_process_killed_at_its_very_end_left_is_tidied_up(tmp_path):
    dataset, options = FakeDataset(train=6, val=2, test=3), RunOptions(readout_labels=30)
    made = run_seed(Trained(), dataset, seed=0, out_dir=tmp_path, options=options)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / ".seed-0.safetensors.lock").touch()
    (tmp_path / ".seed-0.0123.states").mkdir()
    again = run_seed(Trained(), dataset, seed=0, out_dir=tmp_path, options=options)
    assert (made.skipped, again.skipped) == (False, True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
