"""Backbones of public libraries: weights as people have them, and the map of tokens that they make.

Whatever cannot work is refused when a model is loaded, before anything is trained: weights that
are missing, quantised or of another model, images of a size that the model does not take, answers
that are random or no square map. Only tensors are ever loaded: no pickled file, no code from a hub.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import math
import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from recombine.benchmark.submissions.weights import (
    fill,
    model_folder,
    one_line,
    refuse_quantised,
    refuse_types,
    weights_sha256,
)
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    RecombineError,
    ResourceError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jaxtyping import Float


Library = Literal["timm", "hf", "open_clip"]
PREFIXES: dict[str, Library] = {"timm:": "timm", "hf:": "hf", "open_clip:": "open_clip"}
PACKAGES = {"timm": "timm", "hf": "transformers", "open_clip": "open_clip"}
RANDOM = "random"
GREY = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's colours (He et al. 2016 and since)."""
CLIP_GREY = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""The same of CLIP (Radford et al. 2021)."""
MAX_PREFIX = 16
"""Most tokens that stand for no place: a class token and eight registers are the most in use."""
OWN = "wrap it in a submission of your own, see docs/submitting_a_model.md"


@dataclass(frozen=True)
class HubName:
    """What a text like ``timm:resnet18?weights=FILE`` stands for."""

    library: Library  # where the architecture comes from
    name: str  # the model's name there
    # A local file (timm, open_clip) or folder (hf), ``"random"``, or empty for those of the hub
    weights: str = ""
    # edge in pixels to which images are scaled; the model's own when left out
    size: int | None = None

    def __str__(self) -> str:
        """Return the name without the place of the weights."""
        return f"{self.library}:{self.name}"

    @property
    def path(self) -> Path | None:
        """Return where local weights are, None for others."""
        return Path(self.weights).expanduser() if self.weights not in ("", RANDOM) else None


@dataclass(frozen=True)
class Backbone:
    """A loaded model."""

    model: nn.Module  # in evaluation mode, without gradients
    width: int  # size of a token
    prefix: int  # tokens that stand for no place in the image, before those that do
    size: int  # edge of the images that it takes
    mean: tuple[float, ...]  # colours are shifted and scaled by these, per channel
    deviation: tuple[float, ...]  # colours are shifted and scaled by these, per channel
    digest: str  # SHA-256 over all its tensors
    # what its ``forward`` is called with beside images
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Loaded:
    """A model before it was tried: what its library says about it."""

    model: nn.Module
    edge: int  # of the images that it was made for
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    digest: str
    width: int | None = None
    prefix: int | None = None
    patch: int | None = None  # pixels per token along an edge, before tokens are merged
    keywords: Mapping[str, Any] = field(default_factory=dict)


def is_hub(spec: str) -> bool:
    """Return whether a text names a hub model."""
    return spec.startswith(tuple(PREFIXES))


def parse_hub(spec: str) -> HubName:
    """Return the parts of a hub model's name; a path of weights is taken as it stands."""
    prefix, _, rest = spec.partition(":")
    name, asked, query = rest.partition("?")
    size, weights = "", ""
    if query.startswith("size="):
        size, _, query = query.removeprefix("size=").partition("&")
        size = size or "empty"
    if query.startswith("weights="):
        weights, query = query.removeprefix("weights="), ""
        path, found, last = weights.rpartition("&size=")
        if found and not size and "/" not in last:
            weights, size = path, last or "empty"
        query = "" if weights else "weights="
    library = PREFIXES.get(f"{prefix}:")
    if library is None or not name or query or (asked and not (size or weights)):
        raise UsageError(
            f"submission {spec!r}: expected timm:NAME, hf:NAME or open_clip:NAME, with "
            "?weights=FILE and &size=PIXELS where needed; check the spelling"
        )
    if size and not re.fullmatch("[1-9][0-9]{0,3}", size):  # isdigit() also likes a superscript
        raise UsageError(
            f"submission {spec!r}: expected timm:NAME with size=PIXELS, a whole number from 1 to "
            f"9999; got {size!r}"
        )
    return HubName(library, name, weights, int(size) if size else None)


