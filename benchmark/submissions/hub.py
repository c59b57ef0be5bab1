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
import math
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

import torch
from torch import Tensor, nn
from torch.nn import functional

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, SplitSpec
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)
from recombine.renderer.core.system import system_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jaxtyping import Float

    from recombine.benchmark.protocol.contract import RunLog, TrainBudget
    from recombine.benchmark.serving.data import TrainData


Library = Literal["timm", "hf"]
PREFIXES: dict[str, Library] = {"timm:": "timm", "hf:": "hf"}
PACKAGES = {"timm": "timm", "hf": "transformers"}
RANDOM = "random"
GREY = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's colours (He et al. 2016 and since)."""


@dataclass(frozen=True)
class HubName:
    """What a text like ``timm:resnet18?weights=FILE`` stands for."""

    library: Library  # where the architecture comes from
    name: str  # the model's name there
    # A local file (timm) or folder (hf), ``"random"``, or empty for those of the hub
    weights: str = ""
    # edge in pixels to which images are scaled; the model's own when left out
    size: int | None = None


@dataclass(frozen=True)
class Backbone:
    """A loaded model."""

    model: nn.Module  # in evaluation mode, without gradients
    width: int  # size of a token
    prefix: int  # tokens that stand for no place in the image
    size: int  # edge of the images that it takes
    mean: tuple[float, ...]  # colours are shifted and scaled by these, per channel
    deviation: tuple[float, ...]  # colours are shifted and scaled by these, per channel
    digest: str  # SHA-256 over all its tensors


def is_hub(spec: str) -> bool:
    """Return whether a text names a hub model."""
    return spec.startswith(tuple(PREFIXES))


def parse_hub(spec: str) -> HubName:
    """Return the parts of a hub model's name."""
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
    """Load a model, from local files where they are given."""
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
        with _reached(name):
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
    with _reached(name):
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
    """Load a local file into a model; a head may be left over, nothing may be missing."""
    # Only safetensors: any other file of weights can run code when it is opened.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file() or path.suffix != ".safetensors":
        raise UsageError(
            f"hub: {name.name}: expected weights in a local .safetensors file, got {path}; convert "
            "others with safetensors.torch.save_file(model.state_dict(), FILE)"
        )
    try:
        missing = model.load_state_dict(load_file(path), strict=False).missing_keys
    except (SafetensorError, RuntimeError, OSError) as error:
        raise system_error(path, error) or InvalidInputError(
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


@contextmanager
def _reached(name: HubName) -> Iterator[None]:
    """Turn whatever a hub's client raises into one line that says what to do."""
    try:
        yield
    except Exception as error:
        files = "FOLDER" if name.library == "hf" else "FILE.safetensors"
        raise ResourceError(
            f"hub: {name.library}:{name.name}: expected weights from the hub, got "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}; without network, give "
            f"local ones: {name.library}:{name.name}?weights={files}"
        ) from error


# The standard slot head: one fixed recipe that turns a frozen backbone into a scored method.

GRID = 8
BATCH = 64


@dataclass(frozen=True)
class HubMethod:
    """A hub model with the standard slot head: a `Learner`."""

    # what to load, and from which place of this machine; no part of the identity
    where: HubName = field(compare=False)
    model: str  # ``timm:NAME`` or ``hf:NAME``
    size: int  # edge in pixels to which images are scaled
    weights_sha256: str  # over all tensors of the backbone
    slot_dim: int = 64
    width: int = 128
    epochs: int = 30
    rate: float = 2e-3

    @property
    def card(self) -> MethodCard:
        """Return what the leaderboard prints."""
        slug = re.sub("[^a-z0-9]+", "-", self.model.lower()).strip("-")
        scratch = self.where.weights == RANDOM
        return MethodCard(
            id=f"{slug[:72]}-random" if scratch else slug[:80],
            name=f"{self.model} with slot head" + ", random weights" * scratch,
            supervision="supervised",
            data="scratch" if scratch else "pretrained",
            source=f"{self.model}, weights {self.weights_sha256[:16]}",
            note=f"frozen backbone, standard slot head, images scaled to {self.size} pixels",
        )

    def fit(
        self, data: TrainData, val: TrainData, *, seed: int, budget: TrainBudget, log: RunLog
    ) -> HubEncoder:
        """Train the head on in-combination images; the backbone stays as it is."""
        del val, budget  # the recipe chooses nothing; the data refuse to serve too much
        backbone = load_backbone(self.where, digest=self.weights_sha256)
        torch.manual_seed(seed)
        head = SlotHead(backbone.width, data.spec, self.slot_dim, self.width)
        tokens, factors = _tokens_of(backbone, data, seed)
        head.standardise(tokens)
        optimiser = torch.optim.AdamW(head.parameters(), lr=self.rate)
        for epoch in range(self.epochs):
            if epoch:  # the first was served, the others reuse its tokens
                data.count_again(len(tokens))
            loss = tokens.new_zeros(())
            for rows in torch.split(torch.randperm(len(tokens)), BATCH):
                loss = head.loss(tokens[rows].float(), {k: v[rows] for k, v in factors.items()})
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            log.scalar("loss", loss.item(), epoch)
        return HubEncoder(backbone, head)


