from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from recombine.baselines.nn.decoders import (
    BOUND,
    MARGIN,
    Compositor,
    FactoredPatch,
    Frame,
    Patch,
    Placement,
    axes,
    initialise,
    moments,
    place,
)
from recombine.baselines.nn.slots import slot_vectors, standard
from tests.baselines.drawn_fixture import DrawnData
from tests.baselines.networks import (
    first_vectors,
    untrained_decoder,
)
from tests.baselines.nn.test_slots import LAYOUT, TWO_OBJECTS

Data = tuple[DrawnData, DrawnData]


def _placed(patch: torch.Tensor, pose: torch.Tensor, hw: tuple[int, int]) -> torch.Tensor:
    return place(patch, *axes(pose, hw, patch.shape[2]))


def _disc(px: int, x: float, y: float, radius: float) -> torch.Tensor:
    """Draw an anti-aliased disc at an analytic place; coordinates run over [-1, 1]."""
    edges = (torch.arange(px) * 2 + 1) / px - 1
    distance = ((edges[None, :] - x) ** 2 + (edges[:, None] - y) ** 2).sqrt()
    return ((radius - distance) * px / 4 + 0.5).clamp(0, 1)


@pytest.mark.parametrize(
    ("x", "y", "half"), [(0.0, 0.0, 1.0), (0.3, -0.2, 0.5), (-0.6, 0.5, 0.35), (0.9, 0.9, 0.5)]
)
def test_a_placed_disc_is_the_disc_at_that_place_and_scale(x: float, y: float, half: float) -> None:
    patch = _disc(64, 0, 0, 0.6)[None, None]
    drawn = _placed(patch, torch.tensor([[x, y, math.log(half)]]), (64, 64))[0, 0]
    wanted = _disc(64, x, y, 0.6 * half)
    assert (drawn - wanted).abs().mean() < 0.012
    assert drawn.sum() == pytest.approx(float(wanted.sum()), rel=0.04, abs=2)


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(-1, 1),
    y=st.floats(-1, 1),
    half=st.floats(0.2, 1.5),
    hw=st.sampled_from([(16, 16), (12, 20)]),
)
def test_placement_equals_grid_sample(x: float, y: float, half: float, hw: tuple[int, int]) -> None:
    patch = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = _placed(patch, torch.tensor([[x, y, math.log(half)]]), hw)
    rows, columns = ((torch.arange(n) * 2 + 1) / n - 1 for n in hw)
    grid = torch.stack(
        [
            ((columns - x) / half)[None, :].expand(hw),
            ((rows - y) / half)[:, None].expand(hw),
        ],
        dim=-1,
    )
    wanted = functional.grid_sample(patch, grid[None], align_corners=False, padding_mode="zeros")
    assert torch.allclose(drawn, wanted, atol=1e-4)


def test_a_whole_pixel_shift_shifts_the_picture() -> None:
    patch = torch.rand(1, 1, 16, 16)
    still = _placed(patch, torch.tensor([[0.0, 0.0, math.log(0.5)]]), (32, 32))
    moved = _placed(patch, torch.tensor([[3 * 2 / 32, -5 * 2 / 32, math.log(0.5)]]), (32, 32))
    assert torch.allclose(moved[..., 3:27, 3:], still[..., 8:, :-3], atol=1e-5)


def test_the_gradient_of_the_pose_points_home() -> None:
    patch, target = _disc(32, 0, 0, 0.7)[None, None], _disc(32, 0.2, -0.1, 0.7 * 0.5)
    pose = torch.tensor([[0.1, 0.0, math.log(0.4)]], requires_grad=True)
    error = (_placed(patch, pose, (32, 32))[0, 0] - target).square().sum()
    (gradient,) = torch.autograd.grad(error, pose)
    assert gradient[0, 0] < 0  # further right
    assert gradient[0, 1] > 0  # further up
    assert gradient[0, 2] < 0  # larger


@pytest.mark.parametrize(("x", "y", "half"), [(0.0, 0.0, 0.5), (0.3, -0.4, 0.3)])
def test_moments_of_a_square_are_its_centre_and_size(x: float, y: float, half: float) -> None:
    edges = (torch.arange(256) * 2 + 1) / 256 - 1
    square = ((edges[None] - x).abs() < half) & ((edges[:, None] - y).abs() < half)
    found = moments(square[None].float())[0]
    assert found.tolist() == pytest.approx([x, y, math.log(MARGIN * half)], abs=0.02)


def test_placement_learns_a_quadratic_camera_in_closed_form() -> None:
    g = torch.Generator().manual_seed(0)
    values = torch.randn(200, 3, generator=g)
    poses = torch.stack(
        [
            0.3 * values[:, 0] * (1 - 0.2 * values[:, 1]),
            0.4 - 0.3 * values[:, 1] + 0.05 * values[:, 1] ** 2,
            -1 + 0.2 * values[:, 2] - 0.1 * values[:, 1],
        ],
        dim=1,
    )
    placement = Placement(3)
    placement.fit(values, poses)
    assert (placement(values) - poses).abs().max() < 2e-3


