"""Where imported pixels lie, and how they become square images of eight bits."""

from __future__ import annotations

import io
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from recombine.renderer.core.errors import InvalidInputError, UsageError
from recombine.renderer.core.hdf5 import open_checked, stored
from recombine.renderer.core.system import system_error
from recombine.renderer.core.types import Array
from recombine.renderer.importing.labels import Table
from recombine.renderer.importing.recipe import Fit, Recipe

HDF5 = (".h5", ".hdf5")


class Pictures(ABC):
    """Images and masks by the row of their table."""

    has_masks: bool

    @abstractmethod
    def read(self, rows: Sequence[int]) -> Iterator[tuple[Array, Array | None]]:
        """Yield image and mask of some rows, which ascend, as they are stored."""

    @abstractmethod
    def name(self, row: int) -> str:
        """Return what tells an image from all others, wherever its table lists it."""


class Files(Pictures):
    """Files of a folder, whose paths the table lists."""

    def __init__(self, folder: Path, table: Table, recipe: Recipe) -> None:
        self.files = dict(enumerate(_paths(folder, table, recipe.file)))
        masks = _paths(folder, table, recipe.mask, once=False) if recipe.mask else []
        self.masks = dict(enumerate(masks))
        self.has_masks = bool(masks)
        self.folder = folder

    def read(self, rows: Sequence[int]) -> Iterator[tuple[Array, Array | None]]:
        """Yield the decoded files."""
        for row in rows:
            mask = self.masks.get(row)
            image = decoded(self.files[row], self.files[row].name)
            yield image, None if mask is None else decoded(mask, mask.name, codes=True)

    def name(self, row: int) -> str:
        """Return the path of a file in the folder."""
        return self.files[row].relative_to(self.folder).as_posix()


def _paths(folder: Path, table: Table, column: str, *, once: bool = True) -> list[Path]:
    seen: dict[str, int] = {}
    paths = []
    for row, text in enumerate(table.texts(column)):
        path = folder / text
        if Path(text).is_absolute() or ".." in Path(text).parts:
            raise InvalidInputError(
                f"{table.place(row)}: expected a path inside {folder.name}; got {text!r}. "
                "Write paths relative to the folder of images."
            )
        if once and text in seen:
            raise InvalidInputError(
                f"{table.place(row)}: expected every file once; got {text!r}, as in "
                f"{table.place(seen[text])}. Remove one of the rows."
            )
        if not path.is_file():
            raise InvalidInputError(
                f"{table.place(row)}: expected the file {text!r} in {folder}; found none. "
                "Check the column and the folder."
            )
        seen[text] = row
        paths.append(path)
    return paths


