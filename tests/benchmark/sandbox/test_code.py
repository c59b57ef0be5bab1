"""A submission's files are found and copied without running a line of them."""

import os
import shutil
import sys

import pytest

from recombine.benchmark.sandbox import code as isolation_code
from recombine.benchmark.sandbox.code import Located, brought_data, locate, stage
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError

BOMB = "raise SystemExit('it ran')\n"


@pytest.fixture
def folder(tmp_path):
    """A folder as people have it: code, weights, and much that is nobody's business."""
    top = tmp_path / "mine"
    files = {
        "method.py": f"{BOMB}class Mine: ...\nOther = Mine\nfrom os import path as Taken\n",
        "helper/inner.py": BOMB,
        "weights.safetensors": "w" * 100,
        "settings.toml": "a = 1",
        ".env": "TOKEN=1",
        ".git/config": "secret",
        "notes.docx": "private",
        "labels.csv": "labels",
        "shard.h5": "labels",
        "__pycache__/method.cpython-311.pyc": "x",
        "runs/smoke/plan.h5": "plan",
        "runs/smoke/latents.npy": "labels",
        "runs/results/other/seed-0.safetensors": "predictions",
        "runs/results/other/result.json": "{}",
        "venv/pyvenv.cfg": "",
        "venv/lib/thing.py": "",
        "out/table.json": "{}",
    }
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (top / "link.py").symlink_to("/etc/passwd")
    (top / "up").symlink_to(tmp_path)
    return top


def names(located):
    return [name.as_posix() for name in located.files]


def test_code_and_weights_and_nothing_else(folder):
    located = locate(f"{folder}/method.py:Mine")
    expected = ["helper/inner.py", "method.py", "out/table.json", "settings.toml"]
    assert names(located) == [*expected, "weights.safetensors"]
    assert located.code == "method.py:Mine"
    assert not located.installed
    avoided = locate(f"{folder}/method.py:Mine", avoid=[folder / "out"])
    assert "out/table.json" not in names(avoided)


def test_what_is_not_shown_is_known_with_the_reason(folder):
    (folder / "weights").mkdir()
    (folder / "weights" / "manifest.json").write_text('{"short_name": "an application"}')
    (folder / "weights" / "model.safetensors").symlink_to("../../blobs/4d7a")
    located = locate(f"{folder}/method.py:Mine", avoid=[folder / "out"])
    assert "weights/manifest.json" in names(located)
    reasons = {
        name: why.partition(",")[0].partition(";")[0] for name, why in located.left_out.items()
    }
    kinds = reasons.pop("notes.docx")
    assert reasons.pop("labels.csv") == reasons.pop("shard.h5") == kinds
    assert ".safetensors" in kinds
    assert reasons == {
        "link.py": "it is a link",
        "up": "it is a link",
        "weights/model.safetensors": "it is a link",
        "out": "it holds the data or the results of this call",
        "runs/smoke": "it holds plan.h5",
        "runs/results/other": "it holds predictions (seed-*.safetensors)",
        "venv": "it holds a virtual environment (pyvenv.cfg)",
    }


def test_a_file_that_cannot_be_read_is_named(folder, monkeypatch):
    located = locate(f"{folder}/method.py:Mine")

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    for name in ("open", "iterdir"):
        with monkeypatch.context() as patch:
            patch.setattr(type(folder), name, refuse)
            with pytest.raises(
                ResourceError, match="can be read, got Permission denied; check its"
            ):
                located.source_sha256() if name == "open" else locate(f"{folder}/method.py:Mine")


def test_files_are_copied_for_everybody_to_read(folder, tmp_path):
    (folder / "method.py").chmod(0o600)
    located = locate(f"{folder}/method.py:Mine")
    target = tmp_path / "job" / "code"
    stage(located, target)
    copied = sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file())
    assert copied == names(located)
    for path in target.rglob("*"):
        assert path.stat().st_mode & 0o004
    assert (target / "method.py").read_bytes() == (folder / "method.py").read_bytes()
    assert (target / "method.py").stat().st_ino != (folder / "method.py").stat().st_ino


def test_big_weights_are_not_copied_for_every_run(folder, tmp_path):
    weights = folder / "weights.safetensors"
    weights.write_bytes(bytes(2**20))
    weights.chmod(0o644)
    located = locate(f"{folder}/method.py:Mine")
    stage(located, tmp_path / "a")
    assert (tmp_path / "a" / weights.name).stat().st_ino == weights.stat().st_ino
    shutil.rmtree(tmp_path / "a")
    assert weights.stat().st_size == 2**20
    weights.chmod(0o600)  # a link would stay unreadable inside
    stage(located, tmp_path / "b")
    assert (tmp_path / "b" / weights.name).stat().st_ino != weights.stat().st_ino


