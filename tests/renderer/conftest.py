from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.renderer.drawn_fixture import drawn_dataset


@pytest.fixture(scope="session")
def sealed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "data"
    drawn_dataset(folder)
    return folder


@pytest.fixture
def sealed(sealed_once: Path, tmp_path: Path) -> Path:
    """A sealed dataset of drawn images that a test may damage."""
    return Path(shutil.copytree(sealed_once, tmp_path / "data"))
