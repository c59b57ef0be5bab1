"""Bad files: predictions, results, HDF5 shards. Each function makes one and feeds it in."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from attack_world import World, resealed
from safetensors.numpy import save_file

from recombine.benchmark.predictions.file import (
    FORMAT,
    Predictions,
    _content,
    read_predictions,
)
from recombine.benchmark.results.result import Result
from recombine.benchmark.scoring.score import score_predictions
from recombine.leaderboard.board.entries import load_entry
from recombine.renderer.core.hdf5 import open_checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recombine.renderer.core.types import Array


def raw_predictions(change: Callable[[bytes], bytes]) -> Callable[[World, Path], None]:
    """Return an attack that changes the bytes of a predictions file."""

    def attack(world: World, folder: Path) -> None:
        path = folder / "seed-0.safetensors"
        path.write_bytes(change(world.predictions.read_bytes()))
        read_predictions(path)

    return attack


def slots(
    change: Callable[[Array], Array], rows: slice = slice(None)
) -> Callable[[World, Path], None]:
    """Return an attack that writes a well-formed file with other answers, and scores it."""

    def attack(world: World, folder: Path) -> None:
        honest = read_predictions(world.predictions)
        bad = {step: change(array.copy())[rows] for step, array in honest.slots.items()}
        path = folder / "seed-0.safetensors"
        _write(path, replace(honest, image_index=honest.image_index[rows], slots=bad))
        score_predictions([path], world.data)

    return attack


def header(change: Callable[[dict[str, Any]], str]) -> Callable[[bytes], bytes]:
    """Return a change of the JSON header of a safetensors file."""

    def apply(content: bytes) -> bytes:
        end = 8 + int.from_bytes(content[:8], "little")
        text = change(json.loads(content[8:end])).encode()
        return len(text).to_bytes(8, "little") + text + content[end:]

    return apply


def twice(plain: dict[str, Any]) -> str:
    """Return a header that names a tensor twice: the last one would win."""
    text = json.dumps(plain)
    return text[:-1] + f', "image_index": {json.dumps(plain["image_index"])}}}'


def overlapping(plain: dict[str, Any]) -> str:
    """Return a header whose first tensor reads the bytes of another one."""
    plain["slots/0"]["data_offsets"] = [offset + 8 for offset in plain["slots/0"]["data_offsets"]]
    return json.dumps(plain)


def as_type(kind: str) -> Callable[[dict[str, Any]], str]:
    """Return a header change: the slots claim another number type."""

    def change(plain: dict[str, Any]) -> str:
        plain["slots/0"]["dtype"] = kind
        return json.dumps(plain)

    return change


def more_tensors(plain: dict[str, Any]) -> str:
    """Return a header with an empty tensor that nobody asked for."""
    end = max(v["data_offsets"][1] for k, v in plain.items() if k != "__metadata__")
    plain["labels"] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}
    return json.dumps(plain)


def serialised_code(content: bytes) -> bytes:
    """Return, in place of tensors, a program for the loader that others use for weights."""
    del content
    return b"cbuiltins\nexec\n(S'raise SystemExit(\"it ran\")'\ntR."


def linked_predictions(world: World, folder: Path) -> None:
    """Give a link to a file of the scorer's machine."""
    path = folder / "seed-0.safetensors"
    path.symlink_to(world.predictions)
    read_predictions(path)


def wrong_images(world: World, folder: Path) -> None:
    """Answer an image twice and leave another one out."""
    honest = read_predictions(world.predictions)
    index = honest.image_index.copy()
    index[1] = index[0]
    path = folder / "seed-0.safetensors"
    _write(path, replace(honest, image_index=index))
    score_predictions([path], world.data)


def other_data(world: World, folder: Path) -> None:
    """Submit the answers to other images."""
    honest = read_predictions(world.predictions)
    dataset = {**honest.facts.dataset, "identity": "0" * 64}
    path = folder / "seed-0.safetensors"
    _write(path, replace(honest, facts=replace(honest.facts, dataset=dataset)))
    score_predictions([path], world.data)


