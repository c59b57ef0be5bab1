"""Real renders: what `render` promises about interruption, workers and errors."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from recombine.renderer.core.errors import IntegrityError, ResourceError, UsageError
from recombine.renderer.core.files import locked
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering import render
from recombine.renderer.rendering.merge import merge
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import load_plan, save_plan
from tests.waiting import wait_until

TINY = ("smoke", "--scale", "0.03", "--resolution", "32", "--shard-size", "7")
N_IMAGES = len(render.make_plan(load_preset("smoke", scale=0.03, resolution=32)))
pytestmark = [pytest.mark.blender, pytest.mark.long]


def command(out: Path, workers: int) -> list[str]:
    python = [sys.executable, "-m", "recombine.cli.main", "render", *TINY]
    return [*python, "--out", str(out), "--workers", str(workers)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One uninterrupted render with two workers."""
    out = tmp_path_factory.mktemp("whole") / "data"
    subprocess.run(command(out, 2), check=True)
    return out


def hashes(folder: Path) -> np.ndarray:
    data = Dataset(folder)
    shards = sorted((folder / "shards").glob("*.h5"))
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(h5py.File(path)) for path in shards]
        found = np.concatenate([file["pixel_hash"][:] for file in files])
    assert len(found) == len(data)
    return found


def test_render_is_sealed_verified_and_previewed(whole: Path) -> None:
    data = Dataset(whole)
    data.check()
    assert len(data) == N_IMAGES
    assert (whole / "preview.png").is_file()
    assert not list(whole.rglob("*.tmp"))
    provenance = data.manifest["provenance"]
    assert provenance["bpy"] == "4.5.15"


def test_pictures_show_objects_on_lit_ground(whole: Path) -> None:
    data = Dataset(whole)
    indices = data.indices("ooc_test")
    images, masks = data.images(indices), data.masks(indices)
    assert ((masks == 1).mean(axis=(1, 2)) > 0.02).all()  # every object is in the picture
    assert (images.reshape(len(images), -1).std(axis=1) > 10).all()  # none is blank
    assert (data.visible[indices] == 1).all()  # nothing occludes a single object
    edge = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], axis=1)
    assert not edge.any()  # no object is cut by the frame


def test_one_worker_draws_the_same_pixels(whole: Path, tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "one", 1), check=True)
    assert np.array_equal(hashes(tmp_path / "one"), hashes(whole))
    assert Dataset(tmp_path / "one").root == Dataset(whole).root
    assert Dataset(tmp_path / "one").identity == Dataset(whole).identity


def test_killed_render_resumes_to_the_same_pixels(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    while not out.exists():
        process = subprocess.Popen(command(out, 2), start_new_session=True)
        while process.poll() is None and len(list(out.glob("shards/shard-*.h5"))) < 3:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL)
        if (out / "manifest.json").exists():  # it was done before it could be killed: once more
            shutil.rmtree(out)
    left = {p.name: p.stat().st_mtime_ns for p in out.glob("shards/shard-*.h5")}
    subprocess.run(command(out, 2), check=True)
    kept = {p.name: p.stat().st_mtime_ns for p in out.glob("shards/shard-*.h5")}
    assert left.items() <= kept.items()  # finished shards are kept, not drawn again
    assert np.array_equal(hashes(out), hashes(whole))
    assert Dataset(out).root == Dataset(whole).root


def test_two_tasks_apart_and_merged_draw_the_same_pixels(whole: Path, tmp_path: Path) -> None:
    for k in ("1", "2"):
        subprocess.run([*command(tmp_path / k, 1), "--shard", f"{k}/2"], check=True)
    merged = merge([tmp_path / "1", tmp_path / "2"], tmp_path / "merged")
    assert merged.certificate.root == Dataset(whole).root
    assert merged.certificate.identity == Dataset(whole).identity
    assert np.array_equal(hashes(tmp_path / "merged"), hashes(whole))


