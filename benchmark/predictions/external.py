"""Predictions made elsewhere: one safetensors file per training seed, checked like any other.

A stranger answers the images of a question file (`write_questions`) on their own machine,
with whatever code, and hands in

* ``image_id`` ``(N,)`` int64: the question's numbers, each once, in any order;
* ``slots`` ``(N, S, D)`` float32, finite, at most 1e6: S at least the number of scene slots, D at
  most 512;
* where there are any, ``presence`` ``(N, S)`` float32 in [0, 1] and ``segments`` ``(N, H, W)``
  uint8, the slot of every pixel;
* metadata ``format`` = "recombine.answers/2", ``identity`` of the question file, and ``run``, JSON:
  ``{"seed": 0, "card": {"id": "my-method", "name": "My method"}}``, other fields of
  ``MethodCard`` as they apply, and what training took, if anything: ``{"training":
  {"n_train": 1024, "real_images_seen": 50000, "generated_images_seen": 0, "wall_s": 60.0}}``.

`write_answers` writes such a file from arrays of any layout and type.

The scores of such an entry are computed here, everything else is what its author says: trust
tier *rescored*, cost and training *self-reported* or unknown, no checks of independence.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import numpy as np
import torch
from pydantic import AfterValidator, Field, StringConstraints
from safetensors import safe_open

from recombine.benchmark.predictions.file import (
    Predictions,
    RunFacts,
    check_predictions,
    output_rules,
    run_facts,
)
from recombine.benchmark.predictions.safetensors_guard import (
    Rule,
    TensorFileError,
    check_index,
    open_tensor_file,
    write_tensors,
)
from recombine.benchmark.protocol.outputs import MAX_ABS, MAX_DIM, MAX_SLOTS
from recombine.benchmark.results.credit import Credit
from recombine.benchmark.results.parts import (
    Count,
    NonNegative,
    Positive,
    Slug,
    Strict,
)
from recombine.benchmark.serving.data import plain_spec
from recombine.benchmark.submissions.fingerprint import environment
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import replacing
from recombine.renderer.core.strict import fault_of, from_json
from recombine.renderer.core.text import legible, named, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jaxtyping import Int

    from recombine.benchmark.predictions.safetensors_guard import TensorFile
    from recombine.benchmark.protocol.contract import MethodCard
    from recombine.benchmark.running.harness import RunOptions
    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array


Floats: TypeAlias = "Array | torch.Tensor"

# The images to answer, in one file without labels: for predictions made elsewhere.

FORMAT = "recombine.questions/2"
KEY_BYTES = 32


def load_key(path: Path | None, dataset: DatasetLike) -> bytes:
    """Return the key of a dataset's questions."""
    if path is None:
        return hashlib.sha256(dataset.identity.encode()).digest()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w") as stream:
            stream.write(secrets.token_hex(KEY_BYTES) + "\n")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInputError(
            f"questions: {path} must hold a key of {2 * KEY_BYTES} hexadecimal digits; give the "
            "file that made the questions, or a new name"
        )
    return key


def image_ids(
    dataset: DatasetLike, indices: Int[Array, " images"], key: bytes
) -> Int[Array, " images"]:
    """Return the number under which each image is asked about."""
    digests = (
        hashlib.blake2b(f"{dataset.identity}:{int(i)}".encode(), digest_size=8, key=key).digest()
        for i in indices
    )
    return np.array([int.from_bytes(one, "big") >> 1 for one in digests], np.int64)


def write_questions(
    path: Path, dataset: DatasetLike, indices: Int[Array, " images"], key: bytes
) -> None:
    """Write the images to answer."""
    ids = image_ids(dataset, indices, key)
    order = np.argsort(ids)
    metadata = {
        "format": FORMAT,
        "identity": dataset.identity,
        "spec": json.dumps(plain_spec(dataset)),
    }
    images = dataset.images(indices[order])
    with replacing(path) as temporary:
        write_tensors(temporary, {"image_id": ids[order], "images": images}, metadata)


ANSWERS_FORMAT = "recombine.answers/2"
REWRITE = (
    "write it with recombine.write_answers, which brings arrays into this form, or see "
    "docs/submitting_a_model.md"
)
MAX_BYTES = 16 * 2**30


Said = Annotated[
    str, StringConstraints(max_length=2000), AfterValidator(tidy), AfterValidator(legible)
]


class Card(Credit):
    """A ``MethodCard`` from elsewhere: untrusted values, read strictly."""

    id: Slug
    name: Annotated[
        str, StringConstraints(max_length=200), AfterValidator(tidy), AfterValidator(named)
    ]
    inference: Literal["direct", "replay"] = "direct"
    supervision: Literal["unsupervised", "weak", "supervised"] = "unsupervised"
    data: Literal["scratch", "pretrained", "open"] = "open"
    source: Said = ""
    note: Said = ""
    slots: Literal["fixed", "exchangeable"] = "fixed"
    role: Literal["method", "control", "floor", "bound"] = "method"
    generative: bool = False


