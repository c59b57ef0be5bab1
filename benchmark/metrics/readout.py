"""Reading factors out of slots with models that see in-combination images only.

The headline is linear (ridge, logistic); a network with two hidden layers of 256 is the second.

Scaler, weights, regularisation and the assignment of method slots to scene slots are all fitted
on ID-train and ID-val and then frozen. Refitting any of them on out-of-combination images, even
only the scaler, would hide a drift of the representation.

The assignment is one permutation for all images, so the slots of a method must keep their roles. It
is decided by readouts on in-combination cells that were left out of their fit.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recombine.benchmark.metrics.base import contributions
from recombine.benchmark.metrics.matching import (
    Evidence,
    SlotAssignment,
    assign_slots,
    leave_cells_out,
    slot_values,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from jaxtyping import Bool, Float, Int, Shaped

    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Factor, Schema, Slot

# From the strongest regularisation to the weakest.
LOGISTIC_C = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
RIDGE_ALPHA = (1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3)
MATCH_C, MATCH_ALPHA = 0.1, 10.0  # of the readouts that decide the slot assignment
MAX_ITER = 200
SAME = 1e-6  # of the largest number in the slots: up to this, two slots hold the same numbers
MLP_ALPHA = (1e-1, 1e-3)
MLP_SIZES = (256, 256)
MLP_EPOCHS = 60
Kind: TypeAlias = Literal["linear", "mlp"]
KIND: Literal["linear"] = "linear"


@dataclass(frozen=True)
class Representation:
    """Slots of some images and the true factors of the same images."""

    slots: Float[Array, "images slots dim"]  # ``(N, S, D)`` float32
    # ``"slot.factor"`` to ``(N,)`` codes, radians or units
    factors: Mapping[str, Shaped[Array, " images"]]


@dataclass(frozen=True)
class FactorReadout:
    """A fitted readout of one factor from one slot.

    Attributes
    ----------
    factor : Factor
        What it predicts.
    slot : int
        The method's slot it reads.
    regularisation : float
        Chosen on ID-val: C of the logistic readout, alpha of ridge or of the network.
    score : float
        Its factor score on ID-val.
    scaler, model : object
        Frozen; ``model`` is None when training showed a single class, ``constant`` then.
    converged : bool
        Whether the fit ended by itself; False when it was stopped at its iteration limit.
    edge : {"weakest", "strongest"}, optional
        Which end of the grid ``regularisation`` is; None inside it.
    """

    factor: Factor
    slot: int
    regularisation: float
    score: float
    scaler: Any
    model: Any
    constant: int = 0
    converged: bool = True
    edge: Literal["weakest", "strongest"] | None = None

    def predict(self, slots: Float[Array, "images slots dim"]) -> Shaped[Array, " images"]:
        """Return codes, radians in [0, 2 pi) or units, clipped to the factor's range.

        Parameters
        ----------
        slots : array
            ``(N, S, D)`` from the same method.

        Returns
        -------
        array
            ``(N,)``.
        """
        if self.model is None:
            return np.full(len(slots), self.constant)
        return _decode(self.factor, self.model, self.scaler.transform(slots[:, self.slot]))

    def confidence(self, slots: Float[Array, "images slots dim"]) -> Float[Array, " images"]:
        """Return the probability that a linear readout gives to the code it predicts.

        Parameters
        ----------
        slots : array
            As for `predict`; the factor is categorical.

        Returns
        -------
        array
            ``(N,)`` in [1 / number of values, 1]; 1 when training showed a single value.
        """
        if self.model is None:
            return np.ones(len(slots))
        given: Array = self.model.predict_proba(self.scaler.transform(slots[:, self.slot]))
        best: Array = given.max(axis=1)
        return best


@dataclass(frozen=True)
class Readout:
    """All fitted readouts and the slot assignment.

    Attributes
    ----------
    slot_match : tuple of int
        For every scene slot, the method's slot that stands for it.
    factors : Mapping of str to FactorReadout
        One per ``"slot.factor"``.
    assignment : SlotAssignment, optional
        How the slots were assigned; None where that was settled before.
    """

    slot_match: tuple[int, ...]
    factors: Mapping[str, FactorReadout]
    assignment: SlotAssignment | None = None

    def predict(
        self, slots: Float[Array, "images slots dim"]
    ) -> dict[str, Shaped[Array, " images"]]:
        """Return the predicted factors of every image.

        Parameters
        ----------
        slots : array
            ``(N, S, D)``.

        Returns
        -------
        dict
            ``"slot.factor"`` to ``(N,)``.
        """
        return {key: readout.predict(slots) for key, readout in self.factors.items()}


def fit_readout(
    train: Representation,
    val: Representation,
    schema: Schema,
    *,
    only: Collection[str] | None = None,
    kind: Kind = KIND,
    match: tuple[int, ...] | None = None,
) -> Readout:
    """Fit readouts on ID-train, choose regularisation on ID-val; assign slots by `match_slots`.

    Parameters
    ----------
    train, val : Representation
        In-combination images, at most a label budget of them.
    schema : Schema
        Scene slots and factors.
    only : collection of str, optional
        Fit only these factors (cheaper); the assignment always uses the recombined ones.
    kind : {"linear", "mlp"}
        Which readout.
    match : tuple of int, optional
        The method's slot of every scene slot, where that is settled; without it `match_slots`
        decides.

    Returns
    -------
    Readout
        Frozen.
    """
    wanted = schema.keys if only is None else only
    assignment = match_slots(train, val, schema) if match is None else None
    chosen = assignment.match if assignment is not None else match or ()
    # These problems are too small for threads: with several, most time goes into waiting.
    with threadpool_limits(limits=1):
        fitted = {
            f"{slot.name}.{factor.name}": _fit_best(train, val, slot, factor, chosen[number], kind)
            for number, slot in enumerate(schema.slots)
            for factor in slot.factors
            if f"{slot.name}.{factor.name}" in wanted
        }
    return Readout(chosen, fitted, assignment)


def match_slots(train: Representation, val: Representation, schema: Schema) -> SlotAssignment:
    """Assign one method slot to every scene slot, once for all images.

    Scene slots are judged by their recombined factors, on in-combination training images of cells
    that were left out of the fit, fold by fold (`matching.leave_cells_out`): on cells that it saw,
    a readout also reads well what a slot only infers from its neighbour. ID-val decides between
    equal scores, where no cell can be left out, because each has a value of its own, and for scene
    slots without recombined factors, which are judged by all their factors.

    Parameters
    ----------
    train, val : Representation
        In-combination images: readouts are fitted on the first.
    schema : Schema
        Scene slots and recombined factors.

    Returns
    -------
    SlotAssignment
        The assignment with the highest sum of scores (Hungarian algorithm), and how clear it is.
    """
    cells = [
        np.stack([part.factors[key] for key in schema.recombined], axis=1) for part in (train, val)
    ]
    _, numbers = np.unique(np.concatenate(cells), axis=0, return_inverse=True)
    cell_of = numbers.reshape(-1)
    fold_of = leave_cells_out(cells[0])
    seen = _Trial(train, val, cell_of[len(fold_of) :])
    trials = [
        _Trial(_part(train, fold_of != fold), _part(train, fold_of == fold), where)
        for fold in np.unique(fold_of[fold_of >= 0])
        for where in [cell_of[: len(fold_of)][fold_of == fold]]
    ]
    cell_count = int(cell_of.max()) + 1
    deciding = [k for k, slot in enumerate(schema.slots) if _recombined(slot, schema)]
    same = _same_slots(np.concatenate([train.slots, val.slots]))
    with threadpool_limits(limits=1):
        on_val = [
            _judge_slot([seen], slot, _recombined(slot, schema) or slot.factors, same, cell_count)
            for slot in schema.slots
        ]
        evidence = [
            _judge_slot(trials, slot, _recombined(slot, schema), same, cell_count)
            if trials and number in deciding
            else on_val[number]
            for number, slot in enumerate(schema.slots)
        ]
    return assign_slots(
        evidence,
        same,
        deciding,
        decided_on="held-out-cells" if trials else "id-val",
        images=int(np.sum(fold_of >= 0)) if trials else len(val.slots),
        seen=slot_values(on_val),
    )


@dataclass(frozen=True)
class _Trial:
    """Images to fit on, and others to judge by."""

    fitted: Representation
    judged: Representation
    cell_of: Int[Array, " images"]  # number of the cell of every judged image


def _part(known: Representation, chosen: Bool[Array, " images"]) -> Representation:
    return Representation(known.slots[chosen], {k: v[chosen] for k, v in known.factors.items()})


def _recombined(slot: Slot, schema: Schema) -> tuple[Factor, ...]:
    return tuple(f for f in slot.factors if f"{slot.name}.{f.name}" in schema.recombined)


def _same_slots(slots: Float[Array, "images slots dim"]) -> Int[Array, " slots"]:
    """Return for every slot the first one that holds the same numbers, up to rounding."""
    first = np.arange(slots.shape[1])
    tolerance = SAME * float(np.abs(slots).max())
    for slot in first:
        equal = np.abs(slots - slots[:, [slot]]).max(axis=(0, 2)) <= tolerance
        first[slot] = np.flatnonzero(equal)[0]
    return first


def _judge_slot(
    trials: Sequence[_Trial],
    slot: Slot,
    factors: Sequence[Factor],
    same: Int[Array, " slots"],
    cells: int,
) -> list[list[Evidence]]:
    """Return for every slot of the method how well it reads each factor of a scene slot."""
    judged = {
        candidate: [_judge(trials, slot, factor, candidate, cells) for factor in factors]
        for candidate in np.unique(same).tolist()
    }
    return [judged[first] for first in same.tolist()]


def _judge(
    trials: Sequence[_Trial], slot: Slot, factor: Factor, index: int, cells: int
) -> Evidence:
    strength = MATCH_C if factor.kind == "categorical" else MATCH_ALPHA
    parts = []
    for trial in trials:
        readout = _fit_one(trial.fitted, slot, factor, index, KIND, strength)
        member = np.equal(trial.cell_of[None, :], np.arange(cells)[:, None]).astype(float)
        parts.append([member @ part for part in _judged(readout, slot, trial.judged)])
    sums, weights = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    return Evidence(sums, weights)


def _fit_best(
    train: Representation, val: Representation, slot: Slot, factor: Factor, index: int, kind: Kind
) -> FactorReadout:
    """Fit the whole grid; among equal ID-val scores the strongest regularisation wins."""
    grid: tuple[float, ...] = LOGISTIC_C if factor.kind == "categorical" else RIDGE_ALPHA
    if kind == "mlp":
        grid = MLP_ALPHA
    best = None
    for strength in grid:
        draft = _fit_one(train, slot, factor, index, kind, strength)
        sums, weights = _judged(draft, slot, val)
        total = weights.sum(axis=0)
        score = float(np.mean(sums.sum(axis=0)[total > 0] / total[total > 0]))
        if best is None or score > best.score:
            best = replace(draft, score=score, edge=_edge(strength, grid))
        if score >= 1:  # nothing weaker can win
            break
    return cast("FactorReadout", best)


def _edge(strength: float, grid: tuple[float, ...]) -> Literal["weakest", "strongest"] | None:
    if strength == grid[0]:
        return "strongest"
    return "weakest" if strength == grid[-1] else None


def _judged(readout: FactorReadout, slot: Slot, images: Representation) -> tuple[Array, Array]:
    key = f"{slot.name}.{readout.factor.name}"
    return contributions(readout.factor, readout.predict(images.slots), images.factors[key])


def _fit_one(
    train: Representation,
    slot: Slot,
    factor: Factor,
    index: int,
    kind: Kind,
    strength: float,
) -> FactorReadout:
    target = train.factors[f"{slot.name}.{factor.name}"]
    features = train.slots[:, index].astype(np.float64)
    scaler = StandardScaler().fit(features)
    model, converged = None, True
    if factor.kind != "categorical" or len(np.unique(target)) > 1:
        fit = _fit_mlp if kind == "mlp" else _fit_model
        model, converged = fit(factor, np.asarray(scaler.transform(features)), target, strength)
    constant = int(target[0]) if factor.kind == "categorical" else 0
    return FactorReadout(factor, index, strength, 0.0, scaler, model, constant, converged)


def _fit_model(factor: Factor, features: Array, target: Array, strength: float) -> tuple[Any, bool]:
    """Return a linear model, and whether its fit ended by itself."""
    if factor.kind != "categorical":
        if factor.kind == "periodic":
            target = np.stack([np.cos(target), np.sin(target)], axis=1)
        return Ridge(alpha=strength).fit(features, target), True
    # Second derivatives: separable classes at weak regularisation take lbfgs a thousand iterations.
    model = LogisticRegression(C=strength, max_iter=MAX_ITER, solver="newton-cg")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(features, target)
    stopped = any(
        issubclass(one.category, ConvergenceWarning) or "Line Search" in str(one.message)
        for one in caught
    )
    return model, not stopped


def _fit_mlp(factor: Factor, features: Array, target: Array, strength: float) -> tuple[Any, bool]:
    if factor.kind == "periodic":
        target = np.stack([np.cos(target), np.sin(target)], axis=1)
    model = MLPClassifier if factor.kind == "categorical" else MLPRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
        fitted = model(
            hidden_layer_sizes=MLP_SIZES, alpha=strength, max_iter=MLP_EPOCHS, random_state=0
        ).fit(features, target)
    return fitted, True


def _decode(factor: Factor, model: Any, features: Array) -> Shaped[Array, " images"]:
    predicted: Array = model.predict(features)
    if factor.kind == "categorical":
        return predicted
    if factor.kind == "periodic":
        angle: Array = np.arctan2(predicted[:, 1], predicted[:, 0]) % (2 * np.pi)
        return angle
    return np.clip(predicted, factor.low, factor.high)
