"""Reference submissions, one readable file per method.

Nothing here imports a tensor library until a baseline is loaded by name.
"""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_METHODS = {
    # Floors.
    "pixels": "floors:Pixels",
    "random-network": "floors:RandomNetwork",
    "constant": "floors:Constant",
    "constant-set": "floors:ConstantSet",
    # Supervised, without a decoder.
    "supervised": "supervised:Supervised",
    "regression": "regression:SupervisedRegression",
    "slot-attention": "slot_attention:SlotAttentionEncoder",
    "resnet18": "scratch:ScratchResNet",
    "vit-small": "scratch:ScratchVit",
    # Without labels or decoder.
    "diet": "diet:Diet",
    "simclr": "simclr:SimClr",
    "moco": "moco:MoCo",
    "vicreg": "vicreg:VicReg",
    "mae": "mae:Mae",
    # Pretrained elsewhere.
    "dinov2-lora": "pretrained:PretrainedLora",
    "dino-lora": "pretrained:DinoLora",
    "clip-lora": "pretrained:ClipLora",
    "siglip2-lora": "pretrained:SigLip2Lora",
    "ijepa-lora": "pretrained:IJepaLora",
    "imagenet-lora": "pretrained:ImageNetLora",
    # Generative, slots given in combination.
    "autoencoder": "autoencoder:Autoencoder",
    "autoencoder-learned": "autoencoder:AutoencoderLearned",
    "autoencoder-replay": "autoencoder:AutoencoderReplay",
    "broadcast": "broadcast:BroadcastDecoder",
    "broadcast-replay": "broadcast:BroadcastDecoderReplay",
    "additive": "additive:AdditiveDecoder",
    "additive-replay": "additive:AdditiveDecoderReplay",
    "bilinear": "additive:BilinearDecoder",
    "bilinear-replay": "additive:BilinearDecoderReplay",
    "cross-attention": "cross_attention:AttentionDecoder",
    "cross-attention-replay": "cross_attention:AttentionDecoderReplay",
    "factored": "factored:FactoredDecoder",
    "factor-replay": "factored:FactorReplay",
    # Generative, slots inferred.
    "vae": "vae:VaeUnstructured",
    "vae-replay": "vae:VaeUnstructuredReplay",
    "vae-broadcast": "vae:VaeBroadcast",
    "vae-broadcast-replay": "vae:VaeBroadcastReplay",
    "vae-broadcast-masks": "vae:VaeMasks",
    "vae-broadcast-masks-replay": "vae:VaeMasksReplay",
    "vae-broadcast-labels": "vae:VaeLabels",
    "vae-broadcast-labels-replay": "vae:VaeLabelsReplay",
    "vae-additive": "vae:VaeAdditive",
    "vae-additive-replay": "vae:VaeAdditiveReplay",
    "vae-bilinear": "vae:VaeBilinear",
    "vae-bilinear-replay": "vae:VaeBilinearReplay",
    "vae-cross-attention": "vae:VaeAttention",
    "vae-cross-attention-replay": "vae:VaeAttentionReplay",
    # Controls.
    "leak": "leak:Leak",
    "leak-learned": "leak:LeakLearned",
    "leak-replay": "leak:LeakReplay",
    "unstructured": "unstructured:UnstructuredDecoder",
    "unstructured-replay": "unstructured:UnstructuredDecoderReplay",
    "vae-labels": "vae:VaeUnstructuredLabels",
    "vae-labels-replay": "vae:VaeUnstructuredLabelsReplay",
    "cut-and-paste": "cut_and_paste:CutAndPaste",
    "best-of-classes": "best_of_classes:BestOfClasses",
    "random-start": "starts:RandomStart",
    "multi-start": "starts:MultiStart",
    "supervised-longer": "longer:SupervisedLonger",
    "supervised-larger": "longer:SupervisedLarger",
    "ensemble": "ensemble:Ensemble",
    "concatenated": "concatenated:Concatenated",
    "tangent-penalty": "tangent:TangentPenalty",
    "tangent-penalty-oracle": "tangent:TangentPenaltyOracle",
    "oracle": "oracle:Oracle",
}
BASELINES: dict[str, str] = {
    name: f"recombine.baselines.methods.{where}" for name, where in _METHODS.items()
}


def load_baseline(name: str, size: str = "cpu", *, cache_dir: Path | None = None) -> Any:
    """Return a baseline of a named size, ready to be trained.

    Parameters
    ----------
    name : str
        Key of `BASELINES`.
    size : str
        ``"tiny"`` (seconds, for tests), ``"cpu"`` (minutes) or ``"gpu"`` (hours of one GPU).
    cache_dir : Path, optional
        Where baselines with a common first stage store it and find it again.

    Returns
    -------
    Learner
        A frozen dataclass of settings with ``fit``.

    Raises
    ------
    UsageError
        When the name or the size is unknown.

    Examples
    --------
    >>> load_baseline("supervised", "tiny").card.id
    'supervised'
    """
    if name not in BASELINES:
        raise UsageError(f"baselines: expected one of {sorted(BASELINES)}, got {name!r}")
    module_name, _, kind = BASELINES[name].partition(":")
    module = import_module(module_name)
    sizes = module.SIZES[kind]
    if size not in sizes:
        raise UsageError(f"baselines: {name} comes in sizes {sorted(sizes)}, got {size!r}")
    return _named(sizes[size], size, cache_dir)


def lengthened(learner: Any, times: float) -> Any:
    """Return a baseline all of whose training schedules are longer.

    Parameters
    ----------
    learner : Learner
        From `load_baseline`.
    times : float
        Above 0: steps of every schedule are multiplied by it, at least one remains.

    Returns
    -------
    Learner
        A copy; search and everything else stay as they are.

    Raises
    ------
    UsageError
        When ``times`` is not above 0.

    Examples
    --------
    >>> lengthened(load_baseline("supervised"), 10).schedule.steps
    3000
    """
    from recombine.baselines.training.loop import Schedule

    if not times > 0:
        raise UsageError(f"baselines: schedules are multiplied by a number above 0; got {times}")
    changes: dict[str, Any] = {}
    for name in (f.name for f in fields(learner)):
        value = getattr(learner, name)
        if isinstance(value, Schedule):
            changes[name] = replace(value, steps=max(1, round(value.steps * times)))
        elif name == "base":
            changes[name] = lengthened(value, times)
    return replace(learner, **changes)


def _named(learner: Any, size: str, cache_dir: Path | None) -> Any:
    """Set size and cache of a learner, and of the learner that it builds on."""
    known = {f.name for f in fields(learner)}
    changes: dict[str, Any] = {"size": size, "cache_dir": cache_dir}
    changes = {name: value for name, value in changes.items() if name in known}
    if "base" in known:
        changes["base"] = _named(learner.base, size, cache_dir)
    return replace(learner, **changes)
