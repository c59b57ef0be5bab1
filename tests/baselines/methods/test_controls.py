"""What the controls claim to do, each against a slow way of doing it."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recombine.baselines.methods.best_of_classes import ClassSearch
from recombine.baselines.methods.cut_and_paste import CutAndPaste, paste, rows_of
from recombine.baselines.methods.ensemble import EnsembleEncoder, view
from recombine.baselines.methods.oracle import AllCombinations
from recombine.baselines.methods.regression import Regressor
from recombine.baselines.methods.slot_attention import SlotAttention
from recombine.baselines.methods.slotmodel import build_decoder
from recombine.baselines.methods.slotwise import SlotAutoencoder
from recombine.baselines.methods.starts import ManyStarts
from recombine.baselines.methods.supervision import SlotSupervision
from recombine.baselines.methods.tangent import bend, directions, tangents
from recombine.baselines.nn.decoders import Compositor, FactoredPatch, initialise
from recombine.baselines.nn.encoders import SlotEncoder
from recombine.baselines.nn.losses import mask_loss, matched_masks, recombine, recombine_factors
from recombine.baselines.nn.slots import layout_of, slot_vectors
from recombine.baselines.registry import BASELINES, load_baseline
from recombine.baselines.training.search import Inversion, SearchSettings, class_entropy
from recombine.baselines.training.slot_encoder import Recognition, RecognitionEncoder
from recombine.benchmark.inference.flops import count_flops
from recombine.benchmark.protocol.contract import SplitSpec, TrainBudget
from recombine.benchmark.serving.data import TrainData
from recombine.benchmark.serving.toy_data import ID_CELLS as ID
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import FACTORS, DrawnData, ListLog
from tests.baselines.nn.test_slots import LAYOUT, TWO_OBJECTS
from tests.benchmark.fakes import FakeDataset

Data = tuple[DrawnData, DrawnData]
FLOAT = {"width": 16, "layers": 1, "pose_weight": 1.0, "precision": "float32"}


def _draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _recognition() -> Recognition:
    torch.manual_seed(0)
    return Recognition(LAYOUT, (32, 32), **FLOAT).eval()


def _compositor(**settings: bool) -> Compositor:
    torch.manual_seed(1)
    decoder = Compositor(LAYOUT, (32, 32), 4, **settings).eval()
    with torch.no_grad():
        decoder.placement.weight[0] = torch.tensor([0.0, 0.0, -0.7])
        for frame in decoder.frame:
            frame.basis.mul_(100)
    return decoder


def _vectors(data: DrawnData, n: int) -> Tensor:
    return slot_vectors(LAYOUT, {k: v[:n] for k, v in data.factors.items()})


def test_branches_see_their_slot_only_unless_they_leak(drawn_fixture: Data) -> None:
    """Another background must not change an object's outline, and does when branches leak."""
    slots = _vectors(drawn_fixture[0], 2)
    other = slots.clone()
    other[:, 1] = other[:, 1].roll(1, dims=1)
    for leak in (False, True):
        decoder = _compositor(leak=leak)
        same = torch.equal(decoder(slots).opacity, decoder(other).opacity)
        assert same != leak


def test_outlines_never_see_the_surface(drawn_fixture: Data) -> None:
    torch.manual_seed(0)
    patch = FactoredPatch(LAYOUT, 4)
    slots = _vectors(drawn_fixture[0], 3)[:, 0]
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


