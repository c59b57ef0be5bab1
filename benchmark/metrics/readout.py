"""Reading factors out of slots with models that see in-combination images only.

The headline is linear (ridge, logistic); a network with two hidden layers of 256 is the second.

Scaler, weights, regularisation and the assignment of method slots to scene slots are all fitted
on ID-train and ID-val and then frozen. Refitting any of them on out-of-combination images, even
only the scaler, would hide a drift of the representation.

The assignment is one permutation for all images, so the slots of a method must keep their roles.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recombine.benchmark.metrics.base import contributions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jaxtyping import Float, Shaped

    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Factor, Schema, Slot

LOGISTIC_C = (0.001, 0.01, 0.1, 1.0, 10.0)
RIDGE_ALPHA = (1e4, 1e3, 1e2, 1e1, 1e0, 1e-1)
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
    """

    factor: Factor
    slot: int
    regularisation: float
    score: float
    scaler: Any
    model: Any
    constant: int = 0

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
    """

    slot_match: tuple[int, ...]
    factors: Mapping[str, FactorReadout]

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
    """Fit readouts on ID-train, choose regularisation and slot assignment on ID-val.

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
        The method's slot of every scene slot, where that is settled; fitted without it.

    Returns
    -------
    Readout
        Frozen.
    """
    wanted = schema.keys if only is None else only
    # These problems are too small for threads: with several, most time goes into waiting.
    with threadpool_limits(limits=1):
        match = match_slots(train, val, schema) if match is None else match
        fitted = {
            f"{slot.name}.{factor.name}": _fit_best(train, val, slot, factor, match[number], kind)
            for number, slot in enumerate(schema.slots)
            for factor in slot.factors
            if f"{slot.name}.{factor.name}" in wanted
        }
    return Readout(match, fitted)


def match_slots(train: Representation, val: Representation, schema: Schema) -> tuple[int, ...]:
    """Assign one method slot to every scene slot, once for all images.

    Parameters
    ----------
    train, val : Representation
        In-combination images: readouts are fitted on the first and compared on the second.
    schema : Schema
        Scene slots. A slot is judged by its recombined factors, or by all if it has none.

    Returns
    -------
    tuple of int
        The assignment with the highest sum of ID-val scores (Hungarian algorithm).
    """
    method_slots = train.slots.shape[1]
    value = np.zeros((len(schema.slots), method_slots))
    for number, slot in enumerate(schema.slots):
        factors = _deciding(slot, schema)
        for candidate in range(method_slots):
            scores = [
                _fit_one(train, val, slot, factor, candidate, KIND, _middle(factor)).score
                for factor in factors
            ]
            value[number, candidate] = np.mean(np.clip(scores, 0.0, 1.0))
    _, match = linear_sum_assignment(value, maximize=True)
    return tuple(int(slot) for slot in match)


def _deciding(slot: Slot, schema: Schema) -> tuple[Factor, ...]:
    recombined = tuple(f for f in slot.factors if f"{slot.name}.{f.name}" in schema.recombined)
    return recombined or slot.factors


def _middle(factor: Factor) -> float:
    grid = LOGISTIC_C if factor.kind == "categorical" else RIDGE_ALPHA
    return grid[len(grid) // 2]


def _fit_best(
    train: Representation, val: Representation, slot: Slot, factor: Factor, index: int, kind: Kind
) -> FactorReadout:
    """Fit the whole grid; among equal ID-val scores the strongest regularisation wins."""
    grid: tuple[float, ...] = LOGISTIC_C if factor.kind == "categorical" else RIDGE_ALPHA
    if kind == "mlp":
        grid = MLP_ALPHA
    fitted = [_fit_one(train, val, slot, factor, index, kind, strength) for strength in grid]
    return max(fitted, key=lambda readout: readout.score)


def _fit_one(
    train: Representation,
    val: Representation,
    slot: Slot,
    factor: Factor,
    index: int,
    kind: Kind,
    strength: float,
) -> FactorReadout:
    key = f"{slot.name}.{factor.name}"
    target = train.factors[key]
    features = train.slots[:, index].astype(np.float64)
    scaler = StandardScaler().fit(features)
    model = None
    if factor.kind != "categorical" or len(np.unique(target)) > 1:
        fit = _fit_mlp if kind == "mlp" else _fit_model
        model = fit(factor, np.asarray(scaler.transform(features)), target, strength)
    constant = int(target[0]) if factor.kind == "categorical" else 0
    draft = FactorReadout(factor, index, strength, 0.0, scaler, model, constant)
    sums, weights = contributions(factor, draft.predict(val.slots), val.factors[key])
    total = weights.sum(axis=0)
    score = float(np.mean(sums.sum(axis=0)[total > 0] / total[total > 0]))
    return FactorReadout(factor, index, strength, score, scaler, model, constant)


def _fit_model(factor: Factor, features: Array, target: Array, strength: float) -> Any:
    if factor.kind == "categorical":
        with warnings.catch_warnings():
            # Separable classes at weak regularisation: the direction is settled long before.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticRegression(C=strength, max_iter=300).fit(features, target)
    if factor.kind == "periodic":
        target = np.stack([np.cos(target), np.sin(target)], axis=1)
    return Ridge(alpha=strength).fit(features, target)


def _fit_mlp(factor: Factor, features: Array, target: Array, strength: float) -> Any:
    if factor.kind == "periodic":
        target = np.stack([np.cos(target), np.sin(target)], axis=1)
    model = MLPClassifier if factor.kind == "categorical" else MLPRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
        return model(
            hidden_layer_sizes=MLP_SIZES, alpha=strength, max_iter=MLP_EPOCHS, random_state=0
        ).fit(features, target)


def _decode(factor: Factor, model: Any, features: Array) -> Shaped[Array, " images"]:
    predicted: Array = model.predict(features)
    if factor.kind == "categorical":
        return predicted
    if factor.kind == "periodic":
        angle: Array = np.arctan2(predicted[:, 1], predicted[:, 0]) % (2 * np.pi)
        return angle
    return np.clip(predicted, factor.low, factor.high)
