"""The readout finds what is linearly there, and freezes everything on in-combination images."""

import warnings

import numpy as np
import pytest

from recombine.benchmark.metrics.readout import Representation, fit_readout, match_slots
from recombine.benchmark.serving.toy_data import SCHEMA
from recombine.renderer.scenes.factors import Factor, Schema, Slot


def world(n, seed, *, slots=2, noise=0.05, order=(0, 1), drift=0.0):
    """Return slots that hold the factors linearly, object in slot order[0]."""
    rng = np.random.default_rng(seed)
    shape, environment = rng.integers(0, 4, n), rng.integers(0, 4, n)
    x, hue = rng.uniform(-0.5, 0.5, n), rng.uniform(0, 2 * np.pi, n)
    mix = np.random.default_rng(99).normal(size=(2, 8, 8))
    obj = np.column_stack([np.eye(4)[shape], x, np.cos(hue), np.sin(hue), np.ones(n)]) @ mix[0]
    back = np.column_stack([np.eye(4)[environment], np.zeros((n, 4))]) @ mix[1]
    out = rng.normal(0, 0.3, (n, slots, 8))
    out[:, order[0]] = obj + drift
    out[:, order[1]] = back + drift
    out += rng.normal(0, noise, out.shape)
    factors = {
        "object.shape": shape,
        "object.x": x,
        "object.hue": hue,
        "background.environment": environment,
    }
    return Representation(out.astype(np.float32), factors)


def accuracy(readout, data, key):
    return np.mean(readout.predict(data.slots)[key] == data.factors[key])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_linear_factors_are_read(order):
    train, val, test = (world(n, s, order=order) for n, s in ((600, 0), (200, 1), (200, 2)))
    readout = fit_readout(train, val, SCHEMA)
    predicted = readout.predict(test.slots)
    assert readout.slot_match == order
    assert accuracy(readout, test, "object.shape") > 0.98
    assert accuracy(readout, test, "background.environment") > 0.98
    assert np.abs(predicted["object.x"] - test.factors["object.x"]).mean() < 0.05
    error = predicted["object.hue"] - test.factors["object.hue"]
    assert np.cos(error).mean() > 0.98
    assert predicted["object.hue"].min() >= 0
    assert predicted["object.hue"].max() < 2 * np.pi


def test_the_confidence_is_the_probability_of_what_is_read():
    train, val, test = (world(n, s, noise=0.8) for n, s in ((400, 0), (100, 1), (300, 2)))
    one = fit_readout(train, val, SCHEMA).factors["object.shape"]
    sure = one.confidence(test.slots)
    given = one.model.predict_proba(one.scaler.transform(test.slots[:, one.slot]))
    assert (given[np.arange(300), one.predict(test.slots)] == sure).all()
    right = one.predict(test.slots) == test.factors["object.shape"]
    assert 0.25 <= sure.min() < sure[~right].mean() < sure[right].mean() <= 1


def test_spare_slots_are_ignored():
    train, val = world(400, 0, slots=5, order=(3, 1)), world(100, 1, slots=5, order=(3, 1))
    assert match_slots(train, val, SCHEMA).match == (3, 1)


def test_two_scene_slots_never_share_a_method_slot():
    train, val = world(300, 0), world(100, 1)
    for data in (train, val):  # both scene slots are best read from slot 0
        both = np.concatenate([data.slots[:, 0], data.slots[:, 1]], axis=1)
        data.slots.setflags(write=True)
        wide = np.zeros((len(both), 2, 16), np.float32)
        wide[:, 0] = both
        object.__setattr__(data, "slots", wide)
    assert sorted(match_slots(train, val, SCHEMA).match) == [0, 1]


def test_statistics_are_frozen_so_a_drift_shows():
    train, val = world(600, 0), world(200, 1)
    readout = fit_readout(train, val, SCHEMA)
    same, drifted = world(200, 2), world(200, 2, drift=3.0)
    assert accuracy(readout, same, "object.shape") > 0.98
    assert accuracy(readout, drifted, "object.shape") < 0.7


def test_predictions_depend_on_the_image_alone():
    readout = fit_readout(world(300, 0), world(100, 1), SCHEMA)
    test = world(50, 2)
    whole = readout.predict(test.slots)
    part = readout.predict(test.slots[7:9])
    for key in whole:
        assert np.allclose(part[key], whole[key][7:9])


def test_continuous_predictions_stay_in_range():
    readout = fit_readout(world(300, 0), world(100, 1), SCHEMA)
    wild = world(50, 2).slots * 100
    assert np.abs(readout.predict(wild)["object.x"]).max() <= 0.5


def test_noise_gets_more_regularisation_than_signal():
    rng = np.random.default_rng(0)
    clean = fit_readout(world(200, 0), world(300, 1), SCHEMA).factors["object.x"]
    noisy_parts = [world(200, 0), world(300, 1)]
    for part in noisy_parts:
        part.slots[:] = rng.normal(size=part.slots.shape)
    noisy = fit_readout(*noisy_parts, SCHEMA).factors["object.x"]
    assert noisy.regularisation > clean.regularisation
    assert noisy.score < 0.2 < 0.9 < clean.score


def test_only_some_factors():
    readout = fit_readout(world(100, 0), world(50, 1), SCHEMA, only=SCHEMA.recombined)
    assert set(readout.factors) == set(SCHEMA.recombined)


def test_a_class_that_training_shows_alone_is_predicted():
    train, val = world(100, 0), world(50, 1)
    train.factors["object.shape"][:] = 2
    readout = fit_readout(train, val, SCHEMA)
    assert set(readout.predict(val.slots)["object.shape"]) == {2}
    assert (readout.factors["object.shape"].confidence(val.slots) == 1).all()


def test_dead_dimensions_are_harmless():
    train, val = world(200, 0), world(100, 1)
    train.slots[:, :, 3] = 0
    val.slots[:, :, 3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert accuracy(fit_readout(train, val, SCHEMA), val, "object.shape") > 0.9


def test_a_slot_without_recombined_factors_is_matched_by_all_its_factors():
    light = Slot("light", (Factor("power", "continuous", low=0.0, high=1.0),))
    schema = Schema((*SCHEMA.slots, light), SCHEMA.recombined)
    parts = []
    for n, seed in ((400, 0), (200, 1)):
        base = world(n, seed, slots=3, order=(2, 0))
        power = np.random.default_rng(seed).uniform(0, 1, n)
        base.slots[:, 1, 0] = power
        parts.append(Representation(base.slots, {**base.factors, "light.power": power}))
    assert match_slots(*parts, schema).match == (2, 0, 1)