def decoded(source: Path | bytes, name: str, *, codes: bool = False) -> Array:
    """Return the pixels of an image file; ``codes`` keeps the numbers of a palette."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.mode == "P" and not codes:
                return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))
            if image.mode in ("1", "L", "P", "RGB", "RGBA", "I", "F") or image.mode[:2] == "I;":
                return np.asarray(image)
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise system_error(name, error) or InvalidInputError(
            f"import: expected an image that can be read; {name} cannot be ({error}). "
            "Fetch the file again, or leave its row out."
        ) from error


class Arrays(Pictures):
    """An array in an NPZ or HDF5 file, one entry per row."""

    def __init__(self, path: Path, table: Table, recipe: Recipe) -> None:
        self.path, self.keys = path, [recipe.images, *([recipe.masks] if recipe.masks else [])]
        self.has_masks = bool(recipe.masks)
        self.numbers = table.columns["#"]

    def read(self, rows: Sequence[int]) -> Iterator[tuple[Array, Array | None]]:
        """Yield entries of the array of images, and of that of masks."""
        numbers = [int(self.numbers[row]) for row in rows]
        columns = [entries(self.path, key, numbers) for key in self.keys]
        for found in zip(*columns, strict=True):
            yield found[0], found[1] if self.has_masks else None

    def name(self, row: int) -> str:
        """Return the number of an entry."""
        return str(self.numbers[row])


def entries(path: Path, key: str, rows: Sequence[int]) -> Iterator[Array]:
    """Yield some entries of an array in a file, whose numbers ascend."""
    if path.suffix.lower() in HDF5:
        with open_checked(path) as handle:
            dataset = stored(handle, key)
            _check_rows(path, key, dataset.shape, rows)
            for row in rows:
                yield np.asarray(dataset[row])
        return
    # Arrays of published sets are larger than memory: they are read as a stream.
    with _array(path, key) as stream:
        shape, dtype = _header(stream, path, key)
        _check_rows(path, key, shape, rows)
        size, at = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize, 0
        for row in rows:
            stream.seek((row - at) * size, io.SEEK_CUR)
            content, at = stream.read(size), row + 1
            if len(content) != size:
                raise EOFError(f"it ends before number {row}")
            yield np.frombuffer(content, dtype).reshape(shape[1:])


def whole(path: Path, key: str) -> Array:
    """Return a whole array of a file, such as one of labels."""
    if path.suffix.lower() in HDF5:
        with open_checked(path) as handle:
            return np.asarray(stored(handle, key)[:])
    with _array(path, key) as stream:
        shape, dtype = _header(stream, path, key)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        content = stream.read(size)
        if len(content) != size:
            raise EOFError("it ends early")
        return np.frombuffer(content, dtype).reshape(shape)


def count(path: Path, key: str) -> int:
    """Return how many entries an array of a file has."""
    if path.suffix.lower() in HDF5:
        with open_checked(path) as handle:
            return len(stored(handle, key))
    with _array(path, key) as stream:
        shape, _ = _header(stream, path, key)
        return shape[0] if shape else 0


@contextmanager
def _array(path: Path, key: str) -> Iterator[IO[bytes]]:
    """Open an array of an NPZ file; whatever is wrong with the file has one name."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_member(archive, path, key)) as stream:
            yield stream
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise system_error(path, error) or InvalidInputError(
            f"{path.name}: expected an NPZ or HDF5 file that is whole; {key!r} cannot be read "
            f"({error}). Fetch it again, or give the folder of images."
        ) from error


