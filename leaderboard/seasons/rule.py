"""What the key of a private season decides: held-out combinations, image seeds, salts.

Everything follows from one 256-bit key by HMAC-SHA256 with a stated purpose, so that revealing
the key lets anyone derive it again; the commitment to the key hides it until then.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import math
from typing import TYPE_CHECKING, Any

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.splits.declaration import declare, dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.renderer.scenes.factors import Schema

KEY_BYTES = 32
REQUIRED = {"coverage": 1, "marginal_tv": 0, "rank": "full", "connected": True}
DRAWS = 1000


def derive(key: bytes, purpose: str) -> bytes:
    """Return 32 bytes of a key for one purpose."""
    if len(key) != KEY_BYTES:
        raise InvalidInputError(
            f"season: expected a key of {KEY_BYTES} bytes, got {len(key)}; open a new season"
        )
    return hmac.new(key, f"recombine season: {purpose}".encode(), hashlib.sha256).digest()


def commitment(key: bytes, what: str, content: bytes) -> str:
    """Return a hash that binds to a content and hides it until its salt is known."""
    return hashlib.sha256(derive(key, f"salt of {what}") + content).hexdigest()


def key_commitment(key: bytes) -> str:
    """Return the public commitment to the key itself."""
    return hashlib.sha256(b"recombine season key\x00" + key).hexdigest()


def secret_split(key: bytes, schema: Schema) -> str:
    """Draw which combinations the season holds out."""
    names = [list(schema.factor(name).values) for name in schema.recombined]
    sizes = [len(values) for values in names]
    modulus = math.gcd(*sizes)
    for draw in range(DRAWS if modulus > 1 else 0):
        data = _draw(key, draw, names, modulus)
        try:
            declare(data, schema, name="secret split")
        except InvalidInputError:
            continue
        return dump(data)
    raise InvalidInputError(
        f"season: expected factors whose numbers of values share a divisor, got {sizes}; "
        "choose another preset"
    )


def _draw(key: bytes, draw: int, names: Sequence[Sequence[str]], modulus: int) -> dict[str, Any]:
    orders = [_shuffled(key, f"rule {draw} {i}", len(v)) for i, v in enumerate(names)]
    shown = set(_shuffled(key, f"rule {draw} residues", modulus)[: max(1, modulus // 2)])
    cells = [
        [values[code] for values, code in zip(names, codes, strict=True)]
        for codes in itertools.product(*(range(len(values)) for values in names))
        if sum(order[code] for order, code in zip(orders, codes, strict=True)) % modulus in shown
    ]
    return {"id": {"cells": cells}, "require": REQUIRED}


def _shuffled(key: bytes, purpose: str, size: int) -> list[int]:
    """Return 0..size-1 in the order of their keyed hashes."""
    return sorted(range(size), key=lambda i: derive(key, f"{purpose}: {i}"))
