"""CPU-seconds per image: this project's render loop beside a loop in BlenderProc's own style.

    python benchmarks/render.py --sizes 64 128 256 --images 16
    python benchmarks/render.py --sizes --memory 500 --read runs/smoke

Both loops draw the same scenes (same meshes, materials, light, camera, path length and filter)
on one thread, and both deliver a colour image, depth, normals and instance masks in an HDF5 file.

- *ours*: `render_scene` at `--samples` paths per pixel with Cycles' denoiser; pixels are read
  from memory, annotations come from ray casting; all images go to one file.
- *tutorial*: what BlenderProc's examples teach: `enable_depth_output`, `enable_normals_output`,
  `enable_segmentation_output`, then per image new poses, `bproc.renderer.render()` with its
  denoiser (compositor), its noise threshold (0.01) and persistent data, which writes each pass to
  a folder in shared memory and reads it back, and `bproc.writer.write_hdf5`. Its scene is kept
  and re-dressed by our code, which is kinder than the `clean_up()` and reload of the examples,
  and its process uses our one-thread start, which halves its CPU time.

Quality is the PSNR of 8-bit sRGB pixels (no tone curve) against undenoised references of
`--reference` paths per pixel. The tutorial loop gets the smallest number of paths at which its
PSNR reaches ours; its time at BlenderProc's default of 1,024 paths is printed as well.
Blender's start and the first image of each environment are not timed, in either loop.

"in Cycles" is the share of our loop's CPU time between entering and leaving Cycles' own functions
(copying the scene to it, building its trees, tracing, denoising). What any loop around Cycles could
gain is the rest; what the ratio can reach at most is the tutorial's time over our time in Cycles.

`--read` compares reading a rendered dataset image by image, in random order, with a NumPy
memory-map of one of its shards; `--memory` shows what one process keeps over many images.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recombine.renderer.blender.worker import start_worker
from recombine.renderer.core.types import Array
from recombine.renderer.planning.blocks import block_of
from recombine.renderer.presets.table import load_preset
from recombine.renderer.scenes.library import ENVIRONMENTS
from recombine.renderer.scenes.scene import RenderSettings, Scene, scene_of

CHOICES = (2, 4, 6, 8, 9, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128)
DEFAULT_PATHS = 1024


def scenes(count: int) -> list[Scene]:
    """Return scenes of two objects each, every one under a camera and surroundings of its own."""
    preset = load_preset("object-texture-pair")
    rng = np.random.Generator(np.random.Philox(0))
    out = []
    for number in range(count):
        block = block_of(preset, "train", number)
        codes = dict(
            zip(
                preset.schema.recombined,
                rng.integers(preset.schema.cell_shape).tolist(),
                strict=True,
            )
        )
        latents = block.latents(codes, 0)
        latents["background.environment"] = number % len(ENVIRONMENTS)
        out.append(scene_of(preset.schema, dict(preset.constants), latents, number))
    return out


def plain(radiance: Array) -> Array:
    """Encode radiance as 8-bit sRGB without a tone curve, as Blender's "Standard" view does."""
    from recombine.renderer.blender.tonemap import srgb

    return (srgb(radiance) * 255 + 0.5).astype(np.uint8)


def psnr(pictures: list[Array], references: list[Array]) -> float:
    """Return the mean peak signal-to-noise ratio, dB."""
    error = [
        np.mean((a.astype(float) - b.astype(float)) ** 2)
        for a, b in zip(pictures, references, strict=True)
    ]
    return float(np.mean(10 * np.log10(255**2 / np.array(error))))


def linear(pictures: list[Scene], settings: RenderSettings) -> list[Array]:
    """Draw scenes by our loop and return them without tone curve (not timed)."""
    from recombine.renderer.blender.draw import render_radiance

    return [plain(render_radiance(scene, settings)) for scene in pictures]


@dataclass
class Stopwatch:
    """CPU time inside Cycles' own functions."""

    inside: float = 0.0

    def watch(self) -> None:
        """Wrap the four entries through which Blender drives Cycles."""
        engine = importlib.import_module("cycles.engine")
        for name in ("create", "reset", "render", "free"):
            setattr(engine, name, self._timed(getattr(engine, name)))

    def _timed(self, function: Any) -> Any:
        def timed(*args: Any) -> Any:
            before = time.process_time()
            try:
                return function(*args)
            finally:
                self.inside += time.process_time() - before

        return timed


