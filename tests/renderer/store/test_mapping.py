from __future__ import annotations

import copy
import errno
import itertools
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from torch.utils.data import DataLoader, RandomSampler

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import IntegrityError, ResourceError
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import shard_is_complete
from tests.renderer.drawn_fixture import drawn_dataset


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one image per shard."""
    folder = tmp_path_factory.mktemp("many") / "data"
    drawn_dataset(folder, shard_size=1)
    return folder


def descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}  # noqa: PTH208


@contextmanager
def at_most(number: int) -> Iterator[None]:
    """Let this process have so many more files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = descriptors()
    free = (place for place in itertools.count() if place not in used)
    most = next(itertools.islice(free, number, None))  # of those below it, so many are free
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_shards_than_a_process_may_have_files(many: Path) -> None:
    before = len(descriptors())
    with at_most(40):
        data = Dataset(many)
        assert len(data.manifest["shards"]) > 100
        plain = [(data.image(i), data.masks([i])[0]) for i in range(len(data))]
        assert np.array_equal(data.images(range(len(data))), [image for image, _ in plain])
        assert np.array_equal(data.masks(range(len(data))), [mask for _, mask in plain])
        assert data.visible.shape == (len(data), 1)
        items = data.torch("id_train")
        for batch in DataLoader(items, batch_size=16, sampler=RandomSampler(items)):
            assert len(batch["image"]) <= 16
        assert len(descriptors()) - before <= 40
    del data, items
    assert len(descriptors()) <= before


def test_without_a_free_descriptor_nothing_is_called_damaged(many: Path) -> None:
    data = Dataset(many)
    data.plan.digest()
    held = []
    with at_most(10):
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        with pytest.raises(ResourceError) as caught:
            data.masks([3])
        for number in held:
            os.close(number)
    message = str(caught.value)
    assert "Too many open files" in message
    assert "ulimit -n" in message
    assert "amage" not in message
    assert "elete" not in message
    assert data.masks([3]).shape == (1, 16, 16)


def test_files_that_others_need_are_given_back(many: Path) -> None:
    data = Dataset(many)
    data.images(range(len(data)))
    held = []
    with at_most(3):
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            os.close(held.pop())
            os.close(held.pop())
        mine = data.masks(range(len(data)))
        for number in held:
            os.close(number)
    assert len(mine) == len(data)


def test_threads_and_copies_read_the_same(sealed_once: Path) -> None:
    data = Dataset(sealed_once)
    want = data.images(range(len(data))), data.masks(range(len(data)))
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng, mine = np.random.default_rng(seed), copy.deepcopy(data) if seed % 2 else data
        for i in rng.integers(len(data), size=50).tolist():
            if (
                not (mine.image(i) == want[0][i]).all()
                or not (mine.masks([i])[0] == want[1][i]).all()
            ):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_relative_path_is_kept_when_the_folder_changes(
    sealed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sealed_once.parent)
    data = Dataset("data")
    monkeypatch.chdir(tmp_path)
    assert data.path == sealed_once
    assert len(data["id_val"].images) == len(data.indices("id_val"))
    assert data.torch("id_train")[0]["image"].shape == (3, 16, 16)


def test_a_shard_that_is_open_elsewhere_in_this_process_is_read(sealed_once: Path) -> None:
    with h5py.File(sealed_once / "shards" / "shard-00000.h5", "r") as handle:
        assert np.array_equal(Dataset(sealed_once).masks([1])[0], handle["mask"][1])


def test_a_shard_is_checked_again_when_it_was_replaced(sealed: Path) -> None:
    data, path = Dataset(sealed), sealed / "shards" / "shard-00000.h5"
    first = data.image(0)
    with h5py.File(path, "r+") as handle:
        del handle["camera_to_world"]
    data._shards._mapped.cache_clear()  # as when many other shards were read meanwhile
    with pytest.raises(IntegrityError, match="camera_to_world"):
        data.image(0)
    assert first.any()


def test_a_disk_that_fails_is_no_fault_of_the_files(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, real = Dataset(sealed).plan, h5py.File

    def failing(path: Path, *args: object, **options: object) -> h5py.File:
        if "shard" in path.name:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *args, **options)

    monkeypatch.setattr(h5py, "File", failing)
    with pytest.raises(ResourceError, match="Input/output error"):
        shard_is_complete(sealed, 0, plan, range(20))  # False would draw it again
    with pytest.raises(ResourceError, match="Input/output error"):
        verify(sealed)
    assert not (sealed / "certificate.json").exists()
