"""Decoys notice being opened, by whomever, and nothing else."""

import subprocess

import pytest

from recombine.benchmark.sandbox.bubblewrap import NAMES, DecoyWatch, write_decoys


@pytest.fixture
def decoys(tmp_path):
    return write_decoys(tmp_path / "decoys")


def test_they_look_like_labels_and_hold_noise(decoys):
    assert len(decoys) == len(NAMES)
    contents = {path.read_bytes() for path in decoys}
    assert len(contents) == len(decoys)
    assert all(len(content) == 4096 for content in contents)


def test_opening_is_noticed_also_in_another_process(decoys):
    with DecoyWatch(decoys) as watch:
        assert watch.active
        assert watch.opened() == []
        decoys[2].read_bytes()
        assert watch.opened() == [decoys[2].name]
        subprocess.run(["cat", decoys[0]], check=True, capture_output=True)
        assert watch.opened() == [decoys[2].name, decoys[0].name]


def test_looking_at_names_is_no_offence(decoys):
    with DecoyWatch(decoys) as watch:
        for path in decoys:
            assert path.exists()
            path.stat()
        assert list(decoys[0].parent.rglob("*"))
        assert watch.opened() == []


def test_what_cannot_be_watched_is_said(tmp_path):
    with DecoyWatch((tmp_path / "none",)) as watch:
        assert not watch.active
        assert watch.opened() == []


def test_a_closed_watch_is_silent(decoys):
    watch = DecoyWatch(decoys)
    with watch:
        pass
    decoys[0].read_bytes()
    assert watch.opened() == []
