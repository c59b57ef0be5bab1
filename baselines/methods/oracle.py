"""Upper bound: the supervised encoder trained on in- and out-of-combination images.

It is no entry: it sees what every other row must do without. It says how hard the images are once
the combination is no longer new, for an encoder that makes as many steps as one that replay trains
on; a gap that it shows too has another cause than recombination. It bounds what *seeing* the
combinations is worth, not what mixing images is: replay also draws ever new images, and can pass it
where images are few for the task. Half of the matched test blocks, with all their combinations,
are trained on, and only the other half is scored: no image is both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recombine.baselines.methods.supervised import Supervised, supervised_sizes
from recombine.baselines.training.loop import Sizes
from recombine.benchmark.protocol.contract import MethodCard
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jaxtyping import Int

    from recombine.baselines.training.slot_encoder import RecognitionEncoder
    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import DatasetLike, TrainData
    from recombine.renderer.core.types import Array


@dataclass(frozen=True)
class Oracle(Supervised):
    """The supervised encoder on all combinations."""

    card: ClassVar[MethodCard] = MethodCard(
        id="oracle",
        name="Oracle (trained on ID and OOC)",
        inference="direct",
        supervision="supervised",
        data="open",
        source="",
        note="Upper bound, not an entry: the supervised slot encoder trained on all combinations, "
        "for as many steps as replay's two stages, "
        "the held-out ones from half of the test blocks (repeated), scored on the other half; "
        "its readout sees all kinds too.",
        role="bound",
    )
    # Replay trains an encoder, and then trains it on: a bound on it needs the steps of both.
    SIZES: ClassVar[Sizes] = supervised_sizes(times=2)
    out_of_combination: ClassVar[bool] = True

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> RecognitionEncoder:
        """Train on all combinations; see `Supervised.fit`."""
        if not getattr(data, "all_combinations", False):
            raise InvalidInputError(
                "oracle: expected training data with all combinations, got those of all other "
                "rows; it is an upper bound that needs out-of-combination images, run: "
                "recombine score oracle"
            )
        return super().fit(data, val, seed=seed, budget=budget, log=log)


@dataclass(frozen=True)
class AllCombinations:
    """A dataset that trains on all combinations, on as many images as the other rows.

    Combinations of wider rungs are served as well, and out-of-combination ones from half of the
    test blocks, repeated until each combination is as frequent as an in-combination one; the
    other half of the test blocks is scored.

    Attributes
    ----------
    inner : DatasetLike
        The dataset; everything but the splits is its own.
    """

    inner: DatasetLike
    all_combinations: ClassVar[bool] = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __len__(self) -> int:
        return len(self.inner)

    def indices(self, split: str, *, rung: int = 0) -> Int[Array, " n"]:
        """Return the images of a split; training images are mixed, so that any part is.

        Parameters
        ----------
        split : str
            As for the dataset.
        rung : int
            Rung of the training ladder.
        """
        own: Array = self.inner.indices(split, rung=rung)
        if split in ("id_test", "ooc_test"):
            kept: Array = own[~self._served(own)]
            return kept
        if split != "id_train":
            return own
        seen: Array = self.inner.indices(split, rung=getattr(self.inner, "rungs", 1) - 1)
        new: Array = self.inner.indices("ooc_test")
        new = new[self._served(new)]
        per_cell = len(seen) / self._cells(seen)
        times = max(1, round(per_cell * self._cells(new) / len(new)))
        rng = np.random.default_rng(int(self.inner.identity[:16], 16))
        mixed: Array = rng.permutation(np.concatenate([seen, np.repeat(new, times)]))
        return mixed[: len(own)]

    def _cells(self, images: Int[Array, " n"]) -> int:
        return len(np.unique(self.inner.cells[images], axis=0))

    def _served(self, images: Int[Array, " n"]) -> Array:
        """Return which test images lie in the blocks that are trained on: every other one."""
        blocks = self.inner.blocks
        every = np.unique(blocks[self.inner.indices("ooc_test")])
        chosen: Array = np.isin(blocks[images], every[::2])
        return chosen
