"""A whole season: secrets, commitments, limited answers, reveal, and an audit that finds fraud."""

import json
import re
import shutil
import stat
import tomllib
from dataclasses import dataclass, replace

import ed25519_stand_in
import numpy as np
import pytest
from factories import make_result

from recombine.leaderboard.ledger.chain import append, head_of
from recombine.leaderboard.seasons.audit import audit_season
from recombine.leaderboard.seasons.rule import commitment, derive, key_commitment, secret_split
from recombine.leaderboard.seasons.season import (
    MAX_SCORINGS,
    Season,
    commit_data,
    open_season,
    reveal,
    rounded,
    score_privately,
)
from recombine.leaderboard.seasons.terms import Recipe, season_plan, seeds_key
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.planning.plan import Plan
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.keys import season as keyed
from recombine.renderer.presets.table import with_split
from recombine.renderer.splits.declaration import declare, load_split

KEY = bytes(range(32))
RECIPE = Recipe(preset="smoke", scale=0.1, resolution=16)
SCHEMA = RECIPE.load().schema
T = "2026-01-01T00:00:00Z"


@dataclass
class Planned:
    """Data as planned, with made-up images."""

    plan: Plan
    identity: str = "5eed" * 16
    broken: bool = False

    def check(self):
        if self.broken:
            raise IntegrityError("the certificate fails")


DATA = Planned(season_plan(RECIPE, KEY))


