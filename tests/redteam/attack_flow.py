"""Bad bundles and proposals: changed, linked, oversized, or with a claim that does not come out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attack_world import METHOD, World, resealed

from recombine.leaderboard.board.entries import load_entry
from recombine.leaderboard.ledger.records import LEDGER, SELF_REPORTED, record_tier
from recombine.leaderboard.submissions.bundle import open_bundle, write_bundle
from recombine.leaderboard.submissions.review import new_bundles, rescore_bundle
from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable


def bundle(change: Callable[[Path], None]) -> Callable[[World, Path], None]:
    """Return an attack that changes a copy of a bundle."""

    def attack(world: World, folder: Path) -> None:
        copy = Path(shutil.copytree(world.bundle, folder / world.bundle.name))
        change(copy)
        open_bundle(copy)

    return attack


def flip_a_bit(folder: Path) -> None:
    """Change one bit of the predictions, which the format itself would not notice."""
    path = folder / "predictions" / "seed-0.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def extra_code(folder: Path) -> None:
    """Add a file that a careless reviewer's tools would run."""
    (folder / "conftest.py").write_text("raise SystemExit")


def link_to_labels(folder: Path) -> None:
    """Put a link where the predictions were."""
    path = folder / "predictions" / "seed-0.safetensors"
    path.rename(folder.parent / "kept")
    path.symlink_to(folder.parent / "kept")


def outside_path(folder: Path) -> None:
    """List a file outside of the bundle."""
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("method.json", "../../../etc/passwd", 1))


def claim(change: Callable[[dict[str, Any]], None]) -> Callable[[World, Path], None]:
    """Return an attack that bundles a forged claim with honest predictions."""

    def attack(world: World, folder: Path) -> None:
        plain = json.loads(world.result.read_text())
        change(plain)
        forged = resealed(world.result, folder / "result.json", **plain)
        found = {file_sha256(world.predictions): world.predictions}
        made = write_bundle(folder / "submissions", [forged], found, METHOD)
        for result in rescore_bundle(made.folder, {world.data.identity: world.data}).results:
            if result.trust != "rescored":
                return
            raise IntegrityError(
                f"review: expected nothing but a claimed tier to differ, got {plain['trust']}; "
                f"the result is marked {result.trust} whatever the file says"
            )

    return attack


def better_factor(plain: dict[str, Any]) -> None:
    """Claim a factor score that the predictions do not give."""
    for factor in plain["scores"]["ooc_test"]["per_factor"].values():
        factor["estimate"] = -0.5
        factor["per_cell"] = [[-0.5 for _ in row] for row in factor["per_cell"]]


def cheaper(plain: dict[str, Any]) -> None:
    """Claim less compute than was counted."""
    plain["compute"]["gflop_per_image"] = 1e-3


def higher_tier(plain: dict[str, Any]) -> None:
    """Claim that the harness trained the method."""
    plain["trust"] = "retrained"


def tier_by_hand(world: World, folder: Path) -> None:
    """Put a result that claims to be retrained beside the others."""
    entry = load_entry(resealed(world.result, folder / "result.json", trust="retrained"))
    if entry.tier == SELF_REPORTED:
        raise IntegrityError(
            f"board: expected a tier only from a review, got {entry.result.trust} and no line of "
            f"the ledger; the entry is shown as {entry.tier}"
        )


def tier_by_ledger(world: World, folder: Path) -> None:
    """Lift a rescored result by changing its line."""
    path = resealed(world.result, folder / "result.json", trust="retrained")
    record_tier(folder, [load_entry(path).result], "rescored", "2026-01-01T00:00:00Z")
    ledger = folder / LEDGER
    ledger.write_text(ledger.read_text().replace('"rescored"', '"retrained"'))
    load_entry(path)


def proposal(change: Callable[[Path], None]) -> Callable[[World, Path], None]:
    """Return an attack that proposes more than a bundle."""

    def attack(world: World, folder: Path) -> None:
        base, head = folder / "base", folder / "head"
        for tree in (base, head):
            (tree / "leaderboard" / "results").mkdir(parents=True)
            (tree / "score.py").write_text("trusted = True\n")
        shutil.copytree(world.bundle, head / "submissions" / world.bundle.name)
        change(head)
        new_bundles(base, head, max_bytes=10**6)

    return attack


def changed_scorer(head: Path) -> None:
    """Change the code that scores."""
    (head / "score.py").write_text("trusted = False\n")


def own_result(head: Path) -> None:
    """Put a result file onto the board without scoring."""
    (head / "leaderboard" / "results" / "mine.json").write_text("{}")


def too_big(head: Path) -> None:
    """Fill the disk of the workflow."""
    (folder,) = (head / "submissions").iterdir()
    (folder / "predictions" / "more.safetensors").write_bytes(bytes(10**6))
