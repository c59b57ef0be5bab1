"""The view transform is monotonic, keeps hues and never saturates below extreme radiance."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recombine.renderer.blender.tonemap import PIVOT, encode, film, srgb

colours = arrays(float, (4, 4, 3), elements=st.floats(0, 50))


@settings(max_examples=40, deadline=None)
@given(colours)
def test_stays_in_range(linear):
    out = film(linear)
    assert np.isfinite(out).all()
    assert out.max() < 1
    assert out.min() > -1e-9


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 30), st.floats(0.001, 10))
def test_brighter_stays_brighter(grey, more):
    pair = np.array([[[grey] * 3, [grey + more] * 3]])
    dark, bright = film(pair)[0, :, 0]
    assert bright > dark


def test_a_middle_grey_stays_and_contrast_grows_about_it():
    grey = np.array([0.25, 0.5, 1.0, 2.0]) * PIVOT
    shown = film(np.repeat(grey[:, None], 3, 1)[None])[0, :, 0]
    assert np.isclose(shown[2], PIVOT)
    steps = np.diff(np.log2(shown))
    assert (steps > 1.05).all()
    assert (steps < 1.3).all()  # gentle: nothing turns black


@settings(max_examples=40, deadline=None)
@given(arrays(float, 3, elements=st.floats(0, 40)))
def test_order_of_channels_survives(colour):
    out = film(colour.reshape(1, 1, 3)).ravel()
    order = np.argsort(colour, kind="stable")
    assert (np.diff(out[order]) > -1e-9).all()


def test_srgb_known_values():
    """Values of IEC 61966-2-1."""
    assert np.allclose(
        srgb(np.array([0.0, 0.0031308, 0.214041, 1.0])), [0, 0.04045, 0.5, 1], atol=1e-4
    )


def test_encode_rounds_to_bytes_and_ignores_negative_radiance():
    out = encode(np.array([[[-1.0, 0.0, 0.0], [1e4, 1e4, 1e4]]]))
    assert out.dtype == np.uint8
    assert out[0, 0].tolist() == [0, 0, 0]
    assert out[0, 1].min() >= 254


def test_a_bright_studio_does_not_clip():
    assert encode(np.full((1, 1, 3), 3.0)).max() < 255
