"""Comparisons of made-up results: right numbers, right refusals, right caveats."""

import numpy as np
import pytest
from factories import make_result

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.compare import compare_results, gap_difference
from recombine.benchmark.statistics.design import Crossed, scores_of
from recombine.renderer.core.errors import InvalidInputError

COUNTS = np.full((5, 8), 24)


def entry(ooc, seed=0, seeds=5, **over):
    rng = np.random.default_rng(seed)
    counts = np.full((seeds, 8), 24)
    hits = rng.binomial(counts, ooc)
    return make_result(
        id_hits=rng.binomial(counts, 0.9),
        id_counts=counts,
        ooc_hits=hits,
        ooc_counts=counts,
        **over,
    )


def by_name(contrasts):
    return {contrast.name: contrast for contrast in contrasts}


def test_headline_is_that_of_the_statistics():
    a, b = entry(0.8), entry(0.5, seed=1, seeds=3)
    found = by_name(compare_results(a, b).headline)
    expected = stats.paired_difference(*(scores_of(r.scores.ooc_test) for r in (a, b)))
    assert found["OOC"].difference.value == pytest.approx(expected.value)
    assert found["OOC"].difference.ci95 == pytest.approx(expected.ci95)
    assert found["OOC"].real
    assert found["OOC"].first == pytest.approx(a.scores.ooc_test.estimate)
    assert found["gap"].difference.value == pytest.approx(a.gap.estimate - b.gap.estimate)
    assert found["gap"].difference.value < 0
    assert not found["ID"].real


def test_an_entry_against_itself_is_not_told_apart():
    found = compare_results(entry(0.7), entry(0.7))
    for contrast in (*found.headline, *found.factors):
        assert contrast.difference.value == pytest.approx(0)
        assert not contrast.real
        assert contrast.difference.p_value == pytest.approx(1)


def test_order_of_cells_in_the_file_does_not_matter():
    a, b = entry(0.8), entry(0.5, seed=1)
    plain = b.model_dump(mode="json")
    order = np.random.default_rng(0).permutation(8)
    for split in plain["scores"].values():
        split["cells"] = [split["cells"][i] for i in order]
        for table in (split["hits"], split["counts"], split["blocks"]["right"]):
            table[:] = [[row[i] for i in order] for row in table]
        split["blocks"]["images"] = [split["blocks"]["images"][i] for i in order]
        for factor in split["per_factor"].values():
            factor["per_cell"] = [[row[i] for i in order] for row in factor["per_cell"]]
    del plain["schema_version"], plain["result_id"]
    moved = type(b).sealed(**plain)
    for one, other in zip(
        compare_results(a, b).headline, compare_results(a, moved).headline, strict=True
    ):
        assert one.difference.value == pytest.approx(other.difference.value)
        assert one.difference.p_value == pytest.approx(other.difference.p_value)


def test_factors_have_intervals_and_the_recombined_come_first():
    found = compare_results(entry(0.8), entry(0.5, seed=1))
    assert [c.name for c in found.factors] == ["background.environment", "object.shape"]
    for contrast in found.factors:
        assert contrast.difference.value == pytest.approx(contrast.first - contrast.second)
        low, high = contrast.difference.ci95
        assert low < contrast.difference.value < high
        assert contrast.real


def test_a_file_without_factor_tables_still_gives_differences():
    a, b = entry(0.8), entry(0.5, seed=1)
    plain = b.model_dump(mode="json")
    for factor in plain["scores"]["ooc_test"]["per_factor"].values():
        factor["per_cell"] = []
    del plain["schema_version"], plain["result_id"]
    for contrast in compare_results(a, type(b).sealed(**plain)).factors:
        assert contrast.difference.value == pytest.approx(contrast.first - contrast.second)
        assert contrast.difference.ci95 is None
        assert not contrast.real


def test_power_belongs_to_the_pair():
    weak, strong = (
        compare_results(entry(0.8, seeds=2), entry(0.5, 1, seeds=2)),
        compare_results(entry(0.8, seeds=10), entry(0.5, 1, seeds=10)),
    )
    assert strong.detectable < weak.detectable
    assert strong.power > weak.power
    assert 0.05 <= weak.power <= 1


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"data": {"identity": "ff" * 32}}, "identity"),
        ({"data": {"recombined": ["object.shape", "object.hue"]}}, "recombined factors"),
    ],
)
def test_other_data_are_refused(over, words):
    with pytest.raises(InvalidInputError, match=words):
        compare_results(entry(0.8), entry(0.8, **over))


