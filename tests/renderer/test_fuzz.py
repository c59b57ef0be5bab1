"""A few of the mutations of `fuzz`; it makes thousands when run as a module."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.renderer import fuzz

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fuzz.small_dataset(tmp_path_factory.mktemp("fuzz") / "sound")


def test_damage_of_any_kind_ends_in_a_typed_error(base: Path) -> None:
    outcomes = fuzz.run(base, 20, range(200))
    faults = [one for one in outcomes if one.end == "FAULT"]
    assert not faults, "\n".join(f"{one.number} {one.done}: {one.said}" for one in faults[:5])
    ends = Counter(one.end for one in outcomes)
    assert ends["typed"] > 100  # it does damage
    assert len({one.done for one in outcomes}) > 12  # of many kinds


def test_the_judge_tells_an_error_without_a_type(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: Path, *, seal: bool) -> None:
        raise KeyError("shards")

    fuzz._sound(base)
    monkeypatch.setattr(fuzz, "verify", broken)
    (found,) = fuzz.run(base, 1, range(1))
    assert found.end == "FAULT"
    assert "KeyError" in found.said
