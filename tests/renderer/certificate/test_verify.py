from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.planning.planner import make_plan
from recombine.renderer.presets.table import load_preset
from recombine.renderer.scenes.scene import LABELS, scene_hash, scene_of
from recombine.renderer.store.seal import write_manifest
from recombine.renderer.store.shards import label_hash, pixel_hash, shard_path, shard_ranges
from tests.renderer.drawn_fixture import drawn_dataset

pytestmark = pytest.mark.long

PLAN = make_plan(load_preset("smoke", scale=0.07, resolution=16))
RANGES = shard_ranges(len(PLAN), 20)
TRAIN, OOC = 0, 3


def shard(folder: Path, number: int = 1) -> Path:
    return shard_path(folder, number)


def edit(folder: Path, column: str, row: int, value: object, number: int = 1) -> None:
    with h5py.File(shard(folder, number), "r+") as handle:
        handle[column][row] = value


def set_everywhere(folder: Path, column: str, index: int, value: object) -> None:
    """Edit plan and shard alike, as a careful forger would."""
    edit(folder, column, index % 20, value, index // 20)
    with h5py.File(folder / "plan.h5", "r+") as handle:
        handle[column][index] = value


def forge(folder: Path) -> None:
    """Recompute every hash and seal again, so that only the content can give it away."""
    for number in range(len(RANGES)):
        with h5py.File(shard(folder, number), "r+") as handle:
            for row in range(len(handle["index"])):
                latents = {k: handle[f"latents/{k}"][row] for k in PLAN.schema.keys}
                seed = int(handle["cycles_seed"][row])
                scene = scene_of(PLAN.schema, PLAN.config["constants"], latents, seed)
                spec = bytes.fromhex(scene_hash(scene, PLAN.settings))
                handle["spec_hash"][row] = np.frombuffer(spec, np.uint8)
                pixels = np.frombuffer(pixel_hash(handle["image"][row]), np.uint8)
                handle["pixel_hash"][row] = pixels
                labels = label_hash({n: handle[n][row] for n in LABELS})
                handle["label_hash"][row] = np.frombuffer(labels, np.uint8)
    write_manifest(
        folder,
        dataset=PLAN.dataset,
        plan_sha256=PLAN.digest(),
        shards=[(shard(folder, n), r) for n, r in enumerate(RANGES)],
        provenance={},
    )


def outcome(folder: Path) -> dict[str, tuple[str, str]]:
    return {c.name: (c.status, c.found) for c in verify(folder).checks}


def first(split: int) -> int:
    return int(np.flatnonzero(PLAN.split == split)[0])


def test_sound_dataset_passes_every_check(sealed: Path) -> None:
    certificate = verify(sealed)
    assert certificate.passed, [c for c in certificate.checks if c.status != "pass"]
    assert json.loads((sealed / "certificate.json").read_text())["passed"] is True


def test_resealing_unchanged_data_keeps_the_root(sealed: Path) -> None:
    before = verify(sealed).root
    forge(sealed)
    after = verify(sealed)
    assert after.passed
    assert after.root == before


def test_root_does_not_depend_on_the_shard_size(sealed: Path, tmp_path: Path) -> None:
    drawn_dataset(tmp_path / "other", shard_size=7)
    assert verify(tmp_path / "other").root == verify(sealed).root


def edited_latent(folder: Path) -> None:
    edit(folder, "latents/object.x", 3, 0.123)


def edited_pixel(folder: Path) -> None:
    with h5py.File(shard(folder), "r+") as handle:
        handle["image"][3, 5, 5, 1] ^= 1


def edited_mask(folder: Path) -> None:
    with h5py.File(shard(folder), "r+") as handle:
        handle["mask"][3, 5, 5] ^= 1


def moved_into_train(folder: Path) -> None:
    index = first(OOC)
    edit(folder, "split", index % 20, TRAIN, index // 20)


def truncated(folder: Path) -> None:
    content = shard(folder).read_bytes()
    shard(folder).write_bytes(content[: len(content) // 2])


def missing(folder: Path) -> None:
    shard(folder).unlink()


def foreign(folder: Path) -> None:
    other = folder.parent / "foreign"
    drawn_dataset(other, scale=0.1)
    shutil.copy(shard(other), shard(folder))


def swapped(folder: Path) -> None:
    middle = folder / "swap"
    shard(folder, 0).rename(middle)
    shard(folder, 1).rename(shard(folder, 0))
    middle.rename(shard(folder, 1))


def flipped_bit(folder: Path) -> None:
    content = bytearray(shard(folder).read_bytes())
    content[len(content) // 2] ^= 4
    shard(folder).write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "check", "reason"),
    [
        (edited_latent, "latents", "image 23: latents do not match"),
        (edited_pixel, "pixels", "image 23: pixels do not match"),
        (edited_mask, "annotations", "image 23: annotations do not match"),
        (moved_into_train, "seal", "sealed"),
        (truncated, "files", "is truncated"),
        (missing, "files", "is missing"),
        (foreign, "files", "belongs to another dataset"),
        (swapped, "files", "does not match its sha256"),
        (flipped_bit, "files", "does not match its sha256"),
    ],
)
def test_planted_damage_is_named(
    sealed: Path, damage: Callable[[Path], None], check: str, reason: str
) -> None:
    damage(sealed)
    status, found = outcome(sealed)[check]
    assert status == "fail"
    assert reason in found


def test_leak_is_named_even_before_the_seal(sealed: Path) -> None:
    moved_into_train(sealed)
    status, found = outcome(sealed)["no-leak"]
    assert status == "fail"
    assert "of id_train shows the held-out" in found


# Forgeries: every hash is recomputed, so only the invariant itself can notice.


def leak(folder: Path) -> None:
    set_everywhere(folder, "split", first(OOC), TRAIN)


def unseen_value(folder: Path) -> None:
    shape = PLAN.latents["object.shape"]
    for i in np.flatnonzero((PLAN.split == TRAIN) & (shape == 2)):
        set_everywhere(folder, "latents/object.shape", int(i), 1)


def tilted_test(folder: Path) -> None:
    rows = np.flatnonzero((PLAN.split == OOC) & (PLAN.latents["object.shape"] == 0))
    set_everywhere(folder, "split", int(rows[0]), 2)


def other_nuisance(folder: Path) -> None:
    set_everywhere(folder, "latents/object.hue", first(OOC), 1.5)


def known_cell_as_ooc(folder: Path) -> None:
    cell = PLAN.latents["background.environment"][first(TRAIN)]
    shape = PLAN.latents["object.shape"][first(TRAIN)]
    set_everywhere(folder, "latents/background.environment", first(OOC), cell)
    set_everywhere(folder, "latents/object.shape", first(OOC), shape)


def disconnected(folder: Path) -> None:
    # Residue 1 of the training cells becomes residue 0: one-to-one pairs only.
    shape, env = PLAN.latents["object.shape"], PLAN.latents["background.environment"]
    for i in np.flatnonzero((PLAN.split == TRAIN) & ((env - shape) % 4 == 1)):
        set_everywhere(folder, "latents/background.environment", int(i), int(shape[i]))


def hidden_value(folder: Path) -> None:
    shape = PLAN.latents["object.shape"]
    for i in np.flatnonzero((PLAN.split == TRAIN) & (shape == 3)):
        edit(folder, "visible", int(i) % 20, 0.5, int(i) // 20)


def copied_image(folder: Path) -> None:
    with h5py.File(shard(folder, 0), "r") as handle:
        pixels = handle["image"][0]
    index = first(OOC)
    edit(folder, "image", index % 20, pixels, index // 20)


def uneven_cells(folder: Path) -> None:
    set_everywhere(folder, "split", first(TRAIN), 1)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (leak, "no-leak"),
        (unseen_value, "coverage"),
        (tilted_test, "balance"),
        (other_nuisance, "nuisances"),
        (known_cell_as_ooc, "novelty"),
        (disconnected, "additive-rank"),
        (hidden_value, "exposure"),
        (copied_image, "separation"),
        (uneven_cells, "accounting"),
    ],
)
def test_each_invariant_catches_its_own_forgery(
    sealed: Path, fault: Callable[[Path], None], check: str
) -> None:
    fault(sealed)
    forge(sealed)
    found = outcome(sealed)
    assert found[check][0] == "fail", found
    assert found["pixels"][0] == found["latents"][0] == found["seal"][0] == "pass"


def test_unfinished_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Finish it with `recombine render`"):
        verify(tmp_path)
