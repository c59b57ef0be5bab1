from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recombine.baselines.nn.compositing import squared_error
from recombine.baselines.nn.decoders import Compositor
from recombine.baselines.nn.slots import activate
from recombine.baselines.training.search import (
    Inversion,
    SearchSettings,
    class_entropy,
    id_recovery,
    select_search,
    wrong_start,
)
from recombine.baselines.training.slot_encoder import Recognition
from recombine.benchmark.protocol.contract import Inverter, SplitSpec
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import FACTORS, DrawnData, ListLog
from tests.baselines.networks import (
    untrained_decoder,
    untrained_encoder,
)
from tests.baselines.nn.test_slots import LAYOUT

Data = tuple[DrawnData, DrawnData]

SPEC = SplitSpec((32, 32), 2, FACTORS)


@pytest.fixture(scope="module")
def untrained() -> Inversion:
    """An inverter with random weights: a real decoder, whatever it draws."""
    torch.manual_seed(0)
    recognition = Recognition(
        LAYOUT, (32, 32), width=16, layers=1, pose_weight=1.0, precision="float32"
    )
    decoder = Compositor(LAYOUT, (32, 32), 8, light=True)
    torch.nn.init.normal_(decoder.frame[0].basis, std=0.3)  # type: ignore[arg-type]
    decoder.placement.fit(torch.eye(3), torch.tensor([[0.2, 0, -1], [0, 0.2, -1], [0, 0, -0.5]]))
    inversion = Inversion(recognition, decoder, SearchSettings(steps=10), "float32")
    inversion.setup(SPEC, torch.device("cpu"))
    return inversion


def _searched(inversion: Inversion, images: torch.Tensor, steps: int) -> torch.Tensor:
    state = inversion.init(images)
    for _ in range(steps):
        state = inversion.step(images, state)
    return inversion.read(state).slots


def test_it_is_an_inverter(untrained: Inversion) -> None:
    assert isinstance(untrained, Inverter)
    assert untrained.slot_dim == LAYOUT.dim


def test_setup_refuses_other_images(untrained: Inversion) -> None:
    with pytest.raises(InvalidInputError, match="train it anew"):
        untrained.setup(SplitSpec((64, 64), 2, FACTORS), torch.device("cpu"))


def test_read_before_any_step_is_the_encoder_alone(untrained: Inversion) -> None:
    images = torch.rand(4, 3, 32, 32)
    slots = untrained.read(untrained.init(images)).slots
    assert torch.equal(slots, untrained.recognition.guess(images))


def test_an_image_is_searched_as_if_it_were_alone(untrained: Inversion) -> None:
    images = torch.rand(5, 3, 32, 32)
    among = _searched(untrained, images, 8)
    others = torch.rand(5, 3, 32, 32)
    others[2] = images[2]
    assert torch.equal(among[2], _searched(untrained, others, 8)[2])
    assert torch.allclose(among[2:3], _searched(untrained, images[2:3], 8), atol=1e-4)


def test_steps_do_not_need_gradients_turned_on(untrained: Inversion) -> None:
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        quiet = _searched(untrained, images, 3)
    assert torch.equal(quiet, _searched(untrained, images, 3))
    assert not quiet.requires_grad


def test_the_best_iterate_of_each_image_is_kept(untrained: Inversion) -> None:
    """A huge rate makes the error jump up and down; the read error must never rise."""
    wild = Inversion(
        untrained.recognition,
        untrained.decoder,
        SearchSettings(rate=5.0, pose_rate=1.0, steps=10),
        "float32",
    )
    images = torch.rand(6, 3, 32, 32)
    state = wild.init(images)
    lowest = torch.full((6,), torch.inf)
    rose = False
    for _ in range(10):
        here = squared_error(wild.decoder(activate(LAYOUT, state.variables)).image, images).detach()
        rose |= bool((here > lowest).any())
        lowest = torch.minimum(lowest, here)
        state = wild.step(images, state)
        assert torch.allclose(state.error, lowest)
        kept = squared_error(wild.decoder(wild.read(state).slots).image, images).detach()
        assert torch.allclose(kept, lowest, rtol=1e-4)
    assert rose


