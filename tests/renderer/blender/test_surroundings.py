"""No variable and no file of the user changes a pixel."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.blender import worker
from recombine.renderer.rendering.pool import local_pool
from recombine.renderer.scenes.scene import Rendered
from tests.renderer.blender.samples import QUICK, scene, thing

pytestmark = pytest.mark.blender


def test_a_colour_configuration_of_the_user_changes_no_pixel(
    blender: Callable[..., Rendered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = blender(worker.render_one, scene(thing()), QUICK)
    package = Path(str(metadata.distribution("bpy").locate_file("bpy")))
    (own,) = package.glob("*/datafiles/colormanagement")
    there = tmp_path / "blender" / own.parts[-3] / "datafiles" / "colormanagement"
    shutil.copytree(own, there)
    text = (there / "config.ocio").read_text()
    other = text.replace("scene_linear: Linear Rec.709", "scene_linear: Linear CIE-XYZ D65")
    assert other != text
    (there / "config.ocio").write_text(other)
    monkeypatch.setenv("OCIO", str(there / "config.ocio"))  # as graphics workstations set it
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # where Blender keeps what users change
    monkeypatch.setenv("BLENDER_USER_DATAFILES", str(there.parent))
    with local_pool(1, worker.start_worker)() as pool:
        found = pool.submit(worker.render_one, scene(thing()), QUICK).result()
    assert np.array_equal(found.image, wanted.image)
