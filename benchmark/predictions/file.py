"""The predictions of one training run: slots of every image, in one checked file.

A safetensors file with ``image_index`` ``(N,)`` int64, ascending, and ``slots/<steps>``
``(N, S, D)`` float32 for every step count, and the facts of the run as JSON in its metadata. Where
the method offers them, also ``presence/<steps>`` ``(N, S)`` float32 and ``segments/<steps>``
``(N, H, W)`` uint8, the slot of every pixel, at the first and the last step count; and where a
decoder ran in the harness's own process ``decoded/index`` and ``decoded/<steps>``, see `Decoded`.
The format holds plain arrays only, so reading a file from elsewhere runs no code; everything
else that can be wrong with it is checked here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from recombine.benchmark.predictions.safetensors_guard import Rule, TensorFile, open_tensor_file
from recombine.benchmark.protocol.outputs import MAX_ABS, MAX_DIM, MAX_SLOTS
from recombine.benchmark.submissions.fingerprint import settings_of
from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.files import replacing
from recombine.renderer.core.strict import parse_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from jaxtyping import Float, Int, UInt8

    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

FORMAT = "recombine.predictions/3"
# 1 had slots only, 2 no hash of the content.
READABLE = (FORMAT, "recombine.predictions/2", "recombine.predictions/1")
MAX_BYTES = 16 * 2**30
MAX_IMAGES = 2**32
MAX_SIDE = 4096
MAX_DECODED, MAX_EDGE = 64, 64


@dataclass(frozen=True)
class Decoded:
    """What a method's decoder made of its own slots, for a few images; to look at, not to score."""

    index: Int[Array, " n"]  # ``(n,)`` int64, ascending image indices, at most 64
    # search steps to ``(n, E, E, 3)`` uint8, sRGB, E at most 64
    images: Mapping[int, UInt8[Array, "n edge edge 3"]]


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run that scoring needs beside the slots. Plain JSON values."""

    key: str  # identity of the run, see `harness.run_key`
    seed: int  # training seed
    steps: tuple[int, ...]  # search steps at which slots were read
    card: Mapping[str, str]  # fields of the ``MethodCard``
    kind: str  # which protocol answered
    trained: bool  # whether the harness trained it
    code: str  # ``module:Class``
    settings: Mapping[str, Any]  # the submission's settings, flat
    dataset: Mapping[str, Any]  # ``preset``, ``version``, ``identity``, ``root``, ``resolution``
    options: Mapping[str, Any]  # the harness's options
    n_train: int  # different training images served
    # ``real``, ``val``, ``generated`` images seen, ``wall_s``, ``cpu_s``, ``configs``, ``gflop``
    training: Mapping[str, Any]
    cost: Mapping[str, Any]  # fields of ``cost.Cost``
    peak_rss_bytes: int | None  # peak resident memory while answering
    environment: Mapping[str, Any]  # versions and machine
    # per step count: 95th percentile of the change of an image's slots among other images, and in
    # the same batch again
    batch_change: tuple[float, ...]
    repeat_change: tuple[float, ...]
    # what stood between the submission and this machine: "none" (an object of this process),
    # "subprocess" (trusted by whoever ran it), "bubblewrap", or "file" (answers from elsewhere)
    isolation: str = "none"
    # what was measured on the living method, beside its answers; empty when not asked for
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    # more about these changes, see `inference.query.Answers.facts`; empty in files from before,
    # where a change is relative to the length of the slots
    dependence: Mapping[str, Any] = field(default_factory=dict)


def run_facts(dataset: DatasetLike, options: object, **facts: Any) -> RunFacts:
    """Return the facts of a run on a dataset; ``facts`` are the other fields."""
    names = ("preset", "version", "identity", "root", "resolution")
    where = {name: getattr(dataset, name) for name in names}
    return RunFacts(dataset=where, options=settings_of(options), **{"key": "", **facts})


@dataclass(frozen=True)
class Predictions:
    """Slots of every scored image of one run.

    Attributes
    ----------
    facts : RunFacts
        What ran.
    image_index : array
        ``(N,)`` int64, ascending, each image once.
    slots : Mapping of int to array
        Search steps to ``(N, S, D)`` float32.
    extras : Mapping of str to array
        ``presence/<steps>`` and ``segments/<steps>``, see `inference.query.Answers`.
    decoded : Decoded, optional
        Decodings of the worst images.
    """

    facts: RunFacts
    image_index: Int[Array, " images"]
    slots: Mapping[int, Float[Array, "images slots dim"]]
    extras: Mapping[str, Array] = field(default_factory=dict)
    decoded: Decoded | None = None

    def rows(self, indices: Int[Array, " n"]) -> Int[Array, " n"]:
        """Return the rows of some images.

        Parameters
        ----------
        indices : array
            Image indices.

        Raises
        ------
        InvalidInputError
            When an image was not answered.
        """
        rows = np.searchsorted(self.image_index, indices)
        found = self.image_index[np.minimum(rows, len(self.image_index) - 1)] == indices
        if not found.all():
            raise InvalidInputError(
                f"predictions of seed {self.facts.seed}: {np.count_nonzero(~found)} images have no "
                f"answer, the first is {indices[~found][0]}; run the submission again"
            )
        return rows


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a predictions file atomically.

    Parameters
    ----------
    path : Path
        Target.
    predictions : Predictions
        Checked before anything is written.

    Raises
    ------
    InvalidInputError
        When slots or indices do not have the promised form.
    """
    check_predictions(predictions, str(path))
    tensors = {f"slots/{step}": np.ascontiguousarray(s) for step, s in predictions.slots.items()}
    tensors |= {name: np.ascontiguousarray(one) for name, one in predictions.extras.items()}
    tensors["image_index"] = np.ascontiguousarray(predictions.image_index)
    if predictions.decoded is not None:
        tensors["decoded/index"] = np.ascontiguousarray(predictions.decoded.index)
        for step, images in predictions.decoded.images.items():
            tensors[f"decoded/{step}"] = np.ascontiguousarray(images)
    facts = json.dumps(asdict(predictions.facts), sort_keys=True, allow_nan=False)
    metadata = {"format": FORMAT, "run": facts, "content": _content(tensors, facts)}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
        temporary.chmod(0o644)  # the library makes files that only their owner can read