def test_one_step_is_one_adam_step(untrained: Inversion) -> None:
    images = torch.rand(3, 3, 32, 32)
    state = untrained.init(images)
    variables = state.variables.clone().requires_grad_()
    settings = untrained.settings
    groups = []
    for k, slot in enumerate(LAYOUT.slots):
        for c in slot:
            rate = settings.rate if c.kind == "categorical" else settings.pose_rate
            groups.append((k, c.span, rate))
    error = squared_error(untrained.decoder(activate(LAYOUT, variables)).image, images).sum()
    (gradient,) = torch.autograd.grad(error, variables)
    after = untrained.step(images, state)
    for k, span, rate in groups:
        reference = torch.nn.Parameter(variables[:, k, span].detach().clone())
        adam = torch.optim.Adam([reference], lr=rate, betas=(0.9, 0.99), eps=1e-12)
        reference.grad = gradient[:, k, span].clone()
        adam.step()
        assert torch.allclose(after.variables[:, k, span], reference.detach(), atol=1e-5)


def test_decode_clamps(untrained: Inversion) -> None:
    image = untrained.decode(torch.randn(2, 2, 11) * 20)
    assert image.shape == (2, 3, 32, 32)
    assert image.min() >= 0
    assert image.max() <= 1


def test_wrong_start_is_wrong_in_exactly_one_slot() -> None:
    torch.manual_seed(0)
    slots = activate(LAYOUT, torch.randn(200, 2, 11) * 5)
    wrong, chosen = wrong_start(LAYOUT, slots, torch.Generator().manual_seed(0))
    for k in range(2):
        changed = wrong[:, k, :4].argmax(1) != slots[:, k, :4].argmax(1)
        assert torch.equal(changed, chosen == k)
        assert (wrong[chosen == k, k, :4].max(1).values == 1).all()
    floats = [c.start for c in LAYOUT.slots[0] if c.kind == "float"]
    angles = [i for c in LAYOUT.slots[0] if c.kind == "angle" for i in range(c.start, c.start + 2)]
    moved = (wrong - slots)[:, 0][chosen == 0][:, floats]
    assert 0.4 < float(moved.std()) < 0.6
    assert torch.equal(wrong[:, 0][chosen == 1], slots[:, 0][chosen == 1])
    assert torch.equal(wrong[:, 0, angles], slots[:, 0, angles])
    assert 60 < int(chosen.sum()) < 140
    exact, _ = wrong_start(LAYOUT, slots, torch.Generator().manual_seed(0), jitter=0.0)
    assert torch.equal(exact[:, 0][:, floats], slots[:, 0][:, floats])


def test_recovery_is_zero_without_search_and_counts_only_full_recovery(
    untrained: Inversion, drawn_fixture: tuple[DrawnData, DrawnData]
) -> None:
    frozen = SearchSettings(rate=0.0, pose_rate=0.0, mix=0.05, steps=2)
    still = Inversion(untrained.recognition, untrained.decoder, frozen, "float32")
    assert id_recovery(still, drawn_fixture[1].arrays(), seed=0) == 0.0


def test_selection_takes_the_best_and_reports_all(
    untrained: Inversion,
    drawn_fixture: tuple[DrawnData, DrawnData],
    run_log: ListLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = {0.1: 0.3, 0.2: 0.9, 0.4: 0.9, 0.8: 0.5}
    monkeypatch.setattr(
        "recombine.baselines.training.search.id_recovery",
        lambda inversion, batch, seed: scores[inversion.settings.rate],
    )
    candidates = tuple(replace(SearchSettings(), rate=rate) for rate in scores)
    found = select_search(
        untrained.recognition,
        untrained.decoder,
        drawn_fixture[1],
        precision="float32",
        seed=0,
        log=run_log,
        candidates=candidates,
        images=16,
    )
    assert found.rate == 0.2
    assert [(c["rate"], s) for c, s in run_log.tried] == list(scores.items())


def test_the_label_prior_is_off_and_pushes_towards_certainty(drawn_fixture: Data) -> None:
    assert SearchSettings().entropy == 0
    slots = torch.zeros(2, 2, LAYOUT.dim)
    slots[0, :, :4] = 0.25
    slots[1, :, 0] = 1
    found = class_entropy(LAYOUT, slots)
    assert found[0].item() == pytest.approx(2 * torch.tensor(4.0).log().item(), rel=1e-4)
    assert abs(found[1].item()) < 1e-6
    images = drawn_fixture[0].images[:4]

    def entropy_after(weight: float) -> float:
        settings = SearchSettings(steps=8, entropy=weight)
        search = Inversion(untrained_encoder(), untrained_decoder(), settings, "float32")
        state = search.init(images)
        for _ in range(8):
            state = search.step(images, state)
        return class_entropy(LAYOUT, state.best).mean().item()

    assert entropy_after(10.0) < entropy_after(0.0)
