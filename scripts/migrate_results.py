"""Bring result files of earlier schemas up to the present one, in place.

    python scripts/migrate_results.py FOLDER [--key FILE]

Scores and counts stay as they are. What earlier files tell in prose and names becomes a field
(`method.role`, `data.recipe`), baselines get their `credit`, every interval is computed anew from
the stored counts as the measure 2.0 does it, and the levels of ignorance are computed from the
recipe. Intervals whose counts are not on record (masks, further readouts, search steps between the
first and the last) are dropped. Which slot stood for what cannot be decided again without
predictions: the metric version stays. Data of version 1 are named by their root, since they have no
other identity.

A result's id is the hash of its content, so every id is new; the ledger `verified.jsonl` beside the
files gets one more line for every result that has one, with the tier that was reached, one more for
what is disputed or withdrawn, and is otherwise left alone. File names stay. A second run changes
nothing. A signed ledger needs its key.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from recombine.baselines.registry import BASELINES, load_baseline
from recombine.benchmark.metrics.base import FACTOR_METRICS
from recombine.benchmark.results.credit import Credit
from recombine.benchmark.results.levels import redrawn_levels
from recombine.benchmark.results.parts import FactorScore, Method, Score
from recombine.benchmark.results.result import EARLIER, SCHEMA_VERSION, Result
from recombine.benchmark.scoring.aggregate import paired_gap_part
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import factor_scores_of, scores_of
from recombine.leaderboard.ledger.records import (
    SELF_REPORTED,
    Mark,
    Tier,
    read_ledger,
    record_mark,
    record_tier,
)
from recombine.leaderboard.ledger.signing import Signer, read_key
from recombine.renderer.core.errors import IntegrityError, RecombineError, UsageError
from recombine.renderer.core.project import AUTHORS, project
from recombine.renderer.core.strict import parse_json
from recombine.renderer.presets.table import load_preset

# Until 2.0 a sentence of the card's note that began so declared the role.
DECLARED = {"Upper bound": "bound", "Floor": "floor", "Control": "control"}
DECLARATION = re.compile(rf"(?:^|[.!?]\s+)({'|'.join(DECLARED)})\b(?=[:,])")


def migrate(folder: Path, signer: Signer | None = None) -> int:
    """Migrate the result files of a folder and return how many there were."""
    old = {path: plain for path in sorted(folder.glob("*.json")) if (plain := read_old(path))}
    recipes = {}
    for plain in old.values():  # two results of the same root are of the same images
        root, known = plain["data"]["root"], plain["data"].get("recipe")
        recipes[root] = recipes.get(root) or known or recipe_of(plain)
    ledger, new, marks = read_ledger(folder), {}, {}
    for path, plain in old.items():
        method, data = plain["method"], plain["data"]
        recipe = recipes[data["root"]]
        fields = dict(plain)
        version = fields.pop("schema_version")
        if version in ("1.0", "1.1"):
            fields["method"] = {**method, "role": role_of(plain)}
            fields["data"] = {**data, "recipe": recipe and {**recipe, "rung": rung_of(plain)}}
        # Data of version 1 have no identity but their root: no such board grows any more.
        fields["data"] = {"identity": data["root"], **fields["data"]}
        fields.setdefault("credit", credit_of(plain).model_dump(mode="json"))
        named = fields.pop("result_id")
        tier, marks[path] = ledger.tier(named), ledger.marks.get(named)
        if version in ("2.1", "2.2"):  # intervals and levels are today's already
            versioned = {**fields, "schema_version": SCHEMA_VERSION, "result_id": "0" * 64}
            result = Result.model_validate_json(json.dumps(versioned))
        else:
            result = redrawn_levels(Result.sealed(**with_intervals(fields)))
        new[path] = result.model_copy(update={"result_id": result.expected_id()}), tier
    by_tier: dict[Tier, list[Result]] = {}
    for result, tier in new.values():
        by_tier.setdefault(tier, []).append(result)
    # The ledger first: after a crash between the two, a second run finds every tier again.
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for tier, results in by_tier.items():
        if tier != SELF_REPORTED:
            record_tier(folder, results, tier, now, signer)
    keep_marks(folder, [(result, marks[path]) for path, (result, _) in new.items()], now, signer)
    for path, (result, _) in new.items():
        result.save(path)
    return len(new)


def keep_marks(
    folder: Path, pairs: list[tuple[Result, Mark | None]], now: str, signer: Signer | None
) -> None:
    """Put on record of new results what was on record of the old ones."""
    known = read_ledger(folder).marks
    for result, mark in pairs:
        if mark is not None and result.result_id not in known:
            record_mark(folder, result, mark.state, mark.reason, now, signer)


def read_old(path: Path) -> dict[str, Any] | None:
    """Return an older result as plain values, its hash checked; None for anything else."""
    try:
        plain = parse_json(path.read_bytes(), str(path))
        if plain["schema_version"] not in EARLIER:
            return None
        content = {key: value for key, value in plain.items() if key != "result_id"}
    except (IntegrityError, KeyError, TypeError):
        return None
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if hashlib.sha256(text.encode()).hexdigest() != plain["result_id"]:
        raise IntegrityError(
            f"{path}: expected content that matches its result_id, got other content; the file "
            "was edited, score the entry again"
        )
    return dict(plain)


def with_intervals(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a result with every interval that its counts allow, as the measure 2.0 computes it."""
    fields = copy.deepcopy(plain)
    scores, paired = fields["scores"], fields["paired_gap"]
    for split, name in (("id_test", "id"), ("ooc_test", "ooc")):
        score = scores[split]
        hits, counts = (
            (paired.pop(f"{name}_{what}") if paired else []) for what in ("hits", "counts")
        )
        # Blocks of one split alone were not stored, so sums over blocks can be short of some.
        whole = [sum(row) for row in hits] == [sum(row) for row in score["hits"]]
        if paired and whole:
            numbers = list(range(len(counts)))
            score["blocks"] = {"numbers": numbers, "hits": hits, "counts": counts}
    both = [Score.model_validate_json(json.dumps(scores[name])) for name in ("id_test", "ooc_test")]
    tables = [scores_of(one) for one in both]
    for split, one, table in zip(("id_test", "ooc_test"), both, tables, strict=True):
        score = scores[split]
        score |= {"ci95": stats.crossed_mean(table).ci95, "ci_method": stats.CI_METHOD}
        for key, factor in one.per_factor.items():
            score["per_factor"][key]["ci95"] = factor_interval(factor, one)
    fields["gap"] |= {"ci95": stats.gap(*tables).ci95, "ci_method": stats.GAP_METHOD}
    if paired:
        # No whole blocks on record: what was computed from them stands.
        found = paired_gap_part(*both)
        paired |= found.model_dump(mode="json") if found else {}
    fields["smallest_detectable_difference"] = stats.smallest_detectable_difference(tables[1])
    curve, steps = fields["compute_curve"], fields["compute"]["steps"]
    for name, split in (("id", "id_test"), ("ooc", "ooc_test")):
        curve[f"{name}_ci95"] = [
            scores[split]["ci95"] if step == steps else None for step in curve["steps"]
        ]
    return without_unknown(fields)


