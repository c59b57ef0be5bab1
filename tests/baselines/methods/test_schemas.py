"""Rows run on the schemas of all presets, and keep their budgets."""

from __future__ import annotations

import math

import pytest
import torch

from recombine.baselines.registry import load_baseline
from recombine.benchmark.protocol.contract import Inverter, SplitSpec, TrainBudget
from tests.baselines.drawn_fixture import DrawnData, ListLog

POSE = {"x": "float[m]", "y": "float[m]", "yaw": "angle[rad]", "scale": "float[m]"}
ONE = {
    **{f"object.{k}": v for k, v in POSE.items()},
    "object.shape": "categorical[16]",
    "object.material": "categorical[16]",
    "background.environment": "categorical[2]",
}
TWO = {
    **{
        f"{slot}.{k}": v
        for slot in ("object1", "object2")
        for k, v in {"shape": "categorical[8]", **POSE}.items()
    },
    "background.environment": "categorical[4]",
}
BARE = {"object.shape": "categorical[4]", "object.x": "float[m]", "object.y": "float[m]"}
FLAT = {"object.shape": "categorical[4]", "background.environment": "categorical[4]"}
SCHEMAS = {
    "object-texture": ONE,
    "object-object": TWO,
    "object alone": BARE,
    "no place": FLAT,
}
ROWS = (
    "slot-attention",
    "autoencoder-replay",
    "broadcast",
    "bilinear",
    "cross-attention",
    "factor-replay",
    "vae-broadcast-masks-replay",
    "leak-replay",
    "unstructured",
    "cut-and-paste",
    "best-of-classes",
    "multi-start",
    "concatenated",
    "tangent-penalty",
    "supervised-augmented",
    "supervised-adversarial",
    "supervised-hsic",
    "supervised-groupdro",
    "test-time-training",
    "compositional-consistency-masks",
)


def _data(factors: dict[str, str], n: int = 24) -> DrawnData:
    g = torch.Generator().manual_seed(0)
    values = {
        key: torch.randint(int(kind[12:-1]), (n,), generator=g)
        if kind.startswith("categorical")
        else torch.rand(n, generator=g) * (2 * math.pi if kind.startswith("angle") else 1)
        for key, kind in factors.items()
    }
    slots = len({key.partition(".")[0] for key in factors})
    masks = torch.zeros(n, 16, 16, dtype=torch.int64)
    masks[:, 2:7, 2:7] = 1
    if slots == 3:
        masks[:, 9:14, 8:15] = 2
    images = torch.rand(n, 3, 16, 16, generator=g)
    return DrawnData(images, values, masks, SplitSpec((16, 16), slots, factors))


CASES = [(name, "object-object") for name in ROWS]
CASES += [(name, "object-texture") for name in ("factor-replay", "vae-broadcast-masks-replay")]
CASES += [(name, "object alone") for name in ("broadcast", "tangent-penalty")]
CASES += [
    (name, "no place")
    for name in (
        "factor-replay",
        "broadcast",
        "cut-and-paste",
        "multi-start",
        "vae-broadcast-masks",
    )
]


@pytest.mark.parametrize(("name", "schema"), CASES)
def test_rows_run_on_every_schema(name: str, schema: str) -> None:
    data = _data(SCHEMAS[schema])
    method = load_baseline(name, "tiny").fit(
        data, data, seed=0, budget=TrainBudget(), log=ListLog()
    )
    method.setup(data.spec, torch.device("cpu"))
    if isinstance(method, Inverter):
        state = method.init(data.images[:3])
        for _ in range(2):
            state = method.step(data.images[:3], state)
        slots = method.read(state).slots
        assert method.decode(slots).shape == (3, 3, 16, 16)
    else:
        slots = method.encode(data.images[:3]).slots
    assert slots.shape == (3, data.spec.max_slots, method.slot_dim)
    assert torch.isfinite(slots).all()


@pytest.mark.parametrize(
    "name",
    [
        "best-of-classes",
        "concatenated",
        "cut-and-paste",
        "diet",
        "ensemble",
        "leak-replay",
        "moco",
        "multi-start",
        "regression",
        "supervised-groupdro",
        "tangent-penalty",
        "test-time-training",
        "compositional-consistency",
        "vae-broadcast-replay",
    ],
)
def test_the_image_budget_is_kept(name: str) -> None:
    data = _data(ONE)
    load_baseline(name, "tiny").fit(
        data, _data(ONE), seed=0, budget=TrainBudget(max_images_seen=100), log=ListLog()
    )
    assert 30 <= data.images_served <= 100


@pytest.mark.parametrize("name", ["concatenated", "ensemble", "multi-start", "tangent-penalty"])
def test_the_time_budget_ends_training_early(name: str) -> None:
    data = _data(ONE)
    whole = _data(ONE)
    budgets = (TrainBudget(max_seconds=1e-9), TrainBudget())
    for served, budget in zip((data, whole), budgets, strict=True):
        load_baseline(name, "tiny").fit(served, served, seed=0, budget=budget, log=ListLog())
    assert data.images_served < 0.6 * whole.images_served


@pytest.mark.parametrize("name", ["moco", "vae-broadcast-replay", "tangent-penalty", "multi-start"])
def test_a_seed_decides_everything(name: str) -> None:
    data = _data(ONE)

    def answer(seed: int) -> torch.Tensor:
        torch.manual_seed(int(torch.randint(1 << 30, (1,))))  # the outside must not matter
        method = load_baseline(name, "tiny").fit(
            data, data, seed=seed, budget=TrainBudget(max_images_seen=80), log=ListLog()
        )
        method.setup(data.spec, torch.device("cpu"))
        if isinstance(method, Inverter):
            state = method.step(data.images[:2], method.init(data.images[:2]))
            return method.read(state).slots
        return method.encode(data.images[:2]).slots

    assert torch.equal(answer(0), answer(0))
    assert not torch.allclose(answer(0), answer(1))
