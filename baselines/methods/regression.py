"""Supervised regression: squared error on every factor, categorical ones as one-hot vectors.

The other supervised loss, beside cross-entropy. A linear readout of its slots has the least to do;
squared error on one-hot vectors learns classes more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from recombine.baselines.methods.supervision import SlotSupervision, supervised_sizes
from recombine.baselines.nn.losses import slot_loss
from recombine.baselines.nn.slots import SlotLayout
from recombine.baselines.training.slot_encoder import Recognition
from recombine.benchmark.protocol.contract import MethodCard

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def plain(layout: SlotLayout) -> SlotLayout:
    """Return the layout with every column read as a number."""
    slots = tuple(tuple(replace(c, kind="float") for c in slot) for slot in layout.slots)
    return replace(layout, slots=slots)


class Regressor(Recognition):
    """A recognition model whose heads are the slot vectors themselves."""

    def loss(
        self,
        images: Float[Tensor, "images 3 height width"],
        targets: Float[Tensor, "images slots dim"],
    ) -> Float[Tensor, ""]:
        """Return the squared error per slot vector, exchangeable slots matched."""
        return slot_loss(plain(self.layout), self.run(images)[1], targets, self.pose_weight)


@dataclass(frozen=True)
class SupervisedRegression(SlotSupervision):
    """The supervised encoder with squared error."""

    card: ClassVar[MethodCard] = MethodCard(
        id="regression",
        name="Supervised slot regression",
        inference="direct",
        supervision="supervised",
        source="arXiv 2410.21869 (regression beside cross-entropy)",
        note="Squared error on one-hot, angle and standardised columns; encoder of the supervised "
        "slot encoder.",
    )

    pose_weight: float = 1.0

    def model(self, layout: SlotLayout, image_hw: tuple[int, int]) -> Recognition:
        """Return the untrained model."""
        return Regressor(
            layout,
            image_hw,
            width=self.width,
            layers=self.layers,
            pose_weight=self.pose_weight,
            precision=self.precision,
        )


SIZES: dict[str, dict[str, SupervisedRegression]] = {
    "SupervisedRegression": supervised_sizes(SupervisedRegression)
}
