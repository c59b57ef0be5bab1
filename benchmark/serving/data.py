"""The training data that the harness serves to a learner, and counts.

``TrainData`` hides everything a learner must not know: indices, cells, splits, and the labels of
the fields that the track does not allow.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from recombine.benchmark.protocol.contract import SplitSpec
from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from jaxtyping import Float, Int, UInt8
    from torch import Tensor

    from recombine.benchmark.protocol.contract import MethodCard
    from recombine.renderer.core.types import Array
    from recombine.renderer.scenes.factors import Schema

Field = Literal["factors", "masks"]
SPLITS = ("id_train", "id_val", "id_test", "ooc_test")
FIELDS_OF_TRACK: dict[str, tuple[Field, ...]] = {
    "unsupervised": (),
    "weak": ("masks",),
    "supervised": ("factors", "masks"),
}


class DatasetLike(Protocol):
    """The part of ``recombine.renderer.store.dataset.Dataset`` that scoring reads.

    Tests pass a small in-memory object of the same form.
    """

    @property
    def preset(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def identity(self) -> str: ...  # noqa: D102
    @property
    def root(self) -> str: ...  # noqa: D102
    @property
    def resolution(self) -> int: ...  # noqa: D102
    @property
    def certificate(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def manifest(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def schema(self) -> Schema: ...  # noqa: D102
    @property
    def latents(self) -> Mapping[str, Array]: ...  # noqa: D102
    @property
    def cells(self) -> Int[Array, "images recombined"]: ...  # noqa: D102
    @property
    def blocks(self) -> Int[Array, " images"]: ...  # noqa: D102
    def __len__(self) -> int: ...
    def indices(self, split: str, *, rung: int = 0) -> Int[Array, " n"]: ...  # noqa: D102
    def images(self, indices: Any) -> UInt8[Array, "n height width 3"]: ...  # noqa: D102
    def masks(self, indices: Any) -> UInt8[Array, "n height width"]: ...  # noqa: D102
    def check(self) -> None: ...  # noqa: D102


def has(dataset: DatasetLike, annotation: str) -> bool:
    """Return whether the images have an annotation, such as ``"mask"``; imported ones may not."""
    return annotation in getattr(dataset, "annotations", (annotation,))


def has_pixels(dataset: DatasetLike) -> bool:
    """Return whether the images are here; of a plan drawn again they are not."""
    return bool(getattr(dataset, "pixels", True))


def refuse_unfit(card: MethodCard, dataset: DatasetLike, *, trains: bool) -> None:
    """Refuse data that a method must not be trained on, or that lack the masks it needs."""
    forbidden = not getattr(dataset, "training_generative_models", True)
    if trains and card.generative and forbidden:
        raise UsageError(
            f"{card.id}: expected images that generative models may be trained on; the licence of "
            f"{dataset.preset}/{dataset.version} forbids it: {getattr(dataset, 'licence', '')}. "
            "Score a method without a decoder. Whoever has the owner's permission states it where "
            "the licence stands, and imports the images again."
        )
    matched = card.slots == "exchangeable"
    if (matched or (trains and card.supervision == "weak")) and not has(dataset, "mask"):
        raise UsageError(
            f"{card.id}: expected images with masks, to "
            f"{'match its slots to objects' if matched else 'learn from them'}; "
            f"{dataset.preset}/{dataset.version} has none. Import them with masks, or score "
            "another method."
        )


def require_sound(dataset: DatasetLike) -> None:
    """Refuse data whose certificate does not hold, as far as can be told without their pixels."""
    from recombine.renderer.certificate.verify import recheck

    dataset.check()
    folder = getattr(dataset, "path", None)
    if isinstance(folder, Path):
        recheck(folder)


@dataclass(frozen=True)
class Batch:
    """A batch of B training images with the labels that the track allows.

    Attributes
    ----------
    images : Tensor
        ``(B, 3, H, W)`` float32, sRGB-encoded, in [0, 1].
    factors : Mapping of str to Tensor
        Factor name to ``(B,)``: int64 value codes for categorical factors, float32 in the factor's
        unit (radians for periodic ones) otherwise. Empty when the track hides labels.
    masks : Tensor, optional
        ``(B, H, W)`` int64, 0 background, k + 1 for object k. None when the track hides masks.
    """

    images: Float[Tensor, "images 3 height width"]
    factors: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Int[Tensor, "images height width"] | None = None


def split_spec(dataset: DatasetLike) -> SplitSpec:
    """Return what a method may know about a dataset."""
    schema = dataset.schema
    return SplitSpec(
        image_hw=(dataset.resolution, dataset.resolution),
        max_slots=len(schema.slots),
        factors={key: schema.factor(key).type_name for key in schema.keys},
    )


def plain_spec(dataset: DatasetLike) -> dict[str, Any]:
    """Return what a method may know about a dataset as JSON values."""
    spec = split_spec(dataset)
    return {**asdict(spec), "image_hw": list(spec.image_hw)}


def spec_of(plain: Mapping[str, Any]) -> SplitSpec:
    """Return the `SplitSpec` of `plain_spec`."""
    return SplitSpec(tuple(plain["image_hw"]), plain["max_slots"], plain["factors"])


def to_images(pixels: UInt8[Array, "n height width 3"]) -> Float[Tensor, "n 3 height width"]:
    """Convert stored pixels to what methods see."""
    import torch

    return torch.from_numpy(_channels_first(pixels)).to(torch.float32).div_(255.0)


def _channels_first(pixels: UInt8[Array, "n height width 3"]) -> UInt8[Array, "n 3 height width"]:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


class TrainData:
    """The images of one in-combination split, as a learner may see them.

    Attributes
    ----------
    spec : SplitSpec
        Image size, number of slots and factor types.
    images_served : int
        Images handed out so far, in batches or all at once, counted with repetition.

    Examples
    --------
    One epoch of a learner::

        for batch in data.batches(64, seed=epoch):
            loss = model(batch.images)
    """

    def __init__(
        self,
        dataset: DatasetLike,
        split: Literal["id_train", "id_val"],
        *,
        fields: Collection[Field] = (),
        rung: int = 0,
        limit: int | None = None,
        max_images: int | None = None,
    ) -> None:
        """Serve one split."""
        if split not in ("id_train", "id_val"):
            raise UsageError(
                f"TrainData: a learner may see 'id_train' or 'id_val', got {split!r}; "
                "test images are only served by the harness"
            )
        if unknown := set(fields) - {"factors", "masks"}:
            raise UsageError(
                f"TrainData: fields may hold 'factors' and 'masks', got {sorted(unknown)}; "
                "remove the others"
            )
        self.spec = split_spec(dataset)
        self.images_served = 0
        # Supervised methods get what labels there are; imported images may lack masks.
        self._fields = frozenset(f for f in fields if f != "masks" or has(dataset, "mask"))
        self._max_images = max_images
        self._dataset = dataset
        found = _first(dataset.indices(split, rung=rung), limit, split)
        self._indices = served_order(dataset, found)
        self._pixels: UInt8[Array, "n 3 height width"] | None = None  # turned once, not per batch
        self._mask_cache: UInt8[Array, "n height width"] | None = None

    @property
    def all_combinations(self) -> bool:
        """Tell whether held-out combinations are served too, as to an upper bound only."""
        return bool(getattr(self._dataset, "all_combinations", False))

    def __len__(self) -> int:
        """Return the number of different images."""
        return len(self._indices)

    def batches(self, batch_size: int, *, seed: int, drop_last: bool = False) -> Iterator[Batch]:
        """Yield one epoch in random order, and count the images.

        Parameters
        ----------
        batch_size : int
            Images per batch, at least 1; the last batch may be smaller.
        seed : int
            Seed of the order; pass another one for every epoch.
        drop_last : bool
            Leave out a last batch that is smaller than the others.

        Yields
        ------
        Batch
            Images and the labels that the track allows.

        Raises
        ------
        UsageError
            When ``batch_size`` is below 1.
        ResourceError
            When the image budget of the run is used up.
        """
        if batch_size < 1:
            raise UsageError(f"TrainData.batches: batch_size must be at least 1, got {batch_size}")
        order = np.random.default_rng(seed).permutation(len(self))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            if drop_last and len(rows) < min(batch_size, len(order)):
                return
            self._count(len(rows))
            yield self._batch(rows)

    def count_again(self, n_images: int) -> None:
        """Count images that are trained on once more without being served, from kept features.

        Parameters
        ----------
        n_images : int
            At least 0.

        Raises
        ------
        UsageError
            When the number is negative.
        ResourceError
            When the image budget of the run is used up.
        """
        if n_images < 0:
            raise UsageError(f"TrainData.count_again: expected at least 0 images, got {n_images}")
        self._count(n_images)

    def arrays(self) -> Batch:
        """Return all images at once, and count them.

        Whoever trains on them for more than one epoch counts the others by ``count_again``.

        Returns
        -------
        Batch
            Everything; ``len(self)`` images in memory, in an order that is the same for every
            seed and says nothing about cells.

        Raises
        ------
        ResourceError
            When the image budget of the run is used up.
        """
        self._count(len(self))
        return self._batch(np.arange(len(self)))

    def fingerprint(self) -> str:
        """Return a hash of all images and labels; nothing is handed out, so nothing is counted.

        Returns
        -------
        str
            SHA-256, hexadecimal.
        """
        return batch_hash(self._batch(np.arange(len(self))))

    def _count(self, n: int) -> None:
        if self._max_images is not None and self.images_served + n > self._max_images:
            raise ResourceError(
                f"TrainData: the run may see {self._max_images} images and has seen "
                f"{self.images_served}; stop training at TrainBudget.max_images_seen"
            )
        self.images_served += n

    def _batch(self, rows: Int[Array, " rows"]) -> Batch:
        import torch

        masks = None
        if "masks" in self._fields:
            if self._mask_cache is None:
                self._mask_cache = self._dataset.masks(self._indices)
            masks = torch.from_numpy(self._mask_cache[rows].astype(np.int64))
        return Batch(self._images(rows), self._factors(rows), masks)

    def _images(self, rows: Int[Array, " rows"]) -> Float[Tensor, "rows 3 height width"]:
        import torch

        if self._pixels is None:
            self._pixels = _channels_first(self._dataset.images(self._indices))
        return torch.from_numpy(self._pixels[rows]).to(torch.float32).div_(255.0)

    def _factors(self, rows: Int[Array, " rows"]) -> dict[str, Tensor]:
        import torch

        if "factors" not in self._fields:
            return {}
        indices = self._indices[rows]
        out = {}
        for key in self._dataset.schema.keys:
            values = self._dataset.latents[key][indices]
            integral = self._dataset.schema.factor(key).kind == "categorical"
            out[key] = torch.from_numpy(values.astype(np.int64 if integral else np.float32))
        return out


def batch_hash(batch: Batch) -> str:
    """Return the SHA-256 of images, as stored, and labels."""
    digest = hashlib.sha256()
    tensors = {"images": (batch.images * 255).round().byte(), **batch.factors}
    if batch.masks is not None:
        tensors["masks"] = batch.masks.byte()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def served_order(dataset: DatasetLike, indices: Int[Array, " n"]) -> Int[Array, " n"]:
    """Return images in the order in which a learner gets to know them."""
    # Stored order runs through the cells of every block, so it would tell them apart.
    rank = np.random.default_rng(int(dataset.identity[:16], 16)).permutation(len(dataset))
    shuffled: Array = indices[np.argsort(rank[indices])]
    return shuffled


def _first(indices: Int[Array, " n"], limit: int | None, split: str) -> Int[Array, " limit"]:
    wanted = len(indices) if limit is None else limit
    if wanted < 1 or wanted > len(indices):
        raise InvalidInputError(
            f"TrainData: split {split!r} holds {len(indices)} images, {wanted} were asked for; "
            "render more or ask for fewer"
        )
    return indices[:wanted]
