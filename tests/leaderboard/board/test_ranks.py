"""Who is judged together, and what is said about an entry's place; what stands outside is free."""

from dataclasses import replace

import numpy as np
import pytest
from factories import make_result
from sample_board import declared, on_record, sample, write_results

from recombine.benchmark.statistics import intervals as stats
from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards, load_entry
from recombine.leaderboard.board.ranks import PER_SUBMITTER, Family, Rank, rank_entries


def made(
    folder,
    name,
    mean,
    *,
    seeds=5,
    tier="retrained",
    created="2026-01-01T00:00:00Z",
    whose=None,
    **over,
):
    """Return an entry of a method of this accuracy."""
    rng = np.random.default_rng(sum(map(ord, name)))
    share = mean + rng.normal(0, 0.01, (seeds, 1)) + rng.normal(0, 0.02, (seeds, 8))
    hits = np.rint(48 * share.clip(0, 1)).astype(int)
    counts = np.full_like(hits, 48)
    method = {"kind": "encoder", "code": "theirs:Model", **over}
    result = make_result(
        id_hits=hits, id_counts=counts, ooc_hits=hits, ooc_counts=counts,
        entry=name, method={"id": name, **method}, created=created,
    )  # fmt: skip
    path = result.save(folder / f"{name}.json")
    return load_entry(path if tier is None else on_record([path], tier, **(whose or {}))[0])


def judged(entries, **options) -> tuple[dict[str, Rank], Family]:
    ranks, family = rank_entries(entries, [(i,) for i in range(len(entries))], **options)
    names = [entry.result.method.entry for entry in entries]
    return dict(zip(names, ranks, strict=True)), family


@pytest.fixture
def some(tmp_path):
    return [
        made(tmp_path, "supervised", 0.4),
        made(tmp_path, "good", 0.8),
        made(tmp_path, "also-good", 0.8),
        made(tmp_path, "bad", 0.1),
    ]


def test_an_entry_has_a_verdict_about_the_best_and_about_the_reference(some):
    ranks, family = judged(some)
    assert {name: (rank.best, rank.side) for name, rank in ranks.items()} == {
        "supervised": (False, "is"),
        "good": (True, "above"),
        "also-good": (True, "above"),
        "bad": (False, "below"),
    }
    assert (ranks["good"].words, ranks["good"].against) == (
        "may be the best",
        "above the reference",
    )
    assert family.reference is some[0]
    assert len(family.best) == 2
    assert family.sides == {"is": 1, "above": 2, "below": 1}


def test_one_that_is_ahead_of_all_is_the_best(some):
    ranks, family = judged([some[0], some[1], some[3]])
    assert ranks["good"].words == "the best"
    assert family.best == (some[1],)


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"role": "control"}, "a control"),
        ({"role": "floor"}, "a floor"),
        ({"role": "bound"}, "an upper bound, out of competition"),
        ({"tier": "rescored"}, "not run by a maintainer"),
        ({"tier": None}, "not run by a maintainer"),
        ({"seeds": 2}, "fewer than 3 training seeds"),
    ],
)
def test_what_stands_outside_is_told_and_changes_nothing(tmp_path, some, over, why):
    before, _ = judged(some)
    ranks, family = judged([*some, made(tmp_path, "perfect", 0.99, **over)])
    assert ranks["perfect"].best is None
    assert ranks["perfect"].reason == f"Outside the family: {why}."
    assert family.outside == {why: 1}
    assert f"{why} (1)" in family.words
    assert {name: ranks[name] for name in before} == before


def test_outside_the_family_an_entry_is_compared_alone(tmp_path, some):
    control = made(tmp_path, "perfect", 0.99, role="control")
    level = made(tmp_path, "level", 0.4, role="control")
    few = made(tmp_path, "few", 0.99, seeds=2)
    ranks, _ = judged([*some, control, level, few])
    assert ranks["perfect"].against == "above the reference, tested alone"
    p_value = stats.paired_difference(level.ooc, some[0].ooc).p_value
    assert (ranks["level"].side == "not told from") == (p_value > stats.LEVEL)
    assert ranks["few"].against == "not tested against the reference, tested alone"


