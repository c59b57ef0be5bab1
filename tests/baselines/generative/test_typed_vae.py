"""The typed VAE: its decoder by hand, its hint, what leaks, and that it finds objects."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recombine.baselines.generative.typed_vae import (
    POSE,
    UNIT,
    Residual,
    TypedDecoder,
    TypedEncoder,
    TypedModel,
    TypedVae,
    principal,
    residual,
)
from recombine.baselines.nn.decoders import OUTSIDE, moments
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.loop import Schedule
from recombine.benchmark.protocol.contract import Inverter, SplitSpec, TrainBudget
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import DrawnData, ListLog

pytestmark = pytest.mark.long

Data = tuple[DrawnData, DrawnData]
SMALL = TypedVae(kind="patch", dim=4, width=16, layers=1, decoder_width=4, rank=4)


def _decoder(kind: str = "patch") -> TypedDecoder:
    torch.manual_seed(0)
    decoder = TypedDecoder(2, (0,), replace(SMALL, kind=kind), (32, 32))
    with torch.no_grad():
        decoder.light.weight.normal_()
        decoder.frame.basis.normal_()
    return decoder


def _slots(n: int = 3) -> Tensor:
    slots = torch.randn(n, 2, POSE + 4, generator=torch.Generator().manual_seed(1))
    slots[:, 0, 2] -= 5
    return slots


def test_an_image_is_a_placed_patch_over_a_picture() -> None:
    decoder, slots = _decoder(), _slots()
    layers = decoder(slots)
    frames, codes = slots[:, 1, :4], slots[:, 0, POSE:]
    rest = functional.interpolate(decoder.frame.rest(frames), (32, 32), mode="bilinear")
    flat = 0.5 * frames @ decoder.frame.basis + decoder.frame.mean
    picture = flat.view(-1, 3, 32, 32) + rest
    patch = decoder.patch(codes)
    x, y, size = (slots[:, 0, :POSE] * UNIT).unbind(1)
    half = size.clamp(-3, 0.1).exp()
    ways = torch.zeros(len(slots), 2, 3)
    ways[:, 0, 0] = ways[:, 1, 1] = 1 / half
    ways[:, 0, 2], ways[:, 1, 2] = -x / half, -y / half
    grid = functional.affine_grid(ways, [len(slots), 5, 32, 32], align_corners=False)
    gain = decoder.light(frames).tanh().exp()[:, :, None, None]
    stack = torch.cat([patch[:, :3] * gain, patch[:, 3:] + OUTSIDE], 1)
    laid = functional.grid_sample(stack, grid, align_corners=False)
    cover, shadow = ((laid[:, k] - OUTSIDE).sigmoid()[:, None] for k in (3, 4))
    image = (1 - cover) * picture * (1 - shadow) + cover * laid[:, :3]
    assert torch.allclose(layers.image, image, atol=1e-4)
    assert torch.allclose(layers.opacity[:, 0], laid[:, 3] - OUTSIDE, atol=1e-4)


def test_only_the_leak_sees_the_other_slot() -> None:
    for kind, leaks in (("patch", False), ("leak", True)):
        decoder, slots = _decoder(kind), _slots()
        other = slots.clone()
        other[:, 0, POSE:] += 1  # another look of the object
        pictures = [
            decoder.frame(s[:, 1, :4], s[:, 0, POSE:] if leaks else s[:, 1, :0])
            for s in (slots, other)
        ]
        assert torch.equal(*pictures) != leaks
        moved = slots.clone()
        moved[:, 1] += 1  # another background
        opacity = [decoder(s).opacity for s in (slots, moved)]
        assert torch.equal(*opacity) != leaks


def test_poses_lie_in_the_image_and_what_is_no_code_is_zero() -> None:
    encoder = TypedEncoder(2, (0,), SMALL, (32, 32)).eval()
    mean, _ = encoder.posterior(1e3 * torch.rand(3, 3, 32, 32))
    assert mean.shape == (3, 2, POSE + 4)
    assert (mean[:, 0, :2] * UNIT).abs().max() <= 1
    assert (mean[:, 1, 4:] == 0).all()
    assert encoder.free[0].tolist() == [0] * POSE + [1] * 4
    assert encoder.free[1].tolist() == [1] * 4 + [0] * POSE


def test_principal_pictures_leave_out_what_stands_in_front() -> None:
    g = torch.Generator().manual_seed(0)
    grounds = torch.rand(3, 3, 16, 16, generator=g) * 0.6 + 0.2
    weights = torch.rand(80, 3, generator=g)
    clean = torch.einsum("nk,kchw->nchw", weights / weights.sum(1, keepdim=True), grounds)
    images, masks = clean.clone(), torch.zeros(80, 16, 16, dtype=torch.bool)
    for n in range(80):
        r, c = torch.randint(1, 10, (2,), generator=g).tolist()
        masks[n, r : r + 5, c : c + 5] = True
        images[n, :, r : r + 5, c : c + 5] = 1.0
    for hidden, most in ((None, 0.3), (masks, 0.05)):
        torch.manual_seed(0)
        mean, pictures = principal(images, 2, hidden)
        directions = functional.normalize(pictures, dim=1)
        error = residual(images, mean, directions)
        inside, outside = error[masks].mean(), error[~masks].mean()
        assert outside < most * inside
    hint = Residual(2, (16, 16))
    hint.start(mean, pictures)
    found, true = hint(images), moments(masks.float() + 1e-6)
    assert (found[:, :2] - true[:, :2]).abs().mean() < 0.1


@pytest.mark.parametrize("weak", [True, False])
def test_loss_by_its_parts(drawn_fixture: Data, weak: bool) -> None:
    whole = drawn_fixture[0]
    data = replace(whole, factors={}, masks=whole.masks if weak else None)
    settings = replace(
        SMALL, supervision="weak" if weak else "unsupervised", precision="float32", variance=0.02
    )
    torch.manual_seed(0)
    model = TypedModel(settings, data).eval()
    model.start(data.images[:64], data.masks[:64] if weak else None)
    model.steps, model.done = 100, torch.tensor(10)  # a quarter of the hinted steps
    batch = data._batch(slice(0, 4))
    torch.manual_seed(1)
    found = model.loss(batch)
    torch.manual_seed(1)
    mean, log_variance = model.encoder.posterior(batch.images)
    noise = (log_variance / 2).exp() * torch.randn_like(mean)
    free = torch.tensor([[0.0] * POSE + [1] * 4, [1.0] * 4 + [0] * POSE])
    layers = model.decoder(mean + noise * free)
    error = (layers.image - batch.images).square()
    if weak:
        near = functional.max_pool2d((batch.masks > 0).float()[:, None], 5, 1, 2)
        weights = 1 + 7 * near
        error = error * weights / weights.mean(dim=(1, 2, 3), keepdim=True)
    slow = 100 * error.mean()
    terms = (mean.square() + log_variance.exp() - 1 - log_variance) * free
    slow = slow + 200 * 0.02 / batch.images[0].numel() * 0.5 * terms.sum((1, 2)).mean()
    if weak:
        logits = torch.cat([torch.zeros_like(layers.opacity), layers.opacity], 1)
        slow = slow + 0.5 * functional.cross_entropy(logits, batch.masks)
        hint = moments((batch.masks == 1).float() + 1e-6)
    else:
        hint = model.hint(batch.images)
    share = 1.0 if weak else 0.75
    slow = slow + 2 * share * (mean[:, 0, :POSE] * UNIT - hint).square().sum(1).mean()
    assert found.item() == pytest.approx(slow.item(), rel=1e-4)
    assert model.done == 11


@pytest.mark.parametrize("name", ["typed-vae-masks-replay", "typed-vae"])
def test_it_draws_what_it_saw(drawn_fixture: Data, name: str) -> None:
    train, val = drawn_fixture
    weak = "masks" in name
    served = replace(train, factors={}, masks=train.masks if weak else None)
    learner = replace(
        load_baseline(name, "tiny"),
        schedule=Schedule(steps=40, batch_size=16, rate=5e-3, weight_decay=0.001),
        replay=Schedule(steps=3, batch_size=8, rate=1e-3),
    )
    log = ListLog()
    method = learner.fit(served, val, seed=0, budget=TrainBudget(), log=log)
    assert isinstance(method, Inverter)
    assert log.generated == 3 * learner.replayed
    method.setup(train.spec, torch.device("cpu"))
    out = method.read(method.init(val.images))
    drawn = method.decode(out.slots)
    plain = (val.images - train.images.mean(0)).square().mean()
    assert (drawn - val.images).square().mean() < 0.9 * plain
    assert out.masks.shape == (len(val.images), 2, *train.spec.image_hw)


def test_the_mask_row_needs_masks_and_types_need_both_kinds(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    bare = replace(train, masks=None)
    budget = TrainBudget()
    with pytest.raises(InvalidInputError, match="masks"):
        load_baseline("typed-vae-masks", "tiny").fit(
            bare, val, seed=0, budget=budget, log=ListLog()
        )
    flat = replace(bare, spec=SplitSpec((32, 32), 1, {"scene.light": "categorical[3]"}))
    with pytest.raises(InvalidInputError, match="typed"):
        load_baseline("typed-vae", "tiny").fit(flat, val, seed=0, budget=budget, log=ListLog())
