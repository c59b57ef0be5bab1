"""What makes answers worth trusting: a secret order that can be kept, and refusal of dependence."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from recombine.benchmark.sandbox.isolation_limits import refusal
from recombine.benchmark.sandbox.isolation_refusals import TODO
from recombine.renderer.core.atomic import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from recombine.benchmark.predictions.predictions import RunFacts

ORDER_FILE = ".order-key"
REFUSED_CHANGE = 0.02
"""Batch statistics change slots by 0.05 and more, 16-bit arithmetic by less than 0.01."""


def order_key(out_dir: Path, seed: int) -> bytes:
    """Return the secret from which the order of a run's questions follows.

    It is drawn once per folder and kept there, out of the reach of isolated code, so that a run
    that was killed and is made again asks the same batches and gets the same answers.

    Parameters
    ----------
    out_dir : Path
        Folder of the submission's runs.
    seed : int
        Training seed.

    Returns
    -------
    bytes
        32 of them.
    """
    path = out_dir / ORDER_FILE
    if not path.is_file():
        write_bytes(path, secrets.token_bytes(32))
        path.chmod(0o600)
    return hashlib.sha256(path.read_bytes() + str(seed).encode()).digest()


def refuse_dependence(facts: RunFacts) -> None:
    """Refuse answers that depend on other images, or on nothing that can be repeated.

    Parameters
    ----------
    facts : RunFacts
        With the changes of repeated questions.

    Raises
    ------
    RefusedError
        "not-repeatable" or "batch-statistics". Smaller changes, up to those of low-precision
        arithmetic, are allowed and recorded (``report.checks_of``).
    """
    who = f"{facts.card['id']}, seed {facts.seed}"
    again, among = (
        max(values, default=0.0) for values in (facts.repeat_change, facts.batch_change)
    )
    if again > REFUSED_CHANGE:
        got = f"an image's slots change by {again:.2g} (relative) when asked twice"
        raise refusal(who, "not-repeatable", got, TODO["not-repeatable"])
    if among > REFUSED_CHANGE:
        got = f"an image's slots change by {among:.2g} (relative) among other images"
        raise refusal(who, "batch-statistics", got, TODO["batch-statistics"])
