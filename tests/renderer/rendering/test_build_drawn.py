"""Real renders by a copy of the package whose lens is another: refused by name, at any moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import recombine
from recombine.renderer.core import provenance
from tests.waiting import wait_until

pytestmark = [pytest.mark.blender, pytest.mark.long]
REPOSITORY = Path(provenance.__file__).parents[2]
LENS = "renderer/scenes/library.py changed"
TINY = ("smoke", "--scale", "0.03", "--resolution", "16", "--shard-size", "8", "--workers", "1")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package that may be edited: only the renderer is really copied."""
    place = tmp_path_factory.mktemp("copy") / "recombine"
    place.mkdir()
    for path in Path(str(recombine.__file__)).parent.glob("*.py*"):
        shutil.copy(path, place)
    for name in ("cli", "benchmark", "baselines", "leaderboard"):
        (place / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "renderer", place / "renderer")
    return place


def start(copy: Path, out: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "recombine.cli.main", "render", *TINY, "--out", str(out)]
    return subprocess.Popen(
        words,
        cwd=copy.parent,
        env={**os.environ, "PYTHONPATH": str(copy.parent)},
        stderr=subprocess.PIPE,
        text=True,
    )


def change_lens(copy: Path) -> None:
    library = copy / "renderer" / "scenes" / "library.py"
    text = library.read_text()
    assert "FOCAL, SENSOR = 50.0, 36.0" in text
    library.write_text(text.replace("FOCAL, SENSOR = 50.0", "FOCAL, SENSOR = 46.0"))


def test_a_lens_that_changes_during_a_render_is_refused(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    process = start(copy, out)
    wait_until(lambda: list(out.glob("shards/*.h5")) or process.poll() is not None)
    change_lens(copy)
    _, told = process.communicate()
    assert process.returncode == 5
    assert LENS in told
    assert not (out / "manifest.json").exists()
    drawn = len(list(out.glob("shards/*.h5")))

    again = start(copy, out)  # the whole copy has the other lens by now
    _, told = again.communicate()
    assert again.returncode == 5
    assert LENS in told
    assert "--existing overwrite" in told
    assert len(list(out.glob("shards/*.h5"))) == drawn
