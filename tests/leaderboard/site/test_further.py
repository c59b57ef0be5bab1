"""What stands beside the headline is listed where it was measured, and nothing is made up."""

import json

import pytest
from factories import make_result
from sample_board import sample

from recombine.benchmark.results.parts import Bins
from recombine.leaderboard.drawing.formatting import DASH, lookup
from recombine.leaderboard.site.build import build_site
from recombine.leaderboard.site.entry import bins, parts, vouched

ESTIMATE = {"estimate": 0.5, "ci95": [0.4, 0.6], "per_seed": [0.5] * 5}


BOTH = {"id_test": ESTIMATE, "ooc_test": ESTIMATE}


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
    "gap_parts": {"information_lost": ESTIMATE, "readout_not_transferring": ESTIMATE},
    "selectivity": ESTIMATE,
    "masks": {"id_test": {"mean_iou": measure(0.9)}, "ooc_test": {"mean_iou": measure(0.7)}},
    "decoder": {"x_cycle": measure(0.25, "lower"), "nothing": measure(None)},
    "by_visibility": BINS,
}  # fmt: skip


def test_metrics_are_listed_with_their_place_in_the_file():
    result = sample(0, further=FULL)
    masks, decoder = parts(result)
    assert (masks.split, decoder.split) == (True, False)
    (iou,) = masks.lines
    assert (iou.name, iou.better) == ("mean iou", "higher")
    plain = result.model_dump(mode="json")
    assert [lookup(plain, f"{place}/estimate") for place in iou.places] == [0.9, 0.7]
    assert {line.name: line.better for line in decoder.lines} == {
        "x cycle": "lower", "nothing": "higher",
    }  # fmt: skip


def test_a_result_without_them_lists_nothing():
    assert parts(sample(0)) == []
    assert bins(None) == []


def test_bins_are_means_over_seeds_and_empty_ones_have_a_dash():
    low, high = bins(Bins.model_validate_json(json.dumps(BINS)))
    assert (low.span, low.inside, low.outside) == (f"0.0{DASH}50.0", "50.0 of 4", DASH)
    assert (high.inside, high.outside) == ("75.0 of 4", "75.0 of 2")
    empty = {**BINS, "id_hits": [[0, 3], [0, 3]], "id_counts": [0, 4]}
    assert len(bins(Bins.model_validate_json(json.dumps(empty)))) == 1


@pytest.mark.parametrize("sandbox", ["none", "subprocess", "bubblewrap", "file"])
def test_who_vouches_for_what(sandbox):
    figures = {"wall_s": "bounded", "params": "self-reported", "gflop_per_image": "self-reported"}
    said = vouched(make_result(sources={"sandbox": sandbox, "figures": figures}))
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
    assert "an upper bound, never a result" in full
    assert "<code>--full</code> adds them" in short
    assert "further/" not in short
