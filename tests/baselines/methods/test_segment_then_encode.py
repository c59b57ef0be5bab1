"""Segment-then-encode: what the encoders see, in whose order slots come, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from recombine.baselines.methods.segment_then_encode import (
    CROP,
    SegmentModel,
    SegmentThenEncode,
    crop,
    normalised,
    owners,
)
from recombine.baselines.nn.slots import layout_of
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import Schedule
from recombine.benchmark.protocol.contract import Encoder, SplitSpec, TrainBudget
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import DrawnData, ListLog

pytestmark = pytest.mark.long

Data = tuple[DrawnData, DrawnData]
TWO = {
    "background.environment": "categorical[3]",
    "object0.shape": "categorical[4]",
    "object0.x": "float[m]",
    "object0.y": "float[m]",
    "object1.shape": "categorical[4]",
    "object1.x": "float[m]",
    "object1.y": "float[m]",
}


def _disc(x: float, y: float, radius: float, px: int = 64) -> torch.Tensor:
    at = (torch.arange(px) * 2 + 1) / px - 1
    return (((at[None] - x) ** 2 + (at[:, None] - y) ** 2) < radius**2).float()[None, None]


def test_a_crop_is_the_same_wherever_the_object_is_and_sees_nothing_else() -> None:
    colour = torch.tensor([0.9, 0.2, 0.4]).view(1, 3, 1, 1)
    crops = []
    for x, y, ground in ((-0.4, 0.3, 0.1), (0.3, -0.2, 0.8)):
        mask = _disc(x, y, 0.3)
        image = colour * mask + ground * (1 - mask)
        cut, pose = crop(image, mask)
        assert pose[0, :2].tolist() == pytest.approx([x, y], abs=0.02)
        crops.append(cut)
    assert crops[0].shape == (1, 4, CROP, CROP)
    assert (crops[0] - crops[1]).abs().mean() < 0.02  # edges differ by where pixels lie
    assert crops[0][0, :3, CROP // 2, CROP // 2].tolist() == pytest.approx([0.4, -0.3, -0.1])
    empty, _ = crop(image, torch.zeros_like(mask))
    assert empty.abs().max() == 0


def test_normalised_crops_forget_brightness_and_contrast() -> None:
    g = torch.Generator().manual_seed(0)
    inside = _disc(0, 0, 0.7, CROP)
    colours = torch.rand(1, 3, CROP, CROP, generator=g) * inside
    plain = normalised(torch.cat([colours, inside], 1))
    lit = normalised(torch.cat([(colours * 1.6 + 0.2) * inside, inside], 1))
    assert (plain - lit).abs().max() < 0.05
    assert (plain[:, :3] * (1 - inside)).abs().max() == 0
    assert plain[:, :3].sum((2, 3)).abs().max() < 1e-2


def test_slots_come_in_the_order_of_the_scene_and_equal_objects_share_networks() -> None:
    layout = layout_of(SplitSpec((32, 32), 3, TWO))
    torch.manual_seed(0)
    model = SegmentModel(SegmentThenEncode(width=8, segmenter_width=4), layout, (32, 32)).eval()
    images = torch.rand(2, 3, 32, 32)
    masks = torch.zeros(2, 2, 32, 32)
    masks[:, 0, 3:9, 4:9], masks[:, 1, 18:27, 17:28] = 1, 1
    slots, outputs, _ = model.run(images, masks)
    assert slots.shape == (2, 3, 8)
    assert outputs.shape == (2, 3, layout.dim)
    swapped, answers, _ = model.run(images, masks.flip(1))
    assert torch.allclose(slots[:, 0], swapped[:, 0], atol=1e-6)  # the background
    assert torch.allclose(slots[:, [1, 2]], swapped[:, [2, 1]], atol=1e-5)
    assert torch.allclose(outputs[:, [1, 2]], answers[:, [2, 1]], atol=1e-5)


def test_the_background_encoder_does_not_see_the_object() -> None:
    layout = layout_of(SplitSpec((32, 32), 3, TWO))
    model = SegmentModel(SegmentThenEncode(width=8, segmenter_width=4), layout, (32, 32)).eval()
    masks = torch.zeros(1, 2, 32, 32)
    masks[:, 0, 8:16, 8:16] = 1
    image = torch.rand(1, 3, 32, 32)
    other = torch.where(masks.amax(1, keepdim=True) > 0, 1 - image, image)
    first, second = (model.run(one, masks)[0] for one in (image, other))
    assert torch.equal(first[:, 0], second[:, 0])
    assert not torch.equal(first[:, 1], second[:, 1])


def test_owners_are_instances() -> None:
    masks = torch.tensor([[[0, 1], [2, 2]]])
    assert torch.equal(owners(masks, 2), torch.tensor([[[[0, 1], [0, 0]], [[0, 0], [1, 1]]]]) * 1.0)


@pytest.mark.parametrize("name", ["segment-then-encode", "segment-then-encode-masks"])
def test_it_finds_objects_and_trains_either_way(drawn_fixture: Data, name: str) -> None:
    train, val = drawn_fixture
    weak = name.endswith("masks")
    served = replace(train, factors={}) if weak else train
    learner = replace(
        load_baseline(name, "tiny"),
        segmenter=Schedule(steps=60, batch_size=16),
        encoder=Schedule(steps=40, batch_size=32),
    )
    log = ListLog()
    method = learner.fit(served, val, seed=0, budget=TrainBudget(), log=log)
    assert isinstance(method, Encoder)
    method.setup(train.spec, torch.device("cpu"))
    out = method.encode(val.images)
    assert out.masks is not None
    found, true = out.masks[:, 0] > 0.5, val.masks > 0
    iou = (found & true).sum((1, 2)) / (found | true).sum((1, 2)).clamp_min(1)
    assert iou.mean() > 0.6
    assert torch.equal(out.masks[:, 1], 1 - out.masks[:, 0])
    curve = [value for stage, value, _ in log.scalars if stage == "encoder"]
    assert curve[-1] < 0.9 * curve[0]
    assert log.generated == 0
    assert (out.factors is None) == weak


def test_masks_are_needed(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    bare = DrawnData(train.images, train.factors, None, train.spec)
    with pytest.raises(InvalidInputError, match="masks"):
        load_baseline("segment-then-encode", "tiny").fit(
            bare, val, seed=0, budget=TrainBudget(), log=ListLog()
        )


def test_a_scene_without_objects_is_refused() -> None:
    layout = layout_of(SplitSpec((32, 32), 1, {"scene.light": "categorical[3]"}))
    with pytest.raises(InvalidInputError, match="stands somewhere"):
        SegmentModel(SegmentThenEncode(), layout, (32, 32))


def test_the_dilated_mask_is_what_is_hidden() -> None:
    layout = layout_of(SplitSpec((32, 32), 3, TWO))
    model = SegmentModel(SegmentThenEncode(width=8, segmenter_width=4), layout, (32, 32))
    masks = torch.zeros(1, 2, 32, 32)
    masks[:, 1, 15, 15] = 1
    views = model.views(torch.ones(1, 3, 32, 32), masks)
    wide = functional.pad(torch.ones(1, 9, 9), (11, 12, 11, 12))
    assert torch.equal(views.rest[0, 3:], 1 - wide)
