"""What ignorance scores, exactly, and in words: the levels that a score is read against.

Chance, the product of one over the number of values, is the level of knowing nothing at all. Two
things are cheaper than what a split asks for: one factor alone, which images of seen combinations
teach as well, and the list of combinations that training showed, whose complement is where the
test is. Whoever knows the environment and guesses the shape is right in one of eight images, and in
one of six who also leaves out the shapes that training showed with it. So a score says something
about recombination only above the best of these, and `Score.lift` starts there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.results.parts import Levels, Score
from recombine.renderer.core.errors import RecombineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jaxtyping import Int

    from recombine.benchmark.results.result import Result
    from recombine.renderer.core.types import Array

SAME = 1e-9
"""Up to here a score without an interval is that of a level."""


def levels_of(
    seen: Int[Array, "shown factors"],
    scored: Int[Array, "cells factors"],
    sizes: Sequence[int],
    keys: Sequence[str],
    *,
    held_out: bool,
    matching: float | None = None,
) -> Levels:
    """Return what ignorance scores on some cells; every cell counts the same.

    Parameters
    ----------
    seen : array
        ``(T, F)`` value codes of the combinations that training showed.
    scored : array
        ``(C, F)`` value codes of the cells that are scored.
    sizes : sequence of int
        Number of values of every recombined factor.
    keys : sequence of str
        Its name.
    held_out : bool
        Whether a guess is among the combinations that training never showed, as out of
        combination, or among those that it showed.
    matching : float, optional
        Floor of a matching of slots on masks.
    """
    shown = np.zeros(tuple(sizes), bool)
    shown[tuple(np.asarray(seen, int).reshape(-1, len(sizes)).T)] = True
    allowed = ~shown if held_out else shown
    right = allowed[tuple(scored.T)].astype(float)
    factors = range(len(sizes)) if len(sizes) > 1 else ()
    known, told = {}, {}
    for f in factors:
        with_value = allowed.sum(axis=tuple(g for g in range(len(sizes)) if g != f))[scored[:, f]]
        known[keys[f]] = sizes[f] / shown.size
        told[keys[f]] = float(np.mean(right / np.maximum(with_value, 1)))
    return Levels(
        one_known=known,
        unseen=float(np.mean(right)) / max(1, int(allowed.sum())),
        one_known_unseen=told,
        matching=matching,
    )


def with_levels(score: Score, levels: Levels | None) -> Score:
    """Return a score beside what ignorance scores, with its lift over the best of that."""
    bare = score.model_copy(update={"levels": levels, "lift": None, "lift_ci95": None})
    floor = bare.floor
    if floor is None or floor >= 1:
        return bare
    low, high = score.ci95 or (0.0, 0.0)
    lift, low, high = ((value - floor) / (1 - floor) for value in (score.estimate, low, high))
    return bare.model_copy(update={"lift": lift, "lift_ci95": score.ci95 and (low, high)})


def redrawn_levels(result: Result) -> Result:
    """Return a result with the levels of its scores, where its recipe tells what training showed.

    For results from before levels were kept. What a matching gave away is not in a result, so
    that level stays as it is.
    """
    seen = shown_cells(result)
    if seen is None:
        return result
    cells, values = seen
    sizes = [len(names) for names in values]
    scores = {}
    for name in ("id_test", "ooc_test"):
        score: Score = getattr(result.scores, name)
        codes = np.array(
            [[v.index(n) for v, n in zip(values, names, strict=True)] for names in score.cells]
        )
        levels = levels_of(
            cells,
            codes,
            sizes,
            result.data.recombined,
            held_out=name == "ooc_test",
            matching=None if score.levels is None else score.levels.matching,
        )
        scores[name] = with_levels(score, levels)
    return result.model_copy(update={"scores": result.scores.model_copy(update=scores)})


def shown_cells(result: Result) -> tuple[Array, list[tuple[str, ...]]] | None:
    """Return the combinations that training showed, and the values of every recombined factor.

    Read from the preset that the result's recipe names; None where there is no recipe, where its
    preset has another schema or needs more than its name (a declared split, a relation, a season),
    or where other combinations were shown: to an upper bound of a wider rung, whose levels are
    those of the narrowest, or in fewer images than combinations.
    """
    from recombine.renderer.presets.table import load_preset

    recipe = result.data.recipe
    if not recipe or recipe.get("split") or (result.method.role == "bound" and recipe.get("rung")):
        return None
    try:
        preset = load_preset(
            str(recipe["preset"]),
            values=recipe.get("values"),  # type: ignore[arg-type]
            ooc_val=bool(recipe.get("ooc_val")),
        )
        schema = preset.schema
        draws = preset.split.id_draws(schema.cell_shape, int(str(recipe.get("rung", 0))))
    except (RecombineError, IndexError, KeyError):
        return None
    values = [schema.factor(key).values for key in schema.recombined]
    named = (*result.scores.id_test.cells, *result.scores.ooc_test.cells)
    known = all(n in v for names in named for n, v in zip(names, values, strict=True))
    if schema.recombined != result.data.recombined or schema.placed or not known:
        return None
    cells = np.unique(np.array([cell for cell, _ in draws], int), axis=0)
    shown = {tuple(v[c] for v, c in zip(values, cell, strict=True)) for cell in cells.tolist()}
    inside, outside = (set(one.cells) for one in (result.scores.id_test, result.scores.ooc_test))
    fits = inside <= shown and not outside & shown and result.data.n_train >= len(cells)
    return (cells, values) if fits else None


# The same in words.


@dataclass(frozen=True)
class Level:
    """One level of a score."""

    kind: str  # "chance", or the field of `Levels` that holds it
    value: float  # expected score
    words: str  # who scores it: "knows the environment, guesses the shape"
    doing: str  # the same after "at the level of": "knowing the environment"


def named_levels(
    score: Score, *, held_out: bool = True, read: Mapping[str, float] | None = None
) -> tuple[Level, ...]:
    """Return the levels of a score, the lowest first; one of each kind.

    Where several factors could be the known one, it is the one whose level is highest, and among
    equals the one that was read best: by this score, unless ``read`` says how well others did.
    """
    if read is None:
        read = {key: factor.estimate for key, factor in score.per_factor.items()}
    chance = Level("chance", score.chance, "chance", "chance")
    if score.levels is None:
        return (chance,)
    levels, found = score.levels, [chance]
    unseen = "unseen" if held_out else "seen"
    among = f"guesses among {unseen} combinations", f"guessing among {unseen} combinations"
    found.append(Level("unseen", levels.unseen, *among))
    if levels.one_known:
        found += [
            _known(levels, kind, read, held_out) for kind in ("one_known", "one_known_unseen")
        ]
    if levels.matching is not None:
        words = "knows only which slots were matched", "knowing only which slots were matched"
        found.append(Level("matching", levels.matching, *words))
    return tuple(sorted(found, key=lambda level: level.value))


def shared_levels(scores: Sequence[Score], *, held_out: bool = True) -> tuple[Level, ...]:
    """Return the levels that tables and figures show beside several scores of the same cells.

    Chance, one factor known, and the floor; chance alone where a score lacks levels or has others.
    What a matching gave away is a matter of each score.
    """
    first, *more = [
        one.model_copy(update={"levels": one.levels.model_copy(update={"matching": None})})
        for one in scores
        if one.levels is not None
    ] or [scores[0]]
    if len(more) + 1 < len(scores) or any(one.levels != first.levels for one in more):
        return named_levels(first.model_copy(update={"levels": None}))
    read: dict[str, list[float]] = {}
    for one in scores:
        for key, factor in one.per_factor.items():
            read.setdefault(key, []).append(factor.estimate)
    means = {key: float(np.mean(values)) for key, values in read.items()}
    found = named_levels(first, held_out=held_out, read=means)
    return tuple(one for one in found if one.kind != "unseen" or one is found[-1])


def _known(levels: Levels, kind: str, read: Mapping[str, float], held_out: bool) -> Level:
    table: dict[str, float] = getattr(levels, kind)
    key = max(sorted(table), key=lambda one: (round(table[one], 12), read.get(one, -1.0)))
    known = factor_words(key, table)
    others = " and ".join(factor_words(one, table) for one in sorted(table) if one != key)
    words, doing = f"knows the {known}, guesses the {others}", f"knowing the {known}"
    if kind == "one_known_unseen":
        never, article = "never " if held_out else "", "an" if others[0] in "aeiou" else "a"
        words = f"knows the {known}, guesses {article} {others} {never}shown with it"
        doing += f" and which {others} training {never}showed with it"
    return Level(kind, table[key], words, doing)


def factor_words(key: str, among: Iterable[str]) -> str:
    """Return a factor's name for people; with its slot where another has the same name."""
    slot, _, name = key.partition(".")
    alike = sum(other.partition(".")[2] == name for other in among)
    words = name.replace("_", " ")
    return words if alike <= 1 else f"{words} of {slot}"


def standing(score: Score, *, held_out: bool = True) -> str:
    """Return where a score stands to the levels of ignorance, in words; empty without levels.

    Above its floor is a score whose whole interval lies above the best of them. One at a level is
    named after it: the nearest of those inside its interval.
    """
    if score.levels is None or score.floor is None:
        return ""
    if score.ci95 is None and score.n_seeds == 1:
        side = score.estimate - score.floor
        where = "at" if abs(side) <= SAME else "above" if side > 0 else "below"
        return f"estimate {where} its floor, no interval"
    low, high = score.ci95 or (score.estimate - SAME, score.estimate + SAME)
    found = named_levels(score, held_out=held_out)
    inside = [level for level in found if low <= level.value <= high]
    at = ""
    if inside:
        near = min(inside, key=lambda level: abs(level.value - score.estimate))
        at = "at chance" if near.doing == "chance" else f"at the level of {near.doing}"
    if low > score.floor:
        return "above its floor"
    place = "below its floor" if high < score.floor else "not told apart from its floor"
    return f"{place}, {at}" if at else place
