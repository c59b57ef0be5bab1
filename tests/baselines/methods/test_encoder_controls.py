from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recombine.baselines.methods.encoder_controls import (
    Adversarial,
    Augmented,
    Independent,
    WorstCombinations,
    combination_of,
    cut_mix,
    foreign_classes,
    hsic,
    jittered,
    ramp,
)
from recombine.baselines.nn.slots import layout_of, slot_vectors
from recombine.baselines.registry import load_baseline
from recombine.baselines.training.slot_encoder import Recognition
from recombine.benchmark.protocol.contract import Encoder, SplitSpec, TrainBudget
from recombine.renderer.core.errors import InvalidInputError
from tests.baselines.drawn_fixture import DrawnData, ListLog
from tests.baselines.networks import FLOAT, draws, first_vectors
from tests.baselines.nn.test_slots import LAYOUT, TWO_OBJECTS

Data = tuple[DrawnData, DrawnData]
OWN = {
    Augmented: {"mixed": 0.5},
    Adversarial: {"weight": 1.0, "steps": 10},
    Independent: {"weight": 10.0},
    WorstCombinations: {"rate": 0.5},
}


def _model(kind: type[Recognition]) -> Recognition:
    torch.manual_seed(0)
    return kind(LAYOUT, (32, 32), **OWN[kind], **FLOAT)


def _two_objects(n: int) -> Tensor:
    g = draws()
    factors = {
        "a.shape": torch.randint(3, (n,), generator=g),
        "b.shape": torch.randint(3, (n,), generator=g),
        "background.environment": torch.randint(5, (n,), generator=g),
        **{f"{s}.{c}": torch.randn(n, generator=g) for s in "ab" for c in "xy"},
    }
    return slot_vectors(TWO_OBJECTS, factors)


@pytest.mark.parametrize("kind", OWN)
def test_validation_sees_the_supervised_loss_alone(
    kind: type[Recognition], drawn_fixture: Data
) -> None:
    images, targets = drawn_fixture[0].images[:6], first_vectors(drawn_fixture[0], 6)
    model = _model(kind)
    if isinstance(model, WorstCombinations):
        model.standardise(drawn_fixture[0].arrays())
    model.eval()
    torch.manual_seed(0)
    plain = Recognition(LAYOUT, (32, 32), **FLOAT)
    plain.load_state_dict(model.state_dict(), strict=False)
    assert torch.equal(model.loss(images, targets), plain.eval().loss(images, targets))
    assert not torch.allclose(model.train().loss(images, targets), plain.loss(images, targets))


def test_a_box_of_another_image_is_pasted() -> None:
    torch.manual_seed(0)
    zeros, ones = torch.zeros(200, 3, 12, 16), torch.ones(200, 3, 12, 16)
    pasted, own = cut_mix(zeros, ones)
    assert torch.allclose(own, 1 - pasted.mean(dim=(1, 2, 3)))
    for image in pasted[:, 0]:
        rows, columns = image.amax(1), image.amax(0)
        assert torch.equal(image, rows[:, None] * columns)  # a rectangle ...
        for edge in (rows, columns):
            assert (edge.diff() != 0).sum() <= 2  # ... without gaps
    whole = own.sort().values  # of boxes of uniform area, cut at the image's edge
    assert whole[20] < 0.6
    assert whole[-20] > 0.8


def test_classes_are_mixed_by_area_and_poses_are_not(drawn_fixture: Data) -> None:
    images, targets = drawn_fixture[0].images[:6], first_vectors(drawn_fixture[0], 6)
    model = _model(Augmented)
    torch.manual_seed(5)
    found = model.loss(images, targets)
    torch.manual_seed(5)
    views = jittered(images)
    pasted, own = cut_mix(views[:3], views[:3].roll(1, 0))
    outputs = model.run(torch.cat([pasted, views[3:]]))[1].detach()
    slow = 0.0
    for i in range(6):
        parts = [(1.0, i)] if i > 2 else [(float(own[i]), i), (1 - float(own[i]), (i - 1) % 3)]
        for share, source in parts:
            for k, slot in enumerate(LAYOUT.slots):
                for c in slot:
                    guess, truth = outputs[i, k, c.span], targets[source, k, c.span]
                    if c.kind == "categorical":
                        slow -= share * float(guess.log_softmax(0)[truth.argmax()])
                    elif i > 2:
                        slow += FLOAT["pose_weight"] * float((guess - truth).square().sum())
    assert found.item() == pytest.approx(slow / 6, rel=1e-4)
    assert (views - images).abs().mean() < 0.2  # a view shows the same scene