def test_the_hash_sees_every_file_its_name_and_its_place(folder):
    def digest():
        return locate(f"{folder}/method.py:Mine").source_sha256()

    seen = {digest()}
    assert digest() in seen
    for change in (
        lambda: (folder / "helper/inner.py").write_text(BOMB + " "),
        lambda: (folder / "weights.safetensors").write_text("v" * 100),
        lambda: (folder / "settings.toml").rename(folder / "other.toml"),
        lambda: (folder / "helper/inner.py").rename(folder / "inner.py"),
        lambda: (folder / "extra.py").write_text(""),
    ):
        change()
        assert digest() not in seen
        seen.add(digest())
    (folder / ".env").write_text("changed")
    assert digest() in seen


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{f}/method.py:Mne", "has no 'Mne'. Did you mean 'Mine'"),
        ("{f}/metod.py:Mine", "Did you mean 'method.py'"),
        ("{f}/method.py", "expected file.py:Class"),
        ("{f}/method.py:", "expected file.py:Class"),
        ("{f}/method.py:Mine.inner", "expected file.py:Class"),
        (":Mine", "expected file.py:Class"),
        ("autoencodr", "Did you mean 'autoencoder'"),
        ("surely.no.such:Class", "no module 'surely.no.such'"),
        ("sys:path", "no module 'sys'"),
        ("recombine.nothing:Class", "no module"),
    ],
)
def test_near_misses(folder, spec, message):
    with pytest.raises(UsageError, match=message):
        locate(spec.format(f=folder), names={"autoencoder": "x:Y"})


@pytest.mark.parametrize("name", ["Mine", "Other", "Taken"])
def test_what_a_file_defines_is_known_without_running_it(folder, name):
    assert locate(f"{folder}/method.py:{name}").attribute == name


@pytest.mark.parametrize("text", ["from x import *\n", "if 1:\n  class A: ...\n", "def broken(:\n"])
def test_what_cannot_be_told_is_left_to_the_inside(tmp_path, text):
    (tmp_path / "m.py").write_text(text)
    assert locate(f"{tmp_path}/m.py:Whatever").module == "m.py"


def test_a_package_is_staged_whole_and_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "src" / "planted_package"
    (package / "sub").mkdir(parents=True)
    for name in ("__init__.py", "sub/__init__.py", "sub/model.py"):
        (package / name).write_text(BOMB)
    (tmp_path / "src" / "other_module.py").write_text(BOMB)
    monkeypatch.syspath_prepend(tmp_path / "src")
    located = locate("planted_package.sub.model:Class")
    assert names(located) == [
        f"planted_package/{n}" for n in ("__init__.py", "sub/__init__.py", "sub/model.py")
    ]
    assert "planted_package" not in sys.modules
    assert not located.installed
    stage(located, tmp_path / "code")
    assert (tmp_path / "code/planted_package/sub/model.py").read_text() == BOMB
    assert names(locate("other_module:Class")) == ["other_module.py"]
    assert "other_module" not in sys.modules


def test_installed_packages_stay_where_they_are(tmp_path):
    located = locate("safetensors.numpy:save")
    assert located.installed
    stage(located, tmp_path / "code")
    assert not list((tmp_path / "code").iterdir())
    assert len(located.source_sha256()) == 64
    ours = locate("recombine.baselines.methods.supervised:Supervised")
    assert ours.installed
    assert any(name.name == "supervised.py" for name in ours.files)


def test_a_folder_with_too_much_is_refused(folder, monkeypatch):
    monkeypatch.setattr(isolation_code, "MAX_FILES", 3)
    with pytest.raises(InvalidInputError, match="folder of its own"):
        locate(f"{folder}/method.py:Mine")
    monkeypatch.setattr(isolation_code, "MAX_FILES", 100)
    monkeypatch.setattr(isolation_code, "MAX_BYTES", 50)
    with pytest.raises(InvalidInputError, match="folder of its own"):
        locate(f"{folder}/method.py:Mine")


def test_a_pipe_in_the_folder_is_no_file(folder):
    os.mkfifo(folder / "pipe.py")
    assert "pipe.py" not in names(locate(f"{folder}/method.py:Mine"))


def test_located_holds_plain_values():
    assert Located("m.py", "A", (), isolation_code.Path("/x"), False).code == "m.py:A"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"help.py": "x = 1", "settings.toml": "a = 1", "LICENSE.txt": "free " * 2000}, []),
        ({"table.npy": "x"}, ["table.npy (1 bytes)"]),
        ({"deep/weights.pt": "x" * 10}, ["deep/weights.pt (10 bytes)"]),
        ({"fast.so": "x"}, ["fast.so (1 bytes)"]),
        ({"labels.json": "0" * 20_000}, ["labels.json (20,000 bytes)"]),
        ({"t.py": f"\nt = {'00' * 6000!r}"}, ["t.py, line 2: a literal of 12,000 characters"]),
        ({"t.py": f"t = {list(range(3000))}"}, ["t.py, line 1: a table of 3,000 literals"]),
        ({"t.py": f"t = 0x{'f' * 4000}"}, []),
        ({"t.py": f"t = 0x{'f' * 9000}"}, ["t.py, line 1: a literal of 9,000 characters"]),
        ({"t.py": "#" * 300_000}, ["t.py (300,000 bytes of source)"]),
        ({"t.py": "this is no Python"}, []),
    ],
)
def test_data_are_told_from_source(tmp_path, files, found):
    (tmp_path / "method.py").write_text("class Mine: ...")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert brought_data(locate(f"{tmp_path}/method.py:Mine")) == found


def test_what_is_installed_brings_nothing():
    assert brought_data(locate("json:JSONDecoder")) == []
