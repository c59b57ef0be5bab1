"""`doctor`: what it says of the sandbox."""

from __future__ import annotations

import json
import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from recombine.benchmark.sandbox import bubblewrap as isolation_bwrap
from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.cli import doctor
from recombine.cli.doctor import _isolation
from recombine.cli.main import main


def test_doctor_tells_how_to_get_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    require_bwrap.cache_clear()
    monkeypatch.setattr(isolation_bwrap.shutil, "which", lambda _name: None)
    told = _isolation()
    assert told.startswith("not ready: ")
    assert "sudo apt-get install -y bubblewrap" in told
    monkeypatch.undo()
    require_bwrap.cache_clear()
    assert _isolation().startswith(("ok: bubblewrap", "not ready: "))


@pytest.mark.parametrize(("held", "code"), [(True, 0), (False, 5)])
def test_an_attempt_that_gets_out_is_an_integrity_failure(
    held: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "recombine.benchmark.sandbox.self_test"
    tests = ModuleType(name)
    tried = [("read a file", True, "no"), ("network", held, "it said so")]
    tests.self_test = lambda: [SimpleNamespace(what=a, held=b, said=c) for a, b, c in tried]
    monkeypatch.setitem(sys.modules, name, tests)
    monkeypatch.setattr(doctor, "_isolation", lambda: "ok: bubblewrap")
    monkeypatch.setattr(doctor, "_renderer", lambda: {"renderer": "ok"})
    assert main(["doctor", "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["sandbox: network"] == ("held" if held else "FAILED") + ": it said so"
    assert main(["doctor"]) == code
    assert ("code got out of the sandbox" in capsys.readouterr().out) == (not held)


def dies() -> None:
    sys.stderr.write("what it said\n")
    sys.stderr.flush()
    os._exit(1)


def test_a_worker_that_dies_is_told_in_one_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_isolation", lambda: "not ready: no bubblewrap")
    monkeypatch.setattr(doctor, "_renderer", doctor._blender)
    monkeypatch.setattr("recombine.renderer.rendering.render.start_worker", dies)
    monkeypatch.setenv("OCIO", "/nowhere/config.ocio")
    assert main(["doctor", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert found["renderer"].startswith("not ready: a worker died with exit code 1")
    assert found["renderer"].endswith("it said last: what it said")
    assert "OCIO: kept from Blender" in found["variables"]
