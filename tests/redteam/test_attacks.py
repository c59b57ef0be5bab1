"""The corpus is refused here, and an installation that lets something through is told."""

import json

import pytest

from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.cli.main import main
from recombine.leaderboard.redteam import attack
from attack import run_attacks
from attack_corpus import CORPUS, Attack
from attack_world import DrawnData, make_world
from recombine.leaderboard.submissions.bundle import open_bundle
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError

FILES = ("predictions", "result", "data", "bundle", "proposal")


def test_the_corpus_is_large_and_documented():
    assert len(CORPUS) >= 50
    assert len({one.name for one in CORPUS}) == len(CORPUS)
    assert all(one.reason and one.idea for one in CORPUS)
    kinds = {one.kind for one in CORPUS}
    assert kinds == {*FILES, "code"}
    assert all(one.reason.startswith("[") for one in CORPUS if one.kind == "code")


def test_every_bad_file_is_refused_for_its_reason():
    verdicts = list(run_attacks(FILES))
    assert len(verdicts) >= 40
    faults = [(v.attack.name, v.outcome, v.message) for v in verdicts if v.outcome != "refused"]
    assert faults == []


def test_bad_code_is_refused_in_isolation():
    try:
        require_bwrap()
    except ResourceError as error:
        pytest.skip(str(error))
    (verdict,) = run_attacks(["reads-labels"])
    assert verdict.outcome == "refused", verdict.message


def test_without_isolation_code_does_not_run(monkeypatch):
    def none():
        raise ResourceError("no bubblewrap")

    monkeypatch.setattr(attack, "require_bwrap", none)
    ran = []
    bad = Attack("code", "x", "", "", lambda world, folder: ran.append(1))
    monkeypatch.setattr(attack, "CORPUS", (bad,))
    monkeypatch.setattr(attack, "make_world", lambda folder: None)
    (verdict,) = run_attacks()
    assert (verdict.outcome, ran) == ("not run", [])


def raising(error):
    def run(world, folder):
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (lambda world, folder: None, "NOT REFUSED"),
        (raising(InvalidInputError("because of y")), "refused"),
        (raising(InvalidInputError("because of z")), "other reason"),
        (raising(KeyError("y")), "other reason"),
    ],
)
def test_outcomes(monkeypatch, capsys, run, outcome):
    monkeypatch.setattr(attack, "CORPUS", (Attack("data", "x", "hope", "of y", run),))
    monkeypatch.setattr(attack, "make_world", lambda folder: None)
    (verdict,) = run_attacks()
    assert verdict.outcome == outcome
    assert main(["attack"]) == (0 if outcome == "refused" else 5)
    assert ("0 faults" in capsys.readouterr().out) == (outcome == "refused")


def test_an_unknown_name_is_a_usage_error():
    with pytest.raises(UsageError, match="nonsense"):
        list(run_attacks(["nonsense"]))


def test_json_lists_every_verdict(monkeypatch, capsys):
    monkeypatch.setattr(attack, "make_world", lambda folder: None)
    assert main(["attack", "--only", "data", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["outcome"] for one in found} == {"refused"}
    assert len(found) == 4


def test_the_honest_submission_is_accepted(tmp_path):
    world = make_world(tmp_path)
    assert open_bundle(world.bundle).manifest.root == DrawnData().root