def test_a_cluster_that_loses_a_worker_draws_the_same_pixels(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "cluster"
    with processes() as start:
        file = tmp_path / "scheduler.json"
        places = ["--scheduler-file", str(file)]
        start("scheduler", "--port", "0", "--no-dashboard", *places)
        wait_until(file.exists)
        worker = ("worker", *places, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        workers = [start(*worker), start(*worker)]
        address = json.loads(file.read_text())["address"]
        render_run = subprocess.Popen(
            [*command(out, 1), "--shard-size", "19", "--cluster", address]
        )
        wait_until(lambda: list(out.glob("shards/shard-*.h5")) or render_run.poll() is not None)
        workers[0].kill()  # -9; the other worker must draw what it had
        assert render_run.wait() == 0
    assert Dataset(out).root == Dataset(whole).root


@contextlib.contextmanager
def processes() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Yield a starter of dask programs that end with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        running.append(
            subprocess.Popen([sys.executable, "-m", "dask", *words], stderr=subprocess.DEVNULL)
        )
        return running[-1]

    try:
        yield start
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_one_image_drawn_again_has_the_same_bits(whole: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "recombine.cli.main", "dataset", "rerender", str(whole)]
    words += ["--index", "5"]
    large = tmp_path / "large.png"
    found = subprocess.run(
        [*words, "--check", "--json"], check=True, capture_output=True, text=True
    )
    reply = json.loads(found.stdout)
    assert reply["pixels_equal"]
    assert reply["labels_equal"]
    assert reply["build"] == []
    subprocess.run([*words, "--out", str(large), "--resolution", "64"], check=True)
    with Image.open(large) as picture:
        assert picture.size == (64, 64)
        small = np.asarray(picture.resize((32, 32), Image.Resampling.BOX)).astype(float)
    assert np.abs(small - Dataset(whole).image(5)).mean() < 10  # the same scene


def test_an_estimate_comes_from_real_renders(whole: Path) -> None:
    words = ["render", "smoke", "--estimate", "--scale", "0.03", "--resolution", "32", "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "recombine.cli.main", *words, "--workers", "3"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(ran.stdout)
    assert (found["images"], found["workers"], found["resolution"]) == (N_IMAGES, 3, 32)
    assert 0 < found["cpu_seconds"]["low"] <= found["cpu_seconds"]["high"] < 1000
    stored = sum(p.stat().st_size for p in (whole / "shards").iterdir())
    assert found["gigabytes"]["mean"] * 1e9 == pytest.approx(stored, rel=0.6)


def test_damaged_shard_is_drawn_again(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "damaged"))
    shard = out / "shards" / "shard-00002.h5"
    shard.write_bytes(shard.read_bytes()[:-100])
    subprocess.run(command(out, 1), check=True)
    assert Dataset(out).root == Dataset(whole).root


def tiny(out: Path, **options: object) -> object:
    preset = load_preset("smoke", scale=0.03, resolution=32)
    return render.render_dataset(preset, out, **options)  # type: ignore[arg-type]


def test_folder_of_another_dataset_is_refused(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "other"))
    preset = load_preset("smoke", scale=0.3, resolution=32)
    with pytest.raises(IntegrityError, match="holds another dataset"):
        render.render_dataset(preset, out)
    with pytest.raises(UsageError, match="expects an empty folder"):
        tiny(out, existing="error")
    assert Dataset(out).root == Dataset(whole).root


def test_verify_only_touches_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "require_blender", pytest.fail)
    assert tiny(whole, existing="verify").passed  # type: ignore[attr-defined]


def test_two_renders_into_one_folder_are_refused(tmp_path: Path) -> None:
    with locked(tmp_path / render.LOCK), pytest.raises(UsageError, match="another process"):
        tiny(tmp_path)


def test_missing_blender_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = render.importlib.util.find_spec
    monkeypatch.setattr(
        render.importlib.util, "find_spec", lambda m: None if m == "bpy" else find_spec(m)
    )
    with pytest.raises(ResourceError, match=r"pip install 'recombine\[render\]'"):
        tiny(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_too_little_disk_is_said_before_rendering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResourceError, match="MB are free"):
        tiny(tmp_path / "data")


def test_plan_edited_on_disk_is_noticed(tmp_path: Path) -> None:
    import h5py

    plan = render.make_plan(load_preset("smoke", scale=0.03, resolution=32))
    save_plan(tmp_path, plan)
    with h5py.File(tmp_path / "plan.h5", "r+") as handle:
        handle["latents/object.x"][0] = 0.0
    with pytest.raises(IntegrityError, match="the plan was edited"):
        load_plan(tmp_path)


def test_failure_ledger_is_absent_after_a_clean_run(whole: Path) -> None:
    assert not (whole / "failures.jsonl").exists()
    manifest = json.loads((whole / "manifest.json").read_text())
    assert [s["stop"] for s in manifest["shards"]][-1] == N_IMAGES
