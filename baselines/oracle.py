"""Upper bound: the supervised encoder trained on in- and out-of-combination images.

It is no entry: it sees what every other row must do without. It says how hard the images are once
the combination is no longer new; replay cannot do better than it with the same steps, and a gap
that it shows too has another cause than recombination. The learner is the supervised one; the
class attribute ``out_of_combination`` asks the harness to serve both kinds of image, and refuses
nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recombine.baselines.supervision import SlotSupervision, supervised_sizes
from recombine.benchmark.protocol import MethodCard


@dataclass(frozen=True)
class Oracle(SlotSupervision):
    """The supervised encoder on all combinations."""

    card: ClassVar[MethodCard] = MethodCard(
        id="oracle",
        name="Oracle (trained on ID and OOC)",
        inference="direct",
        supervision="supervised",
        data="open",
        source="",
        note="Upper bound, not an entry: the supervised slot encoder trained on in- and "
        "out-of-combination images.",
    )
    out_of_combination: ClassVar[bool] = True


SIZES: dict[str, dict[str, Oracle]] = {"Oracle": supervised_sizes(Oracle)}
