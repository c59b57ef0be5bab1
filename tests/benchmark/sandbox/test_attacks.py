"""Planted submissions that attack the harness: each is refused by name, and no harm is done."""

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from shut_in import ATTACKS, TIGHT, StoredDataset, need_bwrap

from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.running.harness import ORDER_FILE, RunOptions, run_seed
from recombine.benchmark.sandbox.isolation import isolate
from recombine.benchmark.sandbox.process import GIB, MIB, descendants
from recombine.renderer.core.errors import RecombineError
from tests.waiting import wait_until

pytestmark = pytest.mark.long

QUICK = RunOptions(batch_size=32, readout_labels=20)


@pytest.fixture(scope="module", autouse=True)
def _bwrap():
    need_bwrap()


def attack(name, limits=TIGHT, **settings):
    return isolate(f"{ATTACKS}:{name}", settings=settings, limits=limits)


# The limit under test is the only one that an attack can meet, however slow the machine is.
ROOMY = replace(TIGHT, memory_bytes=64 * GIB)
LIMITS = {"Fork": ROOMY, "Threads": ROOMY}


def refused(name, limits=None, **settings):
    with pytest.raises(RecombineError) as caught:
        attack(name, limits or LIMITS.get(name, TIGHT), **settings)
    return caught.value


PLANTED = [
    ("ReadFile", {"path": "/etc/shadow"}, "outside-file", 3),
    ("ReadFile", {"path": "/etc/passwd"}, "outside-file", 3),
    ("ReadFile", {"path": "/proc/1/environ"}, "outside-file", 3),
    ("ReadFile", {"path": "/data/labels.npz"}, "label-decoy", 3),
    ("ReadQuietly", {"path": "/data/plan.h5"}, "label-decoy", 3),
    ("ReadQuietly", {"path": "/data/shards/shard-00000.h5"}, "label-decoy", 3),
    ("Connect", {}, "network", 3),
    ("Connect", {"host": "127.0.0.1", "port": 22}, "network", 3),
    ("LookUp", {}, "network", 3),
    ("VirtualMachineSocket", {}, "network", 3),
    ("Fork", {}, "process-limit", 4),
    ("Threads", {}, "process-limit", 4),
    ("Allocate", {}, "memory-limit", 4),
    ("AllocateTogether", {}, "memory-limit", 4),
    ("Write", {"path": "/tmp/big"}, "output-limit", 4),
    ("Write", {"path": "/dev/shm/big"}, "output-limit", 4),
    ("Write", {"path": "/answer/answer.safetensors"}, "output-limit", 4),
    ("Write", {"path": "/answer/second", "mib": 1}, "outside-file", 3),
    ("Write", {"path": "/job/code/attacks.py", "mib": 1}, "outside-file", 3),
    ("Write", {"path": "/usr/bin/python", "mib": 1}, "outside-file", 3),
    ("Write", {"path": "/data/labels.npz", "mib": 1}, "outside-file", 3),
    ("BecomeRoot", {}, "blocked-call", 3),
    ("KillEverything", {}, "blocked-call", 3),
    ("Leave", {"code": 0}, "no-answer", 3),
    ("Leave", {"code": 7}, "no-answer", 3),
    ("Exit", {}, "no-answer", 3),
    ("Crash", {}, "crashed", 3),
    ("Forge", {"content": ""}, "no-answer", 3),
    ("Forge", {"content": "x" * 100}, "huge-header", 3),
    ("Forge", {"content": "\x02" + "\0" * 7 + "{}"}, "no-answer", 3),
]


@pytest.mark.parametrize(("name", "settings", "reason", "code"), PLANTED)
def test_attacks_are_refused_by_name(name, settings, reason, code):
    error = refused(name, **settings)
    assert getattr(error, "reason", None) == reason, str(error)
    assert error.exit_code == code
    text = str(error)
    assert f"[{reason}]" in text
    assert text.startswith("attacks.py")
    assert "\n" not in text
    assert len(text) < 1500


@pytest.mark.parametrize(
    ("x86", "arm", "argument"),
    [(272, 97, 0x10000000), (101, 117, 0), (165, 40, 0), (321, 280, 0), (425, 425, 1)],
    ids=["unshare", "ptrace", "mount", "bpf", "io_uring"],
)
def test_calls_into_the_kernel_are_blocked(x86, arm, argument):
    number = x86 if os.uname().machine == "x86_64" else arm
    error = refused("SystemCall", number=number, argument=argument)
    assert getattr(error, "reason", None) == "blocked-call", str(error)


def test_sleeping_past_the_limit_and_ignoring_the_signal():
    error = refused("Sleep", replace(TIGHT, seconds=2))
    assert error.reason == "time-limit"
    assert error.exit_code == 4


def test_burning_processor_time():
    assert refused("Burn", replace(TIGHT, seconds=2)).reason == "time-limit"


def test_scratch_space_ends_before_the_disk_does():
    roomy = replace(TIGHT, answer_bytes=512 * MIB)  # the limit of one file is not what stops it
    error = refused("Write", roomy, path="/tmp/big")
    assert error.reason == "output-limit"
    assert "No space left" in str(error)


