from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.core.hdf5 import open_checked
from recombine.renderer.measure.job import Arrays, Job, compute
from recombine.renderer.rendering.pool import Unit

QUIET = {"workers": 1, "progress": lambda _done, _total: None}


class Work:
    """Squares of the rows, remembering what was asked; fails at one row once."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.asked: list[range] = []
        self.fail_at = fail_at

    def __call__(self, rows: range) -> Arrays:
        self.asked.append(rows)
        if self.fail_at in rows:
            self.fail_at = None
            raise OSError("the disk hiccuped")
        number = np.arange(rows.start, rows.stop)
        return {"square": number**2, "map": np.ones((len(rows), 2, 2), np.float16)}


def run(job: Job, work: Work, count: int = 7, step: int = 3) -> Arrays:
    threads = partial(ThreadPoolExecutor, 1)
    return compute(job, work, count, step=step, make_executor=threads, **QUIET)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, "thing", {"samples": 4, "rows": [1, 2]})


def test_pieces_are_joined_in_order_and_cleared_away(job: Job) -> None:
    work = Work()
    arrays = run(job, work)
    assert arrays["square"].tolist() == [0, 1, 4, 9, 16, 25, 36]
    assert arrays["map"].shape == (7, 2, 2)
    assert sorted(work.asked, key=lambda r: r.start) == [range(3), range(3, 6), range(6, 7)]
    assert [p.name for p in job.folder.iterdir()] == ["thing.h5"]
    with open_checked(job.target) as handle:
        assert dict(handle.attrs) == {"identity": job.identity, "samples": 4}


def test_a_finished_result_is_read_and_another_question_asked_anew(job: Job) -> None:
    run(job, Work())
    again = Work()
    assert run(job, again)["square"].sum() == 91
    assert again.asked == []
    other = Work()
    run(replace(job, about={**job.about, "samples": 5}), other)
    assert len(other.asked) == 3


def test_a_failed_piece_is_tried_again_and_logged(job: Job) -> None:
    work = Work(fail_at=4)
    assert run(job, work)["square"].tolist() == [n**2 for n in range(7)]
    assert work.asked.count(range(3, 6)) == 2
    assert "hiccuped" in (job.folder / "failures.jsonl").read_text()


def test_a_damaged_or_foreign_piece_is_computed_again(job: Job) -> None:
    damaged, foreign = (job.part(Unit(n, 3 * n, 3 * n + 3)) for n in (0, 1))
    damaged.parent.mkdir()
    damaged.write_bytes(b"\x89HDF\r\n\x1a\n torn")
    run(replace(job, folder=job.folder / "elsewhere", about={"samples": 9}), Work())
    foreign.write_bytes((job.folder / "elsewhere" / "thing.h5").read_bytes())
    work = Work()
    assert run(job, work)["square"].tolist() == [n**2 for n in range(7)]
    assert len(work.asked) == 3


def test_a_damaged_result_is_computed_again(job: Job) -> None:
    run(job, Work())
    job.target.write_bytes(job.target.read_bytes()[:100])
    work = Work()
    run(job, work)
    assert len(work.asked) == 3
