"""A bundle holds exactly what it says, to the last bit, or it is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import Trained
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import METHOD, bundle_in, dataset, found, score_once

from recombine.benchmark.running.harness import RunOptions
from recombine.benchmark.scoring.score import score_submission
from recombine.leaderboard.submissions import bundle as module
from recombine.leaderboard.submissions.bundle import MethodFile, open_bundle, write_bundle
from recombine.renderer.core.errors import IntegrityError, InvalidInputError, RecombineError

pytestmark = pytest.mark.long

REFUSED = (IntegrityError, InvalidInputError)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return score_once(tmp_path_factory.mktemp("scored"))


@pytest.fixture(scope="module")
def original(scored, tmp_path_factory):
    return bundle_in(tmp_path_factory.mktemp("bundles"), scored).folder


@pytest.fixture
def copy(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / original.name))


def reseal(folder, **over):
    """Do what a careful forger does: change the manifest and its hash together."""
    plain = json.loads((folder / "manifest.json").read_text()) | over
    plain.pop("bundle_id")
    import hashlib

    text = module._canonical(plain)
    plain["bundle_id"] = hashlib.sha256(text).hexdigest()
    (folder / "manifest.json").write_bytes(module._canonical(plain))


def test_it_is_read_back_as_written(original, scored):
    bundle = open_bundle(original)
    assert bundle.method == METHOD
    assert [r.method.entry for r in bundle.results] == ["noisy"]
    assert [path.name for path in bundle.predictions] == [f"seed-{i}.safetensors" for i in range(3)]
    assert original.name == f"noisy-{bundle.manifest.bundle_id[:10]}"


def test_it_carries_the_picture_of_the_worst_images(original, scored):
    (result,) = open_bundle(original).results
    picture = scored[0][0].parent / result.artifacts.examples.file
    assert (original / picture.name).read_bytes() == picture.read_bytes()


def test_a_result_whose_picture_is_gone_is_bundled_without_it(scored, tmp_path):
    results, runs = scored
    alone = shutil.copy(results[0], tmp_path)
    folder = bundle_in(tmp_path / "out", ([Path(alone)], runs)).folder
    assert not list(folder.glob("*.png"))


def test_a_picture_that_no_result_names_is_refused(copy):
    picture = next(copy.glob("*.png"))
    stray = copy / "stray.examples.png"
    shutil.copy(picture, stray)
    plain = json.loads((copy / "manifest.json").read_text())
    listed = next(one for one in plain["files"] if one["path"] == picture.name)
    reseal(copy, files=[*plain["files"], {**listed, "path": stray.name}])
    with pytest.raises(InvalidInputError, match="no pictures but those"):
        open_bundle(copy)


def test_results_without_and_with_search_go_together_though_their_pictures_differ(tmp_path):
    results = score_submission(
        Trained(), dataset(), seeds=(0,), out_dir=tmp_path / "runs", examples=tmp_path,
        options=RunOptions(steps=(0, 4), batch_size=32),
    )  # fmt: skip
    paths = [result.save(tmp_path) for result in results]
    folder = bundle_in(tmp_path / "out", (paths, tmp_path / "runs")).folder
    assert len(list(folder.glob("*.png"))) == len(open_bundle(folder).results) == 2


def test_writing_again_changes_nothing(original, scored):
    before = {p: p.stat().st_mtime_ns for p in original.rglob("*")}
    assert bundle_in(original.parent, scored).folder == original
    assert {p: p.stat().st_mtime_ns for p in original.rglob("*")} == before


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_flipped_bit_is_found(original, data):
    path = data.draw(st.sampled_from(sorted(p for p in original.rglob("*") if p.is_file())))
    content = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(changed)
    try:
        with pytest.raises(REFUSED):
            open_bundle(original)
    finally:
        path.write_bytes(content)


def test_every_bit_of_the_manifest_counts(original):
    path = original / "manifest.json"
    content = path.read_bytes()
    for byte in range(0, len(content), 7):
        for bit in (0, 3, 5):
            changed = bytearray(content)
            changed[byte] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(REFUSED):
                module.read_manifest(original)
    path.write_bytes(content)
    open_bundle(original)


def test_a_missing_or_extra_file_is_refused(copy):
    (copy / "notes.txt").write_text("x")
    with pytest.raises(InvalidInputError, match=r"not listed \['notes.txt'\]"):
        open_bundle(copy)
    (copy / "notes.txt").unlink()
    (copy / "method.json").unlink()
    with pytest.raises(InvalidInputError, match=r"missing \['method.json'\]"):
        open_bundle(copy)


def test_a_link_is_no_file(copy, tmp_path):
    target = next((copy / "predictions").iterdir())
    moved = tmp_path / "moved"
    target.rename(moved)
    target.symlink_to(moved)
    with pytest.raises(InvalidInputError, match="link"):
        open_bundle(copy)


def test_a_linked_folder_is_no_folder(copy, tmp_path):
    (copy / "predictions").rename(tmp_path / "moved")
    (copy / "predictions").symlink_to(tmp_path / "moved")
    with pytest.raises(InvalidInputError):
        open_bundle(copy)


@pytest.mark.parametrize(
    "path", ["../x.json", "/etc/passwd", "predictions/../../a.safetensors", "run.py", "a.pkl"]
)
def test_a_manifest_names_no_other_place(copy, path):
    plain = json.loads((copy / "manifest.json").read_text())
    plain["files"][0]["path"] = path
    reseal(copy, files=plain["files"])
    with pytest.raises(InvalidInputError, match=r"files.0.path"):
        open_bundle(copy)


def test_a_manifest_may_not_claim_too_much(copy):
    files = json.loads((copy / "manifest.json").read_text())["files"]
    many = [{**files[0], "path": f"predictions/{i}.safetensors", "bytes": 2**30} for i in range(3)]
    reseal(copy, files=files + many)
    with pytest.raises(InvalidInputError, match="bytes together"):
        open_bundle(copy)
    reseal(copy, files=[*files, files[0]])
    with pytest.raises(InvalidInputError, match="a file twice"):
        open_bundle(copy)


def test_results_of_other_data_do_not_fit(copy):
    reseal(copy, identity="cd" * 32)
    with pytest.raises(InvalidInputError, match="one method and dataset"):
        open_bundle(copy)


def test_a_huge_manifest_is_not_read(copy):
    (copy / "manifest.json").write_bytes(b" " * (module.MAX_MANIFEST + 1))
    with pytest.raises(InvalidInputError, match="at most"):
        open_bundle(copy)


def test_predictions_that_are_not_there(scored, tmp_path):
    with pytest.raises(InvalidInputError, match="predictions file of seed 0"):
        write_bundle(tmp_path, scored[0], {}, METHOD)


def test_results_of_two_methods_do_not_go_together(scored, tmp_path):
    from factories import make_result

    other = make_result().save(tmp_path / "other.json")
    with pytest.raises(InvalidInputError, match="one method"):
        write_bundle(tmp_path, [*scored[0], other], found(scored[1]), METHOD)
    with pytest.raises(InvalidInputError, match="at least one"):
        write_bundle(tmp_path, [], {}, METHOD)


@pytest.mark.parametrize(
    "code", ["http://x.org", "javascript:alert(1)", "https://a b", "file:///x"]
)
def test_links_are_https(code):
    with pytest.raises(ValueError, match="pattern"):
        MethodFile(authors=("A",), licence="MIT", code=code)


@pytest.mark.parametrize("step", range(14))
def test_stopped_at_any_step_it_is_complete_or_absent(scored, tmp_path, monkeypatch, step):
    steps = iter(range(1000))

    class Stop(BaseException):
        pass

    def watched(original):
        def call(*args, **kwargs):
            if next(steps) == step:
                raise Stop
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", watched(os.fsync))
        patch.setattr(module.shutil, "copyfile", watched(shutil.copyfile))
        patch.setattr(Path, "rename", watched(Path.rename))
        try:
            bundle_in(tmp_path, scored)
        except Stop:
            assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == []
    assert open_bundle(bundle_in(tmp_path, scored).folder)
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".")] == []


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from world import METHOD, found
from recombine.leaderboard.submissions.bundle import write_bundle
results = sorted(Path(sys.argv[1]).glob("*.json"))
files = found(Path(sys.argv[2]))
print("ready", flush=True)
for i in range(10**6):
    write_bundle(Path(sys.argv[2]).parent / "out" / str(i), results, files, METHOD)
"""


def test_kill_9_leaves_whole_bundles_only(scored):
    results, runs = scored[0][0].parent, scored[1]
    args = [sys.executable, "-c", KILLED, str(results), str(runs)]
    worker = subprocess.Popen([*args, *sys.path], stdout=subprocess.PIPE)
    assert worker.stdout.readline() == b"ready\n"
    out = runs.parent / "out"
    while not (out / "3").exists():
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    visible = [p for p in out.glob("*/*") if not p.name.startswith(".")]
    assert len(visible) >= 3
    for folder in visible:
        open_bundle(folder)
    shutil.rmtree(out)


def test_refusals_are_typed():
    assert all(issubclass(kind, RecombineError) for kind in REFUSED)
