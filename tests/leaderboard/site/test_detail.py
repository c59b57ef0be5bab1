"""The entry page's content follows from the stored counts."""

import shlex

import numpy as np
import pytest
from sample_board import sample

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.site.entry import Detail
from recombine.leaderboard.board.entries import load_boards

ESTIMATE = {"estimate": 0.5, "ci95": None, "per_seed": [0.5] * 5}
FURTHER = {
    "kind": "mlp", "labels": 100, "control": "none", "id_test": ESTIMATE, "ooc_test": ESTIMATE,
}  # fmt: skip


def detail(tmp_path, index=4, seeds=5, **over):
    path = sample(index, seeds, **over).save(tmp_path)
    ranked = rank_board(load_boards([path])[0])
    return Detail(ranked.rows[0], ranked.board.key)


def test_every_cell_is_listed_with_its_accuracy(tmp_path):
    page = detail(tmp_path)
    score = page.row.entry.result.scores.ooc_test
    assert len(page.cells) == 16
    held_out = {cell.names: cell for cell in page.cells if cell.held_out}
    for i, names in enumerate(score.cells):
        expected = np.mean([h[i] / c[i] for h, c in zip(score.hits, score.counts, strict=True)])
        assert held_out[names].accuracy == pytest.approx(expected)
        assert held_out[names].images == 48


def test_two_factors_give_one_map_with_frames(tmp_path):
    ((name, drawing),) = detail(tmp_path).heat_maps
    assert name == ""
    assert drawing.count('class="frame"') == 8
    assert drawing.count('class="cell') == 16


def test_one_factor_gives_no_map(tmp_path):
    def one(score):
        return {**score, "cells": [[f"v{score['n_cells']}{i}"] for i in range(score["n_cells"])]}

    plain = sample(0).model_dump(mode="json")["scores"]
    scores = {name: one(score) for name, score in plain.items()}
    scores["id_test"]["cells"] = [[f"i{i}"] for i in range(8)]
    page = detail(tmp_path, 0, scores=scores, data={"recombined": ["object.x"]})
    assert page.heat_maps == []
    assert len(page.cells) == 16


def test_three_factors_give_one_map_per_value_of_the_third(tmp_path):
    plain = sample(0).model_dump(mode="json")["scores"]
    for score in plain.values():
        score["cells"] = [
            [*cell, "day" if i % 2 else "dusk"] for i, cell in enumerate(score["cells"])
        ]
    recombined = ["object.shape", "background.environment", "light.time"]
    page = detail(tmp_path, 0, scores=plain, data={"recombined": recombined})
    assert sorted(name for name, _ in page.heat_maps) == ["day", "dusk"]


def test_recombined_factors_come_first(tmp_path):
    plain = sample(0).model_dump(mode="json")["scores"]
    for score in plain.values():
        factor = dict(score["per_factor"]["object.shape"], recombined=False, estimate=-0.5)
        score["per_factor"]["a.first"] = factor
    page = detail(tmp_path, 0, scores=plain)
    assert [f["name"] for f in page.factors][-1] == "a.first"
    assert [f["recombined"] for f in page.factors] == [True, True, False]


def test_seeds_are_listed_with_their_gap(tmp_path):
    page = detail(tmp_path)
    scores = page.row.entry.result.scores
    assert [seed["seed"] for seed in page.seeds] == [0, 1, 2, 3, 4]
    for i, seed in enumerate(page.seeds):
        expected = scores.id_test.per_seed[i] - scores.ooc_test.per_seed[i]
        assert seed["gap"] == pytest.approx(expected)


def test_the_parts_of_the_uncertainty_add_up(tmp_path):
    page = detail(tmp_path)
    assert [name for name, _ in page.uncertainty][:2] == ["training runs", "combinations"]
    assert sum(share for _, share in page.uncertainty) == pytest.approx(1)
    assert page.uncertainty_bar.count("<rect") == 3


def test_one_seed_has_no_uncertainty_to_split(tmp_path):
    assert detail(tmp_path, seeds=1).uncertainty == []


