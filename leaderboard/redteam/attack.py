"""Run the red-team corpus: what is not refused, or for another reason, is a fault."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.leaderboard.redteam.attack_corpus import CORPUS, Attack
from recombine.leaderboard.redteam.attack_world import World, make_world
from recombine.renderer.core.errors import RecombineError, ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Outcome = Literal["refused", "other reason", "NOT REFUSED", "not run"]


@dataclass(frozen=True)
class Verdict:
    """What became of an attack.

    Attributes
    ----------
    attack : Attack
        Which one.
    outcome : str
        "refused" for the documented reason; anything else but "not run" is a fault.
    message : str
        What the installation said.
    """

    attack: Attack
    outcome: Outcome
    message: str


def run_attacks(only: Collection[str] = ()) -> Iterator[Verdict]:
    """Run the corpus against this installation.

    Parameters
    ----------
    only : collection of str
        Names or kinds; all when empty.

    Yields
    ------
    Verdict
        One per attack. Attacks by code are "not run" without bubblewrap: they are never run
        outside of isolation.

    Raises
    ------
    UsageError
        When nothing has such a name.
    """
    chosen = [one for one in CORPUS if not only or {one.name, one.kind} & set(only)]
    known = {one.name for one in CORPUS} | {one.kind for one in CORPUS}
    if unknown := sorted(set(only) - known):
        raise UsageError(f"attack: expected names or kinds of attacks, got {unknown}; see --json")
    with tempfile.TemporaryDirectory(prefix="recombine-attack-") as scratch:
        world = make_world(Path(scratch) / "honest")
        for i, one in enumerate(chosen):
            folder = Path(scratch) / str(i)
            folder.mkdir()
            yield _try(one, world, folder)


def _try(attack: Attack, world: World, folder: Path) -> Verdict:
    if attack.kind == "code":
        try:
            require_bwrap()
        except ResourceError as error:
            return Verdict(attack, "not run", str(error))
    try:
        attack.run(world, folder)
    except RecombineError as error:
        message = str(error)
        expected = attack.reason in message
        return Verdict(attack, "refused" if expected else "other reason", message)
    except Exception as error:
        return Verdict(attack, "other reason", f"untyped {type(error).__name__}: {error}")
    return Verdict(attack, "NOT REFUSED", "")