def test_exchangeable_slots_draw_from_one_pool() -> None:
    bank = torch.arange(12.0).view(4, 3, 1).expand(-1, -1, 5)
    drawn = recombine(bank, 6000, _draw(), TWO_OBJECTS.groups)[:, :, 0]
    for slot, pool in ((0, {0, 1}), (1, {0, 1}), (2, {2})):
        values = [float(row * 3 + k) for row in range(4) for k in pool]
        share = torch.stack([(drawn[:, slot] == v).float().mean() for v in values])
        assert torch.allclose(share, torch.full_like(share, 1 / len(values)), atol=0.02)
    same_row = (drawn[:, 0] // 3 == drawn[:, 2] // 3).float().mean()
    assert float(same_row) == pytest.approx(1 / 4, abs=0.02)


def test_factor_level_replay_keeps_every_factor_and_breaks_every_pair() -> None:
    g = _draw()
    shape = torch.randint(4, (64,), generator=g)
    factors = {
        k: shape if t.startswith("cat") else torch.rand(64, generator=g) for k, t in FACTORS.items()
    }
    bank = slot_vectors(LAYOUT, factors)  # shape and background always agree
    drawn = recombine_factors(LAYOUT, bank, 8000, g)
    shapes, grounds = drawn[:, 0, :4], drawn[:, 1, :4]
    assert torch.allclose(shapes.mean(0), bank[:, 0, :4].mean(0), atol=0.02)
    assert torch.equal(shapes.sum(1), torch.ones(8000))
    joint = shapes.T @ grounds / 8000
    assert torch.allclose(joint, shapes.mean(0)[:, None] * grounds.mean(0), atol=0.02)
    for c in LAYOUT.slots[0]:
        if c.kind == "angle":  # cosine and sine stay together
            assert torch.allclose(drawn[:, 0, c.span].norm(dim=1), torch.ones(8000), atol=1e-4)


def test_masks_are_renamed_to_the_layers_that_draw_them() -> None:
    g = _draw()
    opacity = torch.randn(5, 3, 6, 6, generator=g) * 3
    masks = torch.randint(0, 4, (5, 6, 6), generator=g)
    found = matched_masks(opacity, masks)
    from itertools import permutations

    for b in range(5):
        losses = {}
        for order in permutations((1, 2, 3)):
            names = torch.tensor([0, *order])
            renamed = names[masks[b]][None]
            losses[order] = float(mask_loss(opacity[b : b + 1], renamed))
        assert float(mask_loss(opacity[b : b + 1], found[b : b + 1])) == pytest.approx(
            min(losses.values())
        )


def test_pasted_objects_come_from_their_sources() -> None:
    images = torch.rand(3, 3, 4, 4, generator=_draw())
    masks = torch.zeros(3, 4, 4, dtype=torch.int64)
    masks[0, 0:2, 0:2], masks[1, 1:4, 1:3] = 1, 2
    grounds = torch.rand(1, 3, 4, 4, generator=_draw(1))
    out = paste(images, masks, grounds, torch.tensor([[0, 1]]))[0]
    for r in range(4):
        for c in range(4):
            wanted = grounds[0, :, r, c]
            if r < 2 and c < 2:
                wanted = images[0, :, r, c]
            if r >= 1 and 1 <= c < 3:  # object 2 reaches further down: it is in front
                wanted = images[1, :, r, c]
            assert torch.equal(out[:, r, c], wanted)
    turned = paste(images, 3 * (masks > 0) - masks, grounds, torch.tensor([[1, 0]]))[0]
    assert torch.equal(turned, out)  # the order of the list does not matter
    slots, rows = rows_of(torch.arange(6.0).view(3, 2, 1), 50, _draw())
    assert torch.equal(slots[:, :, 0], (2 * rows + torch.arange(2)).float())


def test_pasting_needs_masks(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    bare = DrawnData(train.images, train.factors, None, train.spec)
    learner = load_baseline("cut-and-paste", "tiny")
    assert isinstance(learner, CutAndPaste)
    with pytest.raises(InvalidInputError, match="masks"):
        learner.fit(bare, val, seed=0, budget=TrainBudget(), log=ListLog())


def test_a_class_is_chosen_by_decoding_all_of_them(drawn_fixture: Data) -> None:
    decoder = _compositor()
    images = drawn_fixture[0].images[:3]
    search = ClassSearch(_recognition(), decoder, SearchSettings(), "float32")
    state = search.init(images)
    after = search.step(images, state)
    for b in range(3):
        errors = []
        for value in range(4):
            slots = state.best[b : b + 1].clone()
            slots[:, 0, :4] = nn.functional.one_hot(torch.tensor([value]), 4).float()
            errors.append(float((decoder(slots).image - images[b]).square().mean()))
        assert int(after.best[b, 0, :4].argmax()) == errors.index(min(errors))
        assert float(after.error[b]) == pytest.approx(min(errors), rel=1e-4)
    both = search.step(images, after)
    assert torch.equal(both.best[:, 0], after.best[:, 0])  # now it is the background's turn
    assert (both.error <= after.error).all()


def test_many_starts_keep_the_best_search(drawn_fixture: Data) -> None:
    images = drawn_fixture[0].images[:2]
    inversion = Inversion(_recognition(), _compositor(), SearchSettings(steps=3), "float32")
    noise = torch.randn(3, 2, LAYOUT.dim, generator=_draw())
    many = ManyStarts(inversion, noise, random=False)
    state = many.init(images)
    assert torch.equal(many.read(state).slots, inversion.read(inversion.init(images)).slots)
    starts = state.best.view(3, 2, 2, -1)
    assert not torch.allclose(starts[0, :, 0, :4], starts[1, :, 0, :4])
    for _ in range(2):
        state = many.step(images, state)
    singles = [inversion.start(start) for start in starts]
    for _ in range(2):
        singles = [inversion.step(images, single) for single in singles]
    errors = torch.stack([single.error for single in singles])
    for b in range(2):
        best = singles[int(errors[:, b].argmin())].best[b]
        assert torch.allclose(many.read(state).slots[b], best, atol=1e-5)


def test_a_random_start_does_not_look_at_the_image(drawn_fixture: Data) -> None:
    images = drawn_fixture[0].images[:4]
    inversion = Inversion(_recognition(), _compositor(), SearchSettings(), "float32")
    noise = torch.randn(1, 2, LAYOUT.dim, generator=_draw())
    slots = ManyStarts(inversion, noise, random=True)
    start = slots.read(slots.init(images)).slots
    assert torch.equal(start, start[:1].expand_as(start))
    assert torch.allclose(start[:, 0, :4].sum(1), torch.ones(4))


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
        search = Inversion(_recognition(), _compositor(), settings, "float32")
        state = search.init(images)
        for _ in range(8):
            state = search.step(images, state)
        return class_entropy(LAYOUT, state.best).mean().item()

    assert entropy_after(10.0) < entropy_after(0.0)


def test_bend_is_the_second_derivative_across_tangents() -> None:
    g = _draw()
    weights = torch.randn(4, 3, 3, 5, generator=g, dtype=torch.float64)
    image = torch.randn(1, 3, 2, 2, generator=g, dtype=torch.float64)
    first, second = (torch.randn(1, 3, 2, 2, generator=g, dtype=torch.float64) for _ in range(2))

    def encode(images: Tensor) -> Tensor:
        rows = images.mean(3)  # (B, 3, 2)
        return torch.einsum("bci,bdi,kcde->bke", rows, rows, weights)  # quadratic

    def along(x: Tensor) -> Tensor:
        return encode(x).flatten()

    jacobian = torch.autograd.functional.jacobian
    hessian = jacobian(lambda x: jacobian(along, x, create_graph=True), image)
    flat = hessian.reshape(20, 12, 12)
    exact = torch.einsum("oij,i,j->o", flat, first.flatten(), second.flatten())
    assert bend(encode, image, first, second).item() == pytest.approx(
        exact.square().sum().item(), rel=1e-9
    )
    assert bend(lambda x: x.flatten(2), image, first, second).item() < 1e-20


def test_tangents_are_the_decoders_jacobian_along_one_slot_each() -> None:
    one, other = directions(TWO_OBJECTS, 40, _draw())
    for way in (one, other):
        moved = way.flatten(2).norm(dim=2) > 0
        assert torch.equal(moved.sum(1), torch.ones(40, dtype=torch.long))
        assert torch.allclose(way.flatten(1).norm(dim=1), torch.ones(40))
    assert not ((one.norm(dim=2) > 0) & (other.norm(dim=2) > 0)).any()
    basis = torch.randn(3 * TWO_OBJECTS.dim, 3 * 4, generator=_draw(1))

    def decode(slots: Tensor) -> Tensor:
        return (slots.flatten(1) @ basis).view(-1, 3, 2, 2)

    found = tangents(decode, torch.randn(40, 3, TWO_OBJECTS.dim, generator=_draw(2)), one, other)
    for way, tangent in zip((one, other), found, strict=True):
        assert torch.allclose(tangent, decode(way), atol=1e-4)


def test_regression_is_squared_error_on_slot_vectors(drawn_fixture: Data) -> None:
    torch.manual_seed(0)
    model = Regressor(LAYOUT, (32, 32), **FLOAT).eval()
    images, targets = drawn_fixture[0].images[:3], _vectors(drawn_fixture[0], 3)
    outputs = model.run(images)[1]
    slow = (outputs[:, 0] - targets[:, 0]).square().sum()
    slow = (slow + (outputs[:, 1, :4] - targets[:, 1, :4]).square().sum()) / 3
    assert model.loss(images, targets).item() == pytest.approx(slow.item(), rel=1e-5)


def test_slots_compete_for_tokens(drawn_fixture: Data) -> None:
    torch.manual_seed(0)
    network = SlotAttention(2, 5, width=16, image_hw=(32, 32))
    shared = network.attention(torch.randn(3, 2, 16), torch.randn(3, 9, 16))
    assert shared.shape == (3, 2, 9)
    assert torch.allclose(shared.sum(1), torch.ones(3, 9), atol=1e-5)
    slots, outputs = network.eval()(drawn_fixture[0].images[:4])
    assert slots.shape == (4, 2, 16)
    assert outputs.shape == (4, 2, 5)


def test_views_are_shifts_and_the_first_is_the_image() -> None:
    images = torch.rand(2, 3, 32, 32, generator=_draw())
    assert torch.equal(view(images, 0), images)
    moved = view(images, 7)  # brightness 0.9, one pixel across, none down
    assert moved.shape == images.shape
    assert not torch.equal(moved, images)
    assert torch.allclose(moved[:, :, :, :-1], 0.9 * images[:, :, :, 1:])
    assert torch.allclose(view(images, 4), (images * 1.1).clamp(0, 1))


def test_the_ensemble_costs_as_much_as_thirty_steps_of_search() -> None:
    torch.manual_seed(0)
    row, base = load_baseline("ensemble"), load_baseline("autoencoder")
    layout, images = layout_of(SplitSpec((64, 64), 2, FACTORS)), torch.rand(2, 3, 64, 64)
    models = [row.model(layout, (64, 64)).eval() for _ in range(row.members)]
    ensemble = EnsembleEncoder([RecognitionEncoder(model) for model in models], row.views)
    decoder = build_decoder(base.kind, layout, (64, 64), base.decoder_width, light=base.light)
    search = Inversion(models[0], decoder, SearchSettings(), "float32")

    def searched() -> None:
        state = search.init(images)
        for _ in range(30):
            state = search.step(images, state)

    with torch.no_grad():
        looked = count_flops(lambda: ensemble.encode(images)).flops
    assert looked == pytest.approx(count_flops(searched).flops, rel=0.1)


def test_floors_answer_what_they_say(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    images = val.images[:3]
    found = {}
    for name in ("pixels", "constant", "constant-set", "random-network"):
        floor = load_baseline(name, "tiny").fit(
            train, val, seed=0, budget=TrainBudget(), log=ListLog()
        )
        floor.setup(train.spec, torch.device("cpu"))
        found[name] = floor.encode(images).slots
        assert found[name].shape == (3, 2, floor.slot_dim)
    grey = images.unflatten(2, (4, 8)).unflatten(4, (4, 8)).mean((3, 5))
    coarse = found["pixels"][:, 0].view(3, 3, 12, 12)
    assert torch.allclose(coarse.mean((2, 3)), grey.mean((2, 3)), atol=0.01)
    assert not found["constant"].any()
    assert torch.equal(found["constant-set"], torch.eye(2).expand(3, -1, -1))
    assert found["random-network"].std(0).mean() > 0


def test_the_larger_encoder_has_the_parameters_of_encoder_and_decoder() -> None:
    classes = {"object.shape": "categorical[32]", "background.environment": "categorical[16]"}
    layout, hw = layout_of(SplitSpec((64, 64), 2, FACTORS | classes)), (64, 64)
    larger, base = load_baseline("supervised-larger"), load_baseline("autoencoder")

    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    def encoder(row: SlotSupervision | SlotAutoencoder) -> SlotEncoder:
        return SlotEncoder(2, layout.dim, width=row.width, image_hw=hw, layers=row.layers)

    decoders = {
        kind: count(build_decoder(kind, layout, hw, base.decoder_width, light=True))
        for kind in ("patch", "leak", "unstructured")
    }
    assert count(encoder(larger)) == pytest.approx(
        count(encoder(base)) + decoders["patch"], rel=0.05
    )
    assert decoders["patch"] < min(decoders["leak"], decoders["unstructured"])


def test_the_longer_encoder_trains_three_times_as_long() -> None:
    for size in ("tiny", "cpu", "gpu"):
        longer, usual = (load_baseline(n, size) for n in ("supervised-longer", "supervised"))
        assert replace(longer.schedule, steps=longer.schedule.steps // 3) == usual.schedule


def test_the_oracle_asks_for_what_no_other_row_sees(drawn_fixture: Data) -> None:
    asking = {n for n in BASELINES if getattr(load_baseline(n), "out_of_combination", False)}
    assert asking == {"oracle"}
    train, val = drawn_fixture
    learner = load_baseline("oracle", "tiny")
    with pytest.raises(InvalidInputError, match=r"all combinations.*recombine train oracle"):
        learner.fit(train, val, seed=0, budget=TrainBudget(), log=ListLog())
    inner = FakeDataset(train=12, val=2, test=6)
    assert not TrainData(inner, "id_train").all_combinations
    whole = TrainData(AllCombinations(inner), "id_train", fields=("factors",))
    learner.fit(whole, val, seed=0, budget=TrainBudget(), log=ListLog())


def test_the_oracle_trains_on_half_of_the_test_blocks_and_is_scored_on_the_rest() -> None:
    inner = FakeDataset(train=12, val=2, test=6)
    data = pickle.loads(pickle.dumps(AllCombinations(inner)))
    served = data.indices("id_train")
    asked = np.concatenate([data.indices("id_test"), data.indices("ooc_test")])
    assert not set(served) & set(asked)
    assert len(served) == len(inner.indices("id_train"))
    assert not set(inner.blocks[served]) & set(inner.blocks[asked])
    assert len(asked) == 3 * 16
    cells, counts = np.unique(inner.cells[served], axis=0, return_counts=True)
    assert len(cells) == 16
    assert counts.max() <= 12  # held-out combinations are repeated, and no more than others
    mixed = {tuple(cell) for cell in inner.cells[served[:40]]} - {tuple(c) for c in ID}
    assert mixed  # any part of the training images holds both kinds
    assert np.array_equal(data.indices("id_val"), inner.indices("id_val"))
    assert (len(data), data.root, data.schema) == (len(inner), inner.root, inner.schema)


def test_the_oracle_also_sees_the_combinations_of_wider_rungs() -> None:
    class Ladder(FakeDataset):
        rungs = 2

        def indices(self, split: str, *, rung: int = 0) -> np.ndarray:
            found = super().indices(split)
            if split == "id_train" and rung == 0:
                return found[np.all(self.cells[found] == self.cells[found[0]], axis=1)]
            return found

    inner = Ladder(train=96, val=2, test=6)
    narrow = inner.indices("id_train", rung=0)
    served = AllCombinations(inner).indices("id_train", rung=0)
    assert len(served) == len(narrow)
    assert len(np.unique(inner.cells[served], axis=0)) == 16


def test_a_learned_background_starts_where_chance_put_it(drawn_fixture: Data) -> None:
    images = drawn_fixture[0]
    batch = next(iter(images.batches(64, seed=0)))
    slots = _vectors(images, 64)
    model = Compositor(LAYOUT, (32, 32), 8, light=True)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    initialise(model, slots, batch.images, batch.masks, background=False)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, start[k])}
    assert changed == {"placement.weight"}
    initialise(model, slots, batch.images, batch.masks)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, start[k])}
    assert "frame.0.basis" in changed


def test_the_learned_pair_differs_from_the_usual_one_in_its_start_only() -> None:
    for name in ("autoencoder", "leak"):
        usual, learned = (load_baseline(n, "cpu") for n in (name, f"{name}-learned"))
        assert usual.closed_form
        assert not learned.closed_form
        own = {**vars(learned), "closed_form": True}
        assert own == vars(usual)
