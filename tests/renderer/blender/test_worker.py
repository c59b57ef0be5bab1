"""Workers of a pool: the same results anywhere, errors that travel, a meaningful exit."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields

import numpy as np
import pytest

from recombine.renderer.blender import worker
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.surroundings import ONE_THREAD
from recombine.renderer.scenes.scene import Rendered
from tests.renderer.blender.samples import QUICK, scene, thing

pytestmark = pytest.mark.blender


def equal(a: Rendered, b: Rendered) -> bool:
    """Tell whether two results agree in everything but the time they took."""
    names = (field.name for field in fields(Rendered) if field.compare)
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@pytest.fixture(scope="module")
def pictures():
    """Scenes that differ, with a changing number of objects."""
    shapes = ("pawn", "knot", "bowl")
    return [
        scene(
            *(thing(shape, x=0.5 * k - 0.5) for k, shape in enumerate(shapes[: i % 3 + 1])),
            environment=("studio", "courtyard")[i % 2],
            seed=i,
        )
        for i in range(6)
    ]


def test_two_workers_draw_what_one_draws(blender, pictures):
    one = [blender(worker.render_one, picture, QUICK) for picture in pictures]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=worker.start_worker) as pool:
        two = list(pool.map(worker.render_one, pictures, [QUICK] * len(pictures)))
    assert all(map(equal, one, two))
    assert not equal(one[0], one[1])


def test_errors_cross_the_process_boundary(blender):
    with pytest.raises(InvalidInputError, match="samovar"):
        blender(worker.render_one, scene(thing("samovar")), QUICK)
    blender(worker.render_one, scene(thing()), QUICK)  # the worker lives on


@pytest.mark.parametrize("status", [0, 3])
def test_leave_ends_with_the_given_status(status):
    code = (
        "import sys; from recombine.renderer.blender import worker\n"
        f"sys.stdout.write('kept'); worker.leave({status}); sys.stdout.write('never')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "kept")


def test_a_worker_uses_one_thread_in_every_library(blender):
    for name in ONE_THREAD:
        assert blender(os.getenv, name) == "1"
