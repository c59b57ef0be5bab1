"""Random damage to the files of a dataset: each ends in a typed error, or changes nothing.

    python -m tests.renderer.fuzz --count 10000 --seed 0 --workers 2

Half of the mutations are sealed again, as a careful forger would, so that they reach the checks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import numpy as np

from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import RecombineError
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.seal import file_sha256
from recombine.renderer.store.shards import read_plan
from tests.renderer.drawn_fixture import drawn_dataset

LIMIT_S = 120  # a mutation that takes longer hangs
LIMIT_BYTES = 8 * 2**30  # one that takes more trusts what a file claims
Random = np.random.Generator
JSON_FILES = ("manifest.json", "certificate.json")


# JSON.

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    255,
    2**31,
    2**63,
    10**300,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "../x",
    "/etc/passwd",
    "\0",
    "\x1b[2J",
    "\ud800",
    "x" * 100_000,
    [],
    {},
    [[]],
    [0],
    {"x": 0},
    ["x"] * 10_000,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of every value inside some data."""
    entries = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def change_value(rng: Random, data: Any) -> Any:
    """Drop, rename, retype, nest, repeat or move one value of some data."""
    paths = list(places(data))
    if not paths:
        return VALUES[rng.integers(len(VALUES))]
    *way, last = paths[rng.integers(len(paths))]
    home = data
    for key in way:
        home = home[key]
    what = rng.integers(8)
    if what == 0:
        del home[last]
    elif what == 1 and isinstance(home, dict):
        home[f"{last} "] = home.pop(last)
    elif what == 2:
        home[last] = [home[last]]
    elif what == 3 and isinstance(home, list):
        home.append(home[last])
    elif what == 4 and isinstance(home, list):
        home.reverse()
    elif what == 5 and isinstance(home[last], int | float):
        home[last] = home[last] + int(rng.integers(-3, 4))
    elif what == 6:
        home[last] = str(home[last])
    else:
        home[last] = VALUES[rng.integers(len(VALUES))]
    return data


def change_text(rng: Random, text: bytes) -> bytes:
    """Damage JSON as text."""
    at = int(rng.integers(max(len(text), 1)))
    deep = 10 ** int(rng.integers(2, 6))
    damaged: list[Callable[[], bytes]] = [
        lambda: text[:at],
        lambda: text[:at] + b"\xff" + text[at:],
        lambda: text[:at] + bytes([rng.integers(256)]) + text[at + 1 :],
        lambda: b"",
        lambda: b"\xef\xbb\xbf" + text,
        lambda: text.decode(errors="replace").encode("utf-16"),
        lambda: text + text,
        lambda: b"[" * deep + b"]" * deep,
        lambda: b'{"a":' * deep + b"0" + b"}" * deep,
        lambda: b'{"format": 1, ' + text.lstrip()[1:],
        lambda: text.replace(b"0", b"9" * 5000, 1),
        lambda: text.replace(b"1", b"1e999", 1),
        lambda: b" " * at + text,
        lambda: text[::-1],
        lambda: b"\0" * len(text),
    ]
    return damaged[rng.integers(len(damaged))]()


def mutate_json(rng: Random, text: bytes) -> bytes:
    """Return other JSON, or what is none."""
    if rng.random() < 0.35:
        return change_text(rng, text)
    data = json.loads(text)
    for _ in range(int(rng.integers(1, 3))):
        data = change_value(rng, data)
    return json.dumps(data).encode()


# HDF5.


def datasets(handle: h5py.File) -> list[str]:
    """Return the names of all datasets."""
    names: list[str] = []
    handle.visititems(
        lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
    )
    return names


def replace_dataset(handle: h5py.File, name: str, values: Any, **options: Any) -> None:
    """Write other values, of any type and shape, under a name."""
    del handle[name]
    handle.create_dataset(name, data=values, **options)


