"""Asking batch by batch: nothing is shown too early, and no answer is taken back."""

import fcntl
import os
import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from recombine.benchmark.sandbox.channel import Guest, Host, check_promises, digest
from recombine.benchmark.sandbox.process import RefusedError

BATCHES = [np.array([3, 1]), np.array([0, 2, 4]), np.array([1])]


def read(indices):
    return np.stack([np.full((2, 2, 3), 10 * i, np.uint8) for i in indices])


MEASURED = read([4, 4])


@pytest.fixture
def pair(tmp_path):
    """Return a host and a guest, as two processes have them."""
    path = tmp_path / "batch.npy"
    with Host(path, (2, 2, 3), BATCHES, MEASURED, read) as host:
        ends = [os.dup(number) for number in host.inherited]
        yield host, Guest(path, *ends), path
        for number in ends:
            os.close(number)


def answers_to(images):
    return [{"slots": images.reshape(len(images), 1, -1)[..., :2].astype(np.float32)}]


def test_every_batch_is_shown_once_after_the_answer_before(pair):
    host, guest, path = pair
    assert not np.load(path).any()
    host.started()
    assert guest.measured()[:, 0, 0, 0].tolist() == [40, 40]
    seen, given = [], []
    for images in guest.batches():
        seen.append(images[:, 0, 0, 0].tolist())
        assert len(host.promised) == len(given)
        given.append((None, answers_to(images)))
        guest.promise(given[-1][1])
    assert seen == [[30, 10], [0, 20, 40], [10]]
    check_promises(host.promised, given, "x")
    assert host.error is None
    assert host.ready_seconds >= 0


def test_the_next_batch_waits_for_the_promise(pair):
    host, guest, path = pair
    host.started()
    guest.measured()
    batches = guest.batches()
    next(batches)
    waiting = threading.Thread(target=lambda: next(batches), daemon=True)
    waiting.start()
    waiting.join(0.4)  # time enough for a batch to come that must not
    assert waiting.is_alive()
    assert np.load(path)[:2, 0, 0, 0].tolist() == [30, 10]  # the first batch, nothing later
    guest.promise(answers_to(read(BATCHES[0])))
    waiting.join()


@pytest.mark.parametrize("change", ["other", "fewer", "more", "swapped"])
def test_other_answers_than_promised_are_refused(change):
    given = [(None, answers_to(read(batch))) for batch in BATCHES]
    promised = [digest(answers) for _, answers in given]
    check_promises(promised, given, "x")
    if change == "other":
        given[1][1][0]["slots"][0] += 1
    elif change == "fewer":
        promised = promised[:-1]
    elif change == "more":
        promised = [*promised, promised[0]]
    else:
        promised = promised[::-1]
    with pytest.raises(RefusedError) as caught:
        check_promises(promised, given, "x")
    assert caught.value.reason == "changed-answer"


def test_a_reading_error_ends_both_sides(tmp_path):
    def broken(indices):
        raise OSError("disk gone")

    with Host(tmp_path / "b.npy", (2, 2, 3), BATCHES, MEASURED, broken) as host:
        ends = [os.dup(number) for number in host.inherited]
        host.started()
        guest = Guest(tmp_path / "b.npy", *ends)
        guest.measured()
        with pytest.raises(EOFError, match="went away"):
            list(guest.batches())
        for number in ends:
            os.close(number)
    assert str(host.error) == "disk gone"


def test_an_inside_that_dies_ends_the_interview(pair):
    host, _, _ = pair
    host.started()
    host.__exit__(None, None, None)
    assert host.promised == []
    assert host.error is None


def test_it_works_where_many_files_are_open(tmp_path, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1100:
        pytest.skip("this machine allows no descriptor above 1,023")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1100), hard))
    make = os.pipe

    def high():
        ends = make()
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 1030) for end in ends]
        for end in ends:
            os.close(end)
        return tuple(moved)

    monkeypatch.setattr(os, "pipe", high)
    try:
        with Host(tmp_path / "b.npy", (2, 2, 3), BATCHES, MEASURED, read) as host:
            ends = [os.dup(number) for number in host.inherited]
            assert min(host.inherited) >= 1030
            host.started()
            guest = Guest(tmp_path / "b.npy", *ends)
            guest.measured()
            given = []
            for images in guest.batches():
                given.append((None, answers_to(images)))
                guest.promise(given[-1][1])
            for number in ends:
                os.close(number)
        check_promises(host.promised, given, "x")
        assert host.error is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_is_left_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with Host(tmp_path / "b.npy", (2, 2, 3), BATCHES, MEASURED, read):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_digest_sees_every_step_part_and_place():
    one = [{"slots": np.full((2, 1, 3), value, np.float32)} for value in (1, 0)]
    assert digest(one) == digest([{"slots": part["slots"].copy()} for part in one])
    assert digest(one) != digest(one[::-1])
    assert digest(one) != digest([one[0], {"slots": one[1]["slots"] + 1}])
    assert digest(one) != digest([one[0], {"presence": one[1]["slots"]}])
    assert digest(one) != digest([{**one[0], "segments": np.zeros((2, 4, 4), np.uint8)}, one[1]])
    assert len(digest(one)) == 32
