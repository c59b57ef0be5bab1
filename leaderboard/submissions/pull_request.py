"""The text of a submission's pull request and of its review, as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recombine.leaderboard.drawing.formatting import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recombine.benchmark.results.result import Result
    from recombine.leaderboard.submissions.bundle import Bundle
    from recombine.leaderboard.submissions.diff import Change

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~@&:])")
SAFE_LINK = re.compile(r"https://[A-Za-z0-9./_~%?=&#+-]+")
CLAIMS = (
    "The predictions were made with the seeds, settings and steps that they name.",
    "Nothing was selected on out-of-combination data.",
    "Every configuration that was compared is counted in the results.",
    "Training saw no other images than the method card says.",
)


def plain(text: str) -> str:
    r"""Escape a stranger's text for Markdown.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        One line that is shown as it is: no link, no mention, no HTML.

    Examples
    --------
    >>> plain("<b>*x*</b>")
    '\\<b\\>\\*x\\*\\</b\\>'
    """
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def request_text(bundle: Bundle, checked: str) -> str:
    """Write the text of a pull request.

    Parameters
    ----------
    bundle : Bundle
        What is submitted.
    checked : str
        What `recombine check` said, in a sentence.

    Returns
    -------
    str
        Markdown, with a table of the claimed scores and a list to tick.
    """
    first, manifest, method = bundle.results[0], bundle.manifest, bundle.method
    size = f"{len(manifest.files)} files, {sum(one.bytes for one in manifest.files):,} bytes"
    data = f"{manifest.dataset} {plain(manifest.version)}, {manifest.resolution} px"
    lines = [
        f"# Submission: {plain(first.method.name)}",
        "",
        f"Folder `submissions/{bundle.folder.name}`, {size}, bundle `{manifest.bundle_id}`.",
        "",
        f"- Authors: {plain(', '.join(method.authors))}",
        f"- Licence of the code: {plain(method.licence)}",
        f"- Code: {_link(method.code)}",
        f"- Paper: {_link(method.paper)}",
        f"- Pretraining: {plain(', '.join(method.pretraining)) or 'none'}",
        f"- Data: {data}, root `{manifest.root[:16]}`",
        f"- Contract check: {checked}",
        "",
        *_scores(bundle.results),
        "",
        "I confirm:",
        "",
        *(f"- [ ] {claim}" for claim in CLAIMS),
    ]
    return "\n".join(lines) + "\n"


def review_text(
    results: Sequence[Result], changes: Sequence[Change], tier: str = "rescored"
) -> str:
    """Write what a re-score found, for the summary of the workflow.

    Parameters
    ----------
    results : sequence of Result
        Recomputed results.
    changes : sequence of Change
        What they do to the boards.
    tier : str
        What was done, for the ledger.

    Returns
    -------
    str
        Markdown.
    """
    lines = ["# Scored again from the predictions", "", *_scores(results), ""]
    lines += [f"Trust tier: {tier}.", "", "## Changes", ""]
    lines += [
        f"- {one.kind}: {plain(one.entry)} on {plain(one.board)}: "
        f"{plain(one.before) or 'none'} to {plain(one.after) or 'none'}"
        for one in changes
    ] or ["None."]
    return "\n".join(lines) + "\n"


def _scores(results: Sequence[Result]) -> list[str]:
    rows = ["| Entry | OOC, % | ID, % | Seeds |", "|---|---|---|---|"]
    for result in results:
        scores = result.scores
        cells = [
            plain(result.method.entry),
            _interval(scores.ooc_test.estimate, scores.ooc_test.ci95),
            _interval(scores.id_test.estimate, scores.id_test.ci95),
            str(len(result.seeds)),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _link(address: str) -> str:
    """Return an address as a link that shows where it leads; a strange one stays text."""
    return f"<{address}>" if SAFE_LINK.fullmatch(address) else plain(address) or "not given"


def _interval(value: float, ends: tuple[float, float] | None) -> str:
    return percent(value) + (f" ({percent(ends[0])} to {percent(ends[1])})" if ends else "")
