"""A process tree under watch: limits, output, and that nothing is left."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from shut_in import TIGHT

from recombine.benchmark.sandbox import process as isolation_process
from recombine.benchmark.sandbox.process import (
    GIB,
    MIB,
    Limits,
    descendants,
    library_bytes,
    proportional_memory,
    run_watched,
    usage,
)
from recombine.renderer.core.errors import UsageError
from tests.waiting import wait_until


def watched(code, limits=TIGHT, **over):
    return run_watched([sys.executable, "-c", code], limits=limits, environment={}, **over)


def test_status_and_output():
    ended = watched("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert ended.code == 7
    assert set(ended.output.split()) == {"out", "err"}
    assert ended.stopped is None


def test_only_the_end_of_much_output_is_kept():
    ended = watched("print('x' * 10_000_000 + 'end')")
    assert ended.code == 0
    assert len(ended.output) == isolation_process.KEPT_OUTPUT
    assert ended.output.endswith("end\n")


def test_output_that_is_no_text():
    ended = watched("import os; os.write(1, bytes(range(256)))")
    assert "�" in ended.output


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "while True: pass"])
def test_time(code):
    ended = watched(code, replace(TIGHT, seconds=0.5))
    assert ended.stopped == "time-limit"
    assert ended.code == -signal.SIGTERM


def test_a_process_that_ignores_the_polite_signal():
    hears, ignores = os.pipe()  # says when the signal is ignored; before, it would obey
    code = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); "
        f"os.write({ignores}, b'x'); time.sleep(3600)"
    )
    ended = watched(
        code,
        replace(TIGHT, seconds=0.5),
        inherited=[ignores],
        started=lambda _pid: os.read(hears, 1),
    )
    os.close(hears)
    os.close(ignores)
    assert ended.stopped == "time-limit"
    assert ended.code == -signal.SIGKILL


def test_memory():
    code = "import time; block = b'x' * (300 * 2**20); time.sleep(3600)"
    ended = watched(code, replace(TIGHT, memory_bytes=200 * MIB))
    assert ended.stopped == "memory-limit"
    assert ended.detail.endswith("GiB")


FAMILY = """
import os, sys
block = b'x' * (120 * 2**20)
for _ in range(5):
    if os.fork() == 0:
        os.read({waits}, 1)
        os._exit(0)
