"""Reading a rendered dataset with NumPy and h5py only."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recombine.renderer.core.errors import IntegrityError, InvalidInputError, UsageError
from recombine.renderer.core.types import Array
from recombine.renderer.planning.plan import Plan
from recombine.renderer.scenes.geometry import Cameras, bits
from recombine.renderer.scenes.scene import LABELS
from recombine.renderer.store.certificate import require_certificate
from recombine.renderer.store.mapping import MappedShards
from recombine.renderer.store.planned import PlannedData
from recombine.renderer.store.records import read_certificate, read_manifest
from recombine.renderer.store.shards import load_plan

if TYPE_CHECKING:
    from jaxtyping import Bool, Float16, Float32, Float64, Int32, Int64, UInt8

    from recombine.renderer.store.torch_dataset import TorchDataset


@dataclass(frozen=True)
class Boxes:
    """The boxes of the objects of some images; zero for an object that is absent or hidden.

    Attributes
    ----------
    visible : int32 array of shape (n, K, 4)
        x, y, width, height of what is seen of an object, pixels; column x is the first one.
    amodal : int32 array of shape (n, K, 4)
        The same of the object when it stands alone.
    corners : float64 array of shape (n, K, 8, 3)
        Corners of its own box in the world, metres: corner 4 i + 2 j + k is low (0) or high (1)
        along the object's x (i), y (j) and z (k).
    """

    visible: Int32[Array, "n K 4"]
    amodal: Int32[Array, "n K 4"]
    corners: Float64[Array, "n K 8 3"]


@dataclass(frozen=True)
class SplitView:
    """Images of one split, read when they are asked for; slices and index arrays give parts."""

    data: Dataset  # where they lie
    index: Array  # ``(n,)`` their places in the dataset, ascending

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, part: slice | Array | list[int]) -> SplitView:
        """Return some of the images."""
        if not isinstance(part, slice | np.ndarray | list):
            raise UsageError(
                f"split view: expected a slice or an array of indices; got {part!r}. "
                "For one image write view[i : i + 1]."
            )
        return SplitView(self.data, self.index[part])

    def __repr__(self) -> str:
        return f"SplitView({self.data.name}, {len(self)} images)"

    @property
    def images(self) -> UInt8[Array, "n H W 3"]:
        """Return the images, sRGB uint8; a copy in memory."""
        return self.data.images(self.index)

    @property
    def masks(self) -> UInt8[Array, "n H W"]:
        """Return instance masks: 0 background, k + 1 object k."""
        return self.data.masks(self.index)

    @property
    def amodal_masks(self) -> Bool[Array, "n K H W"]:
        """Return where each object is seen when it stands alone; these may overlap."""
        whole = self.data.annotation("amodal_mask", self.index)
        return bits(whole, len(self.data.schema.objects))

    @property
    def depth(self) -> Float16[Array, "n H W"]:
        """Return metres along each pixel's ray, inf where nothing is hit; see `cameras`."""
        return self.data.annotation("depth", self.index)

    @property
    def normals(self) -> Float32[Array, "n H W 3"]:
        """Return unit normals of the faces in the world; zero where nothing is hit."""
        return self.data.annotation("normal", self.index).astype(np.float32) / np.float32(127)

    @property
    def visible(self) -> Float16[Array, "n K"]:
        """Return the share of each object that is seen, 0 to 1; 0 for an absent one."""
        return self.data.annotation("visible", self.index)

    @property
    def amodal(self) -> Float16[Array, "n K"]:
        """Return the share of the frame that each object takes when it stands alone."""
        return self.data.annotation("amodal", self.index)

    @property
    def seeds(self) -> Int64[Array, " n"]:
        """Return the seed of the path tracer of each image."""
        return np.asarray(self.data.plan.cycles_seed[self.index])

    @property
    def cameras(self) -> Cameras:
        """Return intrinsics and poses; they turn depth into points and points into pixels."""
        return self.data.camera(self.index)

    @property
    def poses(self) -> Float64[Array, "n K 4 4"]:
        """Return object to world: rotation times scale, and place, metres; zero if absent."""
        return self.data.annotation("object_to_world", self.index)

    @property
    def boxes(self) -> Boxes:
        """Return the boxes of the objects, in pixels and in the world."""
        names = ("box_2d", "box_2d_amodal", "box_3d")
        return Boxes(*(self.data.annotation(name, self.index) for name in names))

    @property
    def factors(self) -> dict[str, Array]:
        """Return one array of shape (n,) per ``slot.factor``: value names, radians or units."""
        schema = self.data.schema
        found = {}
        for key, values in self.data.latents.items():
            names = getattr(schema.factor(key), "values", None)
            part = values[self.index]
            found[key] = np.array(names)[part.astype(int)] if names else part
        return found

    @property
    def cells(self) -> Int64[Array, "n F"]:
        """Return the value codes of the recombined factors, (n, F)."""
        return self.data.cells[self.index]