def read_predictions(path: Path) -> Predictions:
    """Read and check a predictions file.

    Parameters
    ----------
    path : Path
        A file written by `write_predictions`.

    Returns
    -------
    Predictions
        Everything it holds.

    Raises
    ------
    InvalidInputError
        When it is missing, cut short, too big, or holds anything but what is expected; a
        `TensorFileError` names what is wrong with the file.
    IntegrityError
        When its content is not what was written. Files of formats before 3 cannot tell.
    """
    opened = _open(path)
    facts = _facts(opened.metadata, path)
    rules: dict[str, Rule] = {}
    for step in facts.steps:
        sizes = (1, MAX_IMAGES), (1, MAX_SLOTS), (1, MAX_SIDE)
        rules |= output_rules(*sizes, opened.names, f"/{step}")
    rules |= _decoded_rules(facts, opened)
    arrays = opened.take({**rules, "image_index": Rule("I64", ((1, MAX_IMAGES),))})
    if opened.metadata["format"] == FORMAT:
        _check_content(arrays, opened.metadata, path)
    slots = {step: arrays.pop(f"slots/{step}") for step in facts.steps}
    decoded = _decoded(arrays)
    predictions = Predictions(facts, arrays.pop("image_index"), slots, arrays, decoded)
    check_predictions(predictions, str(path))
    return predictions


def output_rules(
    rows: tuple[int, int],
    slots: tuple[int, int],
    edge: tuple[int, int],
    names: Collection[str],
    suffix: str = "",
) -> dict[str, Rule]:
    """Return what slots must be, and presence and segments where a file has them."""
    rules = {
        f"slots{suffix}": Rule("F32", (rows, slots, (1, MAX_DIM)), MAX_ABS),
        f"presence{suffix}": Rule("F32", (rows, slots), 1.0),
        f"segments{suffix}": Rule("U8", (rows, edge, edge)),
    }
    return {name: rules[name] for name in rules if name in names or name.startswith("slots")}


def check_predictions(predictions: Predictions, who: str) -> None:
    """Check shapes, types, range and that every image is there once."""
    index = predictions.image_index
    if index.dtype != np.int64 or index.ndim != 1 or len(index) == 0:
        raise _bad(who, "image_index (N,) int64", f"{index.dtype} {index.shape}")
    if np.any(np.diff(index) <= 0) or index[0] < 0:
        raise _bad(who, "every image once, ascending", "repeated or unordered indices")
    shapes = {slots.shape for slots in predictions.slots.values()}
    if len(shapes) != 1:
        raise _bad(who, "one shape of slots at every step count", sorted(shapes))
    for step, slots in predictions.slots.items():
        if slots.dtype != np.float32 or slots.ndim != 3 or len(slots) != len(index):
            raise _bad(who, f"slots/{step} ({len(index)}, S, D) float32", slots.shape)
        if not np.all(np.abs(slots) <= MAX_ABS):  # also False for NaN
            raise _bad(who, f"slots/{step} finite, at most {MAX_ABS:g}", "NaN, inf or bigger")
    count = shapes.pop()[1]
    for name, values in predictions.extras.items():
        _check_extra(name, values, len(index), count, who)
    if predictions.decoded is not None:
        _check_decoded(predictions.decoded, predictions, who)


