"""Waiting for other processes, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T]) -> T:
    """Return the first true answer. What never comes is ended by pytest's own timeout."""
    while not (found := condition()):
        time.sleep(0.02)
    return found