def test_frame_fit_gives_the_mean_picture_behind_the_objects() -> None:
    g = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, 8, 8, generator=g)
    code = torch.arange(60) % 2
    images = truth[code].clone()
    free = torch.rand(60, 8, 8, generator=g) > 0.3
    images[~free[:, None].expand_as(images)] = 5.0
    slots = functional.one_hot(code, 4).float()
    frame = Frame(4, 2, (8, 8))
    frame.fit_basis(slots, images, free)
    found = slots[:2] @ frame.basis[:4]
    assert (found.view(2, 3, 8, 8) - truth).abs().max() < 0.05
    frame.fit_basis(slots, images)
    assert ((slots[:2] @ frame.basis[:4]).view(2, 3, 8, 8) - truth).abs().max() > 0.5


def test_patch_logits_are_bounded() -> None:
    patch = Patch(11, 8)
    logits = patch(torch.randn(4, 11) * 1000)[:, 3:]
    assert logits.abs().max() <= BOUND + 1e-3


@pytest.mark.parametrize("light", [False, True])
def test_every_part_of_the_slots_and_of_the_decoder_gets_a_gradient(light: bool) -> None:
    torch.manual_seed(0)
    decoder = Compositor(LAYOUT, (16, 16), 8, light=light)
    slots = torch.randn(3, 2, 11, requires_grad=True)
    decoder(slots).image.square().sum().backward()
    assert slots.grad is not None
    used = torch.ones(2, 11, dtype=torch.bool)
    assert (slots.grad.abs().sum(0) > 0)[used].float().mean() > 0.9
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_without_light_the_object_looks_the_same_in_front_of_every_background() -> None:
    torch.manual_seed(0)
    slots = torch.randn(2, 2, 11)
    slots[1, 0] = slots[0, 0]
    for light, same in ((False, True), (True, False)):
        decoder = Compositor(LAYOUT, (16, 16), 8, light=light)
        if decoder.light is not None:
            torch.nn.init.normal_(decoder.light.weight)
        torch.nn.init.zeros_(decoder.frame[0].basis)  # type: ignore[arg-type]
        images = decoder(slots).image
        assert torch.allclose(images[0], images[1], atol=1e-6) is same


def test_several_objects_share_one_patch_network() -> None:
    torch.manual_seed(0)
    decoder = Compositor(TWO_OBJECTS, (16, 16), 8)
    slots = torch.randn(3, 3, TWO_OBJECTS.dim)
    layers = decoder(slots)
    assert layers.opacity.shape == (3, 2, 16, 16)
    swapped = decoder(slots[:, [1, 0, 2]])
    assert torch.allclose(layers.image, swapped.image, atol=1e-5)


def test_initialise_puts_objects_where_they_are(
    drawn_fixture: tuple[DrawnData, DrawnData],
) -> None:
    batch = drawn_fixture[0].arrays()
    raw = slot_vectors(LAYOUT, batch.factors)
    center, spread = standard(LAYOUT, raw)
    slots = (raw - center) / spread
    assert batch.masks is not None
    truth = moments((batch.masks == 1).float())
    for masks, tolerance in ((batch.masks, 0.06), (None, 0.12)):
        decoder = Compositor(LAYOUT, (32, 32), 8)
        initialise(decoder, slots, batch.images, masks)
        found = decoder.poses(slots).detach()[:, 0]
        assert (found[:, :2] - truth[:, :2]).abs().mean() < tolerance
        background = decoder.background(slots)
        hidden = (batch.masks > 0)[:, None]
        error = ((background - batch.images).abs() * ~hidden).mean()
        assert error < 0.06


def test_branches_see_their_slot_only_unless_they_leak(drawn_fixture: Data) -> None:
    """Another background must not change an object's outline, and does when branches leak."""
    slots = first_vectors(drawn_fixture[0], 2)
    other = slots.clone()
    other[:, 1] = other[:, 1].roll(1, dims=1)
    for leak in (False, True):
        decoder = untrained_decoder(leak=leak)
        same = torch.equal(decoder(slots).opacity, decoder(other).opacity)
        assert same != leak


def test_outlines_never_see_the_surface(drawn_fixture: Data) -> None:
    torch.manual_seed(0)
    patch = FactoredPatch(LAYOUT, 4)
    slots = first_vectors(drawn_fixture[0], 3)[:, 0]
    (hue,) = (c for c in LAYOUT.slots[0] if c.factor == "hue")
    other = slots.clone()
    other[:, hue.span] = -other[:, hue.span]
    before, after = patch(slots), patch(other)
    assert torch.equal(before[:, 3:], after[:, 3:])
    assert not torch.allclose(before[:, :3], after[:, :3])
    ratio = after[:, :3] / before[:, :3]  # colour times shading: shading cancels
    reshaped = slots.clone()
    reshaped[:, :4] = reshaped[:, :4].roll(1, dims=1)
    turned = reshaped.clone()
    turned[:, hue.span] = -turned[:, hue.span]
    other_ratio = patch(turned)[:, :3] / patch(reshaped)[:, :3]
    both = torch.isfinite(ratio) & torch.isfinite(other_ratio)
    assert both.float().mean() > 0.9
    assert torch.allclose(ratio[both], other_ratio[both], rtol=1e-3, atol=1e-3)


def test_a_learned_background_starts_where_chance_put_it(drawn_fixture: Data) -> None:
    images = drawn_fixture[0]
    batch = next(iter(images.batches(64, seed=0)))
    slots = first_vectors(images, 64)
    model = Compositor(LAYOUT, (32, 32), 8, light=True)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    initialise(model, slots, batch.images, batch.masks, background=False)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, start[k])}
    assert changed == {"placement.weight"}
    initialise(model, slots, batch.images, batch.masks)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, start[k])}
    assert "frame.0.basis" in changed
