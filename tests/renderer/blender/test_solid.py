"""Sizes of shapes, on arrays alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recombine.renderer.blender.solid import normalised
from recombine.renderer.library import RADIUS


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (12, 3), elements=st.floats(-5, 5)).filter(
        lambda a: np.ptp(a, axis=0).min() > 0.1
    )
)
def test_normalised_fits_the_cube_and_the_cylinder(vertices):
    out = normalised(vertices)
    extent = np.ptp(out, axis=0).max()
    reach = np.hypot(out[:, 0], out[:, 1]).max()
    assert extent <= 1 + 1e-9
    assert reach <= RADIUS + 1e-9
    assert np.isclose(extent, 1) or np.isclose(reach, RADIUS)
    assert np.isclose(out[:, 2].min(), 0)


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (8, 3), elements=st.floats(-2, 2)).filter(
        lambda a: np.ptp(a, axis=0).min() > 0.1
    ),
    st.floats(0.1, 9),
    arrays(float, 3, elements=st.floats(-4, 4)),
)
def test_normalised_forgets_size_and_position(vertices, factor, shift):
    assert np.allclose(normalised(vertices), normalised(vertices * factor + shift), atol=1e-6)
