from __future__ import annotations

import sys
from pathlib import Path

import hypothesis
import pytest

# Workers import functions of tests, and are not shown the folder that `python -m pytest` stands in.
sys.path.append(str(Path(__file__).parents[1]))

# The machines are shared and noisy: a slow example says nothing about the code.
hypothesis.settings.register_profile("recombine", deadline=None, derandomize=True)
hypothesis.settings.load_profile("recombine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what renders where Blender has no wheel; on Python 3.11 a missing wheel must fail."""
    if sys.version_info[:2] == (3, 11):
        return
    skip = pytest.mark.skip(reason="rendering needs Python 3.11, the Python of the Blender wheel")
    for item in items:
        if item.get_closest_marker("blender"):
            item.add_marker(skip)
