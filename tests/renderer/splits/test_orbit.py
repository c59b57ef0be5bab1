from __future__ import annotations

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.geometry import Sizes
from recombine.renderer.splits.orbit import OrbitSplit

LADDER = OrbitSplit(ladder=((0, 1), (0, 1, 2)), ooc=(3,))


def test_rungs_are_nested_and_share_one_ooc_set() -> None:
    narrow, wide = LADDER.id_cells((4, 4), 0), LADDER.id_cells((4, 4), 1)
    assert narrow <= wide
    assert (len(narrow), len(wide), len(LADDER.ooc_cells((4, 4)))) == (8, 12, 4)
    assert not len(wide & LADDER.ooc_cells((4, 4)))


def test_every_rung_trains_on_equally_many_images() -> None:
    blocks = Sizes(train=6, val=1, test=1).rung_blocks(LADDER, (4, 4))
    assert blocks == (6, 4)
    assert [b * n for b, n in zip(blocks, (8, 12), strict=True)] == [48, 48]


def test_blocks_that_do_not_divide_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="whole blocks of the 12 cells"):
        Sizes(train=4, val=1, test=1).rung_blocks(LADDER, (4, 4))


@pytest.mark.parametrize(
    ("ladder", "ooc"),
    [(((0, 1), (1, 2)), (3,)), (((0, 1),), (1,)), ((), (1,)), (((0,),), ()), (((0,), (0,)), (1,))],
)
def test_contradictory_splits_are_refused(
    ladder: tuple[tuple[int, ...], ...], ooc: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInputError, match="OrbitSplit"):
        OrbitSplit(ladder, ooc)
