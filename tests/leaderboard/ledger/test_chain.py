"""A log that was edited, cut, reordered or added to is found; a crash leaves it whole."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recombine.leaderboard.ledger import chain
from recombine.leaderboard.ledger.chain import append, head_of, read_chain
from recombine.renderer.core.errors import IntegrityError, InvalidInputError


class Marker:
    """Stands for a signer: fast, and told apart by its key."""

    public_key = b"m" * 32

    def sign(self, message):
        return (self.public_key[:1] + message[:31]) * 2


def check(key, signature, message):
    if signature != (key[:1] + message[:31]) * 2:
        raise IntegrityError("signature: expected one by this key, got another")


@pytest.fixture(autouse=True)
def fast_signatures(monkeypatch):
    monkeypatch.setattr(chain, "verify_signature", check)


def write(path, n=5):
    return [append(path, "event", {"i": i}, f"2026-01-0{i + 1}", Marker()) for i in range(n)]


def test_lines_are_chained_and_read_back(tmp_path):
    lines = write(tmp_path / "log")
    assert read_chain(tmp_path / "log", Marker.public_key) == lines
    assert [line.index for line in lines] == list(range(5))
    assert [line.previous for line in lines[1:]] == [line.hash for line in lines[:-1]]


LINES = st.integers(0, 4)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_every_flipped_bit_is_found(tmp_path, data):
    path = tmp_path / "log"
    if not path.exists():
        write(path)
    content = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(changed)
    try:
        with pytest.raises(IntegrityError):
            read_chain(path, Marker.public_key)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: lines[:2] + lines[3:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: lines[::-1],
        lambda lines: [*lines[:2], lines[4].replace(b'"i":4', b'"i":9'), *lines[3:]],
        lambda lines: [*lines, b"{}"],
        lambda lines: [*lines, b""],
    ],
)
def test_deletion_reordering_and_addition_are_found(tmp_path, change):
    path = tmp_path / "log"
    write(path)
    lines = path.read_bytes().split(b"\n")[:-1]
    path.write_bytes(b"".join(line + b"\n" for line in change(lines)))
    with pytest.raises(IntegrityError, match="log"):
        read_chain(path, Marker.public_key)


def test_a_forger_without_the_key_cannot_rewrite_it(tmp_path):
    class Forger(Marker):
        public_key = b"f" * 32

    for i in range(3):
        append(tmp_path / "log", "event", {"i": i}, "t", Forger())
    with pytest.raises(IntegrityError):
        read_chain(tmp_path / "log", Marker.public_key)


def test_lines_cut_off_the_end_are_found_by_a_published_head(tmp_path):
    path = tmp_path / "log"
    lines = write(path)
    head = head_of(lines)
    append(path, "more", {}, "t", Marker())
    assert len(read_chain(path, Marker.public_key, head)) == 6
    content = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(content[:3]) + b"\n")
    assert len(read_chain(path, Marker.public_key)) == 3, "not visible from the file alone"
    with pytest.raises(IntegrityError, match="published head"):
        read_chain(path, Marker.public_key, head)


def test_half_a_line_is_found(tmp_path):
    path = tmp_path / "log"
    write(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="whole line"):
        read_chain(path, Marker.public_key)


def test_nothing_is_added_to_a_broken_log(tmp_path):
    path = tmp_path / "log"
    write(path)
    broken = path.read_bytes().replace(b'"i":2', b'"i":3')
    path.write_bytes(broken)
    with pytest.raises(IntegrityError):
        append(path, "event", {}, "t", Marker())
    assert path.read_bytes() == broken


def test_a_missing_log_and_nan_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="log"):
        read_chain(tmp_path / "none", Marker.public_key)
    with pytest.raises(ValueError, match="JSON"):
        append(tmp_path / "log", "event", {"x": float("nan")}, "t", Marker())
    assert not (tmp_path / "log").exists()


def add_many(path):
    for _ in range(10):
        append(path, "event", {"pid": os.getpid()}, "t", Marker())


def test_two_writers_wait_for_each_other(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=add_many, args=(tmp_path / "log",)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines = read_chain(tmp_path / "log", Marker.public_key)
    assert len(lines) == 20
    assert len({json.dumps(line.body) for line in lines}) == 2


KILLED = """
import sys
from pathlib import Path
from recombine.leaderboard.ledger import chain
sys.path[:0] = sys.argv[2:]
from test_chain import Marker, check
chain.verify_signature = check
print("ready", flush=True)
while True:
    chain.append(Path(sys.argv[1]), "event", {"x": "y" * 2000}, "t", Marker())
"""


def test_kill_9_leaves_a_whole_log(tmp_path):
    path = tmp_path / "log"
    for round_ in range(3):
        before = len(read_chain(path, Marker.public_key)) if path.exists() else 0
        args = [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent)]
        worker = subprocess.Popen(args, stdout=subprocess.PIPE)
        assert worker.stdout.readline() == b"ready\n"
        while not path.exists() or len(path.read_bytes().split(b"\n")) < before + 4:
            time.sleep(0.002)
        time.sleep(0.003 * round_)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        assert len(read_chain(path, Marker.public_key)) >= before + 3
    append(path, "after", {}, "t", Marker())
    assert [p for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []


def test_a_log_without_signatures_is_chained_all_the_same(tmp_path):
    path = tmp_path / "log"
    lines = [append(path, "event", {"i": i}, "2026-01-01", None) for i in range(3)]
    assert read_chain(path, None) == lines
    assert {line.signature for line in lines} == {""}
    raw = path.read_bytes().split(b"\n")
    for broken in (raw[1:], [raw[0], *raw[2:]], [raw[1], raw[0], *raw[2:]]):
        path.write_bytes(b"\n".join(broken))
        with pytest.raises(IntegrityError):
            read_chain(path, None)


def test_a_signed_and_an_unsigned_log_do_not_mix(tmp_path):
    write(tmp_path / "signed", 1)
    with pytest.raises(IntegrityError, match="without a key"):
        append(tmp_path / "signed", "event", {}, "2026-01-02", None)
    append(tmp_path / "plain", "event", {}, "2026-01-01", None)
    with pytest.raises(IntegrityError, match="expected a signature at line 0, got none"):
        append(tmp_path / "plain", "event", {}, "2026-01-02", Marker())
