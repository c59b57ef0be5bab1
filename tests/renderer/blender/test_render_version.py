from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.renderer.blender import render_version as subject

pytestmark = pytest.mark.blender


def test_pixels_change_only_with_the_render_version(
    blender: Callable[..., list[np.ndarray]],
) -> None:
    assert subject.FILE.is_file(), f"run `python -m {subject.__name__}` after raising the version"
    found = subject.compared(blender(subject.draw))
    assert found.close, f"{found.words()}: pixels have changed; raise RENDER_VERSION"