def test_critics_learn_what_objects_unlearn() -> None:
    torch.manual_seed(0)
    model = Adversarial(TWO_OBJECTS, (32, 32), **OWN[Adversarial], **FLOAT)
    assert [(k, other, c.key) for k, other, c in model.pairs] == [
        (0, 1, "b.shape"),
        (0, 2, "background.environment"),
        (1, 0, "a.shape"),
        (1, 2, "background.environment"),
    ]
    truth = _two_objects(7)
    slots = torch.randn(7, 3, 16, generator=draws(1), requires_grad=True)
    found = model.critics_loss(slots, truth, 0.3)
    slow = torch.zeros(())
    for (k, other, c), critic in zip(model.pairs, model.critics, strict=True):
        for i in range(7):
            wanted = int(truth[i, other, c.span].argmax())
            slow = slow - critic(slots[i, k]).log_softmax(0)[wanted] / 7
    assert found.item() == pytest.approx(slow.item(), rel=1e-5)
    weights = list(model.critics.parameters())
    ours = torch.autograd.grad(found, [slots, *weights])
    plain = torch.autograd.grad(slow, [slots, *weights])
    assert torch.allclose(ours[0], -0.3 * plain[0], atol=1e-6)
    assert plain[0][:, 2].abs().max() == 0  # the background hides nothing
    for one, other in zip(ours[1:], plain[1:], strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert (ramp(0), round(ramp(1), 3), ramp(2)) == (0, 1, ramp(1))


def test_an_object_alone_has_nothing_to_hide() -> None:
    alone = {"object.shape": "categorical[4]", "object.x": "float[m]", "object.y": "float[m]"}
    layout = layout_of(SplitSpec((32, 32), 1, alone))
    with pytest.raises(InvalidInputError, match="train that instead"):
        Adversarial(layout, (32, 32), **OWN[Adversarial], **FLOAT)
    flat = layout_of(
        SplitSpec((32, 32), 2, {"thing.a": "categorical[2]", "ground.b": "categorical[3]"})
    )
    assert [(k, other, c.key) for k, other, c in foreign_classes(flat)] == [(0, 1, "ground.b")]


def test_hsic_is_the_trace_of_centred_kernels() -> None:
    first, second = (torch.randn(9, 4, generator=draws(s), dtype=torch.float64) for s in (0, 1))

    def kernel(vectors: Tensor) -> Tensor:
        distances = [float((a - b).norm()) for i, a in enumerate(vectors) for b in vectors[:i]]
        width = sorted(2 * distances)[len(distances) - 1]
        return torch.tensor(
            [[math.exp(-float((a - b).norm()) ** 2 / (2 * width**2)) for b in vectors]
             for a in vectors], dtype=torch.float64,
        )  # fmt: skip

    h = torch.eye(9, dtype=torch.float64) - 1 / 9
    slow = torch.trace(kernel(first) @ h @ kernel(second) @ h) / 64
    assert hsic(first, second).item() == pytest.approx(slow.item(), rel=1e-9)
    long, other = (torch.randn(200, 8, generator=draws(s)) for s in (2, 3))
    assert hsic(long, other) < 0.1 * hsic(long, long.roll(1, 1))


def test_the_worst_combinations_weigh_most(drawn_fixture: Data) -> None:
    train = drawn_fixture[0]
    model = _model(WorstCombinations)
    assert isinstance(model, WorstCombinations)
    model.standardise(train.arrays())
    names = [
        (int(a), int(b))
        for a, b in zip(
            train.factors["object.shape"], train.factors["background.environment"], strict=True
        )
    ]
    share = dict.fromkeys(names, 1 / (len(set(names)) + 1))
    rest = 1 / (len(set(names)) + 1)  # of combinations that were not there
    for rows in (range(12), range(6, 20), range(12)):
        batch = train._batch(torch.tensor(rows))
        targets = model.targets(batch.factors)
        found = model.loss(batch.images, targets)
        outputs = model.run(batch.images)[1].detach()
        losses = defaultdict(list)
        for i, row in enumerate(rows):
            value = 0.0
            for k, slot in enumerate(LAYOUT.slots):
                for c in slot:
                    guess, truth = outputs[i, k, c.span], targets[i, k, c.span]
                    if c.kind == "categorical":
                        value += float(functional.cross_entropy(guess, truth.argmax()))
                    else:
                        value += FLOAT["pose_weight"] * float((guess - truth).square().sum())
            losses[names[row]].append(value)
        means = {g: sum(values) / len(values) for g, values in losses.items()}
        for g, mean in means.items():
            share[g] *= math.exp(0.5 * mean)
        total = sum(share.values()) + rest
        share, rest = {g: q / total for g, q in share.items()}, rest / total
        held = sum(share[g] for g in means)
        slow = sum(share[g] * mean for g, mean in means.items()) / held
        assert found.item() == pytest.approx(slow, rel=1e-4)
    assert model.weights.sum().item() == pytest.approx(1, rel=1e-5)
    unknown = model.targets({**batch.factors, "background.environment": (
        batch.factors["object.shape"] + 2) % 4})  # fmt: skip
    assert (model.group_of(unknown) == len(model.known)).all()


def test_exchangeable_objects_make_one_combination() -> None:
    targets = _two_objects(300)
    swapped = targets[:, [1, 0, 2]]
    number = combination_of(TWO_OBJECTS, targets)
    assert torch.equal(number, combination_of(TWO_OBJECTS, swapped))
    names = {
        (*sorted(int(row[k, :3].argmax()) for k in (0, 1)), int(row[2, :5].argmax()))
        for row in targets
    }
    assert len(number.unique()) == len(names)


@pytest.mark.parametrize("name", ["augmented", "adversarial", "hsic", "groupdro"])
def test_rows_train_on_the_images_and_labels_of_the_supervised_one(
    name: str, drawn_fixture: Data
) -> None:
    train, val = drawn_fixture
    answers, served = [], []
    for row in ("supervised", f"supervised-{name}"):
        before, log = train.images_served, ListLog()
        encoder = load_baseline(row, "tiny").fit(train, val, seed=0, budget=TrainBudget(), log=log)
        served.append(train.images_served - before)
        assert isinstance(encoder, Encoder)
        assert log.generated == 0
        encoder.setup(train.spec, torch.device("cpu"))
        answers.append(encoder.encode(val.images).slots)
    assert served[0] == served[1]
    assert torch.isfinite(answers[1]).all()
    assert not torch.allclose(*answers, atol=1e-2)
    assert not hasattr(encoder.model, "critics") or not len(encoder.model.critics)
