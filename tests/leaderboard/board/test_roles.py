"""The part an entry plays follows from its file."""

from types import SimpleNamespace

import pytest

from recombine.baselines.registry import BASELINES, load_baseline
from recombine.leaderboard.board.roles import ROLES, role_of, short_name
from recombine.leaderboard.drawing.charts import SHAPES


def result(kind="encoder", rule="none", **method):
    selection = SimpleNamespace(rule=rule)
    training = SimpleNamespace(selection=selection)
    return SimpleNamespace(method=SimpleNamespace(kind=kind, **method), training=training)


@pytest.mark.parametrize(
    ("declared", "kind", "role"),
    [
        ("method", "encoder", "encoder"),
        ("method", "inverter", "generative"),
        ("floor", "encoder", "floor"),
        ("control", "inverter", "control"),
        ("bound", "encoder", "bound"),
    ],
)
def test_the_role_is_declared_or_measured(declared, kind, role):
    assert role_of(result(kind, role=declared, note="Floor: of no account.")).key == role


def test_what_was_selected_on_the_answers_is_an_upper_bound():
    assert role_of(result("inverter", "oracle", role="method")).key == "bound"
    assert role_of(result("inverter", "id_val", role="method")).key == "generative"


def test_every_role_has_its_own_mark():
    shapes = [role.shape for role in ROLES.values()]
    assert len(set(shapes)) == len(shapes)
    assert set(shapes) <= SHAPES.keys()
    assert all(f"mark-{role.key}" in role.mark for role in ROLES.values())


def test_the_baselines_declare_their_role():
    declared = {name: load_baseline(name, "tiny").card.role for name in BASELINES}
    assert [name for name, role in declared.items() if role == "bound"] == ["oracle"]
    floors = {name for name, role in declared.items() if role == "floor"}
    assert floors == {"pixels", "random-network", "constant", "constant-set"}
    assert {"leak", "ensemble", "supervised-longer"} <= {
        name for name, role in declared.items() if role == "control"
    }


@pytest.mark.parametrize(
    ("name", "inference", "short"),
    [
        ("Slot autoencoder with replay", "replay+search", "Slot autoencoder"),
        ("Slot autoencoder with replay", "replay", "Slot autoencoder"),
        ("Rewind with replay", "direct", "Rewind with replay"),
        ("DIET", "direct", "DIET"),
    ],
)
def test_a_name_drops_what_the_inference_says(name, inference, short):
    assert short_name(result(name=name, inference=inference)) == short
