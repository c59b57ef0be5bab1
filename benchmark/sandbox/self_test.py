"""A test of seconds whether the sandbox holds here: code tries to get out, and may not."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.benchmark.sandbox.isolation import isolate
from recombine.benchmark.sandbox.process import GIB, MIB, Limits, Reason
from recombine.renderer.core.errors import RecombineError

LIMITS = Limits(
    memory_bytes=GIB, processes=64, seconds=120, scratch_bytes=64 * MIB, answer_bytes=16 * MIB
)
CODE = '''\
"""A submission that tries to get out of the sandbox."""


class Probe:
    def __init__(self):
        {lines}
        raise SystemError("nothing stopped it")
'''
SECRET, LEFT = "secret.txt", "left.txt"
"""A file beside the probes that their user may read, and one that it may write."""
PROBES: dict[str, tuple[Reason, tuple[str, ...]]] = {
    "no network": (
        "network",
        ("import socket", "socket.create_connection(('1.1.1.1', 443), timeout=5)"),
    ),
    "no file of this machine": ("outside-file", (f"open('{{folder}}/{SECRET}').read()",)),
    "no label": ("label-decoy", ("open('/data/labels.npz', 'rb').read()",)),
    "no writing outside": ("outside-file", (f"open('{{folder}}/{LEFT}', 'w').write('here')",)),
    "a limit of processes": (
        "process-limit",
        (
            "import os, time",
            "for _ in range(1000):",
            "    if os.fork() == 0:",
            "        time.sleep(60)",
            "        os._exit(0)",
        ),
    ),
    "a limit of memory": ("memory-limit", ("self.block = bytearray(30 * 2**30)",)),
}


@dataclass(frozen=True)
class Held:
    """What became of one attempt to get out."""

    what: str  # what the sandbox must give
    held: bool  # whether it did, for the right reason
    said: str  # what the sandbox said, in one line


def self_test() -> list[Held]:
    """Run code in the sandbox that tries to get out, and tell what held."""
    require_bwrap()
    with tempfile.TemporaryDirectory(prefix="recombine-self-test-") as scratch:
        (Path(scratch) / SECRET).write_text("secret")
        with ThreadPoolExecutor(len(PROBES)) as pool:
            return list(pool.map(lambda what: _try(what, Path(scratch)), PROBES))


def _try(what: str, folder: Path) -> Held:
    reason, lines = PROBES[what]
    path = folder / what.replace(" ", "-") / "probe.py"
    path.parent.mkdir()
    path.write_text(CODE.format(lines="\n        ".join(lines).format(folder=folder)))
    try:
        isolate(f"{path}:Probe", limits=LIMITS)
    except RecombineError as error:
        held = getattr(error, "reason", "") == reason and not (folder / LEFT).exists()
        return Held(what, held, str(error))
    return Held(what, held=False, said="nothing stopped it")
