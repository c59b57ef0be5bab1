"""Weights as they lie on disk: which files are opened, and what is refused by name.

Only safetensors are read: any other file of weights can run code when it is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from recombine.renderer.core.errors import InvalidInputError, ResourceError, UsageError
from recombine.renderer.core.system import system_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from torch import Tensor, nn

PLAIN_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".tar", ".msgpack", ".h5")
LFS_POINTER = b"version https://git-lfs"


def fill(model: nn.Module, path: Path, name: object) -> None:
    """Load a local file into a model; a head may be left over, nothing may be missing."""
    with readable(path):
        path = path / "model.safetensors" if path.is_dir() else path
        if not path.is_file() or path.suffix != ".safetensors":
            raise UsageError(
                f"hub: {name}: expected weights in a local .safetensors file, got {path}"
                f"{'' if path.exists() else ', which does not exist'}; {_conversion(path)}"
            )
        _refuse_pointer(path)
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise InvalidInputError(
                f"hub: {path}: the weights must be those of {name}, got {one_line(error)}; the "
                "file may be cut short, fetch it again"
            ) from error
    own = model.state_dict()
    # Counters of batches, which old files lack, play no part in evaluation.
    state = _unwrapped(state, [key for key in own if not key.endswith("num_batches_tracked")], path)
    floats = {key: state[key].dtype for key in own if key in state and own[key].is_floating_point()}
    refuse_types(name, floats)
    try:
        missing = model.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        raise InvalidInputError(
            f"hub: {path}: the weights must be those of {name}, got {one_line(error)}"
        ) from error
    if missing:
        raise InvalidInputError(
            f"hub: {path}: the weights must be those of {name}; {len(missing)} tensors are "
            f"missing, the first is {missing[0]}; the file holds {', '.join(sorted(state)[:3])}"
        )


def _unwrapped(state: dict[str, Tensor], wanted: Collection[str], path: Path) -> dict[str, Tensor]:
    """Return tensors under the model's names, where a wrapper put one prefix before all of them.

    ``torch.compile`` saves ``_orig_mod.``, ``DataParallel`` ``module.``, a larger model a name.
    """
    first = next(iter(wanted), None)
    if first is None or all(key in state for key in wanted):
        return state
    prefixes = {key.removesuffix(first) for key in state if key.endswith(f".{first}")}
    whole = sorted(one for one in prefixes if all(one + key in state for key in wanted))
    if len(whole) > 1:
        raise InvalidInputError(
            f"hub: {path}: expected one set of weights, got {len(whole)}: {', '.join(whole)}; save "
            "one of them to a file of its own"
        )
    if not whole:
        return state
    return {k.removeprefix(whole[0]): v for k, v in state.items() if k.startswith(whole[0])}


def model_folder(path: Path, name: object) -> Path:
    """Return the folder in which a model of transformers lies, with weights that are tensors."""
    with readable(path):
        if not path.is_dir():
            got = "a file" if path.exists() else "nothing there"
            raise UsageError(f"hub: {name}: no folder {path} ({got}); give one of save_pretrained")
        path = _snapshot(path)
        files = sorted(one.name for one in path.iterdir())
        if "config.json" not in files:
            raise UsageError(
                f"hub: {name}: expected a folder of save_pretrained with config.json, got "
                f"{path} with {', '.join(files[:5]) or 'nothing'}; give the folder that holds it"
            )
        for one in files:
            if one.endswith(".safetensors"):
                _refuse_pointer(path / one)
        if not any(one.endswith(".safetensors") for one in files):
            pickled = [one for one in files if one.endswith(PICKLED)]
            raise UsageError(
                f"hub: {name}: expected weights in model.safetensors, got {path} with "
                f"{', '.join(pickled) or 'no weights'}; pickled files are not opened here. If you "
                'trust it, run: python -c "from transformers import AutoModel as M; '
                f"M.from_pretrained('{path}').save_pretrained('{path}')\""
            )
    return path


def _snapshot(path: Path) -> Path:
    """Return the newest snapshot where a folder is one of the hub's cache."""
    snapshots, main = path / "snapshots", path / "refs" / "main"
    if not snapshots.is_dir():
        return path
    if main.is_file() and (snapshots / main.read_text().strip()).is_dir():
        return snapshots / main.read_text().strip()
    found = sorted(one for one in snapshots.iterdir() if one.is_dir())
    return found[0] if len(found) == 1 else path


def _conversion(path: Path) -> str:
    """Return how to turn a file of weights into one of tensors."""
    if path.suffix not in PICKLED or not path.exists():
        return "convert others with safetensors.torch.save_file(model.state_dict(), FILE)"
    target = path.with_suffix(".safetensors")
    return (
        "pickled files are not opened here. If you trust it, run: python -c "
        '"from torch import load; from safetensors.torch import save_file; '
        "save_file({k: v.clone().contiguous() for k, v in "
        f"load('{path}', weights_only=True).items()}}, '{target}')\""
    )


def _refuse_pointer(path: Path) -> None:
    """Refuse what git leaves in place of a large file that was never fetched."""
    with path.open("rb") as stream:
        begin = stream.read(len(LFS_POINTER))
    if begin == LFS_POINTER:
        raise InvalidInputError(
            f"hub: {path}: expected weights, got a Git LFS pointer to them; run git lfs pull there"
        )


def refuse_quantised(name: object, about: Any) -> None:
    """Refuse a model whose configuration says that its weights are quantised."""
    if about is not None:
        plain = about if isinstance(about, Mapping) else vars(about)
        raise InvalidInputError(
            f"hub: {name}: expected weights in float32, float16 or bfloat16, got ones quantised by "
            f"{plain.get('quant_method', 'an unknown method')}; give the original weights"
        )


def refuse_types(name: object, types: Mapping[str, torch.dtype]) -> None:
    """Refuse numbers that mean nothing without a scale that is kept elsewhere."""
    for key, kind in types.items():
        if kind not in PLAIN_FLOATS:
            raise InvalidInputError(
                f"hub: {name}: expected weights in float32, float16 or bfloat16, got {key} in "
                f"{str(kind).removeprefix('torch.')}, which needs scales; give the original weights"
            )


def weights_sha256(model: nn.Module) -> str:
    """Return the SHA-256 over names, shapes and numbers of a model's tensors."""
    total = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        total.update(f"{key}\0{tuple(tensor.shape)}\0".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        if flat.numel():  # as bytes: NumPy knows no bfloat16
            total.update(flat.view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one line."""
    try:
        yield
    except OSError as error:
        raise system_error(path, error, "weights that can be read") or ResourceError(
            f"hub: {path}: expected weights that can be read, got {error.strerror or error}; check "
            "the path"
        ) from error


def one_line(error: object) -> str:
    """Return an error of others as one line."""
    return " ".join(str(error).split())[:200]
