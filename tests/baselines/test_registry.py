from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import recombine.baselines.registry
from recombine.baselines.registry import BASELINES, lengthened, load_baseline
from recombine.benchmark.protocol.contract import Learner
from recombine.benchmark.submissions.fingerprint import flat, settings_of
from recombine.renderer.core.errors import UsageError


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("size", ["tiny", "cpu", "gpu"])
def test_every_baseline_comes_in_every_size(name: str, size: str) -> None:
    learner = load_baseline(name, size)
    assert isinstance(learner, Learner)
    assert learner.card.id == name
    assert type(learner).__name__ == BASELINES[name].partition(":")[2]


@pytest.mark.parametrize(("name", "size"), [("supervized", "cpu"), ("supervised", "huge")])
def test_unknown_names_are_answered_with_the_known_ones(name: str, size: str) -> None:
    with pytest.raises(UsageError, match=r"supervised|tiny"):
        load_baseline(name, size)


def test_the_cache_reaches_the_shared_stage(tmp_path: Path) -> None:
    assert load_baseline("autoencoder", cache_dir=tmp_path).cache_dir == tmp_path
    assert load_baseline("autoencoder-replay", cache_dir=tmp_path).base.cache_dir == tmp_path
    load_baseline("supervised", cache_dir=tmp_path)


def test_both_autoencoders_share_one_stage() -> None:
    for size in ("tiny", "cpu"):
        assert load_baseline("autoencoder-replay", size).base == load_baseline("autoencoder", size)


def test_the_table_costs_no_tensor_library() -> None:
    code = "import sys, recombine.baselines; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What a method may share with others; all else that methods share lies in nn/ and training/.
FAMILIES = {
    "supervised": {
        "encoder_controls",
        "ensembles",
        "oracle",
        "pretrained",
        "slot_attention",
        "test_time_training",
    },
    "self_supervised": {"mae"},
    "slot_autoencoder": {"autoencoders", "search", "tangent"},
    "vae": {"compositional_consistency", "shared_decoders", "typed_vae"},
}


def test_methods_import_no_other_method_but_the_one_they_differ_from() -> None:
    folder = Path(recombine.baselines.registry.__file__).parent
    found: dict[str, set[str]] = {}
    rooms = ("methods", "generative")
    paths = [path for room in rooms for path in (folder / room).glob("*.py")]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) or ""
            if module.startswith(tuple(f"recombine.baselines.{room}." for room in rooms)):
                found.setdefault(module.rpartition(".")[2], set()).add(path.stem)
    assert found == FAMILIES
    files = {path.stem for path in paths} - {"__init__", "slot_autoencoder"}
    assert files == {where.partition(":")[0].rpartition(".")[2] for where in BASELINES.values()}


def test_a_card_says_what_part_its_row_plays() -> None:
    """The part is a field; the sentence that says it to people must agree."""
    words = {"control": "Control: ", "floor": "Floor: ", "bound": "Upper bound, "}
    for name in BASELINES:
        card = load_baseline(name, "tiny").card
        said = [role for role, word in words.items() if word in card.note]
        assert said == [card.role] * (card.role != "method"), name


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_longer_schedules_change_nothing_else(name: str) -> None:
    plain = load_baseline(name, "tiny")
    assert lengthened(plain, 1) == plain
    longer, usual = flat(settings_of(lengthened(plain, 3))), flat(settings_of(plain))
    changed = {key for key in usual if longer[key] != usual[key]}
    assert all(key.endswith("steps") and longer[key] == 3 * usual[key] for key in changed)
    assert bool(changed) == any("weight_decay" in key for key in usual)


def test_a_schedule_keeps_a_step() -> None:
    assert lengthened(load_baseline("supervised", "tiny"), 1e-9).schedule.steps == 1
    with pytest.raises(UsageError, match="above 0"):
        lengthened(load_baseline("supervised", "tiny"), 0)
