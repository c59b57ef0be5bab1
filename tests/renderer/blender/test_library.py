"""The names that planners read are the assets that Blender has."""

import pytest

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
