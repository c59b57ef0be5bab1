"""Models of public libraries by name: ``timm:NAME`` and ``hf:NAME``, with the standard slot head.

``timm:resnet18`` takes the weights that timm publishes, ``timm:resnet18?weights=FILE`` those of a
local safetensors file, ``timm:resnet18?weights=random`` none. ``hf:OWNER/NAME`` and
``hf:NAME?weights=FOLDER`` do the same with transformers, a local folder as ``save_pretrained``
writes it. ``&size=PIXELS`` changes the size to which images are scaled. Only tensors are ever
loaded: no pickled file, no code from a hub.

The libraries are an extra: ``pip install 'recombine[hub]'``.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)

if TYPE_CHECKING:
    from torch import nn

Library = Literal["timm", "hf"]
PREFIXES: dict[str, Library] = {"timm:": "timm", "hf:": "hf"}
PACKAGES = {"timm": "timm", "hf": "transformers"}
RANDOM = "random"
GREY = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's colours (He et al. 2016 and since)."""


@dataclass(frozen=True)
class HubName:
    """What a text like ``timm:resnet18?weights=FILE`` stands for.

    Attributes
    ----------
    library : {"timm", "hf"}
        Where the architecture comes from.
    name : str
        The model's name there.
    weights : str
        A local file (timm) or folder (hf), ``"random"``, or empty for those of the hub.
    size : int, optional
        Edge in pixels to which images are scaled; the model's own when left out.
    """

    library: Library
    name: str
    weights: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Backbone:
    """A loaded model.

    Attributes
    ----------
    model : Module
        In evaluation mode, without gradients.
    width : int
        Size of a token.
    prefix : int
        Tokens that stand for no place in the image.
    size : int
        Edge of the images that it takes.
    mean, deviation : tuple of float
        Colours are shifted and scaled by these, per channel.
    digest : str
        SHA-256 over all its tensors.
    """

    model: nn.Module
    width: int
    prefix: int
    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    digest: str


def is_hub(spec: str) -> bool:
    """Return whether a text names a hub model.

    Examples
    --------
    >>> is_hub("timm:resnet18"), is_hub("file.py:Class")
    (True, False)
    """
    return spec.startswith(tuple(PREFIXES))


def parse_hub(spec: str) -> HubName:
    """Return the parts of a hub model's name.

    Parameters
    ----------
    spec : str
        ``timm:NAME`` or ``hf:NAME``, with ``?weights=...&size=...``.

    Returns
    -------
    HubName
        Nothing is loaded yet.

    Raises
    ------
    UsageError
        When the text has another form.

    Examples
    --------
    >>> parse_hub("timm:resnet18?weights=r18.safetensors&size=64").size
    64
    """
    prefix, _, rest = spec.partition(":")
    name, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    size = options.pop("size", None)
    weights = options.pop("weights", "")
    if f"{prefix}:" not in PREFIXES or not name or options or not (size or "1").isdigit():
        raise UsageError(
            f"submission {spec!r}: expected timm:NAME or hf:NAME, with ?weights=FILE and "
            "&size=PIXELS where needed; check the spelling"
        )
    return HubName(PREFIXES[f"{prefix}:"], name, weights, int(size) if size else None)


def load_backbone(name: HubName, *, digest: str | None = None) -> Backbone:
    """Load a model, from local files where they are given.

    Parameters
    ----------
    name : HubName
        What to load.
    digest : str, optional
        What its tensors must hash to.

    Returns
    -------
    Backbone
        Ready to answer, frozen.

    Raises
    ------
    ResourceError
        When the library is not installed, or the hub cannot be reached.
    UsageError
        When there is no such model or file.
    InvalidInputError
        When the weights do not fit the model.
    IntegrityError
        When the tensors have another hash.
    """
    import torch

    package = _package(name.library)
    load = _load_timm if name.library == "timm" else _load_hf
    with torch.random.fork_rng():
        torch.manual_seed(0)  # random weights are the same every time
        loaded = load(name, package)
    loaded.model.eval().requires_grad_(False)
    if digest is not None and loaded.digest != digest:
        raise IntegrityError(
            f"hub: {name.name}: the weights must hash to {digest[:12]}, got {loaded.digest[:12]}; "
            "they changed since the run was set up, start it again"
        )
    return loaded


