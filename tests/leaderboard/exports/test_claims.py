"""Registered comparisons follow from result files: who is picked, signs, correction, components."""

import numpy as np
import pytest
from sample_board import sample

from recombine.benchmark.statistics import intervals as stats
from recombine.benchmark.statistics.design import gap_terms, scores_of
from recombine.leaderboard.exports.claims import CLAIMS, Claim, outcomes

PAIR = Claim("x", "smoke", ("first", "direct"), ("second", "search"))
BACK = Claim("y", "smoke", ("second", "search"), ("first", "direct"))


def named(k, who, **more):
    plain = sample(k).method.model_dump(mode="json")
    return sample(k, method=plain | {"id": who[0], "inference": who[1]}, **more)


def test_a_claim_is_the_paired_difference_of_its_entries():
    a, b = named(0, PAIR.first), named(1, PAIR.second)
    there, back = outcomes([b, a], (PAIR, BACK))
    direct = stats.paired_difference(scores_of(a.ooc), scores_of(b.ooc))
    assert there.difference == direct
    assert there.results == (a, b)
    assert back.difference.value == -there.difference.value
    assert sum(share for _, share in there.components) == pytest.approx(1)
    both = stats.holm([direct.p_value, back.difference.p_value])
    assert [there.rejected, back.rejected] == both


def test_only_the_whole_narrowest_rung_counts_and_absent_entries_are_left_out():
    a, b = named(0, PAIR.first), named(1, PAIR.second)
    plain = a.data.model_dump(mode="json")
    fewer = named(2, PAIR.first, data=plain | {"n_train": 1})
    wide = named(2, PAIR.first, data=plain | {"recipe": {"preset": "smoke", "rung": 2}})
    assert outcomes([fewer, wide, b, a], (PAIR,))[0].results == (a, b)
    assert outcomes([a], (PAIR,)) == []
    assert outcomes([], CLAIMS) == []


def test_every_render_of_the_data_is_a_comparison_of_its_own_and_corrected_for():
    plain = sample(0).data.model_dump(mode="json")
    small = plain | {"identity": "f" * 64, "n_train": 1}
    pair = named(0, PAIR.first), named(1, PAIR.second)
    less = named(1, PAIR.first, data=small), named(0, PAIR.second, data=small)
    found = outcomes([*pair, *less], (PAIR,))
    assert [one.results for one in found] == [less, pair]
    told = stats.holm([one.difference.p_value for one in found])
    assert [one.rejected for one in found] == told
    assert outcomes([pair[0], less[1]], (PAIR,)) == []


def test_gaps_of_two_rungs_are_held_apart_without_pairing():
    plain = named(0, PAIR.first).data.model_dump(mode="json")
    wide = named(1, PAIR.first, data=plain | {"recipe": {"preset": "smoke", "rung": 2}})
    near = named(0, PAIR.first)
    (one,) = outcomes([near, wide], (Claim("z", "smoke", PAIR.first, PAIR.first, rung=2),))
    assert one.results == (near, wide)
    assert one.difference.value == pytest.approx(near.gap.estimate - wide.gap.estimate)
    variances = [
        sum(term.variance for term in gap_terms(scores_of(r.id), scores_of(r.ooc)))
        for r in (near, wide)
    ]
    assert one.difference.standard_error == pytest.approx(sum(variances) ** 0.5)
    assert len({name for name, _ in one.components}) == len(one.components)


def test_letters_are_those_of_the_document():
    assert {c.name for c in CLAIMS} == {"b1", "b2", "c", "d", "e"}
    assert np.all([c.first != c.second or c.rung for c in CLAIMS])