os.read({waits}, 1)
"""


@pytest.fixture
def waits():
    """A pipe: who reads from it waits until the other end is closed."""
    read, write = os.pipe()
    yield read, write
    for number in (read, write):
        with suppress(OSError):
            os.close(number)


def test_memory_that_a_family_shares_counts_once(monkeypatch, waits):
    looks = []

    def look(pid):
        looks.append(proportional_memory(pid))
        if len(looks) == 3:
            os.close(waits[1])  # now the family may end
        return looks[-1]

    monkeypatch.setattr(isolation_process, "proportional_memory", look)
    code = FAMILY.format(waits=waits[0])
    ended = watched(code, replace(TIGHT, memory_bytes=400 * MIB), inherited=[waits[0]])
    assert ended.stopped is None
    assert ended.code == 0
    assert len(looks) >= 3


def test_memory_counts_per_process_where_sharing_is_not_told(monkeypatch, waits):
    monkeypatch.setattr(isolation_process, "proportional_memory", lambda pid: None)
    code = FAMILY.format(waits=waits[0])
    ended = watched(code, replace(TIGHT, memory_bytes=400 * MIB), inherited=[waits[0]])
    assert ended.stopped == "memory-limit"


def test_processes():
    code = (
        "import os, time\nfor _ in range(30):\n"
        "  if os.fork() == 0: time.sleep(3600)\ntime.sleep(3600)"
    )
    ended = watched(code, replace(TIGHT, processes=10))
    assert ended.stopped == "process-limit"


def test_the_whole_session_ends():
    code = "import os, time\nif os.fork() == 0: time.sleep(600)\nprint(os.getpid(), flush=True)"
    ended = watched(code)
    assert ended.code == 0
    # A killed orphan is there until its new parent has noticed.
    wait_until(lambda: int(ended.output) not in [_session(p) for p in Path("/proc").glob("[0-9]*")])


def _session(process):
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])


def test_a_failing_start_ends_the_process():
    pids = []
    before = set(descendants(os.getpid()))  # such as the tracker of an earlier process pool

    def fail(_pid):
        pids.extend(set(descendants(os.getpid())) - before)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        watched("import time; time.sleep(600)", started=fail)
    for pid in pids:
        assert _session(Path(f"/proc/{pid}")) is None


class Opened:
    def __init__(self, after):
        self.left = after

    def opened(self):
        self.left -= 1
        return ["labels.npz"] if self.left < 0 else []


@pytest.mark.parametrize(("after", "code"), [(2, "import time; time.sleep(600)"), (0, "pass")])
def test_decoys_stop_it_and_are_looked_at_once_more(after, code):
    ended = watched(code, decoys=Opened(after))
    assert (ended.stopped, ended.detail) == ("label-decoy", "labels.npz")


def test_usage_of_a_family():
    code = (
        "import os, time\nblock = b'x' * (50 * 2**20)\nprint(1, flush=True)\n"
        "if os.fork() == 0: time.sleep(3600)\ntime.sleep(3600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            wait_until(lambda: len(list(descendants(process.pid))) == 2)
            now = usage(process.pid)
            assert now.tasks == 2
            assert now.memory > 100 * MIB
            shared = proportional_memory(process.pid)
            assert shared is None or 50 * MIB < shared < 100 * MIB
        finally:
            for pid in list(descendants(process.pid))[::-1]:
                os.kill(pid, signal.SIGKILL)
    assert usage(process.pid).tasks == 0
    assert proportional_memory(process.pid) == 0


ASK = """
import resource
from recombine.benchmark.sandbox.process import Limits
limits = Limits(3 * 2**30, processes=77, seconds=100, scratch_bytes=2**21, answer_bytes=2**20)
limits.apply(threads=2, mapped_bytes=2**20, gpu={gpu}, count_processes={count})
limits.apply(threads=2, mapped_bytes=2**20, gpu={gpu}, count_processes={count})
for name in ("AS", "NPROC", "FSIZE", "CORE", "CPU"):
    print(name, *resource.getrlimit(getattr(resource, "RLIMIT_" + name)))
"""


def limits_of(**over):
    code = ASK.format(**{"gpu": False, "count": True, **over})
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {line.split()[0]: line.split()[1:] for line in ran.stdout.splitlines()}


def test_the_kernel_has_them_hard_and_soft():
    found = limits_of()
    assert found["AS"] == [str(3 * GIB + MIB)] * 2
    assert found["NPROC"] == ["77"] * 2
    assert found["FSIZE"] == [str(2 * MIB)] * 2
    assert found["CORE"] == ["0"] * 2
    assert found["CPU"] == ["260"] * 2


def test_torch_itself_does_not_count():
    """With CUDA its libraries alone are more address space than a small limit."""
    mapped = subprocess.run(
        [sys.executable, "-c", "import torch; print(open('/proc/self/maps').read())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = (line.split() for line in mapped.stdout.splitlines())
    ours = {row[5] for row in rows if len(row) > 5 and re.search(r"/(torch|nvidia)/.*\.so", row[5])}
    assert library_bytes() >= 0.9 * sum(Path(path).stat().st_size for path in ours) > 100 * MIB


def test_address_space_is_free_with_a_graphics_driver():
    assert limits_of(gpu=True)["AS"] == limits_of(gpu=True, count=False)["AS"] != [str(3 * GIB)] * 2


def test_a_user_with_other_processes_is_not_counted():
    assert limits_of(count=False)["NPROC"] != ["77"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"memory_bytes": 1000},
        {"scratch_bytes": 0},
        {"answer_bytes": -1},
        {"processes": 0},
        {"seconds": 0},
        {"seconds": float("nan")},
    ],
)
def test_nonsense_is_refused(change):
    with pytest.raises(UsageError, match="Limits"):
        Limits(**change)
