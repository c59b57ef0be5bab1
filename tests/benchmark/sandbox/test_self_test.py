"""An organiser sees in seconds whether the sandbox holds, and what does not."""

import pytest
from shut_in import need_bwrap

from recombine.benchmark.sandbox import self_test as module
from recombine.benchmark.sandbox.self_test import PROBES, self_test
from recombine.renderer.core.errors import InvalidInputError, ResourceError


def test_everything_holds_here():
    need_bwrap()
    found = self_test()
    assert [one.what for one in found] == list(PROBES)
    assert [one for one in found if not one.held] == []
    assert all("\n" not in one.said for one in found)


def test_what_is_let_through_or_refused_otherwise_does_not_hold(monkeypatch):
    def other_reason(spec, limits):
        raise InvalidInputError("because of something else")

    monkeypatch.setattr(module, "require_bwrap", lambda: "bwrap")
    for isolate in (lambda spec, limits: None, other_reason):
        monkeypatch.setattr(module, "isolate", isolate)
        assert {one.held for one in self_test()} == {False}


def test_without_bubblewrap_nothing_runs(monkeypatch):
    def missing():
        raise ResourceError("no bubblewrap")

    monkeypatch.setattr(module, "require_bwrap", missing)
    monkeypatch.setattr(module, "isolate", lambda spec, limits: pytest.fail("it ran"))
    with pytest.raises(ResourceError, match="no bubblewrap"):
        self_test()
