"""A whole season: secrets, commitments, limited answers, reveal, and an audit that finds fraud."""

import json
import shutil
import stat

import ed25519_stand_in
import numpy as np
import pytest
from factories import make_result
from fakes import FakeDataset

from recombine.leaderboard.audit import audit
from recombine.leaderboard.chain import append, head_of
from recombine.leaderboard.season import (
    MAX_SCORINGS,
    Season,
    commit_data,
    labels_digest,
    open_season,
    reveal,
    rounded,
    score_privately,
)
from recombine.leaderboard.season_rule import commitment, derive, key_commitment, secret_split
from recombine.renderer.declare import load_split
from recombine.renderer.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.presets import load_preset

KEY = bytes(range(32))
SCHEMA = load_preset("smoke").schema
DATA = FakeDataset()
T = "2026-01-01T00:00:00Z"


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
        season = open_season(
            tmp_path_factory.mktemp("s") / "season", "season", "smoke", SCHEMA, T, KEY
        )
        commit_data(season, DATA, T)
    return season.folder


@pytest.fixture
def season(template, tmp_path):
    return Season(shutil.copytree(template, tmp_path / "season"))


def result(hits=0.6, tag=0, root=DATA.root):
    files = [
        {"seed": s, "file": f"{s}", "sha256": f"{tag:060x}{s:04x}", "bytes": 9} for s in range(3)
    ]
    counts = np.full((3, 8), 24)
    return make_result(
        ooc_hits=np.full((3, 8), int(24 * hits)) + np.arange(8) % 3, ooc_counts=counts,
        data={"root": root}, artifacts={"predictions": files},
    )  # fmt: skip


def holds(season, **options):
    return {one.claim: one.holds for one in audit(season, SCHEMA, **options)}


def test_secrets_are_for_their_owner_and_public_files_hold_none(season):
    assert stat.S_IMODE((season.folder / "secret").stat().st_mode) == 0o700
    for path in (season.folder / "secret").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = (season.folder / "season.json").read_text() + season.log.read_text()
    for secret in (KEY.hex(), derive(KEY, "seeds").hex(), season.split.read_text(), DATA.root):
        assert secret not in public


def test_a_drawn_key_is_new_every_time(tmp_path):
    from recombine.leaderboard import season_rule

    keys = set()
    for i in range(2):
        made = open_season(tmp_path / str(i), "s", "smoke", SCHEMA, T)
        keys.add(made.key())
        assert len(made.key()) == season_rule.KEY_BYTES
    assert len(keys) == 2


def test_a_season_is_opened_once(season):
    with pytest.raises(UsageError, match="found a season"):
        open_season(season.folder, "again", "smoke", SCHEMA, T)
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


def test_the_eleventh_scoring_is_refused(season, monkeypatch):
    import recombine.leaderboard.season as module

    monkeypatch.setattr(module, "MAX_SCORINGS", 2)
    for tag in (1, 2):
        score_privately(season, "team-a", result(tag=tag), T)
    with pytest.raises(UsageError, match="at most 2 scorings"):
        score_privately(season, "team-a", result(tag=3), T)
    assert score_privately(season, "team-b", result(tag=3), T)["left"] == 1


def test_a_crash_between_attempt_and_answer_costs_no_second_attempt(season, monkeypatch):
    import recombine.leaderboard.season as module

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
        score_privately(season, "team-a", result(root="ab" * 32), T)
    with pytest.raises(UsageError, match="--team"):
        score_privately(season, "Team A/..", result(), T)


def test_after_the_reveal_everything_can_be_checked(season):
    score_privately(season, "team-a", result(), T)
    with pytest.raises(IntegrityError, match="committed"):
        reveal(season, FakeDataset(train=21), T)
    head = head_of(season.lines())
    reveal(season, DATA, T)
    shutil.rmtree(season.folder / "secret")  # an auditor has public files only
    found = holds(season, dataset=DATA, head=head)
    assert all(found.values()), found
    assert len(found) == 13
    assert not holds(season, dataset=FakeDataset(train=21))["labels are the committed ones"]
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
    body = {"key": bytes(32).hex(), "split": "other", "root": "x"}
    append(season.log, "reveal", body, "2025-01-01", signer)
    failed = {claim for claim, fine in holds(season).items() if not fine}
    assert failed == {
        "attempts of every team are numbered without a gap",
        "every answer belongs to an attempt that was logged before it, once",
        "times do not run backwards",
        "the key is the committed one",
        "the revealed split is the drawn one",
        "the combinations were drawn with the committed key",
    }


def test_an_edited_season_file_is_found(season):
    path = season.folder / "season.json"
    plain = json.loads(path.read_text()) | {"max_scorings": 1000}
    path.write_text(json.dumps(plain))
    assert not holds(season)["season.json is what the first line committed to"]
    path.write_text("{}")
    with pytest.raises(InvalidInputError, match=r"season\.json"):
        holds(season)


def test_the_labels_digest_sees_every_label():
    other = FakeDataset()
    other.latents["object.x"] = other.latents["object.x"] + 1e-12
    moved = FakeDataset()
    moved.splits[[0, -1]] = moved.splits[[-1, 0]]
    assert len({labels_digest(one) for one in (DATA, other, moved)}) == 3


def test_rounding_keeps_missing_intervals_missing():
    one = make_result(
        id_hits=np.full((1, 8), 20), id_counts=np.full((1, 8), 24),
        ooc_hits=np.full((1, 8), 12), ooc_counts=np.full((1, 8), 24),
    )  # fmt: skip
    assert rounded(one)["ooc"] == 50
    assert rounded(one)["ooc_ci95"] is None
