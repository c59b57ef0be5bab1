"""What a process that draws is shown of its surroundings, and what a build records of them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from recombine.renderer.core import surroundings as subject
from recombine.renderer.core.errors import ResourceError
from recombine.renderer.core.provenance import Build, require_installed

TELL = "from recombine.renderer.core.surroundings import import_path as p; print(p())"


def test_a_short_list_of_variables_is_shown() -> None:
    found = subject.shown(
        {
            "OCIO": "/c",
            "BLENDER_USER_SCRIPTS": "/s",
            "PYTHONPATH": "/p",
            "OIDN_VERBOSE": "1",
            "PATH": "/bin",
            "HOME": "/home/u",
            "CYCLES_CPU_NO_AVX2": "1",
            "TMPDIR": "",
            "OMP_NUM_THREADS": "8",
            "LANG": "de_DE.UTF-8",
            "LC_CTYPE": "C.UTF-8",
        }
    )
    assert found == {
        "PATH": "/bin",
        "HOME": "/home/u",
        "CYCLES_CPU_NO_AVX2": "1",
        "LC_CTYPE": "C.UTF-8",
        **dict.fromkeys(subject.ONE_THREAD, "1"),
    }


def test_what_may_change_pixels_is_part_of_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in subject.RECORDED:
        monkeypatch.delenv(name, raising=False)
    plain = Build.here()
    assert set(plain.versions) <= {"bpy", "blenderproc", "numpy"}
    monkeypatch.setenv("CYCLES_CPU_NO_AVX2", "1")
    monkeypatch.setenv("LD_PRELOAD", "/opt/b.so:/lib/a.so")
    assert plain.differences(Build.here()) == [
        "CYCLES_CPU_NO_AVX2 none -> 1",
        "LD_PRELOAD none -> b.so a.so",
    ]


def test_each_variable_that_is_read_is_told() -> None:
    told = subject.noticed({"OCIO": "/c", "LD_PRELOAD": "a.so", "PATH": "/", "PYTHONHOME": "/p"})
    assert told == {"LD_PRELOAD": "part of the build", "OCIO": "kept from Blender"}


@pytest.mark.parametrize("words", [["-c", TELL], ["-m", "program"], ["program.py"]])
def test_the_folder_of_the_program_is_not_imported_from(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(TELL)
    told = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    paths = ast.literal_eval(told.stdout)
    assert str(tmp_path) not in paths
    assert "" not in paths
    assert any(Path(np.__file__).is_relative_to(path) for path in paths)


def test_a_process_that_enters_loses_the_rest(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from recombine.renderer.core import surroundings\n"
        f"surroundings.enter(Path({str(tmp_path)!r}))\n"
        "print([os.environ.get(name) for name in ('OCIO', 'HOME', 'OMP_NUM_THREADS')])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"OCIO": "/c", "HOME": "/home/u", "OMP_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ast.literal_eval(told.stdout) == [None, str(tmp_path), "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which libraries are loaded")
def test_a_library_from_elsewhere_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "libneverloaded.so.3").touch()
    assert subject.foreign_libraries(tmp_path) == []
    (tmp_path / "libc.so.6").touch()
    (found,) = subject.foreign_libraries(tmp_path)
    assert found.name == "libc.so.6"
    assert found.parent != tmp_path
    (tmp_path / "libc.so.6").unlink()
    (tmp_path / "libc.so.6").symlink_to(found)  # as some installers leave files
    assert subject.foreign_libraries(tmp_path) == []


def test_a_package_of_unknown_version_does_not_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_installed()
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "numpy")
    with pytest.raises(ResourceError, match=f"numpy {metadata.version('numpy')}.*{tmp_path}"):
        require_installed()


POOL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from recombine.renderer.core.surroundings import safe_path
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with safe_path(), ProcessPoolExecutor(1, context) as pool:
        print(pool.submit(abs, -7).result())
"""


def test_a_file_of_the_current_folder_ends_no_worker_of_a_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(subject.SAFE_PATH, raising=False)
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (here / "pickle.py").write_text("raise SystemExit('a file of the current folder')")
    (elsewhere / "program.py").write_text(POOL)
    words = [sys.executable, str(elsewhere / "program.py")]
    told = subprocess.run(words, cwd=here, capture_output=True, text=True, check=True)
    assert told.stdout == "7\n"
    with subject.safe_path():
        assert os.environ[subject.SAFE_PATH] == "1"
    assert subject.SAFE_PATH not in os.environ