def load_backbone(name: HubName, *, digest: str | None = None) -> Backbone:
    """Load a model, from local files where they are given, and try it on one image."""
    package = _package(name.library)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # random weights are the same every time
        loaded = LOADERS[name.library](name, package)
        loaded.model.eval().requires_grad_(False)
        if digest is not None and loaded.digest != digest:
            raise IntegrityError(
                f"hub: {name.name}: the weights must hash to {digest[:12]}, got "
                f"{loaded.digest[:12]}; they changed since the run was set up, start it again"
            )
        return _tried(name, loaded)


def feature_map(
    backbone: Backbone, images: Float[Tensor, "images 3 height width"]
) -> Float[Tensor, "images width rows columns"]:
    """Return the last map of features of images, which have the model's size and colours."""
    return as_map(_asked(backbone.model, images, backbone.keywords), backbone)


def as_map(found: Any, backbone: Backbone) -> Tensor:
    """Return features as ``(B, C, h, w)``, whatever way round the model has them."""
    width = backbone.width
    if isinstance(found, Tensor) and found.ndim == 4 and width in (found.shape[1], found.shape[3]):
        return found if found.shape[1] == width else found.permute(0, 3, 1, 2)
    if isinstance(found, Tensor) and found.ndim == 3 and found.shape[2] == width:
        places = found[:, backbone.prefix :].transpose(1, 2)
        edge = math.isqrt(places.shape[2])
        if edge * edge == places.shape[2]:
            return places.reshape(*places.shape[:2], edge, edge)
    raise InvalidInputError(
        f"hub: expected a square map of {width} features from the model, got {_shape(found)}; {OWN}"
    )


def _shape(found: object) -> str:
    return str(tuple(found.shape)) if isinstance(found, Tensor) else type(found).__name__


def _asked(model: nn.Module, images: Tensor, keywords: Mapping[str, Any]) -> Any:
    found = getattr(model, "forward_features", model)(images, **keywords)
    return getattr(found, "last_hidden_state", found)


@torch.no_grad()
def _tried(name: HubName, loaded: _Loaded) -> Backbone:
    """Ask a model about one image, twice, and learn from its answer how its tokens lie."""
    size, kind = name.size or loaded.edge, type(loaded.model).__name__
    reads = getattr(loaded.model, "main_input_name", "pixel_values")
    if reads != "pixel_values":
        raise InvalidInputError(
            f"hub: {name}: expected a model that reads images, got {kind}, which reads {reads}; "
            "give the vision model"
        )
    image = torch.rand(1, 3, size, size)
    try:
        first, second = (_asked(loaded.model, image, loaded.keywords) for _ in range(2))
    except Exception as error:
        other = f"leave out &size: it may take {loaded.edge} pixels only, its own size"
        todo = OWN if size == loaded.edge else other
        raise InvalidInputError(
            f"hub: {name}: expected features of an image of {size} x {size} pixels, got from "
            f"{kind} {type(error).__name__}: {one_line(error)}; {todo}"
        ) from error
    if not isinstance(first, Tensor) or first.ndim not in (3, 4):
        raise InvalidInputError(
            f"hub: {name}: expected tokens (B, N, C) or a map of features from {kind}, got "
            f"{_shape(first)}; {OWN}"
        )
    if not torch.isfinite(first).all():
        raise InvalidInputError(
            f"hub: {name}: expected finite features from {kind}, got NaN or infinity; check its "
            "weights"
        )
    moved = (first - second).abs().max() if first.shape == second.shape else torch.tensor(math.inf)
    if moved > 1e-3 * first.abs().max():
        raise InvalidInputError(
            f"hub: {name}: expected the same features when {kind} sees an image again, got others: "
            f"it draws random numbers, as masked autoencoders do; {OWN}"
        )
    width = loaded.width or _width_of(first)
    prefix = _prefix_of(name, first, loaded, size) if first.ndim == 3 else 0
    colours = loaded.mean, loaded.deviation
    found = Backbone(loaded.model, width, prefix, size, *colours, loaded.digest, loaded.keywords)
    as_map(first, found)
    return found