def _header(stream: IO[bytes], path: Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array; numbers in C order only, never pickled objects."""
    form: Any = np.lib.format
    version = form.read_magic(stream)
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if fortran or dtype.hasobject:
        raise InvalidInputError(
            f"{path.name}: expected numbers in C order as {key!r}; got {dtype}. "
            "Save the array again with `np.savez(images=np.ascontiguousarray(...))`."
        )
    return shape, dtype


def _member(archive: zipfile.ZipFile, path: Path, key: str) -> str:
    names = archive.namelist()
    if f"{key}.npy" not in names:
        known = [name.removesuffix(".npy") for name in names]
        raise InvalidInputError(
            f"{path.name}: expected an array {key!r}; got {known[:20]}. "
            "Name the right ones in [import]: images, masks, labels."
        )
    return f"{key}.npy"


def _check_rows(path: Path, key: str, shape: Sequence[int], rows: Sequence[int]) -> None:
    if not 3 <= len(shape) <= 4 or (len(rows) and rows[-1] >= shape[0]):
        raise InvalidInputError(
            f"{path.name}: expected {key!r} to hold an image for each row of the labels, of which "
            f"number {rows[-1] if len(rows) else 0} is the last; got an array {tuple(shape)}."
        )


def of_source(source: Path, table: Table, recipe: Recipe) -> Pictures:
    """Return the pictures of a folder or of a file with arrays."""
    if source.is_dir():
        return Files(source, table, recipe)
    if source.is_file():
        return Arrays(source, table, recipe)
    raise UsageError(
        f"import: expected a folder of images, an NPZ or HDF5 file, or an export of ours; got "
        f"{str(source)!r}. Check the path."
    )


@dataclass(frozen=True)
class Shaping:
    """How stored pixels become images; what was done is told, never silent."""

    white: float
    size: int
    fit: Fit | None

    def image(self, array: Array, who: str) -> Array:
        """Return colours as uint8 (H, W, 3)."""
        return self._square(self._bytes(_last(array, who), who), who, Image.Resampling.BILINEAR)

    def mask(self, array: Array, who: str, objects: int) -> Array:
        """Return the number of the object, from 1, at every pixel; 0 where there is none."""
        array = _last(array, who)[..., 0] if array.ndim == 3 else array
        codes = array.astype(np.int64)
        if not np.array_equal(codes, array) or codes.min() < 0 or codes.max() > objects:
            raise InvalidInputError(
                f"{who}: expected a mask of whole numbers from 0 to {objects}, k + 1 on object k; "
                f"got {array.min()} to {array.max()}. Declare the slots of objects, or leave "
                "masks out."
            )
        return self._square(codes.astype(np.uint8), who, Image.Resampling.NEAREST)

    def _bytes(self, array: Array, who: str) -> Array:
        if array.dtype == bool:
            array = array.astype(np.uint8) * 255
        elif self.white or array.dtype != np.uint8:
            array = self._scaled(array, who)
        if array.shape[2] == 4:
            if (array[..., 3] < 255).any():
                raise InvalidInputError(
                    f"{who}: expected an opaque image; got a transparent one. Put it on a "
                    "background first."
                )
            array = array[..., :3]
        return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array

    def _scaled(self, array: Array, who: str) -> Array:
        numbers = array.astype(float)
        top = self.white
        if not top or not np.isfinite(numbers).all() or not 0 <= numbers.min() <= numbers.max():
            raise InvalidInputError(
                f"{who}: expected pixels of 8 bits, or `white` in [import]; got {array.dtype} from "
                f"{numbers.min():g} to {numbers.max():g}. Say which value is white."
            )
        if numbers.max() > top:
            raise InvalidInputError(
                f"{who}: expected pixels of at most {top:g}, which `white` says; got "
                f"{numbers.max():g}. Correct `white` in [import]."
            )
        return np.asarray(np.rint(numbers / top * 255).astype(np.uint8))

    def _square(self, array: Array, who: str, how: Image.Resampling) -> Array:
        height, width = array.shape[:2]
        size = self.size or height
        if (height, width) == (size, size):
            return array
        if not self.size or (height != width and self.fit is None):
            raise InvalidInputError(
                f"{who}: expected square images, all of one size; got {height} x {width}. "
                "Set `size` in [import], and `fit` to crop, pad or stretch."
            )
        if height != width and self.fit == "crop":
            edge = min(height, width)
            top, left = (height - edge) // 2, (width - edge) // 2
            array = array[top : top + edge, left : left + edge]
        elif height != width and self.fit == "pad":
            edge = max(height, width)
            padded = np.zeros((edge, edge, *array.shape[2:]), array.dtype)
            top, left = (edge - height) // 2, (edge - width) // 2
            padded[top : top + height, left : left + width] = array
            array = padded
        return np.asarray(Image.fromarray(array).resize((size, size), how))

    def said(self, shapes: Mapping[tuple[int, int], int]) -> str:
        """Return in words what was done to images of these heights and widths."""
        sizes = ", ".join(f"{h} x {w}" for h, w in sorted(shapes))
        if not self.size or set(shapes) == {(self.size, self.size)}:
            return f"{sizes}, as they were"
        square = all(h == w for h, w in shapes)
        return f"{sizes}, {'' if square else f'{self.fit}, then '}resized to {self.size}, bilinear"


def _last(array: Array, who: str) -> Array:
    """Return an image with its channels last."""
    if array.ndim == 2:
        return array[..., None]
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        return array
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return np.moveaxis(array, 0, 2)
    raise InvalidInputError(
        f"{who}: expected an image (H, W), (H, W, 1), (H, W, 3) or (3, H, W); got {array.shape}."
    )


def extent(array: Array) -> tuple[int, int]:
    """Return height and width of an image as it is stored."""
    height, width = _last(array, "import").shape[:2]
    return int(height), int(width)
