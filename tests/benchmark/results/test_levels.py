"""What ignorance scores: against brute force, on data with known answers, and in words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from factories import FACTORS, make_result, make_score
from hypothesis import given, settings
from hypothesis import strategies as st

from recombine.benchmark.results.levels import (
    factor_words,
    levels_of,
    named_levels,
    redrawn_levels,
    standing,
    with_levels,
)
from recombine.benchmark.results.parts import Levels, Score
from recombine.benchmark.results.result import Result
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.presets.table import load_preset

RECIPE = {"preset": "smoke", "values": None, "scale": 1.0, "resolution": 64, "rung": 0}


@st.composite
def splits(draw):
    """Draw sizes, the combinations that training showed, and some of the others to score."""
    sizes = draw(st.lists(st.integers(2, 4), min_size=1, max_size=3))
    every = list(itertools.product(*map(range, sizes)))
    shown = draw(st.lists(st.booleans(), min_size=len(every), max_size=len(every)))
    seen = [cell for cell, yes in zip(every, shown, strict=True) if yes]
    rest = [cell for cell in every if cell not in seen]
    return sizes, seen, rest


def guessers(sizes, allowed):
    """Yield name and guesses of every kind of ignorance: all answers that it gives alike."""
    every = list(itertools.product(*map(range, sizes)))
    yield "unseen", None, lambda cell: allowed
    for f in range(len(sizes)) if len(sizes) > 1 else ():
        yield "one_known", f, lambda cell, f=f: [one for one in every if one[f] == cell[f]]
        yield "one_known_unseen", f, lambda cell, f=f: [one for one in allowed if one[f] == cell[f]]


@given(splits(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_levels_are_what_the_guessers_score(split, held_out):
    sizes, seen, rest = split
    scored = rest if held_out else seen
    if not scored:
        return
    keys = [f"slot.f{k}" for k in range(len(sizes))]
    found = levels_of(np.array(seen), np.array(scored), sizes, keys, held_out=held_out)
    plain = found.model_dump()
    for kind, f, guesses in guessers(sizes, scored):
        expected = np.mean([np.mean([guess == cell for guess in guesses(cell)]) for cell in scored])
        value = plain[kind] if f is None else plain[kind][keys[f]]
        assert value == pytest.approx(expected)
    assert found.best >= 1 / np.prod(sizes) - 1e-12


def test_combinations_that_only_training_showed_count_as_shown():
    # A wider rung showed (0, 1) too: the complement of training is smaller than the scored part.
    seen, scored = np.array([[0, 0], [0, 1]]), np.array([[1, 1]])
    found = levels_of(seen, scored, (2, 2), ("a.x", "b.y"), held_out=True)
    assert found.unseen == 1 / 2
    assert found.one_known_unseen == {"a.x": 1 / 2, "b.y": 1.0}
    assert found.one_known == {"a.x": 1 / 2, "b.y": 1 / 2}


@pytest.mark.parametrize(("values", "told"), [(4, 1 / 2), (8, 1 / 6)])
def test_levels_of_rendered_designs(values, told):
    preset = load_preset("object-background", values=values)
    shape = preset.schema.cell_shape
    inside, outside = (
        np.unique([cell for cell, _ in draws(shape)], axis=0)
        for draws in (preset.split.id_draws, preset.split.ooc_draws)
    )
    found = levels_of(inside, outside, shape, FACTORS, held_out=True)
    assert found.one_known == dict.fromkeys(FACTORS, 1 / values)
    assert found.one_known_unseen == pytest.approx(dict.fromkeys(FACTORS, told))
    assert found.unseen == 1 / (values * values - len(inside))
    same = levels_of(inside, inside, shape, FACTORS, held_out=False)
    assert same.one_known_unseen == pytest.approx(dict.fromkeys(FACTORS, 1 / 2))


def levels(**over):
    plain = {
        "one_known": dict.fromkeys(FACTORS, 0.25),
        "unseen": 0.125,
        "one_known_unseen": dict.fromkeys(FACTORS, 0.5),
    }
    return Levels(**{**plain, **over})


def score(hits, **over):
    counts = np.full_like(hits, 24)
    return with_levels(Score(**_exact(make_score(hits, counts))), levels(**over))


def _exact(plain):
    """Return plain values as a strict model takes them: tuples in place of lists."""
    exact = {k: _tuples(v) for k, v in plain.items() if k not in ("per_factor", "blocks")}
    blocks = {k: _tuples(v) for k, v in plain["blocks"].items()}
    return {**exact, "per_factor": _factors(plain["per_factor"]), "blocks": blocks}


def _factors(table):
    return {key: {k: _tuples(v) for k, v in one.items()} for key, one in table.items()}


def _tuples(value):
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def spread(share, cells=8, seeds=3, width=2):
    """Return hits of about a share of 24 images, a little different from cell to cell."""
    step = np.resize([-width, width], (seeds, cells)) * np.array([[1], [-1], [1]])[:seeds]
    return np.clip(np.full((seeds, cells), round(24 * share)) + step, 0, 24)


def test_the_lift_starts_at_the_best_level():
    found = score(spread(0.75))
    assert found.floor == 0.5
    assert found.lift == pytest.approx(0.5)
    assert found.lift_ci95 == pytest.approx([2 * end - 1 for end in found.ci95])
    assert score(spread(0.25)).lift == pytest.approx(-0.5)
    assert with_levels(found, None).lift is None
    assert score(spread(0.75), matching=0.6).lift == pytest.approx(0.375)
    assert score(spread(0.75), matching=0.6).above_matching == pytest.approx(0.375)
    certain = score(spread(0.75), matching=1.0)
    assert (certain.lift, certain.lift_ci95, certain.above_matching) == (None, None, None)


def test_a_lift_that_is_not_the_estimates_is_refused():
    found = make_result()
    ooc = found.ooc.model_dump(mode="json")
    for lift, levels_ in ((0.5, None), (0.5, levels().model_dump(mode="json"))):
        changed = {**found.scores.model_dump(mode="json"), "ooc_test": {**ooc, "lift": lift,
                   "levels": levels_}}  # fmt: skip
        with pytest.raises(InvalidInputError, match=r"lift 0\.5 is not"):
            make_result(scores=changed)


TOLD = "knowing the environment and which shape training never showed with it"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.95, "above its floor"),
        (0.5, f"not told apart from its floor, at the level of {TOLD}"),
        (0.25, "below its floor, at the level of knowing the environment"),
        (0.0625, "below its floor, at chance"),
        (0.38, "below its floor"),
    ],
)  # fmt: skip
def test_standing(share, words):
    found = score(spread(share, width=1))
    best = {"background.environment": 0.9, "object.shape": 0.1}
    read = {k: f.model_copy(update={"estimate": best[k]}) for k, f in found.per_factor.items()}
    assert standing(found.model_copy(update={"per_factor": read})) == words


def test_a_score_without_an_interval_is_at_a_level_or_beside_it():
    hits = np.full((1, 8), 12)
    assert score(hits).ci95 is None
    # One run tells nothing about others: no claim.
    assert standing(score(hits)) == "estimate at its floor, no interval"
    assert standing(score(hits + 1)) == "estimate above its floor, no interval"
    assert standing(score(hits - 1)) == "estimate below its floor, no interval"
    assert standing(with_levels(score(hits), None)) == ""
    same = np.full((3, 8), 12)  # equal answers everywhere have no spread
    assert standing(score(same)).startswith("not told apart from its floor, at the level of")


def test_words_name_the_factor_that_was_read():
    found = score(spread(0.4))
    read = {k: f.model_copy(update={"estimate": float("shape" in k)})
            for k, f in found.per_factor.items()}  # fmt: skip
    named = [one.words for one in named_levels(found.model_copy(update={"per_factor": read}))]
    assert named == [
        "chance",
        "guesses among unseen combinations",
        "knows the shape, guesses the environment",
        "knows the shape, guesses an environment never shown with it",
    ]
    # Unequal levels: the highest counts, whatever was read.
    found = score(spread(0.4), one_known={"object.shape": 0.3, "background.environment": 0.2})
    assert "knows the shape, guesses the environment" in [w.words for w in named_levels(found)]


def test_factors_of_one_name_are_told_apart():
    keys = ("object0.shape", "object1.shape", "scene.light_rig")
    assert [factor_words(key, keys) for key in keys] == [
        "shape of object0", "shape of object1", "light rig"
    ]  # fmt: skip


def from_smoke(**over):
    preset = load_preset("smoke")
    split, shape = preset.split, preset.schema.cell_shape
    named = {
        name: [list(preset.schema.cell_names(cell)) for cell, _ in draws]
        for name, draws in (
            ("id_test", split.id_draws(shape)),
            ("ooc_test", split.ooc_draws(shape)),
        )
    }
    plain = make_result().scores.model_dump(mode="json")
    scores = {name: {**plain[name], "cells": sorted(cells)} for name, cells in named.items()}
    data = {"recipe": {**RECIPE, **over}}
    return make_result(data=data, scores=scores)


def test_levels_of_an_older_result_come_from_its_recipe():
    old = from_smoke()
    assert old.ooc.levels is None
    new = redrawn_levels(old)
    assert new.ooc.levels == levels()
    assert new.id.levels.one_known_unseen == pytest.approx(dict.fromkeys(FACTORS, 0.5))
    assert new.ooc.lift == pytest.approx(2 * old.ooc.estimate - 1)
    fields = {k: v for k, v in new.model_dump(mode="json").items()
              if k not in ("schema_version", "result_id")}  # fmt: skip
    assert Result.sealed(**fields).ooc == new.ooc


@pytest.mark.parametrize("recipe", [{"preset": "none-such"}, {"split": {"a": 1}}, {"rung": 9}])
def test_a_recipe_that_is_not_known_gives_no_levels(recipe):
    old = from_smoke(**recipe)
    assert redrawn_levels(old) is old


@pytest.mark.parametrize("change", ["season", "few images", "bound"])
def test_other_combinations_than_the_presets_give_no_levels(change):
    old = from_smoke()
    if change == "season":  # held-out combinations of a secret draw
        inside, outside = old.id.cells, old.ooc.cells
        scores = old.scores.model_copy(update={
            "id_test": old.id.model_copy(update={"cells": outside}),
            "ooc_test": old.ooc.model_copy(update={"cells": inside}),
        })  # fmt: skip
        old = old.model_copy(update={"scores": scores})
    elif change == "few images":
        old = old.model_copy(update={"data": old.data.model_copy(update={"n_train": 3})})
    else:
        bound = old.method.model_copy(update={"role": "bound"})
        assert redrawn_levels(old.model_copy(update={"method": bound})).ooc.levels is not None
        old = from_smoke(rung=1).model_copy(update={"method": bound})
    assert redrawn_levels(old) is old
