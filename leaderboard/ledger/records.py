"""The ledger beside the result files: who was checked, how far, by whom it was sent, and what for.

A result file says what its writer claims. What a board shows is the *tier*, and that follows from
the ledger alone: a maintainer's `recombine submission review` scores the stored predictions again
and then adds a line with the result's hash. A result without a line is "self-reported". A line
also says who holds the id, and `recombine board mark` adds one that disputes or withdraws a
result. The ledger is an append-only hash chain, and signed when a public key lies beside it; see
`chain` for what that shows and what it does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from recombine.leaderboard.ledger.chain import append, head_of, read_chain
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.files import write_bytes
from recombine.renderer.core.strict import Positive, Sha256, Strict, validated
from recombine.renderer.core.text import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.ledger.chain import Line
    from recombine.leaderboard.ledger.signing import Signer

Tier = Literal["self-reported", "rescored", "rerun", "retrained"]
TIERS: tuple[Tier, ...] = get_args(Tier)
"""From the least to the most that was checked."""
SELF_REPORTED: Tier = "self-reported"
CONFIRMED: tuple[Tier, ...] = ("rerun", "retrained")
"""Tiers of entries that headlines, figures and ranks are made from."""
State = Literal["disputed", "withdrawn", "settled"]
STATES: tuple[State, ...] = get_args(State)
"""Doubted by somebody, the reason stands beside it; taken back; and neither any longer."""
LEDGER = "verified.jsonl"
KEY = "verified.pub"
EVENT, MARKED = "verified", "marked"
MAINTAINERS = "the maintainers of this board"
"""Whose the ids of results are that nobody sent in."""


class _Verified(Strict):
    """A result that was scored again; the hash decides, the rest is for a reader."""

    result_id: Sha256
    tier: Literal["rescored", "rerun", "retrained"]
    entry: str
    dataset: str
    version: str
    root: str
    n_train: Positive
    identity: str = ""
    """Empty in lines written before datasets had one."""
    owner: Annotated[str, Field(min_length=1)] = MAINTAINERS
    code: str = ""
    """Empty in lines written before it was kept."""


class _Marked(Strict):
    result_id: Sha256
    entry: str
    state: State
    reason: str


@dataclass(frozen=True)
class Mark:
    """What a maintainer put on record about a result."""

    state: State  # the last one
    reason: str  # in a maintainer's words
    date: str  # UTC, of the line


@dataclass(frozen=True)
class Holder:
    """Whose an id is: whoever sent in the first result of that id that was accepted."""

    owner: str  # as `ownership.owner_of` names the people of a bundle, or `MAINTAINERS`
    code: str  # ``module:Class``; empty when not on record
    since: str  # UTC


@dataclass(frozen=True)
class Ledger:
    """What a ledger says, line by line."""

    kept: bool = True  # whether there is one: beside one's own results there is none
    tiers: dict[str, Tier] = field(default_factory=dict)  # by result id
    marks: dict[str, Mark] = field(default_factory=dict)  # by result id; settled ones are gone
    holders: dict[str, Holder] = field(default_factory=dict)  # by `stem`

    def tier(self, result_id: str) -> Tier:
        """Return how far a result was checked."""
        return self.tiers.get(result_id, SELF_REPORTED)


class Ledgers:
    """The ledgers beside result files; every one is read and checked once."""

    def __init__(self) -> None:
        self._read: dict[Path, Ledger] = {}

    def of(self, folder: Path) -> Ledger:
        """Return the ledger of a folder of result files."""
        if folder not in self._read:
            self._read[folder] = read_ledger(folder)
        return self._read[folder]


def stem(entry: str) -> str:
    """Return what ids are told apart by: an id and its row after a search are one."""
    return entry.casefold().removesuffix("-search")


def read_ledger(folder: Path) -> Ledger:
    """Read and check the ledger of a folder of result files; one without lines where there is none.

    Raises
    ------
    IntegrityError
        When a line was changed, is missing, or is not of this ledger.
    """
    path = folder / LEDGER
    found = Ledger(kept=path.exists())
    for line in read_chain(path, _public_key(folder)) if found.kept else ():
        who = f"{path}, line {line.index}, which only `recombine submission review` writes"
        if line.event == EVENT:
            told = validated(_Verified, dict(line.body), who)
            found.tiers[told.result_id] = told.tier
            holder = Holder(told.owner, told.code, line.time)
            found.holders.setdefault(stem(told.entry), holder)
        elif line.event == MARKED:
            mark = validated(_Marked, dict(line.body), who)
            found.marks[mark.result_id] = Mark(mark.state, mark.reason, line.time)
            if mark.state == "settled":
                del found.marks[mark.result_id]
        else:
            raise IntegrityError(
                f"{path}: expected lines of verified or marked results, got {line.event!r} at line "
                f"{line.index}; only `recombine submission review` writes this file"
            )
    return found


def read_tiers(folder: Path) -> dict[str, Tier]:
    """Return the tiers of a folder's results."""
    return read_ledger(folder).tiers


def ledger_head(folder: Path, published: str = "") -> str:
    """Return what stands for the ledger of a folder as it is now; empty where there is none.

    Raises
    ------
    IntegrityError
        When it does not begin with what was published under a head: it was cut off, or written
        anew.
    """
    path = folder / LEDGER
    if not path.exists() and not published:
        return ""
    return head_of(read_chain(path, _public_key(folder), published))


def record_tier(
    folder: Path,
    results: Sequence[Result],
    tier: Tier,
    time: str,
    signer: Signer | None = None,
    owner: str = MAINTAINERS,
) -> list[Line]:
    """Add lines for results that were checked; the caller has checked them and whose they are."""
    for result in results:
        _check_tier(result, tier)
    _check_signer(folder, signer)
    ledger = read_ledger(folder)
    low = [r for r in results if TIERS.index(ledger.tier(r.result_id)) < TIERS.index(tier)]
    return [append(folder / LEDGER, EVENT, _body(one, tier, owner), time, signer) for one in low]


def record_mark(
    folder: Path,
    result: Result,
    state: State,
    reason: str,
    time: str,
    signer: Signer | None = None,
) -> Line:
    """Add a line that a result is disputed or withdrawn, or that this is settled.

    Raises
    ------
    UsageError
        When there is no reason, or nothing to settle.
    """
    try:
        named(reason)
    except ValueError as error:
        raise UsageError(
            f"board mark: expected a reason for readers, {error}; got {reason!r}. Say in one "
            "sentence what is wrong, and where that can be read."
        ) from None
    ledger = read_ledger(folder)
    if state == "settled" and result.result_id not in ledger.marks:
        raise UsageError(
            f"board mark: expected a result that is disputed or withdrawn, got "
            f"{result.method.entry}, which is neither; there is nothing to settle"
        )
    _check_signer(folder, signer)
    body = {
        "result_id": result.result_id,
        "entry": result.method.entry,
        "state": state,
        "reason": reason,
    }
    return append(folder / LEDGER, MARKED, body, time, signer)


def _body(result: Result, tier: Tier, owner: str) -> dict[str, object]:
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
        "owner": owner,
        "code": result.method.code,
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
