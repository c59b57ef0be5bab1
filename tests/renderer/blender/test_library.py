"""The names that planners read are the assets that Blender has."""

import itertools

import numpy as np
import pytest

from recombine.renderer.blender.labels import project
from recombine.renderer.scenes import library
from tests.renderer.blender import blender_side

pytestmark = pytest.mark.blender


def test_names_equal_the_tables_in_order(blender):
    assert blender(blender_side.tables) == (
        library.SHAPES,
        library.MATERIALS,
        library.ENVIRONMENTS,
    )


def test_names_are_unique():
    for names in (library.SHAPES, library.MATERIALS, library.ENVIRONMENTS):
        assert len(set(names)) == len(names)


def test_every_placement_is_fully_inside_the_frame():
    """The widest body that the library allows, at the corners of the placement box."""
    angle = np.linspace(0, 2 * np.pi, 90)
    for x, y, scale in itertools.product(*library.PLACEMENT.values()):
        reach = library.RADIUS * scale
        ring = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], axis=1)
        for z in (0.0, scale):
            seen = project(np.column_stack([ring, np.full(len(ring), z)]), 64)
            assert seen.min() > 0.5
            assert seen.max() < 63.5