def segments_fit(segments: UInt8[Array, "images height width"], slots: int) -> bool:
    """Return whether every pixel names a slot that there is."""
    return bool(segments.size == 0 or segments.max() < slots)


def _check_extra(name: str, values: Array, rows: int, slots: int, who: str) -> None:
    if name.startswith("presence/"):
        good = values.dtype == np.float32 and values.shape == (rows, slots)
        if not (good and np.all((values >= 0) & (values <= 1))):  # also False for NaN
            raise _bad(who, f"{name} ({rows}, {slots}) float32 in [0, 1]", values.shape)
    elif not name.startswith("segments/") or values.dtype != np.uint8 or values.ndim != 3:
        raise _bad(who, "presence and segments only", f"{name} {values.dtype} {values.shape}")
    elif len(values) != rows or not segments_fit(values, slots):
        raise _bad(who, f"{name} ({rows}, H, W) below {slots}", values.shape)


def _decoded_rules(facts: RunFacts, opened: TensorFile) -> dict[str, Rule]:
    if "decoded/index" not in opened.names:
        return {}
    rows, edge = (1, MAX_DECODED), (1, MAX_EDGE)
    named = [f"decoded/{step}" for step in facts.steps if f"decoded/{step}" in opened.names]
    rules = dict.fromkeys(named, Rule("U8", (rows, edge, edge, (3, 3))))
    return {**rules, "decoded/index": Rule("I64", (rows,))}


def _decoded(arrays: dict[str, Array]) -> Decoded | None:
    """Take the decodings out of a file's arrays."""
    index = arrays.pop("decoded/index", None)
    if index is None:
        return None
    names = [name for name in arrays if name.startswith("decoded/")]
    return Decoded(index, {int(name.partition("/")[2]): arrays.pop(name) for name in names})


def _check_decoded(decoded: Decoded, predictions: Predictions, who: str) -> None:
    index = decoded.index
    if index.dtype != np.int64 or index.ndim != 1 or not np.all(np.diff(index) > 0):
        raise _bad(who, "decoded/index (n,) int64, ascending", f"{index.dtype} {index.shape}")
    predictions.rows(index)
    for step, images in decoded.images.items():
        fits = images.dtype == np.uint8 and images.shape == (len(index), *images.shape[1:3], 3)
        if step not in predictions.slots or not fits or images.shape[1] != images.shape[2]:
            raise _bad(who, f"decoded/{step} ({len(index)}, E, E, 3) uint8", images.shape)


def _content(tensors: Mapping[str, Array], facts: str) -> str:
    """Return the SHA-256 over all numbers and facts."""
    total = hashlib.sha256(facts.encode())
    for name, array in sorted(tensors.items()):
        total.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        if array.size:
            total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _check_content(arrays: Mapping[str, Array], metadata: Mapping[str, str], path: Path) -> None:
    expected, got = metadata.get("content", "none"), _content(arrays, metadata["run"])
    if got != expected:
        raise IntegrityError(
            f"predictions {path}: expected the content that was written ({expected[:12]}), got "
            f"another ({got[:12]}): the file was damaged or changed; run the submission again."
        )


def _facts(metadata: Mapping[str, str], path: Path) -> RunFacts:
    if metadata.get("format") not in READABLE:
        raise _bad(path, f"format {FORMAT}", metadata.get("format"))
    try:
        raw = parse_json(metadata["run"], str(path))
        for name in ("steps", "batch_change", "repeat_change"):
            raw[name] = tuple(raw[name])
        return _typed(RunFacts(**raw))
    except (KeyError, TypeError, ValueError, IntegrityError) as error:
        raise _bad(path, "the facts of a run in its metadata", error) from error


def _typed(facts: RunFacts) -> RunFacts:
    """Refuse facts whose values have another type than the fields say."""
    kinds = {"str": str, "int": int, "bool": bool, "int | None": int | None}
    for one in fields(facts):
        value, text = getattr(facts, one.name), str(one.type)
        if text.startswith("tuple["):
            item = int if text == "tuple[int, ...]" else (int, float)
            good = all(isinstance(v, item) and not isinstance(v, bool) for v in value)
        elif text.startswith("Mapping["):
            good = isinstance(value, dict)
        else:
            good = isinstance(value, kinds[text])
        if not good:
            raise TypeError(f"{one.name} must be {text}")
    return facts


def _open(path: Path) -> TensorFile:
    return open_tensor_file(path, max_bytes=MAX_BYTES, who=f"predictions {path}")


def _bad(who: object, expected: object, got: object) -> InvalidInputError:
    return InvalidInputError(
        f"predictions {who}: expected {expected}, got {got}; run the submission again"
    )