def test_other_pixels_of_one_identity_are_compared_and_told():
    found = compare_results(entry(0.8), entry(0.5, 1, data={"root": "ff" * 32}))
    assert any(one.startswith("other pixels: roots ") for one in found.caveats)
    same = compare_results(entry(0.8), entry(0.5, 1))
    assert not any("other pixels" in one for one in same.caveats)


@pytest.mark.parametrize("field", ["metric", "metric_version", "cells"])
def test_other_metrics_and_cells_are_refused(field):
    a = entry(0.8)
    plain = entry(0.8).model_dump(mode="json")
    for split in plain["scores"].values():
        split[field] = [["x", str(i)] for i in range(8)] if field == "cells" else "other"
    del plain["schema_version"], plain["result_id"]
    with pytest.raises(InvalidInputError, match=field.replace("_", " ")):
        compare_results(a, type(a).sealed(**plain))


def test_caveats_name_what_else_differs():
    found = compare_results(
        entry(0.8, seeds=3, data={"n_train": 256}),
        entry(0.5, track={"supervision": "supervised"}),
    )
    text = "; ".join(found.caveats)
    assert "training images: 256 and 1024" in text
    assert "supervision: unsupervised and supervised" in text
    assert "A has 3 seeds" in text
    assert "second has" not in text


def test_a_flat_entry_is_pointed_out():
    right = make_result(id_hits=COUNTS, id_counts=COUNTS, ooc_hits=COUNTS, ooc_counts=COUNTS)
    found = compare_results(right, entry(0.5))
    assert "A is equally right everywhere" in "; ".join(found.caveats)
    assert by_name(found.headline)["OOC"].real


def test_gap_difference_keeps_its_level():
    """Two methods with equal gaps; shared hard cells and blocks, own seeds."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(400):
        hard, luck = rng.normal(0, 0.1, (2, 1, 20)), rng.normal(0, 0.1, (1, 10))
        both = []
        for _ in range(2):
            seed = rng.normal(0, 0.03, (1, 5, 1))
            cells = 0.6 + hard + seed + rng.normal(0, 0.03, (2, 5, 20))
            blocks = 0.6 + luck + seed + rng.normal(0, 0.03, (2, 5, 10))
            both.append([Crossed(cells[side], None, blocks[side]) for side in (0, 1)])
        ids, oocs = (tuple(one[side] for one in both) for side in (0, 1))
        false += gap_difference(ids, oocs).p_value < 0.05
    assert false / 400 <= 0.07
    one_run = (Crossed(np.ones((1, 4))),) * 2
    assert gap_difference(one_run, one_run).p_value is None


def test_gap_difference_adds_runs_cells_and_blocks():
    rng = np.random.default_rng(1)
    ids, oocs = (
        [Crossed(rng.random((3, c)), None, rng.random((3, 7))) for _ in range(2)] for c in (6, 4)
    )
    runs = [
        (i.cells.mean(1) - o.cells.mean(1)).var(ddof=1) / 3 for i, o in zip(ids, oocs, strict=True)
    ]
    cells = [
        (a.cells.mean(0) - b.cells.mean(0)).var(ddof=1) / n for (a, b), n in ((ids, 6), (oocs, 4))
    ]
    of_block = [i.blocks.mean(0) - o.blocks.mean(0) for i, o in zip(ids, oocs, strict=True)]
    block = (of_block[0] - of_block[1]).var(ddof=1) / 7
    found = gap_difference(tuple(ids), tuple(oocs))
    assert found.standard_error**2 == pytest.approx(sum(runs) + sum(cells) + block)

    # Other blocks: each method's own, of its gap.
    more = Crossed(oocs[1].cells, None, rng.random((3, 9)))
    found = gap_difference(tuple(ids), (oocs[0], more))
    own = [of_block[0].var(ddof=1) / 7, ids[1].blocks.mean(0).var(ddof=1) / 7]
    own.append(more.blocks.mean(0).var(ddof=1) / 9)
    assert found.standard_error**2 == pytest.approx(sum(runs) + sum(cells) + sum(own))


def test_a_declined_test_is_named_and_says_why():
    """One method nearly always right, the other with a run that fell."""
    counts = np.full((3, 8), 24)
    fell = np.array([[24] * 8, [23] * 8, [18] * 8])
    base = {"id_hits": counts - 1, "id_counts": counts, "ooc_counts": counts}
    found = compare_results(
        make_result(ooc_hits=counts - np.eye(3, 8, dtype=int), **base),
        make_result(ooc_hits=fell, **base),
    )
    ooc = by_name(found.headline)["OOC"]
    assert ooc.difference.declined
    assert ooc.difference.p_value is None
    assert not ooc.real
    assert ooc.row(100)[-1] == "not tested"
    assert f"OOC {stats.DECLINED}" in found.caveats