@pytest.fixture(autouse=True)
def library(monkeypatch):
    try:
        import cryptography  # noqa: F401
    except ImportError:
        ed25519_stand_in.install(monkeypatch)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Open a season once: signing by the stand-in is slow."""
    with pytest.MonkeyPatch.context() as patch:
        ed25519_stand_in.install(patch)
        season = open_season(tmp_path_factory.mktemp("s") / "season", "season", RECIPE, T, KEY)
        commit_data(season, DATA, T)
    return season.folder


@pytest.fixture
def season(template, tmp_path):
    return Season(shutil.copytree(template, tmp_path / "season"))


def load_split_of(key):
    return declare(tomllib.loads(secret_split(key, SCHEMA)), SCHEMA)


def result(hits=0.6, tag=0, identity=DATA.identity):
    files = [
        {"seed": s, "file": f"{s}", "sha256": f"{tag:060x}{s:04x}", "bytes": 9} for s in range(3)
    ]
    counts = np.full((3, 8), 24)
    return make_result(
        ooc_hits=np.full((3, 8), int(24 * hits)) + np.arange(8) % 3, ooc_counts=counts,
        data={"identity": identity}, artifacts={"predictions": files},
    )  # fmt: skip


def holds(season, **options):
    return {one.claim: one.holds for one in audit_season(season, **options)}


def test_secrets_are_for_their_owner_and_public_files_hold_none(season):
    assert stat.S_IMODE((season.folder / "secret").stat().st_mode) == 0o700
    for path in (season.folder / "secret").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = (season.folder / "season.json").read_text() + season.log.read_text()
    plan = DATA.plan
    name = str(plan.config["name"])
    assert re.fullmatch(r"smoke--\w+-[0-9a-f]{8}--season", name)
    secrets = (KEY.hex(), seeds_key(KEY).decode(), season.split.read_text(), DATA.identity)
    # A hash of the split without salt would let combinations be tried out.
    for secret in (*secrets, name[-16:-8], plan.digest(), plan.config["hidden_test"]["key_sha256"]):
        assert secret not in public


def test_a_drawn_key_is_new_every_time(tmp_path):
    from recombine.leaderboard.seasons import rule as season_rule

    keys = set()
    for i in range(2):
        made = open_season(tmp_path / str(i), "s", RECIPE, T)
        keys.add(made.key())
        assert len(made.key()) == season_rule.KEY_BYTES
    assert len(keys) == 2


def test_a_season_is_opened_once(season):
    with pytest.raises(UsageError, match="found a season"):
        open_season(season.folder, "again", RECIPE, T)
    with pytest.raises(UsageError, match="second set"):
        commit_data(season, DATA, T)


def test_the_secret_split_is_valid_and_differs_between_keys(tmp_path):
    splits = {}
    for i in range(6):
        path = tmp_path / f"{i}.toml"
        path.write_text(secret_split(bytes([i] * 32), SCHEMA))
        splits[load_split(path, SCHEMA).digest()] = path
    assert len(splits) >= 4
    assert secret_split(KEY, SCHEMA) == secret_split(KEY, SCHEMA)


def test_commitments_bind_and_hide():
    assert commitment(KEY, "split", b"x") != commitment(KEY, "split", b"y")
    assert commitment(KEY, "split", b"x") != commitment(KEY, "labels", b"x")
    assert commitment(KEY, "split", b"x") != commitment(bytes(32), "split", b"x")
    assert key_commitment(KEY) != key_commitment(bytes(32))
    with pytest.raises(InvalidInputError, match="32 bytes"):
        derive(b"short", "x")


def test_an_answer_is_rounded_and_nothing_else(season):
    answer = score_privately(season, "team-a", result(), T)
    assert set(answer) == {"ooc", "id", "gap", "ooc_ci95", "id_ci95", "gap_ci95", "left"}
    assert answer["left"] == MAX_SCORINGS - 1
    numbers = [
        v for value in answer.values() for v in (value if isinstance(value, list) else [value])
    ]
    assert all(isinstance(v, int) for v in numbers)
    exact = result().scores.ooc_test.estimate
    assert answer["ooc"] == round(100 * exact)
    assert str(exact) not in season.log.read_text()


def test_equal_predictions_get_the_same_answer_for_free(season):
    first = score_privately(season, "team-a", result(), T)
    assert score_privately(season, "team-a", result(), T) == first
    assert len(season.lines()) == 4
    more = score_privately(season, "team-a", result(tag=1), T)
    again = score_privately(season, "team-a", result(), T)
    assert more["left"] == again["left"] == MAX_SCORINGS - 2


def test_the_eleventh_scoring_is_refused(season, monkeypatch):
    import recombine.leaderboard.seasons.season as module

    monkeypatch.setattr(module, "MAX_SCORINGS", 2)
    for tag in (1, 2):
        score_privately(season, "team-a", result(tag=tag), T)
    with pytest.raises(UsageError, match="at most 2 scorings"):
        score_privately(season, "team-a", result(tag=3), T)
    assert score_privately(season, "team-b", result(tag=3), T)["left"] == 1


def test_a_crash_between_attempt_and_answer_costs_no_second_attempt(season, monkeypatch):
    import recombine.leaderboard.seasons.season as module

    def stop(result):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "rounded", stop)
        with pytest.raises(KeyboardInterrupt):
            score_privately(season, "team-a", result(), T)
    assert [line.event for line in season.lines()][-1] == "attempt", "logged before it is answered"
    assert score_privately(season, "team-a", result(), T)["left"] == MAX_SCORINGS - 1


def test_results_of_other_data_and_bad_names_are_refused(season):
    with pytest.raises(InvalidInputError, match="season's data"):
        score_privately(season, "team-a", result(identity="ab" * 32), T)
    with pytest.raises(UsageError, match="--team"):
        score_privately(season, "Team A/..", result(), T)


def test_after_the_reveal_everything_can_be_checked(season):
    score_privately(season, "team-a", result(), T)
    with pytest.raises(IntegrityError, match="committed"):
        reveal(season, replace(DATA, identity="0ther"), T)
    head = head_of(season.lines())
    reveal(season, DATA, T)
    shutil.rmtree(season.folder / "secret")  # an auditor has public files only
    found = holds(season, dataset=DATA, head=head)
    assert all(found.values()), found
    assert len(found) == 15
    swapped = replace(DATA, plan=season_plan(RECIPE, bytes(32)))
    for other, claim in (
        (swapped, "the data have the drawn labels and seeds"),
        (replace(DATA, identity="0ther"), "images are the committed ones"),
        (replace(DATA, broken=True), "the data match their certificate"),
    ):
        assert [c for c, fine in holds(season, dataset=other).items() if not fine] == [claim]
    with pytest.raises(UsageError, match="only the organiser"):
        season.key()


def test_nothing_happens_after_the_reveal(season):
    reveal(season, DATA, T)
    with pytest.raises(UsageError, match="open season"):
        score_privately(season, "team-a", result(), T)
    with pytest.raises(UsageError, match="revealed"):
        reveal(season, DATA, T)


def test_the_audit_finds_a_dishonest_organiser(season):
    signer = season.signer()
    extra = {"team": "friend", "entry": "x", "predictions": [], "number": 12}
    append(season.log, "answer", {"attempt": extra, "scores": {}}, T, signer)
    append(season.log, "attempt", extra, T, signer)
    body = {"key": bytes(32).hex(), "split": "other", "identity": "x"}
    append(season.log, "reveal", body, "2025-01-01", signer)
    failed = {claim for claim, fine in holds(season).items() if not fine}
    assert failed == {
        "attempts of every team are numbered without a gap",
        "every answer belongs to an attempt that was logged before it, once",
        "times do not run backwards",
        "the key is the committed one",
        "the revealed split is the drawn one",
        "the combinations were drawn with the committed key",
        "every label and image seed was drawn with the committed key",
    }


def test_an_edited_season_file_is_found(season):
    path = season.folder / "season.json"
    plain = json.loads(path.read_text()) | {"max_scorings": 1000}
    path.write_text(json.dumps(plain))
    assert not holds(season)["season.json is what the first line committed to"]
    path.write_text("{}")
    with pytest.raises(InvalidInputError, match=r"season\.json"):
        holds(season)


def test_every_image_depends_on_the_key_in_every_split():
    """The public preset, another key and this key have no scene in common, under one split."""
    split = load_split_of(KEY)
    public = make_plan(with_split(RECIPE.load(), split))
    other = make_plan(keyed(with_split(RECIPE.load(), split), seeds_key(bytes(32))))
    plans = (DATA.plan, public, other)
    assert [p.split.tolist() for p in plans] == [public.split.tolist()] * 3
    hashes = [{p.spec_hash(i) for i in range(len(p))} for p in plans]
    seeds = [set(p.cycles_seed.tolist()) for p in plans]
    for found in (hashes, seeds):
        assert not found[0] & found[1]
        assert not found[0] & found[2]
    assert set(DATA.plan.split.tolist()) == {0, 1, 2, 3}


def test_training_and_test_images_are_drawn_apart():
    plan = DATA.plan
    of = {s: set(plan.cycles_seed[plan.split == s].tolist()) for s in range(4)}
    assert of[2] == of[3], "tests are matched"
    assert not of[0] & of[2]
    assert not of[1] & of[2]
    assert not of[0] & of[1]


def test_only_data_of_this_season_are_committed_to(template, tmp_path):
    season = open_season(tmp_path / "s", "s", RECIPE, T, KEY)
    public = make_plan(with_split(RECIPE.load(), load_split_of(KEY)))
    half = season_plan(RECIPE.model_copy(update={"scale": 0.5}), KEY)
    for plan in (public, half, season_plan(RECIPE, bytes(32))):
        with pytest.raises(InvalidInputError, match="combinations, seeds and size"):
            commit_data(season, Planned(plan), T)
    with pytest.raises(IntegrityError):
        commit_data(season, replace(DATA, broken=True), T)
    assert commit_data(season, DATA, T).event == "data"


def test_an_audit_needs_the_season_s_version_of_the_preset(season):
    path = season.folder / "season.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "0.9"}))
    with pytest.raises(InvalidInputError, match=r"expected smoke 0\.9"):
        holds(season)


@pytest.mark.parametrize("field", ["recipe", "public_key", "key_commitment"])
def test_terms_are_read_like_a_stranger_s_file(season, field):
    path = season.folder / "season.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: "../x"}))
    with pytest.raises(InvalidInputError, match=field):
        holds(season)


def test_rounding_keeps_missing_intervals_missing():
    one = make_result(
        id_hits=np.full((1, 8), 20), id_counts=np.full((1, 8), 24),
        ooc_hits=np.full((1, 8), 12), ooc_counts=np.full((1, 8), 24),
    )  # fmt: skip
    assert rounded(one)["ooc"] == 50
    assert rounded(one)["ooc_ci95"] is None
