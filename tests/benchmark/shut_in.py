"""Helpers for tests of isolation."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from fakes import FakeDataset

from recombine.benchmark.sandbox.bubblewrap import require_bwrap
from recombine.benchmark.sandbox.process import GIB, MIB, Limits
from recombine.renderer.core.errors import ResourceError

# In folders of their own: all code of a submission's folder belongs to it, and must not change.
ATTACKS = Path(__file__).parent / "planted" / "attacks.py"
FAKES = Path(tempfile.mkdtemp(prefix="recombine-fakes-")) / "fakes.py"
shutil.copy(Path(__file__).with_name("fakes.py"), FAKES)
atexit.register(shutil.rmtree, FAKES.parent, ignore_errors=True)
TIGHT = Limits(
    memory_bytes=1 * GIB,
    processes=64,
    seconds=3600,  # a test of another limit never meets this one
    scratch_bytes=64 * MIB,
    answer_bytes=16 * MIB,
)


def need_bwrap():
    """Skip without bubblewrap, but never in continuous integration."""
    try:
        require_bwrap()
    except ResourceError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


class StoredDataset(FakeDataset):
    """A dataset that has a folder on disk, as a rendered one has."""

    def __init__(self, path, **sizes):
        super().__init__(**sizes)
        self.path = Path(path)
        self.path.mkdir()
        (self.path / "labels.npz").write_bytes(b"the real labels")
        (self.path / "plan.h5").write_bytes(b"the real plan")
