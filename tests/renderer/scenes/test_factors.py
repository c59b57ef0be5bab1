from __future__ import annotations

import json
import math

import pytest

from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.presets.table import PRESETS, load_preset
from recombine.renderer.scenes.factors import Factor, Schema, Slot


def test_schema_survives_json() -> None:
    schema = load_preset("smoke").schema
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


def test_keys_nuisances_and_cells() -> None:
    schema = load_preset("smoke").schema
    assert schema.recombined == ("object.shape", "background.environment")
    assert set(schema.nuisances) == set(schema.keys) - set(schema.recombined)
    assert schema.cell_shape == (4, 4)
    names = schema.cell_names((0, 3))
    assert names == (
        schema.factor("object.shape").values[0],
        schema.factor("background.environment").values[3],
    )


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("smoke", False),
        ("object-object", True),
        ("object-texture-pair", True),
        ("interaction-ladder", True),
        ("position-band", False),  # objects differ by what is scored: their place
        ("relation", False),  # the relation says which object is the first
        ("count", False),
    ],
)
def test_objects_are_interchangeable_where_nothing_names_them(preset: str, expected: bool) -> None:
    assert load_preset(preset).schema.interchangeable is expected


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("position-band", ("object0.zone", "object1.zone")),
        ("relation", ("scene.relation",)),
        ("count", ("scene.count",)),
        *((name, ()) for name in PRESETS if name not in ("position-band", "relation", "count")),
    ],
)
def test_what_follows_from_where_objects_are(preset: str, expected: tuple[str, ...]) -> None:
    assert load_preset(preset).schema.placed == expected


def test_bounds_by_kind() -> None:
    assert Factor("a", "categorical", values=("p", "q", "r")).bounds == (0.0, 2.0)
    assert Factor("a", "periodic").bounds == (0.0, 2 * math.pi)
    assert Factor("a", "continuous", low=-1, high=2, unit="m").bounds == (-1, 2)
    assert Factor("a", "continuous", low=-1, high=2, unit="m").type_name == "float[m]"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Factor("shape", "categorical", values=("a", "a")),
        lambda: Factor("shape", "categorical"),
        lambda: Factor("x", "continuous", low=1, high=1),
        lambda: Schema((Slot("o", (Factor("x", "periodic"),)),), ("o.x",)),
        lambda: Schema((Slot("o", ()),), ("o.shape",)),
        lambda: Schema((Slot("o", (Factor("x", "periodic"),)),) * 2, ()),
        lambda: load_preset("smoke").schema.factor("object.colour"),
        lambda: Schema.from_dict({"slots": [{"name": "o"}]}),
    ],
)
def test_contradictions_are_typed_errors(make: object) -> None:
    with pytest.raises(InvalidInputError):
        make()  # type: ignore[operator]


def test_slots_have_a_kind_that_stored_schemas_may_leave_to_the_name() -> None:
    named = Factor("shape", "categorical", values=("cone", "star"))
    slots = (Slot("object0", (named,)), Slot("thing", (named,), "object"), Slot("light", ()))
    schema = Schema(slots, ("object0.shape", "thing.shape"))
    assert schema.objects == ("object0", "thing")
    assert slots[2].kind == "setting"
    stored = json.loads(json.dumps(schema.to_dict()))
    assert [s.get("kind") for s in stored["slots"]] == [None, "object", None]
    assert Schema.from_dict(stored) == schema
