"""A submission to start from: an encoder, images in, slots out.

It is scored as it is: the harness trains nothing, so a real one loads its weights (see `setup`).
Needed are `slot_dim`, `setup` and `encode`, nothing else; there is no base class.

Try it with `recombine submission check`, score it with `recombine score`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, SplitSpec


@dataclass(eq=False)
class MyEncoder:
    """Random filters, averaged over as many horizontal stripes as the scene has slots.

    The fields of the dataclass are the settings that the result file records.
    """

    # What the leaderboard prints. Weights that were fitted on other data make it "pretrained".
    card: ClassVar[MethodCard] = MethodCard(
        id="my-encoder",
        name="My encoder",
        inference="direct",
        supervision="unsupervised",
        data="open",
        source="",
        note="",
    )

    slot_dim: int = 32  # numbers per slot
    weights_seed: int = 0

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Get ready: called once, before any image.

        `spec` says the size of the images, the number of slots, and the names and types of the
        factors, such as `"object.shape": "categorical[4]"`.
        """
        self.slots = spec.max_slots
        generator = torch.Generator().manual_seed(self.weights_seed)
        filters = torch.randn(self.slot_dim, 3, 5, 5, generator=generator) / 75**0.5
        # Load weights here instead, with safetensors.torch.load_file, from a file beside this
        # one: Path(__file__).with_name("weights.safetensors"). There is no network.
        self.filters = filters.to(device)

    def encode(self, images: Tensor) -> SlotOutput:
        """Return slots (B, K, slot_dim), float32, for images (B, 3, H, W), float32 in [0, 1].

        Every image is treated on its own, and slot k means the same thing in every image. The
        batch size varies. Gradients are off.
        """
        features = nn.functional.conv2d(images - 0.5, self.filters, stride=2).relu()
        stripes = features.tensor_split(self.slots, dim=2)
        return SlotOutput(slots=torch.stack([s.mean(dim=(2, 3)) for s in stripes], dim=1))
