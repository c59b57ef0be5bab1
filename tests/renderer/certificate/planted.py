"""Faults that a forger plants in a sound dataset, and the check that names each.

Everything is sealed again, hashes, digests and roots included, so that only content can tell; the
faults of files are those of a forger who did not.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from PIL import Image

from recombine.renderer.splits.special import INVERSE
from recombine.renderer.store.shards import shard_path
from tests.renderer.certificate.forging import ID_TEST, OOC, TRAIN, VAL, Forged, edit_json

RELATION, SMOKE = "relation", "smoke"
RENDERED = "rendered"
"""What drawn images are too plain for."""


class Fault(NamedTuple):
    """A fault of content, by the dataset that it is planted in and the check that names it."""

    plant: Callable[[Forged], None]
    check: str
    base: str = SMOKE


# Cells.


def held_out_scene_in_training(f: Forged) -> None:
    f.columns["split"][f.rows(OOC)[0]] = TRAIN
    f.columns["rungs"][f.rows(TRAIN)] = 1


def held_out_cell_in_validation(f: Forged) -> None:
    f.set_cell(f.rows(VAL)[0], f.rows(OOC)[0])


def held_out_relation_read_from_the_other_object(f: Forged) -> None:
    target, source = f.rows(TRAIN)[0], f.rows(OOC)[0]
    first, relation, second = (f.columns[k][source] for k in f.config["schema"]["recombined"])
    swapped = (second, INVERSE[int(relation)], first)
    # The other reading of the same scene is held out, too, but now no image of OOC shows it.
    for key, value in zip(f.config["schema"]["recombined"], swapped, strict=True):
        f.columns[key][target] = value
    shown = [f.columns[k] for k in f.config["schema"]["recombined"]]
    same = np.all([c == v for c, v in zip(shown, swapped, strict=True)], axis=0)
    f.keep(np.flatnonzero(~(same & (f.columns["split"] == OOC))))


def value_never_trained(f: Forged) -> None:
    shape, train = f.columns["object.shape"], f.rows(TRAIN)
    shape[train[shape[train] == 2]] = 1


def cell_over_by_one_in_test(f: Forged) -> None:
    rows = f.rows(OOC)
    f.set_cell(rows[0], rows[1])


def cell_over_by_one_in_training(f: Forged) -> None:
    rows = f.rows(TRAIN)
    f.set_cell(rows[0], rows[1])


def held_out_scene_as_test_scene(f: Forged) -> None:
    rows = f.rows(OOC)
    f.columns["split"][rows[f.columns["object.shape"][rows] == 0][0]] = ID_TEST


def known_cell_as_held_out(f: Forged) -> None:
    f.set_cell(f.rows(OOC)[0], f.rows(TRAIN)[0])


def disconnected_training_cells(f: Forged) -> None:
    shape, environment = f.columns["object.shape"], f.columns["background.environment"]
    train = f.rows(TRAIN)
    odd = train[(environment[train] - shape[train]) % 4 == 1]
    environment[odd] = shape[odd]


def hidden_object_in_training(f: Forged) -> None:
    train = f.rows(TRAIN)
    f.arrays["visible"][train[f.columns["object.shape"][train] == 3]] = 0.5


def equal_pairs_in_one_part(f: Forged) -> None:
    # Singles stay as frequent: two scenes exchange their second object.
    rows, second = f.rows(ID_TEST), f.columns["object1.shape"]
    first, relation = f.columns["object0.shape"], f.columns["scene.relation"]
    here = rows[relation[rows] == 0]
    a = here[0]
    b = next(r for r in here if second[r] == first[a])
    second[a], second[b] = second[b], second[a]


def place_that_goes_with_the_shape(f: Forged) -> None:
    rows, x = f.rows(OOC), f.columns["object0.x"]
    relation, shape = f.columns["scene.relation"], f.columns["object0.shape"]
    front, rear = (rows[(relation[rows] == r) & (shape[rows] == 1)] for r in (2, 3))
    other_front, other_rear = (rows[(relation[rows] == r) & (shape[rows] == 2)] for r in (2, 3))
    one, two = x[front[0]], x[rear[0]]
    x[front], x[rear], x[other_front], x[other_rear] = two, two, one, one


def places_that_belie_the_relation(f: Forged) -> None:
    rows = f.rows(OOC)
    rows = rows[f.columns["scene.relation"][rows] < 2]
    for axis in "xy":
        a, b = (f.columns[f"object{k}.{axis}"] for k in (0, 1))
        a[rows], b[rows] = b[rows], a[rows]


def shorter_rung(f: Forged) -> None:
    rungs, block, train = f.columns["rungs"], f.columns["block"], f.rows(TRAIN)
    wide = train[(rungs[train] & 4) > 0]
    rungs[wide[block[wide] == block[wide].max()]] &= 255 - 4


def rung_without_one_of_its_cells(f: Forged) -> None:
    rungs, train = f.columns["rungs"], f.rows(TRAIN)
    rungs[train[(rungs[train] & 4) > 0][0]] &= 255 - 4


def shuffled_labels_of_values(f: Forged) -> None:
    labels = f.config["split"]["labels"]["object.shape"]
    one, two, *_ = labels
    labels[one], labels[two] = labels[two], labels[one]


def residues_by_the_length_of_the_lists(f: Forged) -> None:
    f.config["split"]["modulus"] = 0


# Nuisances and blocks.


def nudge(f: Forged, step: float) -> None:
    f.columns["object.hue"][f.rows(OOC)] += step


def hue_other_by_a_millionth(f: Forged) -> None:
    nudge(f, 1e-6)


def hue_other_by_the_last_bit(f: Forged) -> None:
    hue, rows = f.columns["object.hue"], f.rows(OOC)
    hue[rows] = np.nextafter(hue[rows], 9)


def seed_other_by_one(f: Forged) -> None:
    f.columns["cycles_seed"][f.rows(OOC)] += 1


def hue_that_goes_with_the_shape(f: Forged) -> None:
    rows = np.concatenate([f.rows(ID_TEST), f.rows(OOC)])
    f.columns["object.hue"][rows[f.columns["object.shape"][rows] == 1]] += 0.01


def nuisances_of_training_in_the_test(f: Forged) -> None:
    rows = np.concatenate([f.rows(ID_TEST), f.rows(OOC)])
    f.set_nuisances(rows[f.columns["block"][rows] == f.columns["block"][rows[0]]], f.rows(TRAIN)[0])


def nuisances_nearly_of_training_in_the_test(f: Forged) -> None:
    seed = f.columns["cycles_seed"].copy()
    nuisances_of_training_in_the_test(f)
    f.columns["cycles_seed"] = seed
    rows = np.concatenate([f.rows(ID_TEST), f.rows(OOC)])
    rows = rows[f.columns["block"][rows] == f.columns["block"][rows[0]]]
    for values in f.columns.values():
        if values.dtype.kind == "f":
            values[rows] += 1e-9


def validation_block_with_nuisances_of_the_test(f: Forged) -> None:
    f.set_nuisances(f.rows(VAL), f.rows(ID_TEST)[0])


def permuted_blocks_of_one_part(f: Forged) -> None:
    block, rows = f.columns["block"], f.rows(OOC)
    names = np.unique(block[rows])
    assert len(names) > 1
    block[rows] = np.roll(names, 1)[np.searchsorted(names, block[rows])]


def block_with_two_names(f: Forged) -> None:
    f.columns["block"][f.rows(TRAIN)[:4]] += 500_000


def two_blocks_with_one_name(f: Forged) -> None:
    block, rows = f.columns["block"], f.rows(TRAIN)
    names = np.unique(block[rows])
    block[rows[block[rows] == names[1]]] = names[0]


def test_block_of_one_part_only(f: Forged) -> None:
    block, rows = f.columns["block"], f.rows(OOC)
    f.keep(np.setdiff1d(np.arange(len(block)), rows[block[rows] == block[rows].max()]))


# Pixels.


def each_ooc(f: Forged, change: Callable[[Any], Any]) -> None:
    images = f.arrays["image"]
    for row in f.rows(OOC):
        images[row] = change(images[row])


def black_images(f: Forged) -> None:
    # One level in one pixel tells them apart, so that no two are equal.
    f.arrays["image"][f.rows(OOC), :, 1:] = 0


def brighter_images(f: Forged) -> None:
    each_ooc(f, lambda image: np.clip(image.astype(int) + 1, 0, 255))


def recoded_images(f: Forged) -> None:
    def recoded(image: Any) -> Any:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=95)
        return np.array(Image.open(file))

    each_ooc(f, recoded)


def mirrored_images(f: Forged) -> None:
    each_ooc(f, lambda image: image[:, ::-1].copy())


def marked_images(f: Forged) -> None:
    f.arrays["image"][f.rows(OOC), 3, 4] = (255, 0, 255)


def noisy_images(f: Forged) -> None:
    rng = np.random.default_rng(0)
    each_ooc(f, lambda image: np.clip(image + rng.integers(-3, 4, image.shape), 0, 255))


def grey_images(f: Forged) -> None:
    each_ooc(f, lambda image: np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1))


def shuffled_images(f: Forged) -> None:
    rows = f.rows(OOC)
    f.arrays["image"][rows] = f.arrays["image"][np.roll(rows, 3)]


def images_of_the_other_part(f: Forged) -> None:
    ids, rows = f.rows(ID_TEST), f.rows(OOC)
    n = min(len(ids), len(rows))
    image = f.arrays["image"]
    image[rows[:n]], image[ids[:n]] = image[ids[:n]], image[rows[:n]].copy()


def images_of_the_other_relation(f: Forged) -> None:
    rows, relation = f.rows(OOC), f.columns["scene.relation"]
    left, right = (rows[relation[rows] == code] for code in (0, 1))
    image = f.arrays["image"]
    image[left], image[right] = image[right], image[left].copy()


def images_without_their_objects(f: Forged) -> None:
    image, mask = f.arrays["image"], f.arrays["mask"]
    for row in f.rows(OOC):
        background = np.median(image[row][mask[row] == 0], axis=0)
        image[row][mask[row] > 0] = background


def images_with_other_objects(f: Forged) -> None:
    # Surroundings stay; each object is where another of the same surroundings is.
    image, mask = f.arrays["image"], f.arrays["mask"]
    for row in f.rows(OOC):
        background = np.median(image[row][mask[row] == 0], axis=0).astype(np.uint8)
        moved = np.roll(image[row], 5, axis=1)
        there = np.roll(mask[row] > 0, 5, axis=1)
        image[row][mask[row] > 0] = background
        image[row][there] = moved[there]


def copied_image(f: Forged) -> None:
    f.arrays["image"][f.rows(OOC)[0]] = f.arrays["image"][0]


# Masks, depth, normals, visibility.


def emptied_masks(f: Forged) -> None:
    f.arrays["mask"][f.rows(OOC)] = 0


def exchanged_masks(f: Forged) -> None:
    mask, rows = f.arrays["mask"], f.rows(OOC)
    mask[rows] = np.array([0, 2, 1], np.uint8)[mask[rows]]


def grown_mask(f: Forged) -> None:
    mask, row = f.arrays["mask"], f.rows(OOC)[0]
    mask[row] |= np.roll(mask[row], 1, axis=0)


def moved_masks(f: Forged) -> None:
    rows = f.rows(OOC)
    for name in ("mask", "depth"):
        f.arrays[name][rows] = np.roll(f.arrays[name][rows], 6, axis=1)


def mirrored_annotations(f: Forged) -> None:
    rows = f.rows(OOC)
    for name in ("mask", "depth", "normal"):
        f.arrays[name][rows] = f.arrays[name][rows][:, :, ::-1]


def halved_visibility(f: Forged) -> None:
    f.arrays["visible"][f.rows(OOC)] /= 2


def doubled_amodal_area(f: Forged) -> None:
    f.arrays["amodal"][f.rows(OOC)] *= 2


def depth(f: Forged, value: float) -> None:
    rows = f.rows(OOC)
    f.arrays["depth"][rows] = np.where(f.arrays["mask"][rows] > 0, value, f.arrays["depth"][rows])


def depth_that_is_no_number(f: Forged) -> None:
    depth(f, np.nan)


def depth_behind_the_camera(f: Forged) -> None:
    depth(f, -2.0)


def depth_of_something_else(f: Forged) -> None:
    depth(f, 20.0)


def depth_in_other_units(f: Forged) -> None:
    f.arrays["depth"] *= 3


def boxes_of_something_else(f: Forged) -> None:
    f.arrays["box_2d"][f.rows(OOC), :, 0] += 1


def mask_beyond_its_whole(f: Forged) -> None:
    whole = f.arrays["amodal_mask"]
    whole[f.rows(OOC)] = np.roll(whole[f.rows(OOC)], 2, axis=1)


def normals_of_no_length(f: Forged) -> None:
    f.arrays["normal"][f.rows(OOC)] //= 2


CONTENT: list[Fault] = [
    Fault(held_out_scene_in_training, "no-leak"),
    Fault(held_out_cell_in_validation, "no-leak"),
    Fault(held_out_relation_read_from_the_other_object, "closure", RELATION),
    Fault(value_never_trained, "coverage"),
    Fault(cell_over_by_one_in_test, "balance"),
    Fault(cell_over_by_one_in_test, "accounting"),
    Fault(cell_over_by_one_in_training, "accounting"),
    Fault(held_out_scene_as_test_scene, "balance"),
    Fault(known_cell_as_held_out, "novelty"),
    Fault(disconnected_training_cells, "additive-rank"),
    Fault(hidden_object_in_training, "exposure"),
    Fault(equal_pairs_in_one_part, "tuples", RELATION),
    Fault(place_that_goes_with_the_shape, "tuples", RELATION),
    Fault(places_that_belie_the_relation, "arrangement", RELATION),
    Fault(shorter_rung, "accounting", RELATION),
    Fault(rung_without_one_of_its_cells, "accounting", RELATION),
    Fault(shuffled_labels_of_values, "stability"),
    Fault(residues_by_the_length_of_the_lists, "stability"),
    Fault(hue_other_by_a_millionth, "nuisances"),
    Fault(hue_other_by_the_last_bit, "nuisances"),
    Fault(seed_other_by_one, "nuisances"),
    Fault(hue_that_goes_with_the_shape, "nuisances"),
    Fault(nuisances_of_training_in_the_test, "separation"),
    Fault(nuisances_nearly_of_training_in_the_test, "separation"),
    Fault(validation_block_with_nuisances_of_the_test, "blocks"),
    Fault(permuted_blocks_of_one_part, "blocks"),
    Fault(block_with_two_names, "blocks"),
    Fault(two_blocks_with_one_name, "blocks"),
    Fault(test_block_of_one_part_only, "blocks"),
    Fault(black_images, "surroundings"),
    Fault(brighter_images, "surroundings"),
    Fault(recoded_images, "surroundings", RENDERED),
    Fault(mirrored_images, "surroundings"),
    Fault(marked_images, "surroundings"),
    Fault(noisy_images, "surroundings"),
    Fault(grey_images, "surroundings"),
    Fault(shuffled_images, "surroundings"),
    Fault(images_of_the_other_part, "surroundings"),
    Fault(images_of_the_other_relation, "surroundings", RELATION),
    Fault(images_without_their_objects, "surroundings"),
    Fault(images_with_other_objects, "surroundings"),
    Fault(copied_image, "separation"),
    Fault(emptied_masks, "labels"),
    Fault(exchanged_masks, "labels", RELATION),
    Fault(grown_mask, "labels"),
    Fault(moved_masks, "labels"),
    Fault(mirrored_annotations, "labels"),
    Fault(halved_visibility, "labels"),
    Fault(doubled_amodal_area, "labels"),
    Fault(depth_that_is_no_number, "labels"),
    Fault(depth_behind_the_camera, "labels"),
    Fault(depth_of_something_else, "labels"),
    Fault(depth_in_other_units, "labels"),
    Fault(normals_of_no_length, "labels"),
    Fault(boxes_of_something_else, "labels"),
    Fault(mask_beyond_its_whole, "labels"),
]


# What verification cannot see without drawing again; `proves` in the certificate says so.


def wrong_material_on_the_right_silhouette(f: Forged) -> None:
    image, mask = f.arrays["image"], f.arrays["mask"]
    for row in f.rows(OOC):
        image[row][mask[row] > 0] = image[row][mask[row] > 0][:, ::-1]


def all_images_brighter(f: Forged) -> None:
    f.arrays["image"] = np.clip(f.arrays["image"].astype(int) + 1, 0, 255).astype(np.uint8)


def training_images_brighter(f: Forged) -> None:
    rows = f.rows(TRAIN)
    f.arrays["image"][rows] += 1


def pixel_on_the_object(f: Forged) -> None:
    for row in f.rows(OOC):
        y, x = np.argwhere(f.arrays["mask"][row] > 0)[0]
        f.arrays["image"][row, y, x] = (255, 0, 255)


UNSEEN: list[Fault] = [
    Fault(wrong_material_on_the_right_silhouette, "redraw"),
    Fault(all_images_brighter, "redraw"),
    Fault(training_images_brighter, "redraw"),
    Fault(pixel_on_the_object, "redraw"),
]


# Faults of files, without the seals that would hide them.


def first_shard(folder: Path) -> Path:
    return shard_path(folder, 0)


def edit(folder: Path, name: str, change: Callable[[Any], Any], path: Path | None = None) -> None:
    with h5py.File(path or first_shard(folder), "r+") as handle:
        handle[name][3] = change(handle[name][3])


def edited_pixel(folder: Path) -> None:
    edit(folder, "image", lambda image: image ^ 1)


def edited_mask(folder: Path) -> None:
    edit(folder, "mask", lambda mask: mask ^ 1)


def edited_latent(folder: Path) -> None:
    edit(folder, "latents/object.hue", lambda hue: hue / 2)


def edited_spec_hash(folder: Path) -> None:
    edit(folder, "spec_hash", lambda spec: spec ^ 1)


def edited_split(folder: Path) -> None:
    edit(folder, "split", lambda _: VAL)


def edited_plan_column(folder: Path) -> None:
    edit(folder, "latents/object.hue", lambda hue: hue / 2, folder / "plan.h5")


def plan_config(folder: Path, old: str, new: str) -> None:
    with h5py.File(folder / "plan.h5", "r+") as handle:
        config = str(handle.attrs["config"])
        assert old in config
        handle.attrs["config"] = config.replace(old, new)


def permuted_names_in_the_plan(folder: Path) -> None:
    plan_config(folder, '["pawn", "pumpkin"', '["pumpkin", "pawn"')


def edited_sizes_in_the_plan(folder: Path) -> None:
    plan_config(folder, '"cells": 0', '"cells": 8')


def edited_tier_in_the_plan(folder: Path) -> None:
    plan_config(folder, '"tier": "train"', '"tier": "exact"')


def truncated_shard(folder: Path) -> None:
    content = first_shard(folder).read_bytes()
    first_shard(folder).write_bytes(content[: len(content) // 2])


def grown_shard(folder: Path) -> None:
    with first_shard(folder).open("ab") as file:
        file.write(b"more")


def flipped_bit(folder: Path) -> None:
    content = bytearray(first_shard(folder).read_bytes())
    content[len(content) // 2] ^= 4
    first_shard(folder).write_bytes(bytes(content))


def missing_shard(folder: Path) -> None:
    first_shard(folder).unlink()


def exchanged_shards(folder: Path) -> None:
    middle = folder / "middle"
    first_shard(folder).rename(middle)
    shard_path(folder, 1).rename(first_shard(folder))
    middle.rename(shard_path(folder, 1))


def shard_twice(folder: Path) -> None:
    shutil.copy(first_shard(folder), shard_path(folder, 1))


def shard_of_nothing(folder: Path) -> None:
    first_shard(folder).unlink()
    os.mkfifo(first_shard(folder))


def column_that_tells_the_split(folder: Path) -> None:
    with h5py.File(first_shard(folder), "r+") as handle:
        handle["secret"] = np.asarray(handle["split"])


def data_in_another_file(folder: Path) -> None:
    with h5py.File(first_shard(folder), "r+") as handle:
        del handle["image"]
        handle["image"] = h5py.ExternalLink(str(shard_path(folder, 1)), "/image")


FILES: list[tuple[Callable[[Path], None], str]] = [
    (edited_pixel, "pixels"),
    (edited_mask, "annotations"),
    (edited_latent, "latents"),
    (edited_spec_hash, "latents"),
    (edited_split, "seal"),
    (edited_plan_column, "files"),
    (permuted_names_in_the_plan, "plan"),
    (edited_sizes_in_the_plan, "plan"),
    (edited_tier_in_the_plan, "plan"),
    (truncated_shard, "files"),
    (grown_shard, "files"),
    (flipped_bit, "files"),
    (missing_shard, "files"),
    (exchanged_shards, "files"),
    (shard_twice, "files"),
    (shard_of_nothing, "files"),
    (column_that_tells_the_split, "files"),
    (data_in_another_file, "files"),
]


# Faults of what a dataset says about itself: the certificate and the manifest, after verification.


def certificate(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    edit_json(folder / "certificate.json", change)


def empty_certificate(folder: Path) -> None:
    certificate(folder, lambda c: c.update(checks=[]))


def idle_certificate(folder: Path) -> None:
    certificate(folder, lambda c: [check.update(status="not run") for check in c["checks"]])


def certificate_without_a_check(folder: Path) -> None:
    certificate(
        folder, lambda c: c.update(checks=[k for k in c["checks"] if k["name"] != "tuples"])
    )


def certificate_with_an_unknown_status(folder: Path) -> None:
    certificate(folder, lambda c: c["checks"][3].update(status="probably"))


def certificate_of_the_old_format(folder: Path) -> None:
    certificate(folder, lambda c: c.update(format="recombine.certificate/1"))


def certificate_of_another_manifest(folder: Path) -> None:
    certificate(folder, lambda c: c.update(manifest_sha256="0" * 64))


def certificate_of_another_root(folder: Path) -> None:
    certificate(folder, lambda c: c.update(root="0" * 64))


def truncated_certificate(folder: Path) -> None:
    path = folder / "certificate.json"
    path.write_bytes(path.read_bytes()[:200])


def other_licence(folder: Path) -> None:
    edit_json(folder / "manifest.json", lambda m: m.update(license="none at all"))


def other_provenance(folder: Path) -> None:
    edit_json(folder / "manifest.json", lambda m: m.update(provenance={"bpy": "9.9"}))


SAID: list[tuple[Callable[[Path], None], str]] = [
    (empty_certificate, "at least 1 item"),
    (idle_certificate, "lacks files"),
    (certificate_without_a_check, "lacks tuples"),
    (certificate_with_an_unknown_status, "got 'probably'"),
    (certificate_of_the_old_format, "expected the format"),
    (certificate_of_another_manifest, r"does not match the files \(manifest.json"),
    (certificate_of_another_root, r"does not match the files \(manifest.json"),
    (truncated_certificate, "expected JSON"),
    (other_licence, r"does not match the files \(manifest.json"),
    (other_provenance, r"does not match the files \(manifest.json"),
]
