"""Limits are sane, and the kernel has them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recombine.benchmark.sandbox.process import GIB, MIB, Limits, library_bytes
from recombine.renderer.core.errors import UsageError

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
