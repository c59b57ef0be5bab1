"""CPU-seconds per image: this project's render loop beside a loop in BlenderProc's own style.

    python benchmarks/render.py --size 128 --images 16

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
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recombine.renderer.blender.worker import start_worker
from recombine.renderer.library import ENVIRONMENTS, MATERIALS, PLACEMENT, SHAPES
from recombine.renderer.scene import ObjectSpec, RenderSettings, Scene

CHOICES = (2, 4, 6, 8, 9, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128)
DEFAULT_PATHS = 1024


def scenes(count: int) -> list[Scene]:
    """Return scenes of two objects each, through all environments in turn."""
    rng = np.random.Generator(np.random.Philox(0))
    out = []
    for i in range(count):
        names = rng.choice(len(SHAPES), 2, replace=False)
        things = tuple(
            ObjectSpec(
                SHAPES[n],
                MATERIALS[int(rng.integers(len(MATERIALS)))],
                x=side * float(rng.uniform(0.45, PLACEMENT["x"][1])),
                y=float(rng.uniform(*PLACEMENT["y"])),
                yaw=float(rng.uniform(0, 2 * np.pi)),
                scale=float(rng.uniform(*PLACEMENT["scale"])),
                hue=float(rng.uniform(0, 2 * np.pi)),
            )
            for n, side in zip(names, (-1, 1), strict=True)
        )
        out.append(Scene(things, ENVIRONMENTS[i % len(ENVIRONMENTS)], cycles_seed=i))
    return out


def plain(radiance: np.ndarray) -> np.ndarray:
    """Encode radiance as 8-bit sRGB without a tone curve, as Blender's "Standard" view does."""
    from recombine.renderer.blender.tonemap import srgb

    return (srgb(radiance) * 255 + 0.5).astype(np.uint8)


def psnr(pictures: list[np.ndarray], references: list[np.ndarray]) -> float:
    """Return the mean peak signal-to-noise ratio, dB."""
    error = [
        np.mean((a.astype(float) - b.astype(float)) ** 2)
        for a, b in zip(pictures, references, strict=True)
    ]
    return float(np.mean(10 * np.log10(255**2 / np.array(error))))


def linear(pictures: list[Scene], settings: RenderSettings) -> list[np.ndarray]:
    """Draw scenes by our loop and return them without tone curve (not timed)."""
    from recombine.renderer.blender.draw import render_radiance

    return [plain(render_radiance(scene, settings)) for scene in pictures]


def ours(pictures: list[Scene], settings: RenderSettings) -> float:
    """Return the CPU-seconds per image of our loop, storage included."""
    import h5py

    from recombine.renderer.blender.draw import render_scene

    for scene in pictures[: len(ENVIRONMENTS)]:
        render_scene(scene, replace(settings, samples=1))
    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        drawn = [render_scene(scene, settings) for scene in pictures]
        with h5py.File(Path(folder) / "ours.h5", "w") as file:
            for field in ("image", "mask", "depth", "normal"):
                stack = np.stack([getattr(r, field) for r in drawn])
                packed: dict[str, Any] = {"compression": 1, "shuffle": True}
                packed["chunks"] = (1, *stack.shape[1:])
                file.create_dataset(field, data=stack, **({} if field == "image" else packed))
        return (time.process_time() - before) / len(pictures)


class Tutorial:
    """The loop of BlenderProc's examples, in a process of its own."""

    def __init__(self, settings: RenderSettings) -> None:
        import importlib

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

    def draw(self, scene: Scene, paths: int, folder: str) -> np.ndarray:
        """Draw and store one scene; return its colours."""
        self.bproc.utility.reset_keyframes()
        self.stage.configure(replace(self.settings, samples=paths))
        self.stage.arrange(scene, self.settings.resolution)
        self.bproc.camera.add_camera_pose(self.bpy.context.scene.camera.matrix_world.copy())
        data = self.bproc.renderer.render()
        self.bproc.writer.write_hdf5(folder, data, append_to_existing_output=True)
        return np.asarray(data["colors"][0])[..., :3]

    def run(self, pictures: list[Scene], paths: int) -> tuple[float, list[np.ndarray]]:
        """Return CPU-seconds per image and the images."""
        with tempfile.TemporaryDirectory() as folder:
            before = time.process_time()
            drawn = [self.draw(scene, paths, folder) for scene in pictures]
            return (time.process_time() - before) / len(pictures), drawn


def tutorial(
    pictures: list[Scene], settings: RenderSettings, references: list[np.ndarray], goal: float
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


def main() -> None:
    """Measure both loops and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128, help="edge of the images, pixels")
    parser.add_argument("--images", type=int, default=16, help="images per timed loop")
    parser.add_argument("--samples", type=int, default=8, help="paths per pixel of our loop")
    parser.add_argument("--reference", type=int, default=1024, help="paths of the references")
    parser.add_argument("--references", type=int, default=4, help="images that are compared")
    arguments = parser.parse_args()
    pictures = scenes(max(arguments.images, arguments.references))
    compared = pictures[: arguments.references]
    settings = RenderSettings(arguments.size, arguments.samples, denoise=True)
    # Another seed, so that a reference shares no paths with what it judges.
    others = [replace(scene, cycles_seed=scene.cycles_seed + 10_000) for scene in compared]
    reference = replace(settings, samples=arguments.reference, denoise=False)
    references = fresh(linear, others, reference)
    quality = psnr(fresh(linear, compared, settings), references)
    seconds = fresh(ours, pictures, settings)
    theirs = fresh(tutorial, pictures, settings, references, quality)
    print(f"{arguments.size} px, {len(pictures)} images, one thread; references: "
          f"{len(references)} x {arguments.reference} paths")  # fmt: skip
    print(f"{'loop':24}{'paths':>6}{'PSNR dB':>9}{'CPU-s/image':>13}")
    print(f"{'ours':24}{arguments.samples:>6}{quality:>9.2f}{seconds:>13.3f}")
    print(f"{'tutorial, equal quality':24}{int(theirs['paths']):>6}{theirs['psnr']:>9.2f}"
          f"{theirs['seconds']:>13.3f}")  # fmt: skip
    print(f"{'tutorial, default paths':24}{DEFAULT_PATHS:>6}{'':>9}{theirs['default']:>13.3f}")
    print(f"ratio at equal quality: {theirs['seconds'] / seconds:.1f}; "
          f"against the default: {theirs['default'] / seconds:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
