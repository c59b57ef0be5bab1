from __future__ import annotations

import os

import pytest

from recombine.renderer.core import machine
from recombine.renderer.core.machine import crowding, limited, usable_cores


def test_cores_are_counted_where_a_process_cannot_be_tied_to_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 5, 6})
        assert usable_cores() == 3
        monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_more_workers_than_cores_are_told_of_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    assert crowding(2) == ""
    words = crowding(64)
    assert "64 workers on 2 cores" in words
    assert "17.3 GB" in words
    assert "44.8 GB" in words


def test_a_limited_address_space_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = machine.resource.RLIM_INFINITY
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _what: (unlimited, unlimited))
    assert limited() == ""
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _what: (1_500_000_000, unlimited))
    assert "limited to 1.5 GB" in limited()
    assert "ulimit -v unlimited" in limited()