def test_a_secret_file_does_not_exist_inside(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the labels")
    error = refused("ReadFile", path=str(secret))
    assert error.reason == "outside-file"
    assert "No such file" in str(error)


def test_only_mount_points_are_seen():
    text = str(refused("ListEverything"))
    assert "/job/code" in text
    for private in ("/root/.ssh", "/root/.bash_history", "/home/", "/var/", "/mnt/", "/tmp/pytest"):
        assert private not in text


def test_the_environment_is_empty(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    text = str(refused("ShowEnvironment"))
    assert "hunter2" not in text
    assert "SECRET_TOKEN" not in text
    assert "LANG" in text


def test_there_are_no_other_processes_and_no_rights():
    text = str(refused("ShowProcesses"))
    assert "2 processes" in text
    assert "['0000000000000000', '0000000000000000']" in text
    user = int(text.split("user ")[1].split(",")[0])
    assert user != 0


def test_limits_cannot_be_raised():
    assert "not allowed to raise maximum limit" in str(refused("RaiseLimits"))


def test_the_machine_itself_cannot_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        error = refused("Connect", host="127.0.0.1", port=server.getsockname()[1])
        assert error.reason == "network"
        with pytest.raises(BlockingIOError):  # nobody waits in the queue
            server.accept()


def test_printing_without_end_blocks_nothing():
    error = refused("Print")
    assert "RuntimeError: printed" in str(error)
    assert len(error.report) < 400_000


def test_nothing_survives():
    marker = f"survivor-{os.getpid()}"
    attack("Daemon", marker=marker)
    wait_until(lambda: not any(marker in _command(p) for p in Path("/proc").glob("[0-9]*")))


def _is_inside(pid):
    command = _command(Path(f"/proc/{pid}"))
    return "job.json" in command and "bwrap" not in command


def _command(process):
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def test_killing_the_harness_kills_the_submission(tmp_path):
    call = f"isolate({f'{ATTACKS}:Sleep'!r})"
    code = f"from recombine.benchmark.sandbox.isolation import isolate\n{call}\n"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        wait_until(lambda: any(_is_inside(p) for p in descendants(parent.pid)))
        inside = set(descendants(parent.pid))
        assert len(inside) >= 4
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(lambda: not any(_alive(p) for p in inside))
    finally:
        parent.kill()


def _alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return StoredDataset(tmp_path_factory.mktemp("stored") / "data", train=3, val=1, test=1)


def run(dataset, out_dir, name, **settings):
    return run_seed(attack(name, **settings), dataset, seed=0, out_dir=out_dir, options=QUICK)


def leftovers(out_dir):
    found = sorted(p.name for p in out_dir.iterdir()) if out_dir.exists() else []
    return [name for name in found if name != ORDER_FILE]


@pytest.mark.parametrize("name", ["labels.npz", "plan.h5"])
def test_the_dataset_folder_is_a_decoy(dataset, tmp_path, name):
    with pytest.raises(RecombineError) as caught:
        run(dataset, tmp_path, "InEncode", path=str(dataset.path / name))
    assert caught.value.reason == "label-decoy"
    assert not leftovers(tmp_path)
    assert (dataset.path / "labels.npz").read_bytes() == b"the real labels"


CHEATS = {
    "twice": "duplicate-image",
    "short": "wrong-shape",
    "nan": "not-finite",
    "late": "changed-answer",
    "more": "wrong-names",
    "segments": "too-big-values",
    "steps": "no-answer",
    "flops": "no-answer",
    "silent": "no-answer",
}


@pytest.mark.parametrize("what", CHEATS)
def test_forged_answers_are_refused_by_name(dataset, tmp_path, what):
    with pytest.raises(RecombineError) as caught:
        run_seed(_described(what), dataset, seed=0, out_dir=tmp_path, options=QUICK)
    assert caught.value.reason == CHEATS[what], str(caught.value)
    assert not leftovers(tmp_path)


def _described(what):
    """Describe an honest sibling, so that only the run itself is forged."""
    honest = attack("InEncode", path="/none")
    return replace(honest, located=replace(honest.located, attribute="Cheat"), given={"what": what})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("BatchNorm", "batch-statistics"),
        ("Dice", "not-repeatable"),
        ("Remember", "memory-between-calls"),
        ("Leaker", "label-decoy"),
    ],
)
def test_methods_that_peek_are_refused_by_name(dataset, tmp_path, name, reason):
    with pytest.raises(RecombineError) as caught:
        run(dataset, tmp_path, name)
    assert caught.value.reason == reason, str(caught.value)
    assert not [kept for kept in leftovers(tmp_path) if kept.endswith(".safetensors")]


def test_without_a_twin_independence_is_declared(dataset, tmp_path):
    facts = read_predictions(run(dataset, tmp_path, "EndTwin").path).facts
    assert facts.dependence["no_twin"] == "it died"
    assert "twin" not in facts.dependence
    assert facts.dependence["batch"]["largest"] == [0.0]


def test_quiet_attempts_on_the_network_are_refused(dataset, tmp_path):
    honest = attack("InEncode", path="/none")
    quiet = replace(honest, located=replace(honest.located, attribute="ConnectQuietly"), given={})
    with pytest.raises(RecombineError) as caught:
        run_seed(quiet, dataset, seed=0, out_dir=tmp_path, options=QUICK)
    assert caught.value.reason == "network"
    assert "1.1.1.1" in str(caught.value)


def test_a_forged_file_of_the_right_form_is_still_checked(dataset, tmp_path):
    forged = save({"row": np.arange(3), "slots/0": np.ones((3, 2, 2), np.float32)})
    honest = attack("InEncode", path="/none")
    forger = replace(
        honest,
        located=replace(honest.located, attribute="Forge"),
        given={"content": forged.decode("latin-1")},
    )
    with pytest.raises(RecombineError) as caught:
        run_seed(forger, dataset, seed=0, out_dir=tmp_path, options=QUICK)
    assert caught.value.reason == "no-answer"


def test_attacks_side_by_side_do_not_disturb_each_other():
    found = {}

    def work(name):
        error = refused(name)
        found[name] = getattr(error, "reason", str(error))

    threads = [threading.Thread(target=work, args=(n,)) for n in ("Fork", "Crash", "Allocate")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"Fork": "process-limit", "Crash": "crashed", "Allocate": "memory-limit"}
