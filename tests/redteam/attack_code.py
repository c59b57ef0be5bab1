"""Bad code: every class attacks when it is made or asked. It only ever runs shut in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recombine.benchmark.sandbox.isolation import check_isolated, isolate
from recombine.benchmark.sandbox.process import GIB, MIB, Limits
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from attack_world import World

PATIENT = Limits(
    memory_bytes=GIB, processes=64, seconds=180, scratch_bytes=64 * MIB, answer_bytes=16 * MIB
)
"""Time enough on a busy machine: only a submission that never ends meets the time limit."""
SHORT = replace(PATIENT, seconds=10)
FRAME = '''\
"""A submission that attacks."""


class Bad:
    slot_dim = 2

    def __init__(self):
        {begin}

    def setup(self, spec, device):
        self.slots = spec.max_slots

    def encode(self, images):
        from recombine.benchmark.protocol.contract import SlotOutput

        {encode}
        return SlotOutput(slots=slots[:, None].repeat(1, self.slots, 1))
'''
HONEST = "slots = images.mean(dim=(2, 3))[:, :2]"


def starts(*lines: str, limits: Limits = PATIENT) -> Callable[[World, Path], None]:
    """Return an attack by code that runs when the submission is made."""

    def attack(world: World, folder: Path) -> None:
        del world
        isolate(f"{_write(folder, lines, (HONEST,))}:Bad", limits=limits)

    return attack


def answers(*lines: str) -> Callable[[World, Path], None]:
    """Return an attack by code that runs when the submission is asked."""

    def attack(world: World, folder: Path) -> None:
        del world
        found = check_isolated(f"{_write(folder, ('pass',), lines)}:Bad", limits=PATIENT)
        failed = [one for one in found.checks if one.status == "fail"]
        if failed:
            names = "".join(f"[{one.name}]" for one in failed)
            raise InvalidInputError(f"check: failed {names}: {failed[0].why}")

    return attack


def _write(folder: Path, begin: tuple[str, ...], encode: tuple[str, ...]) -> Path:
    path = folder / "bad.py"
    join = "\n        ".join
    path.write_text(FRAME.format(begin=join(begin), encode=join(encode)))
    return path