def factor_interval(factor: FactorScore, score: Score) -> tuple[float, float] | None:
    """Return the interval of a factor's score from its parts per cell."""
    if not factor.per_cell:
        return None
    metric = FACTOR_METRICS[factor.kind]
    found = stats.crossed_mean(factor_scores_of(factor, score), None).ci95
    return found and (max(found[0], metric.low), min(found[1], metric.high))


def without_unknown(fields: dict[str, Any]) -> dict[str, Any]:
    """Drop the intervals of older kinds whose counts are not on record."""
    further = fields.get("further") or {}
    parts = [further.get("gap_parts"), further.get("selectivity"), *further.get("readouts", [])]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            if "ci95" in part:
                part["ci95"] = None
            parts += [value for value in part.values() if isinstance(value, dict)]
    for split in (further.get("masks") or {}).values():
        for measure in split.values():
            measure["ci95"] = None
    return fields


def role_of(plain: dict[str, Any]) -> str:
    """Return the role that an older result declares in prose."""
    if plain["training"]["selection"]["rule"] == "oracle":
        return "bound"
    declared = DECLARATION.search(plain["method"].get("note", ""))
    return DECLARED[declared[1]] if declared else "method"


def credit_of(plain: dict[str, Any]) -> Credit:
    """Return whose work an older result is, as far as this project knows: its own baselines."""
    method = Method.model_validate_json(json.dumps({**plain["method"], "role": "method"}))
    if method.is_baseline:
        known = Credit.of(asdict(load_baseline(method.id).card) if method.id in BASELINES else {})
        return known.model_copy(update={"authors": (AUTHORS,), "licence": project().licence})
    model = method.settings.get("model")  # of a hub: the name of its weights
    pretrained = plain["track"]["data"] == "pretrained" and isinstance(model, str)
    return Credit(pretraining=(str(model),) if pretrained else ())


