"""What Blender's import lacks is said by the command that brings it."""

from __future__ import annotations

import pytest

from recombine.renderer.blender import libraries
from recombine.renderer.blender.libraries import advice, packages

MISSING = "{}: cannot open shared object file: No such file or directory"


def test_missing_libraries_name_one_apt_line(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"libX11.so.6", "libSM.so.6"}
    monkeypatch.setattr(libraries, "_loads", lambda name: name not in absent)
    words = advice(ImportError(MISSING.format("libX11.so.6")))
    assert "sudo apt-get install -y libsm6 libx11-6`" in words
    assert "pip install" not in words
    words = advice(ImportError("/usr/lib/libXi.so.6: file too short"))
    assert "libxi6" in words


def test_a_library_of_no_known_package_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_loads", lambda name: True)
    words = advice(ImportError(MISSING.format("libfoo.so.3")))
    assert "apt-file search libfoo.so.3" in words
    assert "apt-get install" not in words


def test_short_memory_and_a_missing_wheel_have_advice_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = ImportError("libusd_ms.so: failed to map segment from shared object")
    monkeypatch.setattr(libraries, "limited", lambda: "the address space is limited")
    assert advice(error) == "the address space is limited."
    monkeypatch.setattr(libraries, "limited", lambda: "")
    assert "memory ran out" in advice(MemoryError())
    assert "pip install 'recombine[render]'" in advice(ImportError("No module named 'bpy'"))


def test_the_table_has_the_libraries_that_setup_installs() -> None:
    found = packages()
    assert found["libGL.so.1"] == "libgl1"
    assert len(set(found.values())) == len(found) == 9


def test_a_library_of_another_version_is_told_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = ImportError("libopenvdb.so.12.0: undefined symbol: _ZN3tbb6detail2r1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/foam/lib")
    assert "LD_LIBRARY_PATH is '/opt/foam/lib': unset it" in advice(error)
    monkeypatch.delenv("LD_LIBRARY_PATH")
    assert "pip install 'recombine[render]'" in advice(error)