def hub_method(spec: str) -> HubMethod:
    """Return the method that a hub model's name stands for; its weights are loaded once to hash."""
    where = parse_hub(spec)
    loaded = load_backbone(where)
    return HubMethod(where, f"{where.library}:{where.name}", loaded.size, loaded.digest)


class SlotHead(nn.Module):
    """One query per scene slot attends to tokens; one linear layer per factor trains it."""

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int, spec: SplitSpec, slot_dim: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.key, self.value = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.query = nn.Parameter(torch.randn(spec.max_slots, width) * width**-0.5)
        self.place = nn.Parameter(torch.zeros(GRID * GRID, width))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.slot = nn.Linear(width, slot_dim)
        owners = list(dict.fromkeys(key.partition(".")[0] for key in spec.factors))
        self.owner = {key: owners.index(key.partition(".")[0]) for key in spec.factors}
        self.kind = dict(spec.factors)
        self.heads = nn.ModuleDict(
            {key.replace(".", "/"): nn.Linear(slot_dim, _outputs(kind))
             for key, kind in spec.factors.items()}
        )  # fmt: skip

    def standardise(self, tokens: Float[Tensor, "images tokens inputs"]) -> None:
        """Freeze mean and spread of every channel, over in-combination images."""
        flat = tokens.flatten(0, 1).float()
        self.mean, self.scale = flat.mean(0), flat.std(0).clamp_min(1e-6)

    def forward(
        self, tokens: Float[Tensor, "images tokens inputs"]
    ) -> Float[Tensor, "images slots dim"]:
        """Return slots."""
        tokens = (tokens - self.mean) / self.scale
        keys, values = self.key(tokens) + self.place, self.value(tokens) + self.place
        weight = (self.query @ keys.transpose(1, 2) * self.query.shape[1] ** -0.5).softmax(2)
        slots: Tensor = self.slot(self.out(weight @ values))
        return slots

    def loss(
        self, tokens: Float[Tensor, "images tokens inputs"], factors: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the mean loss of all factors: cross-entropy, or squared error in native units."""
        slots = self(tokens)
        losses = []
        for key, true in factors.items():
            got = self.heads[key.replace(".", "/")](slots[:, self.owner[key]])
            if self.kind[key].startswith("categorical"):
                losses.append(functional.cross_entropy(got, true))
            elif self.kind[key].startswith("angle"):
                turned = torch.stack([true.cos(), true.sin()], dim=1)
                losses.append((got - turned).square().sum(1).mean())
            else:
                losses.append((got[:, 0] - true).square().mean())
        return torch.stack(losses).mean()


class HubEncoder:
    """A frozen backbone with a trained slot head: an `Encoder`."""

    def __init__(self, backbone: Backbone, head: SlotHead) -> None:
        self.backbone, self.head = backbone, head.eval()
        self.slot_dim = head.slot.out_features

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Move to the device."""
        del spec
        self.backbone.model.to(device)
        self.head.to(device)

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return slots ``(B, K, slot_dim)``."""
        return SlotOutput(slots=self.head(tokens_of(self.backbone, images)))


@torch.no_grad()
def tokens_of(
    backbone: Backbone, images: Float[Tensor, "images 3 height width"]
) -> Float[Tensor, "images tokens inputs"]:
    """Return what a backbone sees in images: 8 x 8 tokens."""
    size = (backbone.size, backbone.size)
    scaled = functional.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean = images.new_tensor(backbone.mean)[:, None, None]
    deviation = images.new_tensor(backbone.deviation)[:, None, None]
    call = getattr(backbone.model, "forward_features", backbone.model)
    found = call((scaled - mean) / deviation)
    found = getattr(found, "last_hidden_state", found)
    grid = as_map(found, backbone)
    return functional.adaptive_avg_pool2d(grid, GRID).flatten(2).transpose(1, 2)


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
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    raise InvalidInputError(
        f"hub: expected a square map of {width} features from the model, got {shape}; wrap it in a "
        "submission of your own, see docs/submitting_a_model.md"
    )


def _tokens_of(
    backbone: Backbone, data: TrainData, seed: int
) -> tuple[Float[Tensor, "images tokens inputs"], dict[str, Tensor]]:
    """Return tokens (half precision: there are many) and factors of all training images."""
    tokens, factors = [], []
    for batch in data.batches(BATCH, seed=seed):
        tokens.append(tokens_of(backbone, batch.images).half())
        factors.append(batch.factors)
    return torch.cat(tokens), {k: torch.cat([one[k] for one in factors]) for k in factors[0]}


def _outputs(kind: str) -> int:
    if kind.startswith("categorical["):
        return int(kind[len("categorical[") : -1])
    return 2 if kind.startswith("angle") else 1
