"""The ledger beside the result files: who was checked, and how far.

A result file says what its writer claims. What a board shows is the *tier*, and that follows from
the ledger alone: a maintainer's `recombine submission review` scores the stored predictions again
and then adds a line with the result's hash. The ledger is an append-only hash chain, and signed
when a public key lies beside it. A result without a line is "self-reported".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from recombine.leaderboard.ledger.chain import append, read_chain
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.ledger.chain import Line
    from recombine.leaderboard.ledger.signing import Signer

Tier = Literal["self-reported", "rescored", "rerun", "retrained"]
TIERS: tuple[Tier, ...] = get_args(Tier)
"""From the least to the most that was checked."""
SELF_REPORTED: Tier = "self-reported"
CONFIRMED: tuple[Tier, ...] = ("rerun", "retrained")
"""Tiers of entries that headlines, figures and ranks are made from."""
LEDGER = "verified.jsonl"
KEY = "verified.pub"
EVENT = "verified"
FIELDS = {"result_id", "tier", "entry", "dataset", "version", "root", "identity", "n_train"}
FORMER = FIELDS - {"identity"}  # of lines written before datasets had one
NAMED = re.compile(rb'"result_id":\s*"([0-9a-f]{64})"')


class Tiers:
    """The tiers of result files; every ledger is read and checked once."""

    def __init__(self) -> None:
        self._read: dict[Path, dict[str, Tier]] = {}

    def of(self, path: Path, content: bytes) -> Tier:
        """Return the tier of a result file."""
        folder, named = path.parent, NAMED.search(content)
        if folder not in self._read:
            self._read[folder] = read_tiers(folder)
        return self._read[folder].get(named[1].decode() if named else "", SELF_REPORTED)


def read_tiers(folder: Path) -> dict[str, Tier]:
    """Read and check the ledger of a folder of result files."""
    path = folder / LEDGER
    if not path.exists():
        return {}
    tiers: dict[str, Tier] = {}
    for line in read_chain(path, _public_key(folder)):
        tier = line.body.get("tier")
        if line.event != EVENT or set(line.body) not in (FIELDS, FORMER) or tier not in TIERS[1:]:
            raise IntegrityError(
                f"{path}: expected lines of verified results, got something else at line "
                f"{line.index}; only `recombine submission review` writes this file"
            )
        tiers[line.body["result_id"]] = tier
    return tiers


def record_tier(
    folder: Path, results: Sequence[Result], tier: Tier, time: str, signer: Signer | None = None
) -> list[Line]:
    """Add lines for results that were checked; the caller has checked them."""
    for result in results:
        _check_tier(result, tier)
    _check_signer(folder, signer)
    tiers = read_tiers(folder)
    low = [r for r in results if TIERS.index(tiers.get(r.result_id, TIERS[0])) < TIERS.index(tier)]
    return [append(folder / LEDGER, EVENT, _body(one, tier), time, signer) for one in low]


def _body(result: Result, tier: Tier) -> dict[str, object]:
    """Return what a line says: the hash decides, the rest is for a reader."""
    data = result.data
    return {
        "result_id": result.result_id,
        "tier": tier,
        "entry": result.method.entry,
        "dataset": data.dataset,
        "version": data.version,
        "root": data.root,
        "identity": data.identity,
        "n_train": data.n_train,
    }


def _check_tier(result: Result, tier: Tier) -> None:
    if not 0 < TIERS.index(tier) <= TIERS.index(result.trust):
        raise InvalidInputError(
            f"review: expected a tier from rescored to {result.trust}, which is what the harness "
            f"wrote into {result.method.entry}, got {tier}; run it with `recombine score` first"
        )


def _check_signer(folder: Path, signer: Signer | None) -> None:
    key = _public_key(folder)
    if signer is not None and key is None and not (folder / LEDGER).exists():
        write_bytes(folder / KEY, f"{signer.public_key.hex()}\n".encode())
    elif (signer.public_key if signer else None) != key:
        expected = f"signed by {key.hex()[:16]}" if key else "without signatures"
        raise UsageError(
            f"{folder / LEDGER}: expected lines {expected}, "
            f"got {'another key' if signer else 'no key'}; give the key of this ledger with --key"
        )


def _public_key(folder: Path) -> bytes | None:
    path = folder / KEY
    if not path.exists():
        return None
    try:
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError as error:
        raise IntegrityError(
            f"{path}: expected a public key in hexadecimal digits, got something else; put the "
            "file back that was there"
        ) from error
