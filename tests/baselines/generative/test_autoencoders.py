from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recombine.baselines.generative.autoencoders import Autoencoder, Replay
from recombine.baselines.generative.slot_autoencoder import SlotModel
from recombine.baselines.nn.losses import (
    mask_loss,
    object_weights,
    slot_loss,
)
from recombine.baselines.registry import load_baseline
from recombine.baselines.training import loop
from recombine.baselines.training.loop import Schedule, endless, seeded
from recombine.baselines.training.search import Inversion, SearchSettings
from recombine.baselines.training.slot_encoder import (
    Recognition,
    train_anchored,
)
from recombine.benchmark.protocol.contract import Inverter, Learner, SplitSpec, TrainBudget
from recombine.benchmark.serving.data import Batch
from tests.baselines.drawn_fixture import DrawnData, ListLog, drawn
from tests.baselines.nn.test_slots import LAYOUT

pytestmark = pytest.mark.long

Data = tuple[DrawnData, DrawnData]
TINY = Autoencoder(  # just enough to learn the drawn fixture
    width=48,
    layers=1,
    decoder_width=16,
    encoder=Schedule(steps=120, batch_size=32),
    decoder=Schedule(steps=150, batch_size=32, rate=5e-3, weight_decay=0.001),
    candidates=(SearchSettings(steps=20), SearchSettings(pose_rate=0.12, steps=20)),
    selection_images=32,
)
REPLAY = Replay(base=TINY, replay=Schedule(steps=150, batch_size=8), replayed=24)
SHORT = replace(
    TINY,
    encoder=Schedule(steps=5, batch_size=16),
    decoder=Schedule(steps=5, batch_size=16),
    candidates=(SearchSettings(steps=2),),
    selection_images=8,
)


def _fit(learner: Autoencoder | Replay, data: Data, seed: int = 0) -> Inversion:
    train, val = data
    inversion = learner.fit(train, val, seed=seed, budget=TrainBudget(), log=ListLog())
    inversion.setup(train.spec, torch.device("cpu"))
    return inversion


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stages")


@pytest.fixture(scope="module")
def fitted(drawn_fixture: Data, cache: Path) -> Inversion:
    return _fit(replace(TINY, cache_dir=cache), drawn_fixture)


@pytest.fixture(scope="module")
def replayed(drawn_fixture: Data, cache: Path) -> Inversion:
    return _fit(replace(REPLAY, base=replace(TINY, cache_dir=cache)), drawn_fixture)


def _right(slots: torch.Tensor, batch: Batch) -> float:
    shape = slots[:, 0, :4].argmax(1) == batch.factors["object.shape"]
    ground = slots[:, 1, :4].argmax(1) == batch.factors["background.environment"]
    return float((shape & ground).float().mean())


def _search(inversion: Inversion, images: torch.Tensor, steps: int) -> torch.Tensor:
    state = inversion.init(images)
    for _ in range(steps):
        state = inversion.step(images, state)
    return inversion.read(state).slots


def test_they_fit_the_protocol(fitted: Inversion) -> None:
    assert isinstance(Autoencoder(), Learner)
    assert isinstance(Replay(), Learner)
    assert isinstance(fitted, Inverter)
    assert Autoencoder().card.inference == "direct"
    assert Replay().card.inference == "replay"
    for card in (Autoencoder().card, Replay().card):
        assert "unseen" in card.note


@pytest.mark.parametrize("which", ["fitted", "replayed"])
def test_they_learn_the_drawn_fixture(
    which: str, drawn_fixture: Data, request: pytest.FixtureRequest
) -> None:
    inversion: Inversion = request.getfixturevalue(which)
    val = drawn_fixture[1].arrays()
    assert _right(_search(inversion, val.images, 0), val) > 0.75
    assert _right(_search(inversion, val.images, 20), val) > 0.75


def test_the_decoder_draws_the_scene(fitted: Inversion, drawn_fixture: Data) -> None:
    val = drawn_fixture[1].arrays()
    decoded = fitted.decode(fitted.recognition.targets(val.factors))
    error = (decoded - val.images).square().mean(1)
    assert val.masks is not None
    inside = val.masks > 0
    # A grey object would be off by the spread of the hues, about 0.08.
    assert float(error[inside].mean()) < 0.03
    assert float(error[~inside].mean()) < 0.004


def test_search_lowers_the_error_of_a_spoilt_start(fitted: Inversion, drawn_fixture: Data) -> None:
    val = drawn_fixture[1].arrays()
    spoilt = fitted.recognition.targets(val.factors)
    spoilt[:, 0, :4] = spoilt[:, 0, :4].roll(1, dims=1)
    state = fitted.start(spoilt)
    assert _right(state.best, val) == 0
    for _ in range(20):
        state = fitted.step(val.images, state)
    assert _right(state.best, val) > 0.5