class Dataset(PlannedData):
    """A sealed dataset on disk, indexed by image.

    Files are opened on first use in each process, after a whitelist check, and few stay open, so
    a `Dataset` can be pickled and shared by the threads and workers of a data loader.

    Parameters
    ----------
    path : str or Path
        Dataset folder.

    Raises
    ------
    InvalidInputError
        When the folder holds no sealed dataset.
    IntegrityError
        When its files contradict one another.

    Examples
    --------
    >>> data = Dataset("runs/smoke")  # doctest: +SKIP
    >>> data["id_train"][:8].images.shape  # doctest: +SKIP
    (8, 64, 64, 3)
    >>> data.torch("id_train")[0]["image"].shape  # doctest: +SKIP
    torch.Size([3, 64, 64])
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # the current folder may be another one by then
        self.manifest: dict[str, Any] = read_manifest(self.path)
        self._starts: list[int] = [s["start"] for s in self.manifest["shards"]]

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind."""
        return {name: value for name, value in self.__dict__.items() if name != "_shards"}

    def __repr__(self) -> str:
        return f"Dataset({self.name}, {len(self)} images, identity {self.identity[:12]})"

    def _repr_html_(self) -> str:
        """Show the contact sheet in a notebook, where there is one."""
        identity = self.identity[:12]
        words = f"<p>{html.escape(self.name)}: {len(self):,} images, identity {identity}</p>"
        sheet = self.path / "preview.png"
        if not sheet.is_file():
            return words
        picture = base64.b64encode(sheet.read_bytes()).decode()
        return f'{words}<img src="data:image/png;base64,{picture}" style="max-width:100%">'

    def __getitem__(self, split: str) -> SplitView:
        """Return a split: ``data["ooc_test"].images``; only rung 0 of ``id_train``."""
        return SplitView(self, self.indices(split))

    def torch(self, split: str, *, rung: int = 0) -> TorchDataset:
        """Return a split as a map-style torch dataset, for a `DataLoader` of any workers.

        Parameters
        ----------
        split : {"id_train", "id_val", "id_test", "ooc_test"}
            Part of the dataset.
        rung : int
            Rung of the training ladder; only ``id_train`` has rungs.

        Returns
        -------
        TorchDataset
            Of dicts: ``image`` (3, H, W) float32 in [0, 1], ``mask`` (H, W) int64 with 0 for the
            background and k + 1 for object k, and every ``slot.factor``: int64 codes of
            categorical factors, float64 radians or scene units of the others.

        Raises
        ------
        UsageError
            When the split or rung does not exist.
        """
        from recombine.renderer.store.torch_dataset import TorchDataset

        # pyright reads this file under two names, so it sees two classes Dataset.
        return TorchDataset(self, split, rung=rung)  # pyright: ignore[reportArgumentType]

    @cached_property
    def _plan(self) -> Plan:
        plan = load_plan(self.path)
        if plan.digest() != self.manifest["plan_sha256"] or len(plan) != len(self):
            raise IntegrityError(
                f"{self.path}: plan.h5 and manifest.json must describe one dataset; they differ. "
                "Render into an empty folder."
            )
        return plan

    @property
    def plan(self) -> Plan:
        """Return all latents and seeds, as they were before anything was rendered."""
        return self._plan

    @cached_property
    def visible(self) -> Float64[Array, "N K"]:
        """Return the visible share of every object, (N, K)."""
        self._require("visible")
        return self._read_many("visible", range(len(self))).astype(float)

    @property
    def certificate(self) -> dict[str, Any]:
        """Return the certificate that `recombine dataset verify` sealed with the data."""
        return self._certificate

    @cached_property
    def _certificate(self) -> dict[str, Any]:
        return read_certificate(self.path)

    def image(self, index: int) -> UInt8[Array, "H W 3"]:
        """Return one image, sRGB uint8."""
        image: Array = self._read_many("image", [index])[0]
        return image

    def images(self, indices: Iterable[int]) -> UInt8[Array, "n H W 3"]:
        """Return images by plain index, copied from a memory-map of the shards."""
        return self._read_many("image", indices)

    def masks(self, indices: Iterable[int]) -> UInt8[Array, "n H W"]:
        """Return instance masks: 0 background, k + 1 object k."""
        return self._read_many("mask", indices)

    def camera(self, indices: Iterable[int]) -> Cameras:
        """Return intrinsics and poses of the cameras of some images.

        Parameters
        ----------
        indices : iterable of int
            Plain indices of the images.

        Returns
        -------
        Cameras
            ``intrinsics`` (n, 3, 3) in pixels and ``camera_to_world`` (n, 4, 4) in metres, with
            methods that turn depth into points and points into pixels.
        """
        wanted = list(indices)
        names = ("intrinsics", "camera_to_world")
        return Cameras(*(self._read_many(name, wanted) for name in names))

    def annotation(self, name: str, indices: Iterable[int]) -> Array:
        """Return an annotation of some images by its name in the shards, such as ``depth``."""
        return self._read_many(name, indices)

    def check(self) -> None:
        """Check that the certificate is whole, passed, and belongs to exactly these files.

        Whether what it says is true only `verify` can tell; scoring decides again what labels and
        latents alone can tell.

        Raises
        ------
        InvalidInputError
            When the dataset was never verified.
        IntegrityError
            When a check failed or is missing, or a file changed since.
        """
        require_certificate(self.path, self.manifest, self.certificate)

    @cached_property
    def _shards(self) -> MappedShards:
        return MappedShards(self.path, self.manifest, self._plan)

    def _require(self, name: str) -> None:
        if name in LABELS and name not in self.annotations:
            raise InvalidInputError(
                f"{self.name}: expected images with {name!r}; these were imported with "
                f"{', '.join(self.annotations) or 'no annotation'} beside their pixels. "
                "Import them with masks, or ask for what needs none."
            )

    def _read_many(self, name: str, indices: Iterable[int]) -> Array:
        self._require(name)
        wanted = np.fromiter(map(int, indices), np.int64)
        if not len(wanted):
            raise InvalidInputError(f"{self.name}: expected at least one index; got none.")
        outside = wanted[(wanted < 0) | (wanted >= len(self))]
        if len(outside):
            raise InvalidInputError(
                f"{self.name}: image indices lie in 0..{len(self) - 1}; got {outside[0]}."
            )
        numbers = np.searchsorted(self._starts, wanted, "right") - 1
        rows = wanted - np.take(self._starts, numbers)
        order = np.argsort(numbers, kind="stable")
        first, *others = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
        part = self._shards.rows(int(numbers[first[0]]), name, rows[first])
        if not others:
            return part
        found: Array = np.empty((len(wanted), *part.shape[1:]), part.dtype)
        found[first] = part
        for here in others:
            found[here] = self._shards.rows(int(numbers[here[0]]), name, rows[here])
        return found
