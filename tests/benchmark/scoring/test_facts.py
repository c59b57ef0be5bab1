"""Facts of runs become the parts of a result."""

from types import SimpleNamespace

import numpy as np
import pytest
from factories import make_facts
from fakes import FakeDataset

from recombine.benchmark.inference.runlog import FileRunLog
from recombine.benchmark.predictions.file import Predictions
from recombine.benchmark.scoring import facts as run_facts

CARD = {
    "id": "ae",
    "name": "AE",
    "inference": "direct",
    "supervision": "weak",
    "data": "scratch",
    "source": "S",
    "note": "",
}
TIMINGS = [
    {"batch": 1, "start_median": 1.0, "start_p95": 2.0, "step_median": 0.5, "step_p95": 1.0},
    {"batch": 32, "start_median": 0.1, "start_p95": 0.2, "step_median": 0.0, "step_p95": 0.0},
]


def facts(**over):
    cost = {"start_gflop": 1.0, "step_gflop": 0.1, "uncounted": {}, "timings": TIMINGS, "params": 5}
    training = {"real": 100, "generated": 10, "wall_s": 2.0, "configs": 0}
    base = {
        "card": CARD,
        "dataset": {"resolution": 64},
        "cost": cost,
        "training": training,
        "peak_rss_bytes": 1000,
    }
    for key, value in over.items():
        base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    return make_facts(**base)


@pytest.mark.parametrize(
    ("inference", "steps", "entry", "shown"),
    [
        ("direct", 0, "ae", "direct"),
        ("direct", 10, "ae-search", "search"),
        ("replay", 0, "ae", "replay"),
        ("replay", 10, "ae-search", "replay+search"),
    ],
)
def test_entry_and_inference(inference, steps, entry, shown):
    method = run_facts.method_part(facts(card={"inference": inference}), steps)
    assert (method.entry, method.inference) == (entry, shown)


def test_the_role_is_what_the_card_says():
    assert run_facts.method_part(facts(card={"role": "floor"}), 0).role == "floor"
    assert run_facts.method_part(facts(), 0).role == "method"


def test_the_recipe_is_that_of_the_data_and_the_rung():
    dataset = FakeDataset()
    recorded = facts(dataset={"resolution": 64}, options={"rung": 2})
    assert run_facts.data_part(dataset, recorded).recipe is None
    dataset.recipe = {"preset": "smoke", "scale": 0.08, "values": None}
    recipe = run_facts.data_part(dataset, recorded).recipe
    assert recipe == {"preset": "smoke", "scale": 0.08, "values": None, "rung": 2}


@pytest.mark.parametrize(
    ("multiple", "track"), [(0, "T1"), (3, "T1"), (3.1, "T10"), (30, "T10"), (299, "T100")]
)
@pytest.mark.parametrize("resolution", [64, 128, 224])
def test_compute_class_scales_with_the_image(multiple, track, resolution):
    reference = run_facts.REFERENCE_GFLOP * (resolution / 224) ** 2
    assert run_facts.compute_class(multiple * reference, resolution) == track


def test_compute_class_at_the_ends():
    assert run_facts.compute_class(1e9, 64) == "unbounded"
    assert run_facts.compute_class(None, 64) == "unknown"


def test_track():
    track = run_facts.track_part(facts(), None)
    assert (track.data, track.supervision, track.test_compute) == ("scratch", "weak", "unknown")


def test_compute_grows_with_steps():
    compute = run_facts.compute_part([facts(), facts()], 10)
    assert compute.gflop_per_image == pytest.approx(2.0)
    first, second = compute.seconds_per_image
    assert (first.batch, first.median, first.p95) == (1, 6.0, 12.0)
    assert (second.batch, second.median) == (32, 0.1)
    assert (compute.steps, compute.params, compute.peak_rss_bytes) == (10, 5, 1000)


def test_one_seed_that_cannot_be_counted_leaves_no_number():
    uncounted = facts(cost={"start_gflop": None, "uncounted": {"fft": 2}})
    compute = run_facts.compute_part([facts(), uncounted], 0)
    assert compute.gflop_per_image is None
    assert compute.uncounted_ops == {"fft": 2}


@pytest.mark.parametrize(
    ("start", "step", "seen", "agrees"),
    [
        (0.01, 0.0, 0.012, True),
        (0.01, 0.0, 0.031, False),
        (0.04, 0.0, 0.012, False),
        (0.01, 0.01, 0.11, True),  # ten steps
        (0.0, 0.0, 0.0009, True),  # the harness's own work
    ],
)
def test_costs_are_held_against_what_the_harness_saw(start, step, seen, agrees):
    cost = {**facts().cost, "start_cpu": start, "step_cpu": step, "seen_cpu": seen}
    good = {**cost, "seen_cpu": start + 10 * step}
    compute = run_facts.compute_part([facts(cost=good), facts(cost=cost)], 0)
    assert compute.agrees is agrees  # the worst seed counts
    assert compute.cpu_seconds_per_image == pytest.approx(start + 10 * step)
    assert run_facts.compute_part([facts(cost=cost), facts()], 0).agrees is None


def runs_of(*answers):
    index = np.arange(300)
    return [Predictions(facts(seed=n), index, {0: one, 10: one}) for n, one in enumerate(answers)]


def test_copies_of_a_run_are_told_from_runs():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 300, 2, 5)).astype(np.float32)
    rounded = one * (1 + 1e-6 * rng.normal(size=one.shape)).astype(np.float32)
    assert run_facts.distinct_rows(runs_of(one, two, rounded, one, two)) == (0, 1)
    # To a readout, which standardises, numbers that are scaled, shifted or turned are the same.
    for same in (one + 0.1, -3 * one, one * np.float32(1e-3)):
        assert run_facts.distinct_rows(runs_of(one, same)) == (0,)
    still = np.ones_like(one)
    assert run_facts.distinct_rows(runs_of(still, still, one)) == (0, 2)
    assert run_facts.distinct_rows(runs_of(one, one[:, :, :4])) == (0, 1)
    assert run_facts.distinct_rows(runs_of(one)) == (0,)


