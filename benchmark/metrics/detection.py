"""How many objects of a set are found: average precision at a distance.

An object counts as found when all its attributes are right and its position is near. Whatever
is decided inside one image stays there, so detections of several batches are merged and then
scored, which gives the number of all images at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.metrics.base import Metric
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Int

    from recombine.renderer.core.types import Array

AVERAGE_PRECISION = Metric(
    "average_precision_at_distance", "1.0", "higher", 0.0, 1.0, 0.0,
    "area under the interpolated precision-recall curve, object found = all attributes right and "
    "position nearer than delta; Locatello et al. 2020 (arXiv 2006.15055), after Zhang et al. "
    "2019 (arXiv 1906.06565)",
)  # fmt: skip
DISTANCES = (np.inf, 1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True)
class ObjectSet:
    """Objects of some images, true or predicted, in any order.

    Attributes
    ----------
    codes : array
        ``(N, K, A)`` value codes of the categorical attributes.
    position : array
        ``(N, K, P)`` positions, scene units.
    weight : array
        ``(N, K)``: presence (0 or 1) of true objects, confidence of predicted ones.
    """

    codes: Int[Array, "images objects attributes"]
    position: Float[Array, "images objects axes"]
    weight: Float[Array, "images objects"]


@dataclass(frozen=True)
class Detections:
    """What average precision needs to know of some images.

    Attributes
    ----------
    confidence : array
        ``(M,)`` of every predicted object.
    hit : array
        ``(M,)`` whether it found an object that no surer one had found.
    objects : int
        True objects.
    """

    confidence: Float[Array, " detections"]
    hit: Bool[Array, " detections"]
    objects: int


def detections(predicted: ObjectSet, true: ObjectSet, distance: float) -> Detections:
    """Decide which predicted objects are found objects.

    Parameters
    ----------
    predicted, true : ObjectSet
        The same N images, any numbers of objects.
    distance : float
        Delta, above 0; infinity asks for the attributes only.

    Returns
    -------
    Detections
        A predicted object aims at the nearest true object whose attributes all agree, and finds
        it when nearer than delta and no surer prediction has found it.

    Raises
    ------
    InvalidInputError
        When images, attributes or axes differ in number.
    """
    if (
        predicted.codes.shape[::2] != true.codes.shape[::2]
        or predicted.position.shape[::2] != true.position.shape[::2]
    ):
        raise InvalidInputError(
            "detections: predicted and true sets need the same images, attributes and axes, got "
            f"{predicted.codes.shape}, {predicted.position.shape} and "
            f"{true.codes.shape}, {true.position.shape}"
        )
    same = np.all(predicted.codes[:, :, None] == true.codes[:, None], axis=3)
    far = np.linalg.norm(predicted.position[:, :, None] - true.position[:, None], axis=3)
    far = np.where(same & (true.weight > 0)[:, None], far, np.inf)
    order = np.argsort(-predicted.weight, axis=1, kind="stable")
    far = np.take_along_axis(far, order[:, :, None], axis=1)
    aim = np.equal(far.argmin(axis=2)[:, :, None], np.arange(far.shape[2]))
    aim &= (far < distance) & np.isfinite(far)
    first = aim & (np.cumsum(aim, axis=1) == 1)
    confidence = np.take_along_axis(predicted.weight, order, axis=1)
    return Detections(confidence.ravel(), first.any(axis=2).ravel(), int(np.sum(true.weight > 0)))


def merge(parts: Sequence[Detections]) -> Detections:
    """Put the detections of several batches of images together."""
    return Detections(
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.hit for part in parts]),
        sum(part.objects for part in parts),
    )


def average_precision(found: Detections) -> float:
    """Return the area under the interpolated precision-recall curve.

    Parameters
    ----------
    found : Detections
        Of all images, with at least one true object.

    Returns
    -------
    float
        1 when every object is found before anything wrong is claimed; 0 when none is. Equal
        confidences enter the curve together, so the order of images does not matter.
    """
    if found.objects == 0:
        raise InvalidInputError("average_precision: there is no true object; score other images")
    order = np.argsort(-found.confidence, kind="stable")
    confidence = found.confidence[order]
    last = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True))
    hits = np.cumsum(found.hit[order])[last]
    precision = np.maximum.accumulate((hits / (last + 1))[::-1])[::-1]
    gained = np.diff(hits / found.objects, prepend=0.0)
    return float(np.sum(gained * precision))
