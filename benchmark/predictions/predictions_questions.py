"""The images to answer, in one file without labels: for predictions made elsewhere.

Images come in secret order under random-looking numbers. Splits, cells, file names and image
indices do not appear. The numbers are a keyed hash of the image's index:

* without a key file, the key is the dataset's root. The order hides splits from a model, not from
  whoever holds the dataset.
* with a key file, 32 random bytes that stay with the organiser. Who gets only the questions
  cannot tell in- from out-of-combination images other than by looking at them.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from typing import TYPE_CHECKING

import numpy as np

from recombine.benchmark.predictions.tensorfile import write_tensors
from recombine.benchmark.serving.data import split_spec
from recombine.renderer.core.atomic import replacing
from recombine.renderer.core.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Int

    from recombine.benchmark.serving.data import DatasetLike
    from recombine.renderer.core.types import Array

FORMAT = "recombine.questions/1"
KEY_BYTES = 32


def load_key(path: Path | None, dataset: DatasetLike) -> bytes:
    """Return the key of a dataset's questions.

    Parameters
    ----------
    path : Path, optional
        File with the organiser's key; made on first use, readable by its owner only. None for the
        public key.
    dataset : DatasetLike
        Its root is the public key.

    Returns
    -------
    bytes
        32 of them.

    Raises
    ------
    InvalidInputError
        When the file does not hold a key.
    """
    if path is None:
        return hashlib.sha256(dataset.root.encode()).digest()
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
    """Return the number under which each image is asked about.

    Parameters
    ----------
    dataset : DatasetLike
        The data.
    indices : array
        ``(N,)`` image indices.
    key : bytes
        From `load_key`.

    Returns
    -------
    array
        ``(N,)`` int64 in [0, 2**63), all different with overwhelming probability.
    """
    digests = (
        hashlib.blake2b(f"{dataset.root}:{int(i)}".encode(), digest_size=8, key=key).digest()
        for i in indices
    )
    return np.array([int.from_bytes(one, "big") >> 1 for one in digests], np.int64)


def write_questions(
    path: Path, dataset: DatasetLike, indices: Int[Array, " images"], key: bytes
) -> None:
    """Write the images to answer.

    Parameters
    ----------
    path : Path
        A safetensors file: ``image_id`` ``(N,)`` int64, ascending, and ``images``
        ``(N, H, W, 3)`` uint8, sRGB. Its metadata hold ``format``, ``root``, and as JSON ``spec``:
        what a method may know.
    dataset : DatasetLike
        Where the images are.
    indices : array
        ``(N,)`` image indices, see ``harness.scored_indices``.
    key : bytes
        From `load_key`.
    """
    ids = image_ids(dataset, indices, key)
    order = np.argsort(ids)
    spec = split_spec(dataset)
    metadata = {
        "format": FORMAT,
        "root": dataset.root,
        "spec": json.dumps(
            {
                "image_hw": list(spec.image_hw),
                "max_slots": spec.max_slots,
                "factors": dict(spec.factors),
            }
        ),
    }
    images = dataset.images(indices[order])
    with replacing(path) as temporary:
        write_tensors(temporary, {"image_id": ids[order], "images": images}, metadata)
