"""The losses of encoders without labels, each against a slow formula of its own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from recombine.baselines.methods.mae import Mae, MaskedAutoencoder, patches_of, random_mask
from recombine.baselines.methods.self_supervised import (
    ImageNumbers,
    Trunk,
    VectorEncoder,
    augment,
    contrast,
    ema_update,
    instance_loss,
    queue_loss,
    vicreg_loss,
)
from recombine.benchmark.protocol.contract import SplitSpec
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import FACTORS, DrawnData


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_diet_is_cross_entropy_with_smoothed_instances() -> None:
    logits, numbers = _randn(3, 5), torch.tensor([4, 0, 2])
    slow = 0.0
    for i in range(3):
        total = sum(math.exp(float(logits[i, n])) for n in range(5))
        for n in range(5):
            target = 0.2 * (n == int(numbers[i])) + 0.8 / 5
            slow -= target * math.log(math.exp(float(logits[i, n])) / total) / 3
    assert instance_loss(logits, numbers, 0.8).item() == pytest.approx(slow, rel=1e-5)


def test_images_are_numbered_by_what_they_show(drawn_fixture: tuple[DrawnData, DrawnData]) -> None:
    data = drawn_fixture[0]
    numbers = ImageNumbers()
    seen: dict[int, bytes] = {}
    for epoch in range(2):
        for batch in data.batches(64, seed=epoch):
            for image, number in zip(batch.images, numbers(batch.images).tolist(), strict=True):
                assert seen.setdefault(number, image.numpy().tobytes()) == image.numpy().tobytes()
    assert sorted(seen) == list(range(len(data)))


def test_simclr_is_nt_xent() -> None:
    vectors = _randn(6, 4)
    unit = [v / v.norm() for v in vectors]
    slow = 0.0
    for i in range(6):
        others = [math.exp(float(unit[i] @ unit[k]) / 0.3) for k in range(6) if k != i]
        partner = math.exp(float(unit[i] @ unit[(i + 3) % 6]) / 0.3)
        slow -= math.log(partner / sum(others)) / 6
    assert contrast(vectors, 0.3).item() == pytest.approx(slow, rel=1e-5)
    assert contrast(torch.ones(6, 4), 0.3).item() == pytest.approx(math.log(5), rel=1e-5)


def test_moco_is_info_nce_against_the_queue() -> None:
    queries, keys, queue = _randn(2, 4), _randn(2, 4, seed=1), _randn(5, 4, seed=2)
    keys, queue = (nn.functional.normalize(x, dim=1) for x in (keys, queue))
    slow = 0.0
    for q, k in zip(queries, keys, strict=True):
        unit = q / q.norm()
        own = math.exp(float(unit @ k) / 0.2)
        rest = sum(math.exp(float(unit @ other) / 0.2) for other in queue)
        slow -= math.log(own / (own + rest)) / 2
    assert queue_loss(queries, keys, queue, 0.2).item() == pytest.approx(slow, rel=1e-5)


def test_the_slow_network_follows() -> None:
    slow, fast = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        slow.weight.fill_(0)
        fast.weight.fill_(1)
    for _ in range(2):
        ema_update(slow, fast, 0.9)
    assert torch.allclose(slow.weight, torch.full((1, 2), 1 - 0.9**2))


def test_vicreg_by_its_parts() -> None:
    one, other = _randn(5, 3), 0.3 * _randn(5, 3, seed=1)
    slow = 25 * float((one - other).square().sum()) / 15
    for view in (one, other):
        means = [sum(float(x[j]) for x in view) / 5 for j in range(3)]

        def covariance(
            i: int, j: int, view: torch.Tensor = view, means: list[float] = means
        ) -> float:
            return sum((float(x[i]) - means[i]) * (float(x[j]) - means[j]) for x in view) / 4

        for j in range(3):
            slow += 25 * max(0.0, 1 - math.sqrt(covariance(j, j) + 1e-4)) / 3 / 2
        slow += sum(covariance(i, j) ** 2 for i in range(3) for j in range(3) if i != j) / 3
    assert vicreg_loss(one, other).item() == pytest.approx(slow, rel=1e-5)


def test_patches_are_cut_row_by_row() -> None:
    images = _randn(2, 3, 9, 8)
    patches = patches_of(images, 4)
    assert patches.shape == (2, 4, 48)
    assert torch.equal(patches[1, 2], images[1, :, 4:8, 0:4].flatten())


def test_seen_and_hidden_patches_share_out_the_image() -> None:
    seen, hidden = random_mask(5, 16, 0.75, torch.zeros(1))
    assert seen.shape == (5, 4)
    both = torch.cat([seen, hidden], dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(16).expand(5, -1))
    assert [part.shape[1] for part in random_mask(1, 2, 0.99, torch.zeros(1))] == [1, 1]


def test_every_patch_and_every_pair_is_hidden_equally_often() -> None:
    torch.manual_seed(0)
    n, patches, once = 20_000, 8, 6 / 8
    _, hidden = random_mask(n, patches, 0.75, torch.zeros(1))
    gone = nn.functional.one_hot(hidden, patches).sum(1).double()
    both = gone.T @ gone / n
    twice = once * 5 / 7  # without replacement
    for i in range(patches):
        for j in range(patches):
            wanted = once if i == j else twice
            spread = math.sqrt(wanted * (1 - wanted) / n)
            assert abs(float(both[i, j]) - wanted) < 5 * spread


def test_mae_is_scored_on_hidden_normalised_patches_only() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(Mae(width=8, dim=16, layers=1, patch=4), (16, 16)).eval()
    images = torch.rand(2, 3, 16, 16)
    seen, hidden = torch.tensor([[0, 5], [3, 9]]), torch.tensor([[1, 7], [2, 4]])
    drawn: list[torch.Tensor] = []
    model.draw.register_forward_hook(lambda _m, _i, out: drawn.append(out.detach()))
    loss = model.loss(images, (seen, hidden))
    patches = patches_of(images, 4)
    slow = 0.0
    for b in range(2):
        for place in range(2):
            patch = patches[b, hidden[b, place]]
            patch = (patch - patch.mean()) / (patch.var(correction=0) + 1e-4).sqrt()
            slow += float((drawn[0][b, place] - patch).square().mean()) / 4
    assert loss.item() == pytest.approx(slow, rel=1e-4)
    changed = images.clone()
    changed[0, :, :4, 4:8] = 0.3  # a hidden patch: what is drawn must not know it
    model.loss(changed, (seen, hidden))
    assert torch.equal(drawn[0], drawn[1])


def test_views_differ_but_keep_handedness() -> None:
    torch.manual_seed(0)
    images = torch.zeros(64, 3, 16, 16)
    images[:, :, :, :8] = 1  # the left half is bright
    views = augment(images)
    assert views.shape == images.shape
    assert 0 <= views.min() <= views.max() <= 1
    assert not torch.allclose(views[0], views[1])
    assert (views[..., 0].mean((1, 2)) > views[..., -1].mean((1, 2))).all()
    assert torch.allclose(augment(images, strength=0), images, atol=1e-5)


def test_a_vector_is_repeated_for_every_slot_of_the_right_images() -> None:
    encoder = VectorEncoder(Trunk(8, 6, (16, 16)), 6, (16, 16))
    encoder.setup(SplitSpec((16, 16), 3, FACTORS), torch.device("cpu"))
    slots = encoder.encode(torch.rand(2, 3, 16, 16)).slots
    assert slots.shape == (2, 3, 6)
    assert torch.equal(slots[:, 0], slots[:, 2])
    with pytest.raises(InvalidInputError, match=r"\(16, 16\)"):
        encoder.setup(SplitSpec((32, 32), 3, FACTORS), torch.device("cpu"))
