"""Borrowed trust: tiers, ids, checks and numbers that a file only claims, and names that lie."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from attack_files import _write
from attack_world import METHOD, World, resealed

from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.results.result import Result
from recombine.benchmark.scoring.score import score_predictions
from recombine.leaderboard.board.entries import load_boards, load_entry
from recombine.leaderboard.ledger.records import (
    LEDGER,
    SELF_REPORTED,
    ledger_head,
    record_tier,
)
from recombine.leaderboard.submissions.bundle import write_bundle
from recombine.leaderboard.submissions.ownership import claim, holders, owner_of
from recombine.leaderboard.submissions.review import rescore_bundle
from recombine.renderer.core.errors import IntegrityError
from recombine.renderer.store.seal import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = "2026-01-01T00:00:00Z"
BASELINE = "recombine.baselines.methods.supervised:Supervised"


def by_hand(plain: dict[str, Any], target: Path) -> Path:
    """Write a result without our code, with the id that its content has."""
    content = {key: value for key, value in plain.items() if key != "result_id"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content["result_id"] = hashlib.sha256(text.encode()).hexdigest()  # at the end
    target.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return target


def forged(change: Callable[[dict[str, Any]], None]) -> Callable[[World, Path], None]:
    """Return an attack by a result that was written by hand."""

    def attack(world: World, folder: Path) -> None:
        plain = json.loads(world.result.read_text())
        change(plain)
        load_entry(by_hand(plain, folder / "result.json"))

    return attack


def put(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return a change of one value."""

    def change(plain: dict[str, Any]) -> None:
        for key in path[:-1]:
            plain = plain[key]
        plain[path[-1]] = value

    return change


def named(name: str) -> Callable[[World, Path], None]:
    """Return an attack by a name."""
    return forged(put("method", "name", value=name))


def endless_number(world: World, folder: Path) -> None:
    """Count training images with four hundred digits."""
    path, text = folder / "result.json", world.result.read_text()
    path.write_text(text.replace('"real_images_seen": 0', f'"real_images_seen": {10**400}', 1))
    load_entry(path)


def trusted(world: World, folder: Path) -> Result:
    """Put a retrained result on the board."""
    path = resealed(world.result, folder / "trusted.json", trust="retrained")
    result = load_entry(path).result
    record_tier(folder, [result], "retrained", NOW)
    return result


def two_keys(world: World, folder: Path) -> None:
    """Name a retrained result first and oneself afterwards."""
    known, path = trusted(world, folder), folder / "mine.json"
    text = world.result.read_text()
    path.write_text(text.replace("{", f'{{"result_id": "{known.result_id}", ', 1))
    load_entry(path)


def borrowed_id(world: World, folder: Path) -> None:
    """Name a retrained result in a setting that stands first in the file."""
    known = trusted(world, folder)
    plain = json.loads(world.result.read_text())
    method = {**plain.pop("method"), "settings": {"result_id": known.result_id}}
    plain = {"method": method, **plain}
    path = by_hand(plain, folder / "mine.json")
    assert path.read_text().index(known.result_id) < path.read_text().index(known.schema_version)
    entry = load_entry(path)
    if entry.tier == SELF_REPORTED:
        raise IntegrityError(f"board: the entry has no line of the ledger, so it is {entry.tier}")


def taken_row(world: World, folder: Path) -> None:
    """Put a newer, better file into the row of a retrained entry."""
    known = trusted(world, folder)
    resealed(world.result, folder / "mine.json", created="2099-01-01T00:00:00Z")
    (board,) = load_boards(sorted(folder.glob("*.json")))
    (entry,) = board.entries
    if entry.result == known:
        raise IntegrityError("board: the row stays with its retrained entry")


def rewritten_ledger(world: World, folder: Path) -> None:
    """Write the whole ledger anew, with hashes that are right."""
    known, mine = trusted(world, folder), resealed(world.result, folder / "b.json", trust="rerun")
    published = ledger_head(folder)
    (folder / LEDGER).unlink()
    record_tier(folder, [load_entry(mine).result, known], "rerun", "2020-01-01T00:00:00Z")
    assert load_entry(mine).confirmed, "without a published head nothing shows it"
    ledger_head(folder, published)