def test_training_is_a_mean_over_seeds():
    training = run_facts.training_part([facts(), facts(training={"real": 301, "configs": 4})])
    assert training.real_images_seen == 200
    assert training.generated_images_seen == 10
    assert (training.configs_tried, training.selection.rule) == (4, "id_val")
    assert training.val_images_seen is None  # not on record
    looked = [facts(training={"val": n, "real": 1, "configs": 0}) for n in (3, 5)]
    assert run_facts.training_part(looked, 2).val_images_seen == 4
    assert run_facts.training_part(looked, 2).distinct_runs == 2
    assert run_facts.training_part([facts()]).selection.rule == "none"


@pytest.mark.parametrize(("changes", "passed"), [((1e-6, 0.5), True), ((0.05, 0.0), False)])
def test_checks_take_the_worst_seed_at_that_step(changes, passed):
    runs = [facts(), facts(batch_change=changes)]
    assert run_facts.checks_part(runs, 0).batch_invariance.passed is passed
    assert run_facts.checks_part(runs, 0).repeatability.passed


def test_data_part():
    data = run_facts.data_part(FakeDataset(train=1, val=1, test=1), facts(n_train=1))
    assert data.dataset == "smoke"
    assert data.recombined == ("object.shape", "background.environment")
    assert data.renderer == {"blender": "4.5"}
    other = FakeDataset(train=1, val=1, test=1, certificate={"checks": [1]})
    assert (
        run_facts.data_part(other, facts(n_train=1)).certificate_sha256 != data.certificate_sha256
    )


def test_wider_rungs_make_boards_of_their_own():
    data = FakeDataset(train=1, val=1, test=1)
    assert run_facts.data_part(data, facts(n_train=1, options={"rung": 0})).dataset == "smoke"
    assert (
        run_facts.data_part(data, facts(n_train=1, options={"rung": 2})).dataset == "smoke--rung-2"
    )


def test_artifacts_hold_names_and_hashes(tmp_path):
    path = tmp_path / "seed-3.safetensors"
    path.write_bytes(b"abc")
    (only,) = run_facts.artifacts_part([path], [facts()]).predictions
    assert only.file == "seed-3.safetensors"
    assert only.bytes == 3
    assert only.sha256.startswith("ba7816bf")


def test_curves_are_read_from_the_logs_beside_the_predictions(tmp_path):
    paths = [tmp_path / f"seed-{seed}.safetensors" for seed in (0, 1)]
    with FileRunLog(tmp_path / "seed-1.log.jsonl") as log:
        for step in range(300):
            log.scalar("a\u202eb", 1e31 if step == 7 else 2.0, step)
    (curve,) = run_facts.kept_curves(paths, [facts(seed=0), facts(seed=1)])
    assert (curve.seed, len(curve.steps), set(curve.values)) == (1, 60, {2.0})


def test_cpu_seconds_are_known_when_every_run_says_them():
    some = facts(training={"cpu_s": 4.0})
    assert run_facts.training_part([some, facts(training={"cpu_s": 6.0})]).cpu_s == 5.0
    assert run_facts.training_part([some, facts()]).cpu_s is None


@pytest.mark.parametrize(
    ("sandbox", "figure", "source"),
    [
        ("none", "gflop_per_image", "measured"),
        ("none", "generated_images_seen", "self-reported"),
        ("bubblewrap", "gflop_per_image", "self-reported"),
        ("bubblewrap", "real_images_seen", "self-reported"),
        ("bubblewrap", "seconds_per_image", "bounded"),
        ("subprocess", "wall_s", "bounded"),
        ("file", "params", "unknown"),
        ("file", "wall_s", "self-reported"),
    ],
)
def test_every_cost_says_who_vouches(sandbox, figure, source):
    found = run_facts.sources_part([SimpleNamespace(isolation=sandbox)])
    assert found.sandbox == sandbox
    assert found.figures[figure] == source
    assert set(found.figures) == {*run_facts.COSTS, *run_facts.TRAINING}


def dependence(largest=0.0, no_twin=""):
    change = {"images": 64, "typical": [0.0, 0.0], "largest": [largest, 0.0], "share": [0.0, 0.0]}
    parts = {"batch": change, "repeat": change} | ({} if no_twin else {"twin": change})
    return {**parts, "no_twin": no_twin}


def test_independence_is_verified_when_every_seed_had_a_twin():
    runs = [facts(dependence=dependence()), facts(dependence=dependence(largest=0.3))]
    checks = run_facts.checks_part(runs, 0)
    assert (checks.independence, checks.independence_why) == ("twin", "")
    assert checks.memory.passed
    assert (checks.batch_invariance.largest, checks.batch_invariance.images) == (0.3, 64)


def test_independence_is_declared_when_a_seed_had_none():
    runs = [facts(dependence=dependence()), facts(dependence=dependence(no_twin="it died"))]
    checks = run_facts.checks_part(runs, 0)
    assert (checks.independence, checks.independence_why) == ("declared", "it died")
    assert checks.memory is None
    given = run_facts.checks_part([facts(batch_change=(), repeat_change=(), isolation="file")], 0)
    assert (given.independence, given.batch_invariance) == ("declared", None)


def test_older_runs_say_nothing_of_a_twin():
    checks = run_facts.checks_part([facts()], 0)
    assert (checks.independence, checks.memory, checks.batch_invariance.largest) == (None,) * 3
