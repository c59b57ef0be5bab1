"""The baselines by name: which class of which room, in which settings.

Encoders and their controls lie in `recombine.baselines.methods`, what inverts a decoder in
`recombine.baselines.generative`.

A new baseline is a row here: of a class that is there, with other options, or of a new file. The
class says its settings at every size (``SIZES``) and what it is (``card``). The table imports
nothing; a baseline is imported when it is loaded.
"""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from recombine.renderer.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from recombine.benchmark.sandbox.isolation import AnySubmission
    from recombine.benchmark.sandbox.process import Limits
    from recombine.benchmark.serving.data import DatasetLike


def _row(where: str, **options: Any) -> tuple[str, Mapping[str, Any]]:
    """Return ``module:Class`` and the settings of a row that hold at every size."""
    # ``base`` gives those of the learner that it builds on.
    return f"recombine.baselines.{where}", options


_LABELS = {"supervision": "supervised", "label_weight": 1.0}
_ROWS = {
    # Floors.
    "pixels": _row("methods.floors:Pixels"),
    "random-network": _row("methods.floors:RandomNetwork"),
    "constant": _row("methods.floors:Constant"),
    "constant-set": _row("methods.floors:ConstantSet"),
    # Supervised, without a decoder.
    "supervised": _row("methods.supervised:Supervised"),
    "regression": _row("methods.supervised:SupervisedRegression"),
    "slot-attention": _row("methods.slot_attention:SlotAttentionEncoder"),
    "resnet18": _row("methods.supervised:ScratchResNet"),
    "vit-small": _row("methods.supervised:ScratchVit"),
    "segment-then-encode": _row("methods.segment_then_encode:SegmentThenEncode"),
    "segment-then-encode-normalised": _row(
        "methods.segment_then_encode:SegmentThenEncode", normalise=True
    ),
    "segment-then-encode-masks": _row(
        "methods.segment_then_encode:SegmentThenEncode", supervision="weak"
    ),
    # Without labels or decoder.
    "diet": _row("methods.self_supervised:Diet"),
    "simclr": _row("methods.self_supervised:SimClr"),
    "moco": _row("methods.self_supervised:MoCo"),
    "vicreg": _row("methods.self_supervised:VicReg"),
    "mae": _row("methods.mae:Mae"),
    # Pretrained elsewhere.
    "dinov2-lora": _row("methods.pretrained:PretrainedLora"),
    "dino-lora": _row("methods.pretrained:DinoLora"),
    "clip-lora": _row("methods.pretrained:ClipLora"),
    "siglip2-lora": _row("methods.pretrained:SigLip2Lora"),
    "ijepa-lora": _row("methods.pretrained:IJepaLora"),
    "imagenet-lora": _row("methods.pretrained:ImageNetLora"),
    "dinosaur-imagenet": _row("methods.feature_slots:FeatureSlots"),
    # Generative, slots given in combination.
    "autoencoder": _row("generative.autoencoders:Autoencoder", kind="patch"),
    "autoencoder-learned": _row(
        "generative.autoencoders:Autoencoder", kind="patch", closed_form=False
    ),
    "autoencoder-replay": _row("generative.autoencoders:Replay", base={"kind": "patch"}),
    "broadcast": _row("generative.autoencoders:Autoencoder", kind="broadcast"),
    "broadcast-replay": _row("generative.autoencoders:Replay", base={"kind": "broadcast"}),
    "additive": _row("generative.autoencoders:Autoencoder", kind="additive"),
    "additive-replay": _row("generative.autoencoders:Replay", base={"kind": "additive"}),
    "bilinear": _row("generative.autoencoders:Autoencoder", kind="bilinear"),
    "bilinear-replay": _row("generative.autoencoders:Replay", base={"kind": "bilinear"}),
    "cross-attention": _row("generative.autoencoders:Autoencoder", kind="attention"),
    "cross-attention-replay": _row("generative.autoencoders:Replay", base={"kind": "attention"}),
    "factored": _row("generative.autoencoders:Autoencoder", kind="factored"),
    "autoencoder-no-masks": _row(
        "generative.autoencoders:Autoencoder", kind="patch", mask_weight=0
    ),
    "autoencoder-no-masks-replay": _row(
        "generative.autoencoders:Replay", base={"kind": "patch", "mask_weight": 0}
    ),
    "broadcast-no-masks": _row(
        "generative.autoencoders:Autoencoder", kind="broadcast", mask_weight=0
    ),
    "broadcast-no-masks-replay": _row(
        "generative.autoencoders:Replay", base={"kind": "broadcast", "mask_weight": 0}
    ),
    "additive-no-masks": _row(
        "generative.autoencoders:Autoencoder", kind="additive", mask_weight=0
    ),
    "additive-no-masks-replay": _row(
        "generative.autoencoders:Replay", base={"kind": "additive", "mask_weight": 0}
    ),
    "factor-replay": _row("generative.autoencoders:Replay", within=True, base={"kind": "factored"}),
    # Generative, slots inferred.
    "vae": _row("generative.vae:Vae", kind="unstructured"),
    "vae-replay": _row("generative.vae:VaeReplay", kind="unstructured"),
    "vae-broadcast": _row("generative.vae:Vae", kind="broadcast"),
    "vae-broadcast-replay": _row("generative.vae:VaeReplay", kind="broadcast"),
    "vae-broadcast-masks": _row("generative.vae:Vae", kind="broadcast", supervision="weak"),
    "vae-broadcast-masks-replay": _row(
        "generative.vae:VaeReplay", kind="broadcast", supervision="weak"
    ),
    "vae-broadcast-labels": _row("generative.vae:Vae", kind="broadcast", **_LABELS),
    "vae-broadcast-labels-replay": _row("generative.vae:VaeReplay", kind="broadcast", **_LABELS),
    "vae-additive": _row("generative.vae:Vae", kind="additive"),
    "vae-additive-replay": _row("generative.vae:VaeReplay", kind="additive"),
    "vae-bilinear": _row("generative.vae:Vae", kind="bilinear"),
    "vae-bilinear-replay": _row("generative.vae:VaeReplay", kind="bilinear"),
    "vae-cross-attention": _row("generative.vae:Vae", kind="attention"),
    "vae-cross-attention-replay": _row("generative.vae:VaeReplay", kind="attention"),
    "typed-vae": _row("generative.typed_vae:TypedVae", kind="patch"),
    "typed-vae-replay": _row("generative.typed_vae:TypedVaeReplay", kind="patch"),
    "typed-vae-masks": _row("generative.typed_vae:TypedVae", kind="patch", supervision="weak"),
    "typed-vae-masks-replay": _row(
        "generative.typed_vae:TypedVaeReplay", kind="patch", supervision="weak"
    ),
    "paper-vae": _row("generative.shared_decoders:SharedVae", kind="attention"),
    "paper-vae-replay": _row("generative.shared_decoders:SharedVaeReplay", kind="attention"),
    "paper-vae-slot-attention": _row(
        "generative.shared_decoders:SharedVae", network="slot-attention"
    ),
    "paper-vae-slot-attention-replay": _row(
        "generative.shared_decoders:SharedVaeReplay", network="slot-attention"
    ),
    "slot-attention-unsupervised": _row(
        "generative.shared_decoders:SharedVae",
        kind="broadcast",
        network="slot-attention",
        variance=0,
    ),
    # Controls.
    "typed-vae-leak": _row("generative.typed_vae:TypedVae", kind="leak"),
    "typed-vae-leak-replay": _row("generative.typed_vae:TypedVaeReplay", kind="leak"),
    "typed-vae-masks-leak": _row("generative.typed_vae:TypedVae", kind="leak", supervision="weak"),
    "typed-vae-masks-leak-replay": _row(
        "generative.typed_vae:TypedVaeReplay", kind="leak", supervision="weak"
    ),
    "paper-vae-cnn": _row("generative.shared_decoders:SharedVae", kind="unstructured"),
    "paper-vae-cnn-replay": _row("generative.shared_decoders:SharedVaeReplay", kind="unstructured"),
    "leak": _row("generative.autoencoders:Autoencoder", kind="leak"),
    "leak-learned": _row("generative.autoencoders:Autoencoder", kind="leak", closed_form=False),
    "leak-no-masks": _row("generative.autoencoders:Autoencoder", kind="leak", mask_weight=0),
    "leak-no-masks-replay": _row(
        "generative.autoencoders:Replay", base={"kind": "leak", "mask_weight": 0}
    ),
    "unstructured-no-masks": _row(
        "generative.autoencoders:Autoencoder", kind="unstructured", mask_weight=0
    ),
    "unstructured-no-masks-replay": _row(
        "generative.autoencoders:Replay", base={"kind": "unstructured", "mask_weight": 0}
    ),
    "leak-replay": _row("generative.autoencoders:Replay", base={"kind": "leak"}),
    "unstructured": _row("generative.autoencoders:Autoencoder", kind="unstructured"),
    "unstructured-replay": _row("generative.autoencoders:Replay", base={"kind": "unstructured"}),
    "vae-labels": _row("generative.vae:Vae", kind="unstructured", **_LABELS),
    "vae-labels-replay": _row("generative.vae:VaeReplay", kind="unstructured", **_LABELS),
    "cut-and-paste": _row("methods.cut_and_paste:CutAndPaste"),
    "best-of-classes": _row("generative.search:BestOfClasses"),
    "random-start": _row("generative.search:RandomStart"),
    "multi-start": _row("generative.search:MultiStart"),
    "supervised-longer": _row("methods.supervised:SupervisedLonger"),
    "supervised-larger": _row("methods.supervised:SupervisedLarger"),
    "supervised-augmented": _row("methods.encoder_controls:SupervisedAugmented"),
    "supervised-adversarial": _row("methods.encoder_controls:SupervisedAdversarial"),
    "supervised-hsic": _row("methods.encoder_controls:SupervisedHsic"),
    "supervised-groupdro": _row("methods.encoder_controls:SupervisedGroupDro"),
    "masked-auxiliary": _row("methods.test_time_training:MaskedAuxiliary"),
    "test-time-training": _row("methods.test_time_training:TestTimeTraining"),
    "compositional-consistency": _row(
        "generative.compositional_consistency:CompositionalConsistency"
    ),
    "compositional-consistency-masks": _row(
        "generative.compositional_consistency:CompositionalConsistency", supervision="weak"
    ),
    "ensemble": _row("methods.ensembles:Ensemble"),
    "concatenated": _row("methods.ensembles:Concatenated"),
    "tangent-penalty": _row("generative.tangent:TangentPenalty"),
    "tangent-penalty-oracle": _row("generative.tangent:TangentPenaltyOracle"),
    "oracle": _row("methods.oracle:Oracle"),
}
BASELINES: dict[str, str] = {name: where for name, (where, _) in _ROWS.items()}
"""Names of all baselines, each to its ``module:Class``."""


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
    if name not in _ROWS:
        raise UsageError(f"baselines: expected one of {sorted(BASELINES)}, got {name!r}")
    where, options = _ROWS[name]
    module_name, _, kind = where.partition(":")
    method = getattr(import_module(module_name), kind)
    if size not in method.SIZES:
        raise UsageError(f"baselines: {name} comes in sizes {sorted(method.SIZES)}, got {size!r}")
    return _built(method, size, options, cache_dir)


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


