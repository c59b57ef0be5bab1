"""What isolated code says about time is held against what the harness saw."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from factories import make_facts

from recombine.benchmark.sandbox.run import STARTING_SECONDS, bounded


def told(**over):
    timing = {"batch": 32, "start_median": 1.0, "start_p95": 1.0}
    timing |= {"step_median": 0.5, "step_p95": 0.5}
    facts = make_facts(
        training={"wall_s": 5.0}, cost={"timings": [timing]}, steps=(0, 6), trained=True
    )  # fmt: skip
    return replace(facts, **over)


def seen(ready, *seconds):
    cpu = [0.5 * one for one in seconds]
    return SimpleNamespace(ready_seconds=ready, answer_seconds=list(seconds), answer_cpu=cpu)


@pytest.mark.parametrize(
    ("ready", "kept"),
    [(20.0, 5.0), (3.0, 3.0), (STARTING_SECONDS + 100, 100.0)],
)
def test_training_took_what_there_was_time_for(ready, kept):
    facts = bounded(told(), seen(ready, 1.0), [10])
    assert facts.training["wall_s"] == kept
    assert bounded(told(trained=False), seen(ready, 1.0), [10]).training["wall_s"] == 0


def test_answers_took_as_long_as_the_harness_waited():
    facts = bounded(told(), seen(9.0, 8.0, 16.0, 8.0, 1.0), [16, 16, 16, 4])
    mine, theirs = facts.cost["timings"][-1], facts.cost["timings"][0]
    assert theirs["batch"] == 32
    assert mine["batch"] == 16
    assert mine["start_median"] + 6 * mine["step_median"] == pytest.approx(0.5)
    assert mine["start_median"] == pytest.approx(0.5 / 4)  # a quarter of the work, as told
    assert mine["start_p95"] + 6 * mine["step_p95"] > 0.5
    assert facts.cost["seen_cpu"] == pytest.approx(0.25)


def test_a_report_of_the_harness_own_batch_size_is_replaced():
    facts = bounded(told(), seen(9.0, 64.0), [32])
    assert [one["batch"] for one in facts.cost["timings"]] == [32]
    assert facts.cost["timings"][0]["start_median"] == pytest.approx(2.0 / 4)
