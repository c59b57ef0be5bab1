"""Scoring again gives the same file; another metric and a forged number are told apart."""

import shutil
from dataclasses import replace

import pytest
from fakes import FakeDataset, Noisy, Trained
from hypothesis import given
from hypothesis import strategies as st

from recombine.benchmark.results.result import Result
from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring import aggregate
from recombine.benchmark.scoring.rescore import PredictionStore, differences, rescore_results
from recombine.benchmark.scoring.score import score_submission
from recombine.renderer.core.errors import InvalidInputError

QUICK = RunOptions(steps=(0, 4), batch_size=32)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset()


@pytest.fixture(scope="module")
def scored(dataset, tmp_path_factory):
    """Return three results and the folder of their predictions, deep inside."""
    folder = tmp_path_factory.mktemp("runs")
    results = []
    for name, submission in (("noisy", Noisy()), ("approach", Trained())):
        results += score_submission(
            submission, dataset, seeds=(0, 1), out_dir=folder / "a" / name, options=QUICK
        )
    return results, folder


def test_nothing_changed_nothing_changes(dataset, scored):
    results, folder = scored
    found = list(rescore_results(results, PredictionStore([folder]), [dataset]))
    assert [one.verdict for one in found] == ["identical"] * 3
    assert [one.new for one in found] == results
    assert all(not one.changes for one in found)
    assert all(one.new.scores.ooc_test.blocks.right for one in found)


def test_a_result_from_before_blocks_gains_them(dataset, scored):
    results, folder = scored
    plain = results[0].model_dump(mode="json", exclude={"schema_version", "result_id"})
    for score in plain["scores"].values():
        score["blocks"] = None
    (one,) = rescore_results([Result.sealed(**plain)], PredictionStore([folder]), [dataset])
    assert one.verdict == "updated"
    assert {change.path for change in one.changes} == {
        "scores/id_test/blocks",
        "scores/ooc_test/blocks",
    }
    assert one.new.scores == results[0].scores


def test_role_and_recipe_stay_where_predictions_and_data_do_not_say_them(dataset, scored):
    results, folder = scored
    plain = results[0].model_dump(mode="json", exclude={"schema_version", "result_id"})
    plain["method"]["role"] = "control"
    plain["data"]["recipe"] = {"preset": "smoke", "rung": 0}
    old = Result.sealed(**plain)
    (one,) = rescore_results([old], PredictionStore([folder]), [dataset])
    assert (one.verdict, one.new) == ("identical", old)


def test_predictions_are_found_under_other_names(dataset, scored, tmp_path):
    results, folder = scored
    for number, path in enumerate(sorted(folder.rglob("*.safetensors"))):
        shutil.copy(path, tmp_path / f"{number}.safetensors")
    (one,) = rescore_results(results[:1], PredictionStore([tmp_path]), [dataset])
    assert one.verdict == "identical"


def test_a_new_metric_version_is_an_update(dataset, scored, monkeypatch):
    results, folder = scored
    monkeypatch.setattr(aggregate, "JOINT", replace(aggregate.JOINT, version="9.9"))
    (one,) = rescore_results(results[:1], PredictionStore([folder]), [dataset])
    assert one.verdict == "updated"
    assert {change.path for change in one.changes} == {
        "scores/id_test/metric_version",
        "scores/ooc_test/metric_version",
    }
    assert one.new.trust == results[0].trust == "retrained"
    assert one.new.result_id != results[0].result_id
    assert one.new.scores.ooc_test.metric_version == "9.9"


def forged(result):
    """Return the same entry with one more right answer, sealed as if it were real."""
    plain = result.model_dump(mode="json", exclude={"schema_version", "result_id"})
    for split, gap in (("ooc_test", -1), ("id_test", 1)):
        score = plain["scores"][split]
        cell = next(i for i, hit in enumerate(score["hits"][0]) if hit < score["counts"][0][i])
        score["hits"][0][cell] += 1
        score["lift"] = score["lift_ci95"] = None
        score["blocks"] = {name: score["blocks"][name] for name in ("numbers", "hits", "counts")}
        row, most = score["blocks"]["hits"][0], score["blocks"]["counts"]
        row[next(i for i, hit in enumerate(row) if hit < most[i])] += 1
        share = 1 / score["counts"][0][cell] / (score["n_cells"] * score["n_seeds"])
        score["estimate"] += share
        score["per_seed"][0] += share * score["n_seeds"]
        plain["gap"]["estimate"] += gap * share
    return Result.sealed(**plain)


def test_other_numbers_under_the_same_version_contradict(dataset, scored):
    results, folder = scored
    (one,) = rescore_results([forged(results[0])], PredictionStore([folder]), [dataset])
    assert one.verdict == "contradiction"
    assert any(change.path.startswith("scores/ooc_test/hits/") for change in one.changes)
    assert one.new.scores == results[0].scores


def test_missing_predictions_and_data_are_named(dataset, scored, tmp_path):
    results, folder = scored
    with pytest.raises(InvalidInputError, match=r"seed-0\.safetensors of seed 0"):
        list(rescore_results(results[:1], PredictionStore([tmp_path]), [dataset]))
    with pytest.raises(InvalidInputError, match="identity 1dea"):
        list(rescore_results(results[:1], PredictionStore([folder]), []))


def test_a_file_of_the_same_size_is_not_taken_for_the_predictions(dataset, scored, tmp_path):
    results, folder = scored
    for path in folder.rglob("noisy/*.safetensors"):
        damaged = bytearray(path.read_bytes())
        damaged[-1] ^= 1
        (tmp_path / path.name).write_bytes(bytes(damaged))
    with pytest.raises(InvalidInputError, match="found none"):
        list(rescore_results(results[:1], PredictionStore([tmp_path]), [dataset]))


plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain_json, plain_json)
def test_differences_are_empty_exactly_for_equal_values(one, other):
    assert not list(differences(one, one))
    changes = list(differences(one, other))
    if one != other:
        assert changes or _only_missing_nones(one, other)
    for change in changes:
        assert change.old != change.new or type(change.old) is not type(change.new)


def _only_missing_nones(one, other):
    """A key that is missing and a key that is None are the same to a reader."""
    return "None" in repr((one, other))