def _width_of(found: Tensor) -> int:
    """Return the channels of features: the axis that differs from both edges of the map."""
    if found.ndim == 4 and found.shape[2] == found.shape[3]:
        return found.shape[1]
    return found.shape[-1]


def _prefix_of(name: HubName, found: Tensor, loaded: _Loaded, size: int) -> int:
    """Return how many tokens stand for no place: those that the places leave over."""
    tokens = found.shape[1]
    if loaded.prefix is not None and _is_square(tokens - loaded.prefix):
        return loaded.prefix
    for edge in {size // loaded.patch, -(-size // loaded.patch)} if loaded.patch else ():
        if 0 <= tokens - edge * edge <= MAX_PREFIX:
            return tokens - edge * edge
    for prefix in (0, 1):  # tokens were merged, or nothing is known: a class token is all to guess
        if _is_square(tokens - prefix):
            return prefix
    patches = f", whose patches have {loaded.patch}" if loaded.patch else ""
    raise InvalidInputError(
        f"hub: {name}: expected one token per place of a square map, and few before "
        f"them, got {tokens} tokens of {found.shape[2]} numbers from {type(loaded.model).__name__} "
        f"for an image of {size} x {size} pixels{patches}; {OWN}"
    )


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number


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


def _load_timm(name: HubName, timm: Any) -> _Loaded:
    if not timm.is_model(name.name.split(".")[0]):
        raise _unknown(name, timm.list_models())
    settings: dict[str, Any] = {"num_classes": 0}
    if not name.weights:
        with _reached(name):
            model = timm.create_model(name.name, pretrained=True, **settings)
    else:
        model = timm.create_model(name.name, pretrained=False, **settings)
        if name.path is not None:
            fill(model, name.path, str(name))
    config, digest = model.pretrained_cfg, weights_sha256(model)
    edge = int(config["input_size"][-1])
    if name.size not in (None, edge) and hasattr(model, "set_input_size"):
        # After the weights: then timm scales their position embedding, too.
        with _resized(name, model, edge):
            model.set_input_size(img_size=name.size)
    return _Loaded(
        model,
        edge,
        tuple(config["mean"]),
        tuple(config["std"]),
        digest,
        width=int(model.num_features),
        prefix=int(getattr(model, "num_prefix_tokens", 0)),
        patch=_edge(getattr(getattr(model, "patch_embed", None), "patch_size", None)),
    )


def _load_hf(name: HubName, transformers: Any) -> _Loaded:
    folder = None if name.path is None else model_folder(name.path, name)
    where = name.name if folder is None else str(folder)
    missing: list[str] = []
    with _reached(name):
        config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
        refuse_quantised(name, getattr(config, "quantization_config", None))
        if name.weights == RANDOM:
            whole = transformers.AutoModel.from_config(config, trust_remote_code=False)
        else:
            whole, info = transformers.AutoModel.from_pretrained(
                where, trust_remote_code=False, use_safetensors=True, output_loading_info=True
            )
            missing = sorted(info["missing_keys"])
        colours = _colours(where, transformers)
    model = getattr(whole, "vision_model", whole)
    config = getattr(config, "vision_config", config)
    _refuse_random(name, missing, whole, model)
    refuse_types(name, {key: one.dtype for key, one in model.named_parameters()})
    model.float()
    if getattr(config, "model_type", "") == "vit_mae":
        model = _Unmasked(model)
    edge, patch = (_edge(getattr(config, key, None)) for key in ("image_size", "patch_size"))
    edge = edge or 224
    keywords = {}
    takes = inspect.signature(model.forward).parameters
    if name.size not in (None, edge) and "interpolate_pos_encoding" in takes:
        keywords["interpolate_pos_encoding"] = True
    sizes = getattr(config, "hidden_sizes", None)
    width = sizes[-1] if sizes else getattr(config, "hidden_size", None)
    width = int(width) if isinstance(width, int) else None
    digest = weights_sha256(model)
    return _Loaded(model, edge, *colours, digest, width=width, patch=patch, keywords=keywords)


def _load_open_clip(name: HubName, open_clip: Any) -> _Loaded:
    if name.name not in open_clip.list_models():
        raise _unknown(name, open_clip.list_models())
    if not name.weights:
        raise UsageError(
            f"hub: {name}: expected ?weights=FILE.safetensors or ?weights=random, got neither; "
            "download the model's open_clip_model.safetensors"
        )
    with _reached(name):
        model = _ClipMap(open_clip.create_model(name.name, precision="fp32").visual)
    if name.path is not None:
        fill(model.visual, name.path, name)
    about = getattr(model.visual, "preprocess_cfg", None) or {}
    mean, deviation = (
        tuple(about.get(key) or default)
        for key, default in zip(("mean", "std"), CLIP_GREY, strict=True)
    )
    edge = _edge(getattr(model.visual, "image_size", None)) or 224
    return _Loaded(model, edge, mean, deviation, weights_sha256(model))


LOADERS = {"timm": _load_timm, "hf": _load_hf, "open_clip": _load_open_clip}


class _Unmasked(nn.Module):
    """A masked autoencoder's encoder that sees every patch, in order."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        model.config.mask_ratio = 0.0

    def forward(
        self, images: Float[Tensor, "images 3 height width"], interpolate_pos_encoding: bool = False
    ) -> Any:
        """Return the model's own answer; the noise decides the order of the patches."""
        patch = _edge(self.model.config.patch_size) or 1
        places = (images.shape[2] // patch) * (images.shape[3] // patch)
        noise = torch.arange(float(places), device=images.device).expand(len(images), -1)
        return self.model(images, noise=noise, interpolate_pos_encoding=interpolate_pos_encoding)


class _ClipMap(nn.Module):
    """The image tower of a CLIP model, up to its last map."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Tensor:
        """Return the last map ``(B, C, h, w)``."""
        found = self.visual.forward_intermediates(
            images, indices=1, output_fmt="NCHW", intermediates_only=True
        )
        last: Tensor = found["image_intermediates"][-1]
        return last


def _refuse_random(name: object, missing: list[str], whole: nn.Module, model: nn.Module) -> None:
    """Refuse weights that transformers would draw at random because the files lack them."""
    own = {key for key, _ in model.named_parameters()}
    part = next((f"{key}." for key, one in whole.named_children() if one is model), "")
    needed = [key for key in missing if key.removeprefix(part) in own and "pooler" not in key]
    if needed:
        raise InvalidInputError(
            f"hub: {name}: expected the weights of {type(model).__name__}, got files without "
            f"{len(needed)} of {len(own)} tensors, the first is {needed[0]}; where a wrapper put "
            "module. or _orig_mod. before their names, save the model inside it"
        )


def _edge(value: Any) -> int | None:
    """Return the edge of a square that a configuration names as one number, a pair or a mapping."""
    if isinstance(value, Mapping):
        value = value.get("height")
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    return int(value) if isinstance(value, int) and value > 0 else None


def _unknown(name: HubName, known: Collection[str]) -> UsageError:
    near = difflib.get_close_matches(name.name, list(known), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"hub: {name.library} has no model {name.name!r}.{hint}")


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


@contextmanager
def _resized(name: HubName, model: nn.Module, edge: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InvalidInputError(
            f"hub: {name}: expected a model that can be set to {name.size} x {name.size} pixels, "
            f"got from {type(model).__name__} {type(error).__name__}: {one_line(error)}; give "
            f"another size, or leave out &size: its own is {edge}"
        ) from error


@contextmanager
def _reached(name: HubName) -> Iterator[None]:
    """Turn whatever a hub's client raises into one line that says what to do."""
    try:
        yield
    except RecombineError:
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {one_line(error)}"
        if name.path is not None:
            raise InvalidInputError(
                f"hub: {name}: expected a model that {PACKAGES[name.library]} can load from "
                f"{name.path}, got {got}; check that the folder is complete"
            ) from error
        files = "FOLDER" if name.library == "hf" else "FILE.safetensors"
        raise ResourceError(
            f"hub: {name}: expected weights from the hub, got {got}; without network, or where the "
            f"hub has pickled weights only, give local ones: {name}?weights={files}"
        ) from error