def change_column(rng: Random, handle: h5py.File, name: str) -> None:
    """Damage one dataset."""
    values = handle[name][()]
    kinds = ["f4", "f8", "i1", "u1", "i8", ">i8", "?", "c8", "S4", "f2", "u8"]
    shapes: list[Callable[[], Any]] = [
        lambda: values[:-1],
        lambda: np.concatenate([values, values[:1]]),
        lambda: values[..., None],
        lambda: values[None],
        lambda: values[:0],
        lambda: values.ravel()[0],
        lambda: values.reshape(-1)[::-1].reshape(values.shape),
    ]
    what = rng.integers(7)
    if what == 0:
        del handle[name]
    elif what == 1:
        handle.move(name, f"{name}{rng.integers(9)}")
    elif what == 2:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            replace_dataset(handle, name, values.astype(kinds[rng.integers(len(kinds))]))
    elif what == 3:
        replace_dataset(handle, name, shapes[rng.integers(len(shapes))]())
    elif what == 4:
        replace_dataset(handle, name, values, chunks=True, compression=1)
    else:
        change_entry(rng, handle, name, values)


def change_entry(rng: Random, handle: h5py.File, name: str, values: Any) -> None:
    """Change a value somewhere, keeping type and shape."""
    spot = tuple(int(rng.integers(n)) for n in values.shape)
    if values.dtype.kind == "f":
        worst: Any = (np.nan, np.inf, -np.inf, 1e4, -1.0, 0.0, 1e-300, 65504.0)
    else:
        limits = np.iinfo(values.dtype)
        worst = (limits.min, limits.max, 0, 1, 2, 5, limits.max // 2)
    with np.errstate(all="ignore"):
        values[spot] = np.array(worst[rng.integers(len(worst))]).astype(values.dtype)
    handle[name][()] = values


def write_text(handle: h5py.File, name: str, text: bytes) -> None:
    """Write an attribute of text, whatever its bytes."""
    handle.attrs.create(name, text.replace(b"\0", b""), dtype=h5py.string_dtype())


def change_attribute(rng: Random, handle: h5py.File) -> None:
    """Damage one attribute of the file."""
    name = list(handle.attrs)[rng.integers(len(handle.attrs))]
    value = handle.attrs[name]
    what = rng.integers(6)
    if what == 0:
        del handle.attrs[name]
    elif what == 1:
        handle.attrs[f"{name}_of_old"] = value
    elif what == 2 and isinstance(value, str) and value.startswith(("{", "null")):
        write_text(handle, name, mutate_json(rng, value.encode()))
    else:
        others: tuple[Any, ...] = (
            b"bytes",
            "text",
            "",
            7,
            -1,
            2**62,
            1.5,
            np.arange(3),
            [1.5, np.nan],
            np.bool_(True),
            h5py.Empty("f4"),
            np.void(b"\x01\x02"),
            ["a", "b"],
        )
        handle.attrs[name] = others[rng.integers(len(others))]


def change_links(rng: Random, handle: h5py.File, path: Path) -> None:
    """Add what points elsewhere, or what nobody asked for."""
    first = datasets(handle)[0]
    other = path.parent / "elsewhere.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.arange(10)
    layout = h5py.VirtualLayout(shape=(10,), dtype="i8")
    layout[:] = h5py.VirtualSource(str(other), "x", shape=(10,))
    added: list[Callable[[], Any]] = [
        lambda: handle.__setitem__("soft", h5py.SoftLink(f"/{first}")),
        lambda: handle.__setitem__("dangling", h5py.SoftLink("/nothing")),
        lambda: handle.__setitem__("external", h5py.ExternalLink(str(other), "x")),
        lambda: handle.__setitem__("loop", handle["/"]),
        lambda: handle.__setitem__("secret", np.arange(4)),
        lambda: handle.__setitem__("latents/secret", np.arange(4)),
        lambda: handle.create_group("group"),
        lambda: handle.__setitem__("type", np.dtype("f8")),
        lambda: handle.create_virtual_dataset("virtual", layout),
        lambda: handle.create_dataset("huge", shape=(2**40,), dtype="u1", chunks=(2**20,)),
        lambda: handle[first].attrs.__setitem__("note", "secret"),
        lambda: handle.create_dataset("text", data=["a"], dtype=h5py.string_dtype()),
    ]
    added[rng.integers(len(added))]()


def mutate_hdf5(rng: Random, path: Path) -> None:
    """Damage an HDF5 file through the library."""
    with h5py.File(path, "r+") as handle:
        names = datasets(handle)
        what = rng.integers(8)
        if what < 5:
            change_column(rng, handle, names[rng.integers(len(names))])
        elif what < 7:
            change_attribute(rng, handle)
        else:
            change_links(rng, handle, path)


def mutate_bytes(rng: Random, path: Path) -> None:
    """Damage a file as bytes: flips, holes, cuts, what is appended."""
    content = bytearray(path.read_bytes())
    what = rng.integers(6)
    if what < 3:
        # Most of a file is pixels; what it says of itself stands at either end.
        reach = len(content) if what == 0 else min(len(content), 4096)
        for _ in range(int(rng.integers(1, 9))):
            at = int(rng.integers(reach))
            content[at if what < 2 else -at - 1] ^= 1 << int(rng.integers(8))
    elif what == 3:
        del content[int(rng.integers(len(content))) :]
    elif what == 4:
        content += rng.bytes(int(rng.integers(1, 200)))
    else:
        at = int(rng.integers(len(content)))
        content[at : at + 64] = bytes(64)[: len(content) - at]
    path.write_bytes(bytes(content))


# Files and folders.


def mutate_place(rng: Random, path: Path) -> None:
    """Put something else in the place of a file."""
    what, content = rng.integers(8), path.read_bytes()
    path.unlink()
    outside = path.parents[2] / f"outside-{path.name}"
    if what == 0:
        path.mkdir()
    elif what == 1:
        os.mkfifo(path)
    elif what == 2:
        outside.write_bytes(content)
        path.symlink_to(outside)
    elif what == 3:
        path.symlink_to(path.name)
    elif what == 4:
        path.symlink_to("/dev/zero")
    elif what == 5:
        path.write_bytes(b"")
    elif what == 6:
        path.write_text("not what it was")


def seal_again(folder: Path) -> None:
    """Correct every sum that the files themselves give away, as far as they can be read."""
    plain = [p for p in folder.rglob("*") if p.suffix in (".h5", ".json")]
    if not all(p.is_file() for p in plain):
        return  # a pipe or a device never ends
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        digest = read_plan(folder)[0].digest()
        manifest = json.loads((folder / "manifest.json").read_text())
        for path in (folder / "plan.h5", *(folder / s["file"] for s in manifest["shards"])):
            with h5py.File(path, "r+") as handle:
                handle.attrs["plan_sha256"] = digest
        for entry in manifest["shards"]:
            path = folder / entry["file"]
            entry |= {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        manifest["plan_sha256"] = digest
        (folder / "manifest.json").write_text(json.dumps(manifest))


def mutate(rng: Random, folder: Path) -> str:
    """Damage one file of a dataset and return what was done to which."""
    shards = sorted(f"shards/{p.name}" for p in (folder / "shards").iterdir())
    files = ["plan.h5"] * 5 + ["manifest.json"] * 2 + ["certificate.json"]
    files += [shards[rng.integers(len(shards))]] * 2
    name = files[rng.integers(len(files))]
    path, kind = folder / name, rng.random()
    if kind < 0.06:
        mutate_place(rng, path)
        done = "place"
    elif name in JSON_FILES:
        path.write_bytes(mutate_json(rng, path.read_bytes()))
        done = "json"
    elif kind < 0.25:
        mutate_bytes(rng, path)
        done = "bytes"
    elif kind < 0.65 and name == "plan.h5":
        with h5py.File(path, "r+") as handle:
            key = "recipe" if kind < 0.28 else "config"
            write_text(handle, key, mutate_json(rng, handle.attrs[key].encode()))
        done = "configuration"
    else:
        mutate_hdf5(rng, path)
        done = "hdf5"
    again = rng.random() < 0.5
    if again:
        seal_again(folder)
    return f"{done} of {name.partition('/')[0]}{', sealed again' if again else ''}"


# Judging.


@dataclass(frozen=True)
class Outcome:
    """What became of one mutation."""

    number: int
    done: str  # what the mutation was
    end: str  # "typed", "same", "caught" or "FAULT"
    said: str


def _read(folder: Path) -> tuple[bool, list[Any]]:
    """Read all that a dataset offers, whether or not its certificate holds."""
    data = Dataset(folder)
    sealed = True
    try:
        data.check()
    except RecombineError:
        sealed = False
    every = range(len(data))
    arrays: list[Any] = [data.images(every), data.masks(every), data.visible, data.cells]
    arrays += [data.annotation(n, every) for n in ("depth", "normal", "amodal")]
    arrays += [data.latents[k] for k in sorted(data.latents)]
    arrays += [data.splits, data.blocks, data.rungs, data.resolution, repr(data)]
    arrays += [data.indices("id_train", rung=r) for r in range(data.rungs)]
    _ = data.recipe  # no part of what is sealed
    return sealed, arrays


def _equal(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y
        for x, y in zip(a, b, strict=True)
    )


@cache
def _sound(base: Path) -> tuple[list[tuple[str, str, str]], list[Any]]:
    return _checks(base), _read(base)[1]


def _checks(folder: Path) -> list[tuple[str, str, str]]:
    return [(c.name, c.status, c.found) for c in verify(folder, seal=False).checks]


def judge(base: Path, folder: Path, *, again: bool) -> tuple[str, str]:
    """Verify and read a damaged dataset; anything but a typed error is a fault."""
    checks, arrays = _sound(base)
    ends = []
    try:
        found = _checks(folder)
        same = found == checks
        ends.append("same" if same else "caught")
        if not same and all(status != "fail" for _, status, _ in found):
            return "FAULT", "verify passes and says something else"
    except RecombineError as error:
        ends.append("typed")
        said = str(error)
        if not said.isprintable() or len(said) > 4000:
            return "FAULT", f"a message that cannot be printed: {said[:200]!r}"
    try:
        sealed, got = _read(folder)
        # Where all sums were corrected, content is a matter of the certificate: it was caught.
        if sealed and not _equal(got, arrays) and not (again and ends == ["caught"]):
            return "FAULT", "the reader accepts other data"
        ends.append("same" if sealed else "caught")
    except RecombineError:
        ends.append("typed")
    return next(end for end in ("typed", "caught", "same") if end in ends), ""


def _hangs(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"took longer than {LIMIT_S} s")


def attempt(base: Path, seed: int, number: int, work: Path) -> Outcome:
    """Make one mutation, decided by seed and number, and judge it."""
    rng = np.random.default_rng([seed, number])
    folder = work / "data"
    shutil.copytree(base, folder)
    done = "cannot be planted"
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(LIMIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            done = mutate(rng, folder)
            end, said = judge(base, folder, again=done.endswith("again"))
    except Exception:
        end, said = "FAULT", traceback.format_exc(limit=-6)
    finally:
        signal.alarm(0)
        for left in work.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return Outcome(number, done, end, said)


def run(base: Path, seed: int, numbers: range) -> list[Outcome]:
    """Make some mutations of a sealed dataset, one after the other."""
    with tempfile.TemporaryDirectory() as work:
        return [attempt(base, seed, n, Path(work)) for n in numbers]


def small_dataset(folder: Path) -> Path:
    """Draw and seal the dataset that is damaged."""
    drawn_dataset(folder, scale=0.05, shard_size=40)
    verify(folder)
    return folder


def say(text: str) -> None:
    """Write one line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _limit() -> None:
    """Let a reader that takes what a file claims fail, and not the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))


def main() -> int:
    """Make many mutations in parallel and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    began, step, outcomes = time.monotonic(), 20, []
    pool = ProcessPoolExecutor(chosen.workers, initializer=_limit)
    with tempfile.TemporaryDirectory() as home, pool:
        base = small_dataset(Path(home) / "sound")
        parts = [range(a, min(a + step, chosen.count)) for a in range(0, chosen.count, step)]
        jobs = [pool.submit(run, base, chosen.seed, part) for part in parts]
        for job in jobs:
            for one in job.result():
                outcomes.append(one)
                if one.end == "FAULT":
                    say(f"{one.number}: {one.done}\n{one.said}")
            if len(outcomes) % 500 == 0:
                say(f"{len(outcomes)} done")
    ends = Counter((one.done, one.end) for one in outcomes)
    for (done, end), count in sorted(ends.items()):
        say(f"{count:6d}  {end:7s} {done}")
    faults = sum(one.end == "FAULT" for one in outcomes)
    seconds = time.monotonic() - began
    say(f"{len(outcomes)} mutations, {faults} faults, {seconds:.0f} s")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