def test_only_a_search_has_a_curve(tmp_path):
    assert detail(tmp_path / "a", 4).search_curve.count("dot-ooc") == 7
    assert detail(tmp_path / "b", 0).search_curve is None


def test_the_commands_render_verify_and_score(tmp_path):
    render, verify, train = detail(tmp_path).commands.splitlines()
    assert render == "recombine render smoke --resolution 64 --out runs/smoke-64"
    assert verify == "recombine verify runs/smoke-64"
    assert train == (
        "recombine train autoencoder-replay --data runs/smoke-64 --n 1024 --seeds 5 "
        "--readout-labels 1000 --steps 0 1 3 10 30 100 300"
    )


def test_a_foreign_submission_is_scored_from_its_code(tmp_path):
    method = {**sample(0).model_dump(mode="json")["method"], "code": "mine.py:Mine"}
    page = detail(tmp_path, 0, method=method, further={"readouts": [FURTHER]})
    assert page.commands.splitlines()[2] == (
        "recombine score mine.py:Mine --data runs/smoke-64 --n 1024 --seeds 5 "
        "--readout-labels 1000 --full"
    )
    assert page.train_sizes == ""


def test_a_wider_rung_is_an_option_not_a_preset(tmp_path):
    page = detail(tmp_path, data={"dataset": "smoke--rung-2"})
    render, verify, train = page.commands.splitlines()
    assert render == "recombine render smoke --resolution 64 --out runs/smoke-64"
    assert verify == "recombine verify runs/smoke-64"
    assert " --rung 2 " in train


def test_the_commands_are_those_of_the_command_line(tmp_path):
    tyro = pytest.importorskip("tyro")
    from recombine.cli.board import Board
    from recombine.cli.dataset import Verify
    from recombine.cli.render import Render
    from recombine.cli.rescore import Rescore
    from recombine.cli.score import Score
    from recombine.cli.submissions import training_sets
    from recombine.cli.train import Train

    method = {**sample(0).model_dump(mode="json")["method"], "code": "mine.py:Mine"}
    foreign = detail(tmp_path / "foreign", 0, method=method).commands.splitlines()
    page = detail(tmp_path, data={"dataset": "smoke--rung-2"})
    own, check = page.commands.splitlines(), page.verify.splitlines()
    lines = [*own, foreign[2], page.train_sizes, *check]
    kinds = (Render, Verify, Train, Score, Train, Board, Rescore)
    made = [tyro.cli(k, args=shlex.split(one)[2:]) for k, one in zip(kinds, lines, strict=True)]
    assert training_sets(made[4].n, 1024) == [64, 256, 1024]


def test_a_baselines_steps_are_told_because_no_option_records_them(tmp_path):
    method = sample(4).model_dump(mode="json")["method"]
    settings = {"encoder.steps": 1500, "size": "cpu", "odd.steps": "<b>", "decoder.steps": 2500}
    page = detail(tmp_path, method={**method, "settings": settings})
    assert page.schedules == "decoder 2,500, encoder 1,500"
    foreign = detail(tmp_path, method={**method, "settings": settings, "code": "mine.py:Mine"})
    assert foreign.schedules == ""


def test_a_hostile_submission_name_stays_one_argument(tmp_path):
    hostile = "x.py:A; rm -rf / #"
    method = {**sample(4).model_dump(mode="json")["method"], "code": hostile}
    commands = detail(tmp_path, method=method).commands.splitlines()
    assert shlex.split(commands[2])[2] == hostile


def test_a_citation_names_the_exact_result(tmp_path):
    text = detail(tmp_path).bibtex
    assert text.startswith("@misc{recombine-autoencoder-replay-search-")
    assert sample(4).result_id in text
    assert "year = {2026}" in text


def test_a_citation_holds_no_commands_of_a_name(tmp_path):
    method = sample(4).model_dump(mode="json")["method"] | {"name": "a}\\input{x}% $&_#~^"}
    text = detail(tmp_path, method=method).bibtex
    assert "\\input" not in text
    assert text.count("{") == text.count("}")
    assert "\\% \\$\\&\\_\\#" in text