def ours(pictures: list[Scene], settings: RenderSettings) -> tuple[float, float]:
    """Return CPU-seconds per image of our loop, storage included, and those inside Cycles."""
    import h5py

    from recombine.renderer.blender.draw import render_scene

    for scene in pictures[: len(ENVIRONMENTS)]:
        render_scene(scene, replace(settings, samples=1))
    stopwatch = Stopwatch()
    stopwatch.watch()
    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        drawn = [render_scene(scene, settings) for scene in pictures]
        with h5py.File(Path(folder) / "ours.h5", "w") as file:
            for field in ("image", "mask", "depth", "normal"):
                stack = np.stack([getattr(r, field) for r in drawn])
                packed: dict[str, Any] = {"compression": 1, "shuffle": True}
                packed["chunks"] = (1, *stack.shape[1:])
                file.create_dataset(field, data=stack, **({} if field == "image" else packed))
        spent = time.process_time() - before
    return spent / len(pictures), stopwatch.inside / len(pictures)


class Tutorial:
    """The loop of BlenderProc's examples, in a process of its own."""

    def __init__(self, settings: RenderSettings) -> None:
        from recombine.renderer.blender import draw
        from recombine.renderer.blender.api import bproc, bpy

        self.bproc, self.bpy = bproc, bpy
        bproc.writer = importlib.import_module("blenderproc.api.writer")
        self.stage, self.settings = draw._stage(), replace(settings, denoise=False)
        render = bpy.context.scene.render
        render.use_compositing = render.use_persistent_data = True  # BlenderProc's choice
        bproc.renderer.set_noise_threshold(0.01)
        bproc.renderer.set_output_format("PNG", view_transform="Standard")
        bproc.renderer.enable_depth_output(activate_antialiasing=False)
        bproc.renderer.enable_normals_output()
        bproc.renderer.enable_segmentation_output(map_by=["instance"])
        bproc.renderer.set_denoiser("INTEL")

    def draw(self, scene: Scene, paths: int, folder: str) -> Array:
        """Draw and store one scene; return its colours."""
        self.bproc.utility.reset_keyframes()
        self.stage.configure(replace(self.settings, samples=paths))
        self.stage.arrange(scene, self.settings.resolution)
        pose = self.bpy.context.scene.camera.matrix_world.copy()
        self.bproc.camera.add_camera_pose(pose)
        data = self.bproc.renderer.render()
        self.bproc.writer.write_hdf5(folder, data, append_to_existing_output=True)
        return np.asarray(data["colors"][0])[..., :3]

    def run(self, pictures: list[Scene], paths: int) -> tuple[float, list[Array]]:
        """Return CPU-seconds per image and the images."""
        with tempfile.TemporaryDirectory() as folder:
            before = time.process_time()
            drawn = [self.draw(scene, paths, folder) for scene in pictures]
            return (time.process_time() - before) / len(pictures), drawn


def tutorial(
    pictures: list[Scene], settings: RenderSettings, references: list[Array], goal: float
) -> dict[str, float]:
    """Return paths, PSNR and seconds of the tutorial loop at equal quality and at its default."""
    from recombine.renderer.blender import session

    with session.quiet():
        loop = Tutorial(settings)
        loop.run(pictures[: len(ENVIRONMENTS)], 1)
        for paths in CHOICES:
            quality = psnr(loop.run(pictures[: len(references)], paths)[1], references)
            if quality >= goal:
                break
        seconds = loop.run(pictures, paths)[0]
        default = loop.run(pictures[: len(references)], DEFAULT_PATHS)[0]
    return {"paths": paths, "psnr": quality, "seconds": seconds, "default": default}


