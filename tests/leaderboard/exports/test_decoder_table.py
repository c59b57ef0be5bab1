"""The table of decoders: measured values beside the score of the searching entry."""

from __future__ import annotations

import pytest
from factories import make_result

from recombine.leaderboard.exports.decoder_table import COLUMNS, table
from recombine.renderer.core.errors import InvalidInputError


def measure(value, chance=None):
    known = {"metric": "m", "metric_version": "1.0", "direction": "higher", "n_images": 9}
    return {**known, "chance": chance, "estimate": value, "per_seed": [value]}


def examined(entry, fidelity, **others):
    """Return a result read before search, with measurements of its decoder."""
    parts = {"decoder_fidelity_recombined": measure(fidelity, 0.7), **others}
    return make_result(entry=entry, further={"decoder": parts})


def searched(hits, *, seeds):
    """Return a searching entry that is right on ``hits`` of 24 OOC images of every cell."""
    counts = [[24] * 8] * seeds
    own = {"id_hits": counts, "id_counts": counts, "ooc_counts": counts}
    return make_result(steps=(0, 30), ooc_hits=[[hits] * 8] * seeds, **own)


def rows(text):
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()][2:]


def test_rows_hold_measures_and_the_score_of_the_searching_entry_with_most_seeds():
    fine = examined("autoencoder", 0.9, compositional_contrast=measure(0.25))
    poor = examined("pixels", 0.5)
    few, many = (searched(3, seeds=2), searched(12, seeds=3))
    first, second = rows(table([poor, few, fine, many]))
    names = [first[0].strip("`"), second[0].strip("`")]
    assert names == [fine.method.id, poor.method.id]
    assert first[1:] == ["50.0", "undefined", "0.900", "0.700", "undefined", "0.250"]
    assert second[1] == "not measured"
    assert len(first) == 2 + len(COLUMNS)


def test_nothing_measured_and_mixed_data_are_refused():
    with pytest.raises(InvalidInputError, match="--full"):
        table([make_result()])
    other = make_result(data={"root": "f" * 64})
    with pytest.raises(InvalidInputError, match="one dataset"):
        table([examined("autoencoder", 0.9), other])
