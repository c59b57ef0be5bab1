"""An entry's page follows from its result file, and nothing in the file becomes a command."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from factories import make_result, restated
from hypothesis import given
from hypothesis import strategies as st
from sample_board import on_record, sample

from recombine.benchmark.results.extra_parts import Bins
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import Entry, load_boards
from recombine.leaderboard.drawing.formatting import DASH, lookup
from recombine.leaderboard.site import entry
from recombine.leaderboard.site.build import build_site
from recombine.leaderboard.site.entry import (
    Detail,
    bins,
    data_scaling,
    extra_metrics,
    reproduce,
    sources,
    verify,
)
from recombine.renderer.core.text import shown, tidy

ESTIMATE = {"estimate": 0.5, "ci95": None, "per_seed": [0.5] * 5}
FURTHER = {
    "kind": "mlp", "labels": 100, "control": "none", "id_test": ESTIMATE, "ooc_test": ESTIMATE,
}  # fmt: skip


def detail(tmp_path, index=4, seeds=5, **over):
    path = sample(index, seeds, **over).save(tmp_path)
    ranked = rank_board(load_boards([path])[0])
    return Detail(ranked.rows[0], ranked.board.key)


def test_what_ignorance_scores_is_listed(tmp_path):
    page = detail(tmp_path)
    assert [numbers for _, *numbers in page.levels] == [
        ["6.25", "6.25"], ["12.5", "12.5"], ["25", "25"], ["50", "50"]
    ]  # fmt: skip
    assert page.row.standing == "above its floor"
    built = build_site([page.row.entry.result.save(tmp_path / "one")], tmp_path / "site")
    (text,) = (p.read_text() for p in built.parent.glob("entries/*.html"))
    assert "What ignorance scores" in text
    assert "entry is above its floor" in text


def test_training_curves_are_drawn_with_their_ends_in_words(tmp_path):
    kept = [
        {"seed": seed, "name": name, "steps": list(range(51)), "values": values}
        for seed in (0, 1)
        for name, values in (("a & b", [3.0] * 51), ("id-val", [9.0] * 41 + [8.1] * 10))
    ]
    page = detail(tmp_path, artifacts={"curves": kept}, training={"cpu_s": 321.0})
    assert [(name, words) for name, words, _ in page.curves] == [
        ("id-val", "still falling 10 % over the last fifth"),
        ("a & b", "flat over the last fifth (+0.0 %)"),
    ]
    assert all(drawing.count("<polyline") == 2 for _, _, drawing in page.curves)
    built = build_site([page.row.entry.result.save(tmp_path / "one")], tmp_path / "site")
    (text,) = (p.read_text() for p in built.parent.glob("entries/*.html"))
    assert "<bdi>a &amp; b</bdi>" in text
    assert ">321</data> CPU seconds" in text


def test_an_entry_stands_between_its_floors_and_its_oracle_readout(tmp_path):
    oracle = {"kind": "linear", "labels": 9, "control": "oracle", "id_test": None}
    network = {"width": 64, "id_test": ESTIMATE, "ooc_test": ESTIMATE | {"estimate": 0.125}}
    made = sample(
        0,
        further={"readouts": [oracle | {"ooc_test": ESTIMATE | {"estimate": 0.75}}]},
        readout={"width": 64, "random_network": network},
    )
    pixels = sample(5)
    method = pixels.method.model_copy(update={"role": "floor"})
    files = [made.save(tmp_path), sample(5, method=method.model_dump(mode="json")).save(tmp_path)]
    built = build_site(on_record(files), tmp_path / "site")
    (text,) = (p.read_text() for p in built.parent.glob("entries/supervised-*.html"))
    section = text.partition("Between its floors and its bound")[2].partition("</section>")[0]
    texts = ["This entry", "Oracle readout", "75.0", "Random network", "12.5", "Pixels", "25 %"]
    assert [section.index(one) for one in texts] == sorted(section.index(one) for one in texts)
    assert section.count('class="strip"') == 4


def test_what_matched_slots_tell_stands_beside_the_factor(tmp_path):
    matching = {"on": "masks", "floors": {"object.shape": 0.125}}
    page = detail(tmp_path, further={"matching": matching})
    assert {f["name"]: f["floor"] for f in page.factors} == {
        "object.shape": 0.125, "background.environment": None
    }  # fmt: skip
    built = build_site([page.row.entry.result.save(tmp_path / "one")], tmp_path / "site")
    (text,) = (p.read_text() for p in built.parent.glob("entries/*.html"))
    assert "matched slots alone 0.125 OOC" in text


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
    page = detail(tmp_path, 0, data={"recombined": ["object.x"]}, **restated(scores))
    assert page.heat_maps == []
    assert len(page.cells) == 16


def test_three_factors_give_one_map_per_value_of_the_third(tmp_path):
    plain = sample(0).model_dump(mode="json")["scores"]
    for score in plain.values():
        score["cells"] = [
            [*cell, "day" if i % 2 else "dusk"] for i, cell in enumerate(score["cells"])
        ]
    recombined = ["object.shape", "background.environment", "light.time"]
    page = detail(tmp_path, 0, data={"recombined": recombined}, **restated(plain))
    assert sorted(name for name, _ in page.heat_maps) == ["day", "dusk"]


def test_recombined_factors_come_first(tmp_path):
    plain = sample(0).model_dump(mode="json")["scores"]
    for score in plain.values():
        factor = dict(score["per_factor"]["object.shape"], recombined=False)
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
    assert [name for name, _ in page.uncertainty] == [
        "training runs", "values of object.shape", "values of background.environment",
        "combinations", "nuisance blocks",
    ]  # fmt: skip
    assert sum(share for _, share in page.uncertainty) == pytest.approx(1)
    assert page.uncertainty_bar.count("<rect") == 5


def test_one_seed_has_no_uncertainty_to_split(tmp_path):
    assert detail(tmp_path, seeds=1).uncertainty == []


def test_only_a_search_has_a_curve(tmp_path):
    assert detail(tmp_path / "a", 4).search_curve.count("dot-ooc") == 7
    assert detail(tmp_path / "b", 0).search_curve is None


def test_the_commands_render_verify_and_score(tmp_path, recorded):
    render, verify, train = detail(tmp_path).commands.splitlines()
    assert render == "recombine render smoke --resolution 64 --out runs/smoke-64"
    assert verify == "recombine dataset verify runs/smoke-64"
    assert train == (
        "recombine score autoencoder-replay --data runs/smoke-64 --n 1024 --seeds 5 "
        "--readout-labels 1000 --steps 0 1 3 10 30 100 300"
    )


def test_a_foreign_submission_is_scored_from_its_code(tmp_path, recorded):
    method = {**sample(0).model_dump(mode="json")["method"], "code": "mine.py:Mine"}
    page = detail(tmp_path, 0, method=method, further={"readouts": [FURTHER]})
    assert page.commands.splitlines()[2] == (
        "recombine score mine.py:Mine --data runs/smoke-64 --n 1024 --seeds 5 "
        "--readout-labels 1000 --full"
    )
    assert page.train_sizes == ""


def test_the_commands_are_those_of_the_command_line(tmp_path, recorded):
    main = pytest.importorskip("recombine.cli.main")
    if not hasattr(main, "parse"):
        pytest.skip("the command line has no nouns yet")
    recorded(rung=2)
    method = {**sample(0).model_dump(mode="json")["method"], "code": "mine.py:Mine"}
    foreign = detail(tmp_path / "foreign", 0, method=method)
    page = detail(tmp_path)
    lines = [*page.commands.splitlines(), *foreign.commands.splitlines(), page.train_sizes]
    made = [main.parse(shlex.split(one)[1:]) for one in [*lines, *page.verify.splitlines()]]
    names = [type(one).__name__ for one in made]
    assert names == ["Render", "Verify", "Score"] * 2 + ["Score", "Check", "Rescore"]
    assert made[6].n == "64,256,1024"


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
    assert shlex.split(commands[-1])[2] == hostile


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


RECIPE = {
    "preset": "smoke", "resolution": 64, "scale": 1.0, "values": None, "rung": 0, "ooc_val": False,
}  # fmt: skip


@pytest.fixture
def recorded(monkeypatch):
    """Return a function that puts another recipe of the data on record."""

    def record(**over):
        monkeypatch.setattr(entry, "recipe_of", lambda result: {**RECIPE, **over})

    record()
    return record


@pytest.mark.parametrize(
    ("over", "render", "train"),
    [
        ({}, "smoke --resolution 64 --out runs/smoke-64", ""),
        ({"rung": 2}, "smoke --resolution 64 --out runs/smoke-64", " --rung 2 "),
        (
            {"preset": "object-object", "values": 8, "scale": 1.34},
            "object-object --values 8 --scale 1.34 --resolution 64 --out runs/object-object-64",
            " --data runs/object-object-64 ",
        ),
        ({"ooc_val": True}, "smoke --resolution 64 --out runs/smoke-64 --ooc-val", ""),
        (
            {"split": {"id": {}}, "hidden_test": "hidden"},
            "smoke --resolution 64 --out runs/smoke-64 --split FILE --hidden-key FILE --hidden",
            "",
        ),
        (
            {"preset": "x; rm -rf /"},
            "'x; rm -rf /' --resolution 64 --out 'runs/x; rm -rf /-64'",
            " --data 'runs/x; rm -rf /-64' ",
        ),
    ],
)
def test_the_recipe_on_record_says_how_the_data_are_rendered(recorded, over, render, train):
    recorded(**over)
    made, verified, scored = reproduce(sample(0))
    assert made == f"recombine render {render}"
    words = shlex.split(made)
    folder = words[words.index("--out") + 1]
    assert shlex.split(verified) == ["recombine", "dataset", "verify", folder]
    assert train in scored
    assert ("--rung" in scored) == ("rung" in over)


def test_without_a_recipe_nothing_is_guessed(monkeypatch, tmp_path):
    monkeypatch.setattr(entry, "recipe_of", lambda result: None)
    page = detail(tmp_path, 0)
    assert not page.recorded
    verified, scored = page.commands.splitlines()
    assert verified == "recombine dataset verify DATA"
    assert scored.startswith("recombine score supervised --data DATA --n ")
    text = build_site([page.row.entry.path], tmp_path / "site").parent
    assert (
        "Not on record: how these data were rendered."
        in next((text / "entries").glob("*.html")).read_text()
    )


def settled(code, **settings):
    method = sample(0).method.model_copy(update={"code": code, "settings": settings})
    return reproduce(sample(0).model_copy(update={"method": method}))


def test_what_a_row_reads_is_given_to_it(recorded):
    ours = "recombine.baselines.methods.pretrained:DinoLora"
    assert settled(ours, weights="vit.safetensors 00")[-1].endswith(" --weights FILE")
    assert "--weights" not in settled(ours, weights="")[-1]
    *_, make, train = settled(
        "recombine.baselines.generative.tangent:Oracle", tangents="tangents.h5 00"
    )
    assert make == "recombine measure tangents runs/smoke-64"
    assert train.endswith(" --tangents runs/smoke-64/tangents.h5")


@pytest.mark.parametrize("module", ["submissions.hub", "hub_method"])
def test_a_model_of_a_library_is_scored_by_its_name(module):
    code = f"recombine.benchmark.{module}:HubMethod"
    *_, score = settled(code, model="timm:resnet18", size=64, weights_sha256="0" * 64)
    assert shlex.split(score)[:3] == ["recombine", "score", "timm:resnet18?size=64"]


@given(st.text(min_size=1, max_size=60).map(lambda text: tidy(shown(text, keep=""))))
def test_whatever_a_submission_is_called_it_stays_one_argument(code):
    line = settled(f"m.py:{code}")[-1]
    assert shlex.split(line)[2] == f"m.py:{code}"


@pytest.mark.parametrize(("n", "sizes"), [(1024, "64,256,1024"), (3, "1,3"), (1, "1")])
def test_the_curve_needs_three_sizes_where_there_are_as_many(n, sizes):
    assert f" --n {sizes} " in data_scaling(sample(0, data={"n_train": n}))


def test_a_file_is_checked_alone_and_against_its_predictions(recorded):
    alone, whole = verify(sample(0), "a-1.json")
    assert alone == "recombine board check a-1.json"
    assert whole == "recombine results rescore a-1.json --data runs/smoke-64 --runs FOLDER"


SCORED = {"estimate": 0.5, "ci95": [0.4, 0.6], "per_seed": [0.5] * 5}


BOTH = {"id_test": SCORED, "ooc_test": SCORED}


def measure(value, direction="higher"):
    return {
        "metric": "m", "metric_version": "1.0", "direction": direction, "chance": None,
        "estimate": value, "per_seed": [value] * 5, "n_images": 9,
    }  # fmt: skip


BINS = {
    "property": "visible_share", "edges": [0.0, 0.5, 1.0],
    "id_hits": [[1, 3], [3, 3]], "id_counts": [4, 4], "ooc_hits": [[0, 2], [0, 1]],
    "ooc_counts": [0, 2],
}  # fmt: skip
FULL = {
    "readouts": [
        {**BOTH, "kind": "mlp", "labels": 100, "control": "none"},
        {**BOTH, "kind": "linear", "labels": 512, "control": "oracle", "id_test": None},
    ],
    "gap_parts": {"information_lost": SCORED, "readout_not_transferring": SCORED},
    "selectivity": SCORED,
    "masks": {"id_test": {"mean_iou": measure(0.9)}, "ooc_test": {"mean_iou": measure(0.7)}},
    "decoder": {"x_cycle": measure(0.25, "lower"), "nothing": measure(None)},
    "by_visibility": BINS,
    "collapse": {
        "object": {
            "width": 64,
            "id_train": {"rank_me": measure(9.5), "nc1_object.shape": measure(0.25)},
            "id_test": {"rank_me": measure(7.5), "nc1_object.shape": measure(0.75)},
        }
    },
}  # fmt: skip


def test_metrics_are_listed_with_their_place_in_the_file():
    result = sample(0, further=FULL)
    masks, decoder, slot = extra_metrics(result)
    assert (masks.columns, decoder.columns) == (("ID", "OOC"), ("value",))
    (iou,) = masks.metrics
    assert (iou.name, iou.better) == ("mean iou", "higher")
    plain = result.model_dump(mode="json")
    assert [lookup(plain, f"{place}/estimate") for place in iou.places] == [0.9, 0.7]
    assert {line.name: line.better for line in decoder.metrics} == {
        "x cycle": "lower", "nothing": "higher",
    }  # fmt: skip
    assert (slot.title, slot.columns) == (
        "Collapse of slot object, of 64 numbers", ("ID train", "ID test"),
    )  # fmt: skip
    assert sorted((one.name, one.better) for one in slot.metrics) == [
        ("nc1 object.shape", "neither"), ("rank me", "neither"),
    ]  # fmt: skip
    (nc1,) = (one.places for one in slot.metrics if one.name.startswith("nc1"))
    assert [lookup(plain, f"{place}/estimate") for place in nc1] == [0.25, 0.75]


def test_a_result_without_them_lists_nothing():
    assert extra_metrics(sample(0)) == []
    assert bins(None) == []


def test_bins_are_means_over_seeds_and_empty_ones_have_a_dash():
    low, high = bins(Bins.model_validate_json(json.dumps(BINS)))
    assert (low.span, low.inside, low.outside) == (f"0.0{DASH}50.0", "50.0 of 4", DASH)
    assert (high.inside, high.outside) == ("75.0 of 4", "75.0 of 2")
    empty = {**BINS, "id_hits": [[0, 3], [0, 3]], "id_counts": [0, 4]}
    assert len(bins(Bins.model_validate_json(json.dumps(empty)))) == 1


@pytest.mark.parametrize("sandbox", ["none", "subprocess", "bubblewrap", "file"])
def test_where_numbers_come_from(sandbox):
    figures = {"wall_s": "bounded", "params": "self-reported", "gflop_per_image": "self-reported"}
    result = make_result(sources={"sandbox": sandbox, "figures": figures})
    said = sources(Entry(Path("a.json"), result, b"", tier="retrained"))
    assert said[0][0] == "Ran"
    assert said[1:] == [
        ("Reported from inside, within what the harness saw", "wall s"),
        ("Self-reported", "gflop per image, params"),
    ]


def test_the_page_shows_them_or_says_how_to_get_them(tmp_path):
    def page(name, **over):
        path = sample(0, **over).save(tmp_path / name)
        build_site([path], tmp_path / name / "site")
        return next((tmp_path / name / "site" / "entries").glob("*.html")).read_text()

    full, short = page("full", further=FULL), page("short")
    assert 'data-field="further/readouts/1/ooc_test/estimate"' in full
    assert 'data-field="further/masks/ooc_test/mean_iou/estimate"' in full
    assert 'data-field="further/collapse/object/id_test/nc1_object.shape/estimate"' in full
    assert "an upper bound, never a result" in full
    assert "<code>--full</code> adds them" in short
    assert "further/" not in short


SLOTS = {
    "decided_on": "held-out-cells", "n_images": 1000, "n_cells": 8, "margin": [0.0] * 5,
    "standard_error": [0.1] * 5, "clear": [True, True, True, False, False], "equal": [False] * 5,
    "runner_up": [[1, 0]] * 5,
}  # fmt: skip


def test_the_page_says_where_the_slot_assignment_decides_the_score():
    read = sample(0).readout.model_dump(mode="json")
    other = {"estimate": 0.5, "ci95": None, "per_seed": [0.0, 0.0, 0.0, 0.25, 0.75]}
    unclear = {**SLOTS, "other_id": other, "other_ooc": other}
    result = sample(0, readout={**read, "match": unclear})
    here = 50 * sum(result.ooc.per_seed[3:])
    assert entry.slot_match(result) == (
        "Slot assignment unclear in 2 of 5 seeds (1,000 images of 8 cells decide): "
        f"OOC {here:.1f} % with slots (0, 1), 50.0 % with slots (1, 0)."
    )


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (None, ""),
        ({"decided_on": "masks"}, "Slots are matched to objects on masks, image by image."),
        ({**SLOTS, "clear": [True] * 5, "margin": [2.5] * 5}, "loses at least 2.50"),
        ({**SLOTS, "clear": [True] * 5, "decided_on": "id-val"}, "that they had seen"),
        ({**SLOTS, "clear": [True] * 5, "equal": [True] * 5}, "makes no difference"),
    ],
)
def test_the_page_says_how_slots_were_assigned(match, said):
    read = sample(0).readout.model_dump(mode="json")
    found = entry.slot_match(sample(0, readout={**read, "match": match}))
    assert said in found
    assert bool(found) == bool(said)


def test_the_oracle_readout_alone_is_not_the_full_measurement():
    result = sample(0, further={**FULL, "readouts": FULL["readouts"][1:]})
    assert not entry.has_variants(result)
    assert "--full" not in entry.score_command(result, "all")
    assert entry.has_variants(sample(0, further=FULL))