class GivenTraining(Strict):
    """What training took, as its author says."""

    n_train: Positive | None = None
    real_images_seen: Count = 0
    generated_images_seen: Count = 0
    wall_s: NonNegative = 0.0
    configs_tried: Positive = 1


class GivenRun(Strict):
    """Who answered."""

    seed: Count
    card: Card
    training: GivenTraining = Field(default_factory=GivenTraining)


def write_answers(
    path: str | Path,
    inputs: str | Path,
    slots: Floats,
    card: MethodCard,
    *,
    seed: int = 0,
    presence: Floats | None = None,
    segments: Floats | None = None,
    training: Mapping[str, float] | None = None,
) -> Path:
    """Write the answers of one training seed to a question file, to be scored by `score`.

    Parameters
    ----------
    path : str or Path
        Target, ``*.safetensors``; replaced if it is there.
    inputs : str or Path
        The question file, of ``recombine submission inputs``.
    slots : array or Tensor
        ``(N, S, D)``, row i for image i of the question file, finite, at most 1e6; S at least the
        number of scene slots, D at most 512. Any layout in memory, any real type, any device.
    card : MethodCard
        Who answered.
    seed : int
        Training seed.
    presence : array or Tensor, optional
        ``(N, S)`` in [0, 1], the probability that a slot is in use.
    segments : array or Tensor, optional
        ``(N, H, W)`` whole numbers below S, the slot of every pixel.
    training : Mapping, optional
        ``n_train``, ``real_images_seen``, ``generated_images_seen``, ``wall_s``,
        ``configs_tried``, as they apply.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInputError
        When ``inputs`` is no question file, or the answers do not fit it.
    """
    path, inputs = Path(path), Path(inputs)
    who = f"answers {path.name}"
    opened = open_tensor_file(inputs, max_bytes=MAX_BYTES, who=f"questions {inputs.name}")
    if opened.metadata.get("format") != FORMAT:
        raise InvalidInputError(
            f"{who}: expected {inputs} to be a question file ({FORMAT}), got "
            f"{opened.metadata.get('format', 'no format')!r}; make it with `recombine submission "
            "inputs`"
        )
    with safe_open(inputs, "np") as stream:
        ids, (rows, *edges, _) = (
            stream.get_tensor("image_id"),
            stream.get_slice("images").get_shape(),
        )
    given = {"slots": slots, "presence": presence, "segments": segments}
    arrays = {name: _array(name, one, who) for name, one in given.items() if one is not None}
    _check_fit(arrays, json.loads(opened.metadata["spec"])["max_slots"], (rows, *edges), who)
    run = {"seed": seed, "card": asdict(card), "training": dict(training or {})}
    metadata = {
        "format": ANSWERS_FORMAT,
        "identity": opened.metadata["identity"],
        "run": json.dumps(run),
    }
    _given_run(metadata["run"], who)
    with replacing(path) as temporary:
        write_tensors(temporary, {"image_id": ids, **arrays}, metadata)
    return path


def _check_fit(arrays: Mapping[str, Array], least: int, pixels: tuple[int, ...], who: str) -> None:
    """Check answers against the shape of the images that they are about, (N, H, W)."""
    found, rows = arrays["slots"].shape, pixels[0]
    if len(found) != 3 or found[0] != rows or not least <= found[1] <= MAX_SLOTS:
        raise InvalidInputError(
            f"{who}: expected slots ({rows}, S, D) with S from {least} to {MAX_SLOTS}, got "
            f"{found}; repeat a single vector for every slot"
        )
    shapes = {"slots": found, "presence": found[:2], "segments": pixels}
    for name, one in arrays.items():
        if one.shape != shapes[name]:
            raise InvalidInputError(
                f"{who}: expected {name} {shapes[name]}, got {one.shape}; give one row per image "
                "of the question file"
            )
    most = np.abs(arrays["slots"]).max(initial=0.0)
    if not 1 <= found[2] <= MAX_DIM or not most <= MAX_ABS:  # false for NaN, too
        raise InvalidInputError(
            f"{who}: expected slots of 1 to {MAX_DIM} finite numbers of at most {MAX_ABS:g}, got "
            f"{found[2]} of at most {most:g}; project or normalise them"
        )


def _array(name: str, given: Floats, who: str) -> Array:
    """Return numbers as they are written: in the order of their axes, whatever lies in memory."""
    # safetensors' own save_file writes the memory of a view, in the wrong order.
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
    found = np.asarray(given)
    if found.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"{who}: expected real numbers in {name}, got {found.dtype}; give an array or a tensor"
        )
    if name != "segments":
        return np.ascontiguousarray(found, np.float32)
    with np.errstate(invalid="ignore"):  # of NaN, which is refused
        whole = found.size == 0 or bool((found == found.astype(np.uint8)).all())
    if not whole:
        raise InvalidInputError(
            f"{who}: expected whole numbers from 0 to 255 in segments, got {found.dtype} from "
            f"{found.min()} to {found.max()}; give masks.argmax over the slots"
        )
    return np.ascontiguousarray(found, np.uint8)