def test_replay_counts_what_it_generates_and_anchors_on_real_images(
    drawn_fixture: Data, cache: Path
) -> None:
    train, val = drawn_fixture
    learner = replace(REPLAY, base=replace(TINY, cache_dir=cache))
    log, before = ListLog(), train.images_served
    learner.fit(train, val, seed=0, budget=TrainBudget(), log=log)
    assert log.generated == learner.replay.steps * learner.replayed
    base = learner.base
    real = base.encoder.images + base.decoder.images + learner.replay.images + 2 * len(train)
    assert train.images_served - before == real
    assert len(log.tried) == len(base.candidates)


def test_replay_starts_from_the_stage_and_leaves_the_decoder_alone(
    fitted: Inversion, replayed: Inversion
) -> None:
    for (name, a), b in zip(
        fitted.decoder.named_parameters(), replayed.decoder.parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    pairs = zip(fitted.recognition.parameters(), replayed.recognition.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_a_stage_is_found_again_and_its_images_are_counted(
    drawn_fixture: Data, tmp_path: Path
) -> None:
    train, val = drawn_fixture
    learner = replace(SHORT, cache_dir=tmp_path)
    served = []
    slots = []
    for _ in range(2):
        before = train.images_served
        inversion = _fit(learner, drawn_fixture)
        served.append(train.images_served - before)
        slots.append(_search(inversion, val.arrays().images[:4], 2))
    assert served[0] == served[1] == 5 * 16 * 2 + len(train)
    assert torch.equal(slots[0], slots[1])
    assert len(list(tmp_path.iterdir())) == 1
    _fit(learner, drawn_fixture, seed=1)
    _fit(replace(learner, object_weight=2.0), drawn_fixture)
    assert len(list(tmp_path.iterdir())) == 3
    _fit(replace(learner, selection_images=4), drawn_fixture)  # not part of the stage
    assert len(list(tmp_path.iterdir())) == 3


def test_a_stage_of_other_code_is_not_taken(
    drawn_fixture: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = replace(SHORT, cache_dir=tmp_path)
    _fit(learner, drawn_fixture)
    monkeypatch.setattr(loop, "source_sha256", lambda _learner: "changed")
    _fit(learner, drawn_fixture)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_cache_does_not_change_the_answer(drawn_fixture: Data, tmp_path: Path) -> None:
    images = drawn_fixture[1].arrays().images[:4]
    replay = Replay(base=SHORT, replay=Schedule(steps=4, batch_size=4), replayed=8)
    cached = replace(replay, base=replace(SHORT, cache_dir=tmp_path))
    answers = [
        _search(_fit(learner, drawn_fixture), images, 2) for learner in (replay, cached, cached)
    ]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_cache_is_not_part_of_the_identity(tmp_path: Path) -> None:
    assert replace(SHORT, cache_dir=tmp_path) == SHORT


def test_a_seed_decides_everything(drawn_fixture: Data) -> None:
    images = drawn_fixture[1].arrays().images[:4]
    first, again, other = (
        _search(_fit(SHORT, drawn_fixture, seed=s), images, 2) for s in (2, 2, 3)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_image_budget_is_kept(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    learner = REPLAY
    before = train.images_served
    learner.fit(train, val, seed=0, budget=TrainBudget(max_images_seen=900), log=ListLog())
    assert 500 < train.images_served - before <= 900


def test_the_time_budget_ends_training_early(drawn_fixture: Data, tmp_path: Path) -> None:
    train, val = drawn_fixture
    learner = replace(SHORT, cache_dir=tmp_path)
    before = train.images_served
    learner.fit(train, val, seed=0, budget=TrainBudget(max_seconds=1e-9), log=ListLog())
    assert train.images_served - before == len(train) + 2 * 16
    assert list(tmp_path.iterdir()) == []  # cut short by a clock, so not shared


def test_training_without_masks(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    bare = DrawnData(train.images, train.factors, None, train.spec)
    inversion = _fit(replace(TINY, candidates=SHORT.candidates), (bare, val))
    batch = val.arrays()
    assert _right(_search(inversion, batch.images, 0), batch) > 0.75
    decoded = inversion.decode(inversion.recognition.targets(batch.factors))
    assert float((decoded - batch.images).square().mean()) < 0.012


def test_decoder_loss_by_its_parts(fitted: Inversion, drawn_fixture: Data) -> None:
    whole = drawn_fixture[1].arrays()
    assert whole.masks is not None
    batch = Batch(whole.images[:6], {k: v[:6] for k, v in whole.factors.items()}, whole.masks[:6])
    assert batch.masks is not None
    settings = replace(TINY, precision="float32", mask_weight=0.7, object_weight=3.0)
    layers = fitted.decoder(fitted.recognition.targets(batch.factors))
    weights = object_weights(batch.masks, 3.0)
    squared = (layers.image - batch.images).square() * weights
    expected = 100 * (squared.mean((1, 2, 3)) / weights.mean((1, 2, 3))).mean()
    expected = expected + 0.7 * mask_loss(layers.opacity, batch.masks)
    model = SlotModel(settings, drawn_fixture[0])
    model.recognition, model.decoder = fitted.recognition, fitted.decoder
    found = model.decoder_loss(batch)
    assert torch.allclose(found, expected, rtol=1e-4)
    bare = Batch(batch.images, batch.factors)
    plain = model.decoder_loss(bare)
    assert torch.allclose(plain, 100 * (layers.image - batch.images).square().mean(), rtol=1e-4)


@pytest.mark.parametrize("n", [1, 3])
def test_a_handful_of_images_is_enough_to_run(n: int) -> None:
    """Nobody learns from three images; nothing may turn into NaN either."""
    data = drawn(n, px=32, seed=0), drawn(1, px=32, seed=1)
    replay = Replay(base=SHORT, replay=Schedule(steps=3, batch_size=4), replayed=6)
    slots = _search(_fit(replay, data), data[1].images, 2)
    assert torch.isfinite(slots).all()


def test_two_exchangeable_objects(run_log: ListLog) -> None:
    kinds = {
        "a.shape": "categorical[3]",
        "a.x": "float[m]",
        "a.y": "float[m]",
        "b.shape": "categorical[3]",
        "b.x": "float[m]",
        "b.y": "float[m]",
        "background.environment": "categorical[2]",
    }
    g = torch.Generator().manual_seed(0)
    factors = {
        key: torch.randint(0, int(kind[12:-1]), (24,), generator=g)
        if kind.startswith("categorical")
        else torch.randn(24, generator=g)
        for key, kind in kinds.items()
    }
    masks = torch.zeros(24, 32, 32, dtype=torch.int64)
    masks[:, 4:12, 4:12], masks[:, 16:28, 18:30] = 1, 2
    data = DrawnData(
        torch.rand(24, 3, 32, 32, generator=g), factors, masks, SplitSpec((32, 32), 3, kinds)
    )
    replay = Replay(base=SHORT, replay=Schedule(steps=3, batch_size=4), replayed=6)
    inversion = replay.fit(data, data, seed=0, budget=TrainBudget(), log=run_log)
    slots = _search(inversion, data.images[:5], 3)
    assert slots.shape == (5, 3, 5)
    assert torch.isfinite(slots).all()


def test_the_learned_pair_differs_from_the_usual_one_in_its_start_only() -> None:
    for name in ("autoencoder", "leak"):
        usual, learned = (load_baseline(n, "cpu") for n in (name, f"{name}-learned"))
        assert usual.closed_form
        assert not learned.closed_form
        own = {**vars(learned), "closed_form": True}
        assert own == vars(usual)


def test_real_and_made_images_weigh_alike(drawn_fixture: Data) -> None:
    train, val = drawn_fixture
    torch.manual_seed(0)
    model = Recognition(
        LAYOUT, (32, 32), width=16, layers=1, pose_weight=0.5, precision="float32"
    ).train()
    made = val.images[:6], model.targets({k: v[:6] for k, v in val.factors.items()})
    before, log = copy.deepcopy(model), ListLog()
    train_anchored(model, lambda: made, train, Schedule(1, batch_size=3), seed=2, log=log)  # type: ignore[arg-type]
    (real,) = endless(train, 3, 1, 2 + 10_000)  # type: ignore[arg-type]
    outputs = before.run(torch.cat([real.images, made[0]]))[1]  # one batch: its norm is shared
    targets = torch.cat([before.targets(real.factors), made[1]])
    slow = sum(
        slot_loss(LAYOUT, outputs[i : i + 1], targets[i : i + 1], 0.5).item() for i in range(9)
    )
    assert log.scalars == [("replay", pytest.approx(slow / 9, rel=1e-4), 0)]
    assert log.generated == 6


@pytest.mark.parametrize("name", ["autoencoder-replay", "factor-replay"])
def test_replayed_images_are_decoded_recombinations_of_training_slots(
    name: str, drawn_fixture: Data
) -> None:
    train = drawn_fixture[0]
    row = load_baseline(name, "tiny")
    torch.manual_seed(0)
    model = SlotModel(row.base, train)  # type: ignore[arg-type]
    model.recognition.standardise(train.arrays())
    with seeded(1) as generator:
        draw = row._draw(model, train, generator, share=1.0, seed=0)
        images, slots = draw()
        noise_free = model.decoder(slots).image
    bank = model.recognition.targets(train.factors)
    assert len(images) == row.replayed
    assert images.min() >= 0
    assert images.max() <= 1
    assert (images - noise_free.clamp(0, 1)).abs().mean() < 2 * row.noise
    whole = [
        [(bank[:, k] - slots[i, k]).abs().sum(1).min().item() < 1e-5 for k in range(2)]
        for i in range(row.replayed)
    ]
    own = [(bank - slots[i]).abs().sum((1, 2)).min().item() < 1e-5 for i in range(row.replayed)]
    assert all(background for _, background in whole)
    assert all(thing for thing, _ in whole) == (not row.within)  # factors are torn apart, or not
    assert sum(own) < row.replayed / 2  # most are new