def data_for(learner: object, dataset: DatasetLike) -> DatasetLike:
    """Return the dataset, or for the upper bound one that trains on all combinations."""
    if not getattr(learner, "out_of_combination", False):
        return dataset
    from recombine.baselines.methods.oracle import AllCombinations

    return cast("DatasetLike", AllCombinations(dataset))


def submission_of(
    spec: str,
    size: str = "cpu",
    *,
    cache_dir: Path | None = None,
    trust_local: bool = False,
    limits: Limits | None = None,
    avoid: Collection[Path] = (),
) -> AnySubmission:
    """Return what a text stands for: ours and a public library's as an object, else shut in."""
    # The one place that decides it, so that a text means one level of trust wherever it is given.
    from recombine.benchmark.sandbox.isolation import isolate
    from recombine.benchmark.submissions.hub import hub_method, is_hub

    if spec in BASELINES:
        found: AnySubmission = load_baseline(spec, size, cache_dir=cache_dir)
        return found
    if is_hub(spec):
        return hub_method(spec)
    return isolate(spec, trust_local=trust_local, limits=limits, names=BASELINES, avoid=avoid)


def _built(method: Any, size: str, options: Mapping[str, Any], cache_dir: Path | None) -> Any:
    """Return a learner of a size with its options, and so the learner that it builds on."""
    known = {f.name for f in fields(method)}
    settings = {**method.SIZES[size], **options, "size": size}
    if "cache_dir" in known:
        settings["cache_dir"] = cache_dir
    if "base" in known:  # the default says of which class
        settings["base"] = _built(type(method.base), size, options.get("base", {}), cache_dir)
    return method(**settings)
