"""One Blender process for all tests of this folder, so that pytest itself stays clean."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from recombine.renderer.blender.worker import start_worker


def new_process():
    """Return a pool of one fresh Blender process."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=start_worker)


@pytest.fixture(scope="session")
def blender():
    """Call a function in the Blender process that all tests share."""
    with new_process() as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


@pytest.fixture
def fresh():
    """Call a function in a Blender process of its own."""
    with new_process() as pool:
        yield lambda function, *args: pool.submit(function, *args).result()
