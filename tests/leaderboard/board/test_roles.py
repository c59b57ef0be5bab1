"""The part an entry plays follows from its file."""

import pytest
from sample_board import sample

from recombine.baselines.registry import BASELINES, load_baseline
from recombine.leaderboard.board.roles import ROLES, role_of, short_name
from recombine.leaderboard.drawing.charts import SHAPES


def entry(note="", kind="encoder", rule="none", **method):
    fields = sample(0).model_dump(mode="json")["method"] | {"note": note, "kind": kind} | method
    selection = {"rule": rule, "n_candidates": 2 if rule != "none" else 1}
    return sample(0, method=fields, training={"selection": selection})


@pytest.mark.parametrize(
    ("note", "kind", "role"),
    [
        ("", "encoder", "encoder"),
        ("", "inverter", "generative"),
        ("Floor: the image as it is.", "encoder", "floor"),
        ("Reimplementation; unseen. Control: one thing differs.", "inverter", "control"),
        ("Upper bound, not an entry: sees everything.", "encoder", "bound"),
        ("Control over the floor is good.", "encoder", "encoder"),
        ("It has no Floor: none.", "inverter", "generative"),
        ("Controlled: no.", "encoder", "encoder"),
    ],
)
def test_the_role_is_declared_or_measured(note, kind, role):
    assert role_of(entry(note, kind)).key == role


def test_what_was_selected_on_the_answers_is_an_upper_bound():
    assert role_of(entry(kind="inverter", rule="oracle")).key == "bound"
    assert role_of(entry(kind="inverter", rule="id_val")).key == "generative"


def test_every_role_has_its_own_mark():
    shapes = [role.shape for role in ROLES.values()]
    assert len(set(shapes)) == len(shapes)
    assert set(shapes) <= SHAPES.keys()
    assert all(f"mark-{role.key}" in role.mark for role in ROLES.values())


def test_the_baselines_declare_their_role():
    declared = {}
    for name in BASELINES:
        note = load_baseline(name, "tiny").card.note
        declared[name] = role_of(entry(note)).key
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
    assert short_name(entry(name=name, inference=inference)) == short
