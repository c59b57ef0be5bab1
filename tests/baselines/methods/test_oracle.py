"""The upper bound: what it asks for, sees and is scored on."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from recombine.baselines.methods.oracle import AllCombinations
from recombine.baselines.registry import BASELINES, load_baseline
from recombine.benchmark.protocol.contract import TrainBudget
from recombine.benchmark.serving.data import TrainData
from recombine.benchmark.serving.toy_data import ID_CELLS as ID
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import DrawnData, ListLog
from tests.benchmark.fakes import FakeDataset

Data = tuple[DrawnData, DrawnData]


def test_the_oracle_asks_for_what_no_other_row_sees(drawn_fixture: Data) -> None:
    asking = {n for n in BASELINES if getattr(load_baseline(n), "out_of_combination", False)}
    assert asking == {"oracle"}
    train, val = drawn_fixture
    learner = load_baseline("oracle", "tiny")
    with pytest.raises(InvalidInputError, match=r"all combinations.*recombine score oracle"):
        learner.fit(train, val, seed=0, budget=TrainBudget(), log=ListLog())
    inner = FakeDataset(train=12, val=2, test=6)
    assert not TrainData(inner, "id_train").all_combinations
    whole = TrainData(AllCombinations(inner), "id_train", fields=("factors",))
    learner.fit(whole, val, seed=0, budget=TrainBudget(), log=ListLog())


def test_the_oracle_trains_on_half_of_the_test_blocks_and_is_scored_on_the_rest() -> None:
    inner = FakeDataset(train=12, val=2, test=6)
    data = pickle.loads(pickle.dumps(AllCombinations(inner)))
    served = data.indices("id_train")
    asked = np.concatenate([data.indices("id_test"), data.indices("ooc_test")])
    assert not set(served) & set(asked)
    assert len(served) == len(inner.indices("id_train"))
    assert not set(inner.blocks[served]) & set(inner.blocks[asked])
    assert len(asked) == 3 * 16
    cells, counts = np.unique(inner.cells[served], axis=0, return_counts=True)
    assert len(cells) == 16
    assert counts.max() <= 12  # held-out combinations are repeated, and no more than others
    mixed = {tuple(cell) for cell in inner.cells[served[:40]]} - {tuple(c) for c in ID}
    assert mixed  # any part of the training images holds both kinds
    assert np.array_equal(data.indices("id_val"), inner.indices("id_val"))
    assert (len(data), data.root, data.schema) == (len(inner), inner.root, inner.schema)


def test_the_oracle_also_sees_the_combinations_of_wider_rungs() -> None:
    class Ladder(FakeDataset):
        rungs = 2

        def indices(self, split: str, *, rung: int = 0) -> np.ndarray:
            found = super().indices(split)
            if split == "id_train" and rung == 0:
                return found[np.all(self.cells[found] == self.cells[found[0]], axis=1)]
            return found

    inner = Ladder(train=96, val=2, test=6)
    narrow = inner.indices("id_train", rung=0)
    served = AllCombinations(inner).indices("id_train", rung=0)
    assert len(served) == len(narrow)
    assert len(np.unique(inner.cells[served], axis=0)) == 16