def _package(library: Library) -> Any:
    """Import the library of a model; it is an extra, so nothing here knows its types."""
    try:
        ready_torchvision()
        return importlib.import_module(PACKAGES[library])
    except ImportError as error:
        raise ResourceError(
            f"hub: {library}: models need the package {PACKAGES[library]}, got {error}; run: "
            "pip install 'recombine[hub]'"
        ) from error


def _load_timm(name: HubName, timm: Any) -> Backbone:
    if not timm.is_model(name.name.split(".")[0]):
        near = difflib.get_close_matches(name.name, timm.list_models(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"hub: timm has no model {name.name!r}.{hint}")
    settings: dict[str, Any] = {"num_classes": 0}
    if not name.weights:
        with _Reached(name):
            model = timm.create_model(name.name, pretrained=True, **settings)
    else:
        model = timm.create_model(name.name, pretrained=False, **settings)
        if name.weights != RANDOM:
            _fill(model, Path(name.weights), name)
    config = model.pretrained_cfg
    return Backbone(
        model,
        int(model.num_features),
        int(getattr(model, "num_prefix_tokens", 0)),
        name.size or int(config["input_size"][-1]),
        tuple(config["mean"]),
        tuple(config["std"]),
        _digest(model),
    )


def _load_hf(name: HubName, transformers: Any) -> Backbone:
    local = name.weights not in ("", RANDOM)
    if local and not Path(name.weights).is_dir():
        raise UsageError(f"hub: {name.name}: no folder {name.weights}; give one of save_pretrained")
    where = name.weights if local else name.name
    with _Reached(name):
        config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
        if name.weights == RANDOM:
            whole = transformers.AutoModel.from_config(config, trust_remote_code=False)
        else:
            whole = transformers.AutoModel.from_pretrained(
                where, trust_remote_code=False, use_safetensors=True
            )
        colours = _colours(where, transformers)
    model = getattr(whole, "vision_model", whole)
    config = getattr(config, "vision_config", config)
    sizes = getattr(config, "hidden_sizes", None)
    patches = getattr(config, "patch_size", None)
    return Backbone(
        model,
        int(sizes[-1] if sizes else config.hidden_size),
        1 + int(getattr(config, "num_register_tokens", 0)) if patches else 0,
        name.size or int(getattr(config, "image_size", 224)),
        *colours,
        _digest(model),
    )


def _colours(where: str, transformers: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation from the model's own description, ImageNet's without one."""
    found = transformers.utils.cached_file(
        where,
        "preprocessor_config.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is None:
        return GREY
    plain = json.loads(Path(found).read_text(encoding="utf-8"))
    return tuple(plain.get("image_mean", GREY[0])), tuple(plain.get("image_std", GREY[1]))


def _fill(model: nn.Module, path: Path, name: HubName) -> None:
    """Load a local file into a model; a head for classes may be left over, nothing may be missing.

    Only safetensors: any other file of weights can run code when it is opened.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file() or path.suffix != ".safetensors":
        raise UsageError(
            f"hub: {name.name}: expected weights in a local .safetensors file, got {path}; convert "
            "others with safetensors.torch.save_file(model.state_dict(), FILE)"
        )
    try:
        missing = model.load_state_dict(load_file(path), strict=False).missing_keys
    except (SafetensorError, RuntimeError) as error:
        raise InvalidInputError(
            f"hub: {path}: the weights must be those of {name.name}, got {str(error)[:300]}"
        ) from error
    if missing:
        raise InvalidInputError(
            f"hub: {path}: the weights must be those of {name.name}; {len(missing)} tensors are "
            f"missing, the first is {missing[0]}"
        )


def _digest(model: nn.Module) -> str:
    total = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        total.update(f"{key}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


class _Reached:
    """Turns whatever a hub's client raises into one line that says what to do."""

    def __init__(self, name: HubName) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if not isinstance(error, Exception):
            return
        files = "FOLDER" if self.name.library == "hf" else "FILE.safetensors"
        raise ResourceError(
            f"hub: {self.name.library}:{self.name.name}: expected weights from the hub, got "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}; without network, give "
            f"local ones: {self.name.library}:{self.name.name}?weights={files}"
        ) from error
