"""A CNN of a public library as a submission: here with random weights, a floor for any CNN.

For weights, put a safetensors file beside this one and load it in `setup`. The same model with the
standard trained head needs no file at all: `recombine score timm:resnet18?weights=random`.
"""

import torch

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput, SplitSpec
from recombine.benchmark.submissions.torchvision_compat import ready_torchvision

ready_torchvision()  # lets timm import beside a torch that torchvision was not built for
import timm  # noqa: E402


class RandomCnn:
    """An `Encoder`: one vector per image, which stands for every slot."""

    slot_dim = 512
    card = MethodCard(id="resnet18-random", name="ResNet-18, random weights", data="scratch")

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Make the network; the same one every time."""
        torch.manual_seed(0)
        self.slots = spec.max_slots
        network = timm.create_model("resnet18", pretrained=False, num_classes=0)
        self.network = network.eval().to(device)

    def encode(self, images: torch.Tensor) -> SlotOutput:
        """Return slots (B, K, 512)."""
        features = self.network(images)
        return SlotOutput(slots=features[:, None].repeat(1, self.slots, 1))