def test_of_one_submitter_the_newest_count(tmp_path, some):
    mine = [
        made(
            tmp_path, f"mine-{i}", 0.5, created=f"2026-02-0{i + 1}T00:00:00Z", whose={"owner": "me"}
        )
        for i in range(PER_SUBMITTER + 2)
    ]
    assert {entry.owner for entry in mine} == {"me"}
    ranks, family = judged([*some, *mine])
    outside = [name for name, rank in ranks.items() if rank.outside]
    assert outside == ["mine-0", "mine-1"]
    assert family.outside == {f"more than {PER_SUBMITTER} of one submitter": 2}


def test_rows_of_the_maintainers_are_no_surplus_whatever_a_file_calls_itself(tmp_path):
    code = "recombine.baselines.methods.supervised:Supervised"
    many = [made(tmp_path, f"b{i}", 0.5, code=code) for i in range(PER_SUBMITTER + 2)]
    _, family = judged(many)
    assert len(family.members) == len(many)
    theirs = [
        made(tmp_path, f"c{i}", 0.5, code=code, whose={"owner": "me"})
        for i in range(PER_SUBMITTER + 2)
    ]
    _, family = judged(theirs)
    assert len(family.members) == PER_SUBMITTER


def test_a_copy_that_nobody_ran_has_no_part_in_the_verdict(some, tmp_path):
    copy = replace(some[1], tier="rescored")
    ranks, family = rank_entries([*some, copy], [(0,), (1, 4), (2,), (3,)])
    assert ranks[1].best
    assert (ranks[4].best, ranks[4].outside) == (None, "not run by a maintainer")
    assert len(family.members) == 4


def test_without_the_reference_only_the_best_is_asked_for(some):
    ranks, family = judged(some[1:])
    assert family.reference is None
    assert {rank.against for rank in ranks.values()} == {""}
    assert "reference" not in family.words
    assert judged(some, reference="bad")[1].reference is some[3]


def test_the_reference_is_chosen_by_its_name_and_images_not_by_its_score(tmp_path, some):
    small = replace(
        some[0],
        result=some[0].result.model_copy(
            update={"data": some[0].result.data.model_copy(update={"n_train": 1})}
        ),
    )
    assert rank_entries([small, *some], [(i,) for i in range(5)])[1].reference is some[0]


def test_nothing_confirmed_nothing_judged(tmp_path):
    ranks, family = judged([made(tmp_path, "supervised", 0.5, tier="rescored")])
    assert (family.members, family.best, family.reference) == ((), (), None)
    assert ranks["supervised"].words == "outside"
    assert judged([])[0] == {}


def test_equal_answers_count_once_and_share_their_verdict(some):
    ranks, family = rank_entries([*some, some[1]], [(0,), (1, 4), (2,), (3,)])
    assert ranks[1] is ranks[4]
    assert len(family.members) == 4


def test_always_right_against_never_right_is_told_apart(tmp_path):
    files = []
    for name, share in (("supervised", 0), ("perfect", 48)):
        hits = np.full((3, 8), share)
        counts = np.full((3, 8), 48)
        files.append(
            make_result(
                id_hits=hits, id_counts=counts, ooc_hits=hits, ooc_counts=counts, entry=name
            ).save(tmp_path / f"{name}.json")
        )
    (board,) = load_boards(on_record(files))
    rows = {row.entry.result.method.entry: row.rank for row in rank_board(board).rows}
    assert rows["perfect"].words == "the best"
    assert rows["perfect"].side == "above"
    assert rows["supervised"].best is False


def test_verdicts_are_sorted_best_first():
    ranks = [
        Rank(True, side="above"), Rank(True, side="not told from"), Rank(False, side="above"),
        Rank(False, side="below"), Rank(None, side="above", outside="a control"),
    ]  # fmt: skip
    assert [rank.order for rank in ranks] == sorted(rank.order for rank in ranks)


def test_an_upper_bound_by_selection_is_outside(tmp_path):
    files = write_results(tmp_path)
    method = sample(4).model_dump(mode="json")["method"] | declared("bound")
    method |= {"id": "top", "entry": "top"}
    files += on_record([sample(4, method=method).save(tmp_path / "top.json")])
    (board,) = load_boards(files)
    rows = {row.entry.result.method.entry: row.rank for row in rank_board(board).rows}
    assert rows["top"].outside == "an upper bound, out of competition"
    assert rows["autoencoder-replay-search"].best
