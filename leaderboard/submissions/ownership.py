"""Whose an id is, and what follows: nobody takes a row of somebody else.

An id belongs to whoever sent in the first result of it that was accepted: the address of their
code, or their names where they gave none, as the ledger keeps them. Ids of results that nobody sent
in belong to the maintainers, and those of baselines to the baselines. All of this is what a bundle
says of itself, so an update of a row also needs a maintainer who looked at who sent it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recombine.leaderboard.ledger.records import MAINTAINERS, Holder, read_ledger, stem
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.board.entries import Entry
    from recombine.leaderboard.submissions.bundle import MethodFile

BASELINES = "recombine.baselines."
OURS = "recombine."


def owner_of(method: MethodFile) -> str:
    """Return whom a method card names: the address of the code, else its authors."""
    if method.code:
        parts = urlsplit(method.code)
        path = parts.path.rstrip("/").removesuffix(".git")
        return f"https://{parts.netloc}{path}".casefold()
    return "; ".join(sorted(" ".join(name.split()).casefold() for name in method.authors))


def holders(entries: Iterable[Entry]) -> dict[str, Holder]:
    """Return who holds the ids on a board, by `stem`; its ledgers decide, then its files."""
    entries = sorted(entries, key=lambda one: one.result.created)
    found: dict[str, Holder] = {}
    for folder in dict.fromkeys(one.path.parent for one in entries):
        for name, holder in read_ledger(folder).holders.items():
            found.setdefault(name, holder)
    for entry in entries:
        method, since = entry.result.method, entry.result.created
        known = found.setdefault(stem(method.id), Holder(MAINTAINERS, method.code, since))
        if not known.code:
            found[stem(method.id)] = Holder(known.owner, method.code, known.since)
    return found


def claim(
    held: dict[str, Holder],
    results: Sequence[Result],
    owner: str,
    *,
    reserved: Collection[str] = (),
    update: bool = False,
) -> None:
    """Check that results may stand under their ids, and note who holds them from now on.

    Parameters
    ----------
    held : dict
        Who holds which id, see `holders`; ids that were free are added.
    results : sequence of Result
        As they would stand on the board.
    owner : str
        `owner_of` a bundle, or `MAINTAINERS`.
    reserved : collection of str
        Ids of baselines.
    update : bool
        Whether a maintainer knows that this comes from the holders.

    Raises
    ------
    InvalidInputError
        When an id is a baseline's, or somebody else's, or that of another method.
    """
    for result in results:
        method = result.method
        _check_baseline(result, owner, reserved)
        holder = held.setdefault(stem(method.id), Holder(owner, method.code, result.created))
        if holder.code and _origin(holder.code) != _origin(method.code):
            raise InvalidInputError(
                f"review: expected the id {method.id} for the method {holder.code}, which holds it "
                f"since {holder.since[:10]}; got {method.code}. Give the card another id."
            )
        if owner == MAINTAINERS or holder == Holder(owner, method.code, result.created):
            continue
        if holder.owner != owner:
            raise InvalidInputError(
                f"review: expected a free id; got {method.id}, which belongs to {holder.owner} "
                f"since {holder.since[:10]}, in a bundle of {owner}. Give the card another id."
            )
        if not update:
            raise InvalidInputError(
                f"review: expected a free id; got {method.id}, which {holder.owner} hold since "
                f"{holder.since[:10]}. Where a maintainer knows that this bundle comes from them, "
                "--update lets it take their row."
            )


def _check_baseline(result: Result, owner: str, reserved: Collection[str]) -> None:
    method = result.method
    ours = method.code.startswith(BASELINES)
    if ours and owner != MAINTAINERS:
        raise InvalidInputError(
            f"review: expected a method of one's own; got {method.id}, which says that its code is "
            f"the baseline {method.code}. Baselines are run by the maintainers: send in another."
        )
    if not ours and stem(method.id) in {stem(name) for name in reserved}:
        raise InvalidInputError(
            f"review: expected a free id; got {method.id}, which is that of a baseline. Give the "
            "card another id."
        )


def _origin(code: str) -> str:
    """Return what two codes of one method share; those of this package may move within it."""
    return OURS if code.startswith(OURS) else code