def same_seed_twice(world: World, folder: Path) -> None:
    """Submit one run as two seeds, for a shorter interval."""
    copy = folder / "seed-1.safetensors"
    copy.write_bytes(world.predictions.read_bytes())
    score_predictions([world.predictions, copy], world.data)


def edited_result(old: str, new: str) -> Callable[[World, Path], None]:
    """Return an attack that edits the text of a result file."""

    def attack(world: World, folder: Path) -> None:
        path = folder / "result.json"
        path.write_text(world.result.read_text().replace(old, new, 1))
        load_entry(path)

    return attack


def forged_result(change: Callable[[dict[str, Any]], None]) -> Callable[[World, Path], None]:
    """Return an attack that changes a result and seals it again."""

    def attack(world: World, folder: Path) -> None:
        plain = json.loads(world.result.read_text())
        change(plain)
        load_entry(resealed(world.result, folder / "result.json", **plain))

    return attack


def better_estimate(plain: dict[str, Any]) -> None:
    """Claim a score that the counts do not give."""
    plain["scores"]["ooc_test"]["estimate"] = 0.5


def invented_interval(plain: dict[str, Any]) -> None:
    """Claim an interval where one seed allows none."""
    plain["scores"]["ooc_test"] |= {"ci95": [0.9, 0.95], "lift": None, "lift_ci95": None}


def impossible_counts(plain: dict[str, Any]) -> None:
    """Claim more right answers than images."""
    plain["scores"]["ooc_test"]["hits"][0][0] = 10**6


def not_a_number(world: World, folder: Path) -> None:
    """Claim NaN, which other boards print."""
    path = folder / "result.json"
    estimate = Result.load(world.result).scores.ooc_test.estimate
    text = world.result.read_text().replace(f'"estimate": {estimate}', '"estimate": NaN')
    path.write_text(text)
    load_entry(path)


def huge_result(world: World, folder: Path) -> None:
    """Send a result file that fills the memory."""
    path = folder / "result.json"
    path.write_bytes(world.result.read_bytes() + b" " * 2**25)
    load_entry(path)


def external_link(world: World, folder: Path) -> None:
    """Link a dataset of a shard to the scorer's own file."""
    with h5py.File(folder / "labels.h5", "w") as handle:
        handle["cell"] = np.arange(4)
    with h5py.File(folder / "shard.h5", "w") as handle:
        handle["image"] = h5py.ExternalLink("labels.h5", "cell")
    _open(world, folder)


def virtual_dataset(world: World, folder: Path) -> None:
    """Build a dataset out of the scorer's own file."""
    with h5py.File(folder / "labels.h5", "w") as handle:
        handle["cell"] = np.arange(4)
    layout = h5py.VirtualLayout(shape=(4,), dtype="i8")
    layout[:] = h5py.VirtualSource(str(folder / "labels.h5"), "cell", shape=(4,))
    with h5py.File(folder / "shard.h5", "w") as handle:
        handle.create_virtual_dataset("image", layout)
    _open(world, folder)


def external_storage(world: World, folder: Path) -> None:
    """Keep a dataset's bytes in a file of the system."""
    with h5py.File(folder / "shard.h5", "w") as handle:
        handle.create_dataset("image", (16,), "u1", external=[("/etc/hostname", 0, 16)])
    _open(world, folder)


def sparse_dataset(world: World, folder: Path) -> None:
    """Claim 56 GB in a file of some kilobytes."""
    with h5py.File(folder / "shard.h5", "w") as handle:
        handle.create_dataset("image", (56_000, 1000, 1000), "u1", chunks=(1, 1000, 1000))
    _open(world, folder)


def _write(path: Path, predictions: Predictions) -> None:
    """Write what the package's own writer would refuse to write."""
    tensors: dict[str, Array] = {f"slots/{k}": v for k, v in predictions.slots.items()}
    tensors["image_index"] = predictions.image_index
    facts = json.dumps(asdict(predictions.facts))
    # Whoever forges a file can seal it too: its hash only tells damage.
    metadata = {"format": FORMAT, "run": facts, "content": _content(tensors, facts)}
    save_file(tensors, path, metadata=metadata)


def _open(world: World, folder: Path) -> None:
    del world
    open_checked(folder / "shard.h5").close()
