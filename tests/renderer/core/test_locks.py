"""One process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recombine.renderer.core.errors import ResourceError, UsageError
from recombine.renderer.core.files import locked, settled

HOLDER = """
import sys, time
from pathlib import Path
from recombine.renderer.core.files import locked, settled
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run"
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as waiting:
            try:
                waiting.wait(1)
            except subprocess.TimeoutExpired:
                pass
            else:
                raise AssertionError("two processes held one lock")
            holder.kill()
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "held\n"
            waiting.kill()
    with locked(path):
        assert [p.name for p in path.parent.iterdir()] == [".run.lock"]
    assert not list(path.parent.iterdir())


ADDER = """
import sys
from pathlib import Path
from recombine.renderer.core.files import locked, settled
path = Path(sys.argv[1])
for _ in range(300):
    with locked(path):
        path.write_text(str(int(path.read_text()) + 1))
"""


def test_many_holders_lose_no_update_although_the_lock_file_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(path)]) for _ in range(4)]
    assert [adder.wait() for adder in adders] == [0, 0, 0, 0]
    assert path.read_text() == "1200"
    assert [p.name for p in tmp_path.iterdir()] == ["count"]


def test_a_lock_is_shared_or_had_alone_and_need_not_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for held, wanted in ((False, False), (False, True), (True, False)):
        with (
            locked(path, shared=held),
            pytest.raises(UsageError, match="another process"),
            locked(path, shared=wanted, wait=False),
        ):
            pass
    with locked(path, shared=True), locked(path, shared=True, wait=False):
        pass
    with locked(path, wait=False):
        pass


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="must be writable"), locked(tmp_path / "file" / "x"):
        pass


def test_it_is_settled_only_when_nobody_holds_it_or_died_holding_it(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert settled(path)
    with locked(path):
        assert not settled(path)
    assert settled(path)
    (tmp_path / ".x.lock").touch()  # as a killed process leaves it
    assert not settled(path)
    with locked(path):
        pass
    assert settled(path)