def is_given(path: Path) -> bool:
    """Return whether a file says that it holds predictions made elsewhere."""
    opened = open_tensor_file(path, max_bytes=MAX_BYTES, who=f"predictions {path.name}")
    return opened.metadata.get("format") == ANSWERS_FORMAT


def read_given(
    path: Path,
    dataset: DatasetLike,
    indices: Int[Array, " images"],
    *,
    options: RunOptions,
    key: bytes,
) -> Predictions:
    """Read and check predictions made elsewhere."""
    with _written_elsewhere():
        return _read(path, dataset, indices, options=options, key=key)


@contextmanager
def _written_elsewhere() -> Iterator[None]:
    """Say what the author of a file can do about it: no submission ran here."""
    try:
        yield
    except TensorFileError as error:
        raise TensorFileError(error.reason, *error.found, REWRITE) from error


def _read(
    path: Path,
    dataset: DatasetLike,
    indices: Int[Array, " images"],
    *,
    options: RunOptions,
    key: bytes,
) -> Predictions:
    who = f"predictions {path.name}"
    opened = open_tensor_file(path, max_bytes=MAX_BYTES, who=who)
    run = _run_of(opened, dataset, who)
    arrays = opened.take(_rules(opened, dataset, len(indices)))
    lengths = {len(values) for values in arrays.values()}
    if len(lengths) != 1:
        shapes = sorted(lengths)
        raise TensorFileError("wrong-shape", who, "one row per image in every tensor", shapes)
    ids = image_ids(dataset, indices, key)
    order = ids.argsort()
    rows = check_index(arrays.pop("image_id"), ids[order], who)
    back = order.argsort()  # from ascending numbers to ascending images
    by_image = {name: values[rows][back] for name, values in arrays.items()}
    slots = by_image.pop("slots")
    found = Predictions(
        _facts(run, dataset, options, hashlib.sha256(path.read_bytes()).hexdigest()),
        indices,
        {0: slots},
        {f"{name}/0": values for name, values in by_image.items()},
    )
    check_predictions(found, who)
    return found


def _run_of(opened: TensorFile, dataset: DatasetLike, who: str) -> GivenRun:
    if opened.metadata.get("format") != ANSWERS_FORMAT:
        got = opened.metadata.get("format", "none")[:80]
        raise InvalidInputError(
            f"{who}: expected format {ANSWERS_FORMAT} in its metadata, got {got!r}"
        )
    asked = opened.metadata.get("identity", "")
    if asked != dataset.identity:
        raise InvalidInputError(
            f"{who}: its answers are for data {asked[:12]!r}, got {dataset.identity[:12]}; give "
            "the dataset that was asked about, and copy `identity` from the question file"
        )
    return _given_run(opened.metadata.get("run", ""), who)


def _given_run(text: str, who: str) -> GivenRun:
    try:
        return from_json(GivenRun, text)
    except ValueError as error:
        where, fault = fault_of(error)
        raise InvalidInputError(
            f"{who}: expected who answered, as JSON, in its metadata `run`, got one where "
            f"{where or 'run'} is wrong ({fault}); see recombine.benchmark.predictions.external"
        ) from error


def _rules(opened: TensorFile, dataset: DatasetLike, images: int) -> dict[str, Rule]:
    # The number of rows is checked against the questions by name: missing, repeated, unknown.
    rows, edge = (1, 2 * images), (dataset.resolution, dataset.resolution)
    slots = (len(dataset.schema.slots), MAX_SLOTS)
    return {"image_id": Rule("I64", (rows,)), **output_rules(rows, slots, edge, opened.names)}


def _facts(run: GivenRun, dataset: DatasetLike, options: RunOptions, digest: str) -> RunFacts:
    training = run.training
    served = len(dataset.indices("id_train", rung=options.rung))
    return run_facts(
        dataset,
        options,
        key=digest,
        seed=run.seed,
        steps=(0,),
        card=run.card.model_dump(),
        kind="encoder",
        trained=False,
        code="predictions made elsewhere",
        settings={},
        n_train=training.n_train or served,
        training={
            "real": training.real_images_seen,
            "generated": training.generated_images_seen,
            "wall_s": training.wall_s,
            "configs": training.configs_tried,
        },
        cost={
            "start_gflop": None,
            "step_gflop": None,
            "uncounted": {},
            "timings": [],
            "params": 0,
            "peak_device_bytes": None,
        },
        peak_rss_bytes=None,
        environment=environment("cpu"),
        batch_change=(),
        repeat_change=(),
        isolation="file",
    )