def copied_labels(world: World, folder: Path) -> None:
    """Answer with the labels, which anybody can draw again, and claim to be a sandboxed run."""
    honest = read_predictions(world.predictions)
    cells = world.data.cells[honest.image_index]
    hot = np.concatenate([np.eye(4, dtype=np.float32)[column] for column in cells.T], axis=1)
    slots = {0: np.repeat(hot[:, None], 2, axis=1)}
    facts = replace(honest.facts, isolation="bubblewrap", trained=True)
    path = folder / "seed-0.safetensors"
    _write(path, replace(honest, facts=facts, slots=slots))
    (result,) = score_predictions([path], world.data)
    record_tier(folder, [result], "rescored", NOW)
    entry = load_entry(result.save(folder / "result.json"))
    assert result.ooc.estimate == 1.0
    claims = {*result.sources.figures.values(), result.sources.sandbox, result.track.test_compute}
    checks = result.checks.repeatability, result.checks.batch_invariance, result.checks.memory
    if not entry.confirmed and claims <= {"self-reported", "unknown", "file"} and not any(checks):
        raise IntegrityError(
            f"board: expected a method that was rerun; got {100 * result.ooc.estimate:.0f} % from "
            f"answers alone, {entry.tier}: it takes no part in headline, figures and ranks"
        )


def reviewed(world: World, folder: Path, held: dict[str, Any], **card: Any) -> None:
    """Send in a bundle of the honest predictions under another card, and have it reviewed."""
    run = read_predictions(world.predictions)
    said = dict(run.facts.card) | {k: v for k, v in card.items() if k != "code"}
    facts = replace(run.facts, card=said, code=card.get("code", run.facts.code))
    path = folder / "seed-0.safetensors"
    _write(path, replace(run, facts=facts))
    (result,) = score_predictions([path], world.data)
    stored = {file_sha256(path): path}
    saved = result.save(folder / "claims" / "result.json")
    bundle = write_bundle(folder / "submissions", [saved], stored, METHOD)
    found = rescore_bundle(bundle.folder, {world.data.identity: world.data})
    claim(held, found.results, owner_of(METHOD), reserved=("supervised",))


def baseline_id(world: World, folder: Path) -> None:
    """Take the id of a baseline."""
    reviewed(world, folder, {}, id="supervised")


def baseline_search_id(world: World, folder: Path) -> None:
    """Take the id that the row of a baseline has after a search."""
    reviewed(world, folder, {}, id="supervised-search")


def baseline_code(world: World, folder: Path) -> None:
    """Say that the code is that of a baseline."""
    reviewed(world, folder, {}, id="mine", code=BASELINE)


def held_id(world: World, folder: Path) -> None:
    """Take the id of somebody else's method."""
    results = folder / "results"
    result = load_entry(resealed(world.result, results / "theirs.json")).result
    record_tier(results, [result], "rescored", NOW, owner="https://example.org/theirs")
    reviewed(world, folder, holders([load_entry(results / "theirs.json")]))


def other_code(world: World, folder: Path) -> None:
    """Take the id of another method that was never sent in."""
    plain = json.loads(world.result.read_text())
    plain["method"]["code"] = "other.py:Other"
    theirs = load_entry(resealed(world.result, folder / "results" / "theirs.json", **plain))
    reviewed(world, folder, holders([theirs]))


def bricked_board(world: World, folder: Path) -> None:
    """Claim in the metadata of predictions what no table can hold."""
    run = read_predictions(world.predictions)
    training = dict(run.facts.training) | {"real": 10**30}
    path = folder / "seed-0.safetensors"
    _write(path, replace(run, facts=replace(run.facts, training=training)))
    score_predictions([path], world.data)


def broken_facts(world: World, folder: Path) -> None:
    """Claim words where numbers belong."""
    run = read_predictions(world.predictions)
    facts = replace(run.facts, training={"configs": "many"}, cost={"start_gflop": []})
    path = folder / "seed-0.safetensors"
    _write(path, replace(run, facts=facts))
    assert asdict(facts)["training"] == {"configs": "many"}
    score_predictions([path], world.data)