def fresh(function: Any, *args: Any) -> Any:
    """Run a function in a Blender process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=start_worker) as pool:
        return pool.submit(function, *args).result()


def row(size: int, arguments: argparse.Namespace) -> str:
    """Measure both loops at one size and return a line of the table."""
    pictures = scenes(max(arguments.images, arguments.references))
    compared = pictures[: arguments.references]
    settings = RenderSettings(size, arguments.samples, denoise=True)
    # Another seed, so that a reference shares no paths with what it judges.
    others = [replace(scene, cycles_seed=scene.cycles_seed + 10_000) for scene in compared]
    reference = replace(settings, samples=arguments.reference, denoise=False)
    references = fresh(linear, others, reference)
    quality = psnr(fresh(linear, compared, settings), references)
    seconds, inside = fresh(ours, pictures, settings)
    theirs = fresh(tutorial, pictures, settings, references, quality)
    return (
        f"{size:>5}{arguments.samples:>7}{quality:>8.2f}{seconds:>9.3f}{inside / seconds:>11.1%}"
        f"{int(theirs['paths']):>10}{theirs['psnr']:>8.2f}{theirs['seconds']:>9.3f}"
        f"{theirs['seconds'] / seconds:>8.1f}{theirs['seconds'] / inside:>8.1f}"
        f"{theirs['default'] / seconds:>9.1f}"
    )


def memory(count: int, size: int = 64) -> list[str]:
    """Draw many scenes in one process; return its resident memory on the way, as lines."""
    from recombine.renderer.blender.draw import render_scene
    from recombine.renderer.rendering.pool import resident_memory

    lines = []
    for number, scene in enumerate(scenes(count), start=1):
        render_scene(scene, RenderSettings(size, 4, denoise=True))
        if number % max(count // 10, 1) == 0:
            lines.append(f"{number:>6} images: {resident_memory() / 2**20:.0f} MiB resident")
    return lines


def reading(folder: Path, count: int = 20_000) -> str:
    """Return images per CPU-second of our reader and of a memory-map, as a line."""
    from recombine.renderer.core.hdf5 import open_checked, stored
    from recombine.renderer.store.dataset import Dataset

    data = Dataset(folder)
    shard = folder / data.manifest["shards"][0]["file"]
    with open_checked(shard) as file:
        images = stored(file, "image")
        offset, shape = images.id.get_offset(), images.shape
    mapped = np.memmap(shard, np.uint8, "r", offset=offset, shape=shape)
    order = np.random.Generator(np.random.Philox(0)).integers(0, len(data), count)
    data.images(order[:100])
    rates = []
    for read in (data.image, lambda i: np.array(mapped[i % len(mapped)])):
        before = time.process_time()
        for index in order.tolist():
            read(index)
        rates.append(count / (time.process_time() - before))
    return f"reading, images per CPU-second: ours {rates[0]:.0f}, memory-map {rates[1]:.0f}"


def main() -> None:
    """Measure both loops and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 256], help="edges, px")
    parser.add_argument("--images", type=int, default=16, help="images per timed loop")
    parser.add_argument("--samples", type=int, default=8, help="paths per pixel of our loop")
    parser.add_argument("--reference", type=int, default=1024, help="paths of the references")
    parser.add_argument("--references", type=int, default=4, help="images that are compared")
    parser.add_argument("--read", type=Path, help="dataset folder for the reading figures")
    parser.add_argument("--memory", type=int, default=0, help="images for the memory figures")
    arguments = parser.parse_args()
    if arguments.sizes:
        print(f"{arguments.images} images, one thread; references: {arguments.references} x "
              f"{arguments.reference} paths; CPU-s per image")  # fmt: skip
        print(f"{'':5}{'ours':>24}{'':11}{'tutorial':>27}{'ratio':>8}{'at most':>8}{'default':>9}")
        print(f"{'px':>5}{'paths':>7}{'PSNR':>8}{'CPU-s':>9}{'in Cycles':>11}{'paths':>10}"
              f"{'PSNR':>8}{'CPU-s':>9}")  # fmt: skip
    for size in arguments.sizes:
        print(row(size, arguments), flush=True)
    if arguments.memory:
        print("\n".join(fresh(memory, arguments.memory)))
    if arguments.read:
        print(reading(arguments.read))


if __name__ == "__main__":
    main()
