"""Older result files become 2.3 with the same scores, today's intervals and the same tiers."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from factories import make_result

from recombine.benchmark.results.credit import Credit
from recombine.benchmark.results.result import Result
from recombine.benchmark.scoring.aggregate import paired_gap_part
from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import Crossed, factor_scores_of
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.ledger.chain import append
from recombine.leaderboard.ledger.records import read_ledger, read_tiers
from recombine.renderer.core.errors import IntegrityError

SCRIPT = Path(__file__).parents[3] / "scripts" / "migrate_results.py"
if not SCRIPT.is_file():
    pytest.skip("only a checkout has the scripts", allow_module_level=True)
spec = importlib.util.spec_from_file_location("migrate_results", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)

BLOCKS = {
    "estimate": 0.125, "ci95": [0.1, 0.15], "ci_method": "older", "n_blocks": 43,
    "id_hits": [[1] * 43] * 3, "ooc_hits": [[1] * 43] * 3,
    "id_counts": [1] * 43, "ooc_counts": [1] * 43,
}  # fmt: skip
"""Of some blocks only: less than the cells hold."""
DATA = {"dataset": "object-background--values-8", "n_train": 8256}
RECIPE = {
    "preset": "object-background", "resolution": 64, "scale": 1.34, "values": 8,
    "ooc_val": False, "rung": 0,
}  # fmt: skip


def write_old(path, version="1.1", paired_gap=None, **over):
    """Write a result as an older version wrote it, and return its id."""
    plain = make_result(**over).model_dump(mode="json")
    del plain["result_id"]
    for score in plain["scores"].values():
        del score["blocks"], score["distinct"]
        for factor in score["per_factor"].values():
            del factor["per_block"]
    plain["paired_gap"] = paired_gap
    if version != "2.0":
        del plain["method"]["role"], plain["data"]["recipe"]
    for name in ("examples", "configurations"):
        plain["artifacts"].pop(name)
    for name in ("sources", "further") if version == "1.0" else ():
        plain.pop(name)
    del plain["data"]["identity"]
    plain["schema_version"] = version
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    named = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps({**plain, "result_id": named}))
    return named


def put_on_record(folder, named, tier):
    data = {"entry": "a", "dataset": "b", "version": "1.0", "root": "ab" * 32, "n_train": 1}
    body = {"result_id": named, "tier": tier, **data}
    append(folder / "verified.jsonl", "verified", body, "2026-01-01T00:00:00Z", None)


INTERVALS = {"ci95", "ci_method", "id_ci95", "ooc_ci95", "smallest_detectable_difference"}
"""What the measure of today computes anew."""


def numbers(value):
    """Return plain values without intervals and without what older files do not have."""
    if isinstance(value, list):
        return [numbers(one) for one in value]
    if not isinstance(value, dict):
        return value
    new = {"blocks", "distinct", "per_block"}
    return {key: numbers(one) for key, one in value.items() if key not in INTERVALS | new}


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
def test_numbers_stay_and_the_facts_become_fields(tmp_path, version):
    path = tmp_path / "a.json"
    method = {"note": "As in the paper. Control: without replay."}
    data = DATA
    if version == "2.0":
        method, data = {**method, "role": "control"}, {**DATA, "recipe": RECIPE}
    write_old(path, version, method=method, data=data, paired_gap=BLOCKS)
    before = json.loads(path.read_text())
    assert script.migrate(tmp_path) == 1
    after = json.loads(path.read_text())
    assert after["schema_version"] == "2.3"
    assert after["method"].pop("role") == "control"
    assert after["data"].pop("recipe") == RECIPE
    assert after["data"].pop("identity") == after["data"]["root"]  # data of version 1 have no other
    for part, name in (("method", "role"), ("data", "recipe")):
        before[part].pop(name, None)
    kept = before.keys() - {"schema_version", "result_id", "artifacts", "paired_gap"} - INTERVALS
    for name in kept:
        assert numbers(after[name]) == numbers(before[name]), name
    # Blocks that do not hold all images say nothing; what was computed from them stays.
    stated = ("estimate", "ci95", "ci_method", "n_blocks")
    assert after["paired_gap"] == {name: BLOCKS[name] for name in stated}
    assert Result.load(path).scores.ooc_test.blocks is None
    assert script.migrate(tmp_path) == 0


def test_a_result_of_today_but_for_its_identity_stays_as_it_is(tmp_path):
    plain = make_result().model_dump(mode="json")
    del plain["result_id"], plain["data"]["identity"]
    plain["schema_version"] = "2.1"
    plain["scores"]["ooc_test"]["ci95"] = [0.0, 1.0]  # not what is computed today
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    named = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "a.json").write_text(json.dumps({**plain, "result_id": named}))
    assert script.migrate(tmp_path) == 1
    after = json.loads((tmp_path / "a.json").read_text())
    assert after["data"].pop("identity") == after["data"]["root"]
    assert {**after, "schema_version": "2.1", "result_id": named} == {**plain, "result_id": named}


def test_intervals_are_those_that_the_counts_give_today(tmp_path):
    path = tmp_path / "a.json"
    today = make_result()
    found = paired_gap_part(today.scores.id_test, today.scores.ooc_test)
    blocks = {"estimate": found.estimate, "ci95": [-1.0, 1.0], "ci_method": "older", "n_blocks": 24}
    for name, score in (("id", today.scores.id_test), ("ooc", today.scores.ooc_test)):
        blocks[f"{name}_hits"] = score.blocks.model_dump(mode="json")["hits"]
        blocks[f"{name}_counts"] = list(score.blocks.counts)
    write_old(path, "2.0", paired_gap=blocks)
    script.migrate(tmp_path)
    after = Result.load(path)
    assert after.gap == today.gap
    assert after.paired_gap == found
    for split in ("id_test", "ooc_test"):
        old, new = (getattr(one.scores, split) for one in (after, today))
        assert (old.ci95, old.ci_method, old.blocks.hits) == (
            new.ci95, new.ci_method, new.blocks.hits,
        )  # fmt: skip
        for name, factor in old.per_factor.items():
            parts = factor_scores_of(new.per_factor[name], new)  # of blocks, older files had none
            low, high = stats.crossed_mean(Crossed(parts.cells, parts.codes), None).ci95
            assert factor.ci95 == pytest.approx((low, min(high, 1.0)))
    (board,) = load_boards([path])
    assert board.entries[0].result == after


@pytest.mark.parametrize(
    ("method", "track", "credit"),
    [
        (
            {"id": "autoencoder", "code": "recombine.baselines.autoencoder:Autoencoder"},
            "scratch",
            Credit(
                authors=("recombine contributors",),
                licence="Apache-2.0",
                paper="https://arxiv.org/abs/2512.08854",
            ),
        ),
        (
            {"code": "hub:X", "settings": {"model": "timm:x"}},
            "pretrained",
            Credit(pretraining=("timm:x",)),
        ),
        ({"code": "mine.py:Mine"}, "scratch", Credit()),
    ],
)
def test_credit_is_what_this_project_knows(tmp_path, method, track, credit):
    today = make_result(data={"identity": "ab"}, method=method, track={"data": track})
    plain = today.model_dump(mode="json")
    del plain["result_id"], plain["credit"]
    plain["schema_version"] = "2.2"
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    named = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "a.json").write_text(json.dumps({**plain, "result_id": named}))
    assert script.migrate(tmp_path) == 1
    after = Result.load(tmp_path / "a.json")
    assert (after.credit, after.data) == (credit, today.data)


@pytest.mark.parametrize(
    ("note", "role"),
    [
        ("", "method"),
        ("Floor: the image as it is.", "floor"),
        ("Upper bound, not an entry: trained on all.", "bound"),
        ("Seen. Control, without a decoder", "control"),
        ("It is a Control: no, in the middle of a sentence.", "method"),
        ("Controls: several", "method"),
    ],
)
def test_the_role_is_what_the_note_declared(tmp_path, note, role):
    write_old(tmp_path / "a.json", method={"note": note})
    script.migrate(tmp_path)
    assert Result.load(tmp_path / "a.json").method.role == role


def test_an_oracle_selection_is_an_upper_bound(tmp_path):
    selection = {"rule": "oracle", "n_candidates": 3}
    write_old(tmp_path / "a.json", training={"selection": selection})
    script.migrate(tmp_path)
    assert Result.load(tmp_path / "a.json").method.role == "bound"


def test_where_counts_do_not_tell_a_result_of_the_same_data_does(tmp_path):
    write_old(tmp_path / "full.json", data={**DATA, "root": "aa" * 32}, paired_gap=BLOCKS)
    fewer = {**DATA, "root": "aa" * 32, "n_train": 100, "dataset": f"{DATA['dataset']}--rung-2"}
    write_old(tmp_path / "fewer.json", data=fewer, paired_gap=BLOCKS)
    write_old(tmp_path / "other.json", data={**DATA, "root": "bb" * 32, "n_train": 100})
    script.migrate(tmp_path)
    found = {p.stem: Result.load(p).data.recipe for p in tmp_path.glob("*.json")}
    assert found == {"full": RECIPE, "fewer": {**RECIPE, "rung": 2}, "other": None}


def test_tiers_are_kept_and_the_ledger_only_grows(tmp_path):
    for name, tier in (("a", "retrained"), ("b", "rescored"), ("c", None)):
        named = write_old(tmp_path / f"{name}.json", entry=f"method-{name}")
        if tier:
            put_on_record(tmp_path, named, tier)
    before = (tmp_path / "verified.jsonl").read_bytes()
    run = [sys.executable, str(SCRIPT), str(tmp_path)]
    assert (
        "3 result files" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
    )
    ledger = (tmp_path / "verified.jsonl").read_bytes()
    assert ledger.startswith(before)
    tiers = read_tiers(tmp_path)
    found = {p.stem: tiers.get(Result.load(p).result_id) for p in tmp_path.glob("*.json")}
    assert found == {"a": "retrained", "b": "rescored", "c": None}
    subprocess.run(run, check=True, capture_output=True)
    assert (tmp_path / "verified.jsonl").read_bytes() == ledger


def test_what_is_disputed_stays_so(tmp_path):
    named = write_old(tmp_path / "a.json")
    put_on_record(tmp_path, named, "retrained")
    body = {"result_id": named, "entry": "autoencoder", "state": "disputed", "reason": "Odd."}
    append(tmp_path / "verified.jsonl", "marked", body, "2026-01-02T00:00:00Z", None)
    script.migrate(tmp_path)
    mark = read_ledger(tmp_path).marks[Result.load(tmp_path / "a.json").result_id]
    assert (mark.state, mark.reason) == ("disputed", "Odd.")


def test_an_edited_file_is_refused_and_nothing_is_written(tmp_path):
    write_old(tmp_path / "a.json")
    write_old(tmp_path / "b.json")
    edited = (tmp_path / "b.json").read_text().replace('"n_train": 1024', '"n_train": 1025')
    (tmp_path / "b.json").write_text(edited)
    before = (tmp_path / "a.json").read_bytes()
    with pytest.raises(IntegrityError, match="edited"):
        script.migrate(tmp_path)
    assert (tmp_path / "a.json").read_bytes() == before