def rung_of(plain: dict[str, Any]) -> int:
    """Return the rung of the training ladder that a dataset's name ends with."""
    return number(plain["data"]["dataset"].split("--"), "rung")


def recipe_of(plain: dict[str, Any]) -> dict[str, Any] | None:
    """Return how the data were made, from their name and counts; None where no scale fits."""
    preset, *parts = plain["data"]["dataset"].split("--")
    values, ooc_val = number(parts, "values") or None, "ooc-val" in parts
    blocks = plain["paired_gap"]["n_blocks"] if plain["paired_gap"] else 0
    scale = blocks and scale_of(preset, values, ooc_val, blocks, plain["data"]["n_train"])
    if not scale:
        return None
    return {
        "preset": preset,
        "resolution": plain["data"]["resolution"],
        "scale": scale,
        "values": values,
        "ooc_val": ooc_val,
    }


def number(parts: list[str], name: str) -> int:
    """Return the number of a part such as ``rung-2``; 0 without one."""
    found = [part.removeprefix(f"{name}-") for part in parts if part.startswith(f"{name}-")]
    return int(found[0]) if found and found[0].isdecimal() else 0


@cache
def scale_of(
    preset: str, values: int | None, ooc_val: bool, blocks: int, images: int
) -> float | None:
    """Return the shortest scale that gives as many test blocks and training images."""
    load = partial(load_preset, preset, values=values, ooc_val=ooc_val)
    try:
        whole = load()
        schema, split = whole.schema, whole.split
        # Images of the narrowest rung per block.
        draws = math.prod(schema.factor(key).size for key in schema.crossed) * len(
            whole.block_draws(split.id_draws(schema.cell_shape), 0)
        )
        near = blocks / whole.sizes.test, images / (whole.sizes.train * draws)
        shares = [part + step / 10**d for part in near for d in (1, 2, 3) for step in (0, -1, 1)]
        words = {f"{share:.{d}g}" for share in shares if share > 0 for d in (1, 2, 3)}
        for word in ["1", *sorted(words - {"1"}, key=lambda word: (len(word), word))]:
            sizes = load(scale=float(word)).sizes
            if (sizes.test, sizes.train * draws) == (blocks, images):
                return float(word)
    except UsageError:  # a preset of another version
        return None
    return None


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of result files")
    parser.add_argument("--key", type=Path, help="private key of a signed ledger")
    options = parser.parse_args()
    try:
        count = migrate(options.folder, read_key(options.key) if options.key else None)
    except RecombineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{options.folder}: {count} result files brought to schema {SCHEMA_VERSION}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
