from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.store.seal import merkle_root

LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=9)


def reference(leaves: list[bytes]) -> bytes:
    """Return the root by recursion over the largest power of two (RFC 6962)."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + reference(leaves[:k]) + reference(leaves[k:])).digest()


@given(LEAVES)
def test_root_equals_the_recursive_definition(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == reference(leaves).hex()


@given(LEAVES, st.data())
def test_any_changed_leaf_changes_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    i = data.draw(st.integers(0, len(leaves) - 1))
    changed = [*leaves[:i], bytes(32) if any(leaves[i]) else b"\xff" * 32, *leaves[i + 1 :]]
    assert merkle_root(leaves) != merkle_root(changed)


def test_no_leaves_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="at least one image"):
        merkle_root([])
