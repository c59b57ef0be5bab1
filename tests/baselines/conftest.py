from __future__ import annotations

import pytest
import torch

from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def drawn_fixture() -> tuple[DrawnData, DrawnData]:
    """ID training and ID validation images of 32 pixels."""
    return drawn(320, px=32, seed=1), drawn(96, px=32, seed=2)


@pytest.fixture
def run_log() -> ListLog:
    return ListLog()
